"""What is to be computed: config, checkpoints table, concept files, windows. No torch here."""
