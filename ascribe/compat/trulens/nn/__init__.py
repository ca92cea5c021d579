"""``trulens.nn``."""
