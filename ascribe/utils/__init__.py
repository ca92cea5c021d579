"""Helpers that do not depend on attributions: escaping, files, hints, pooling, text columns."""
