"""Rules on architectures as they are built: a table of networks, and a sweep over every family of ``transformers``."""
