"""Measures ascribe against the same passes written by hand and against captum: ``python -m benchmarks``."""
