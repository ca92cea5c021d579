"""Results as text and HTML: one-line and notebook summaries, layouts of arrays, colours. Nothing here computes an attribution."""
