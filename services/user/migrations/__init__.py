"""The schema of the user service, step by step."""
