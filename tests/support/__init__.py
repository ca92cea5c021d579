"""Models, games and recordings that several test files use."""
