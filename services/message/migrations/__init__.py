"""The schema of message, step by step."""
