"""Two results folders side by side: which numbers differ, by how much, and why that may be."""
