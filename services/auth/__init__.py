"""Accounts, passwords, sessions, refresh tokens and the keys that sign access tokens."""
