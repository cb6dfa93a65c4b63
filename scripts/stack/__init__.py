"""Starts, watches and stops every process that Polychat is made of."""
