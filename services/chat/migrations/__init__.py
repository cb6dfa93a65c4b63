"""Schema changes, in the order of their numbers."""
