"""The room log: gives every event its sequence, stores it, and answers what happened in a room."""
