"""What `./scripts/test` does."""
