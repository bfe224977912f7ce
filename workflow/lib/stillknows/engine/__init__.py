"""Recordings, sweeps and depth: each layer of the host is read once for all runs."""
