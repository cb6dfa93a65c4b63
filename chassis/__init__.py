"""What every process needs and no feature: settings, logs, health, servers, stores' plumbing."""
