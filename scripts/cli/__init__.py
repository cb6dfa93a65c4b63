"""The `polychat` command."""
