"""Checkpoints: find, download, verify, read, convert, merge adapters; how their weights differ."""
