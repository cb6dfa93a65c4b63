"""Profiles and the directory that users are found in."""
