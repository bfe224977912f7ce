"""Concept files, prompts, tokens, spans and facts; which positions are compared."""
