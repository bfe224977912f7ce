"""From questions to token ids, and which positions of them are compared."""
