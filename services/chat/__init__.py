"""The chat service: rooms, memberships, and the way of a message into the room log."""
