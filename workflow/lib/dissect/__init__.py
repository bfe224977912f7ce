"""Dissecting Fine-Tuning Unlearning (EMNLP 2024): was the knowledge erased, or only hidden?"""

__version__ = "0.1.0"
