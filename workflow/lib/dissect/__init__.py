"""Dissecting Fine-Tuning Unlearning (EMNLP 2024): unlearned models, patched layer by layer."""

__version__ = "0.1.0"
