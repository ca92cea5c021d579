"""The checks of a result: completeness, finite values, relevance, repeatability."""
