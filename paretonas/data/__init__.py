"""Where examples come from: images that are found, decoded, split and augmented. Knows no network."""
