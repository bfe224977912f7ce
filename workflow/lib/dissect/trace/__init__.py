"""The trace that unlearning leaves in the parameters: how far they moved, and where."""
