"""A PyTorch model and its arguments: modules, state to restore, what its result depends on, what is known of it."""
