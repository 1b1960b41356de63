"""Models of what a strategy was told, and what they say is worth a try."""
