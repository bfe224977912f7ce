"""Unlearning by fine-tuning, one small file per method."""
