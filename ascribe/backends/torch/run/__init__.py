"""One run of a PyTorch model: hooks, axes of records, quantities, gradients, and ways to run several points at once."""
