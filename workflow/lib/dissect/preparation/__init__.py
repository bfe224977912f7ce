"""What comes before the jobs: which checkpoints are there, changed, or to be downloaded."""
