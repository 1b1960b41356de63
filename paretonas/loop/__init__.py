"""What a search and a comparison share: ask, evaluate, tell."""
