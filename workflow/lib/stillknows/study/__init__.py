"""What is to be computed and where files go: config, checkpoints table, staleness. No torch."""
