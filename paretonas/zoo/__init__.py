"""Published networks as specs."""
