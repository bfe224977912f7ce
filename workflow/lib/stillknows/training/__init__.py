"""Teach, unlearn and relearn by fine-tuning; one small file per method's loss."""
