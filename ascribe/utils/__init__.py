"""Helpers without any knowledge of attributions: escaping, files, hints, pooling, text columns."""
