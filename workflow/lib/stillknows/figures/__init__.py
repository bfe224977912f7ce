"""The pictures, drawn from the tables alone."""
