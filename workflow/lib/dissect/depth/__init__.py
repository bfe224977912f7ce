"""How deep the unlearning reaches: facts with other models' states patched into the original."""
