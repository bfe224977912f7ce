"""From parquet files to tables: curves, intervals, claims, UDS, error rates, comparison."""
