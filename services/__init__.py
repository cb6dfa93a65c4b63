"""The services: each a process with a PostgreSQL schema of its own; they meet as generated clients only."""
