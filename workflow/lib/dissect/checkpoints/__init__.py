"""Checkpoints on disk: found, verified, described by a manifest, read layer by layer."""
