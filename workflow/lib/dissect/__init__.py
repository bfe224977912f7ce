"""Dissecting Fine-Tuning Unlearning (EMNLP 2024): unlearned models, patched layer by layer."""

import gc

__version__ = "0.1.0"

# What is imported lives until the end. Looking for garbage among it after every 700 new objects, as
# Python does, is a tenth of a job's start and of the planning of a large study.
gc.set_threshold(100_000, 20, 20)
