"""The tables: the parquet of one cell, and what is computed from many."""
