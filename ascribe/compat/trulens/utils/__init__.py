"""``trulens.utils``."""
