"""Rules on architectures as they are built: the zoo's table, and a sweep over every family of ``transformers``. `python -m zoo`."""
