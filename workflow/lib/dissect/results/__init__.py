"""The tables: the parquet of one sweep, and what is computed from many."""
