"""Rules on complete architectures: a table of networks, and a sweep over all families of ``transformers``."""
