"""What is run for one batch of records: the records themselves, points on a path, references, or coalitions of features."""
