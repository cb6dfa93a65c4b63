"""Measurements that are no load: memory, a reconnect, lists, history, the log alone, and rest."""
