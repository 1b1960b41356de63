"""Ways to the machine that a runtime runs on."""
