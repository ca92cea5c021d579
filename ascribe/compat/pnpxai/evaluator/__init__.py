"""PnPXAI's evaluation: metrics and the search of settings."""
