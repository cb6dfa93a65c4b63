"""The schema of auth, step by step."""
