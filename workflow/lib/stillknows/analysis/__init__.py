"""From the sweeps' rows to numbers: curves, intervals, claims, controls."""
