"""Contract suites and fakes for authors of plugins. Needs pytest."""
