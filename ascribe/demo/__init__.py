"""The demo, end to end: train two small models on bundled data, explain them, check the explanations, write a report."""
