"""What a user names: rows of the checkpoints table, concepts, windows; each checked by itself."""
