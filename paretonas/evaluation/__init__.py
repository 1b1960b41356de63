"""One architecture becomes its metrics."""
