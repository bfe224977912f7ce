"""Greedy answers of the models, also under a patch, compared with the original's."""
