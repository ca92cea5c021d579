"""Backward rules on JAX: the tape is written by a walk of the traced program, and the neutral formulas pass back over it."""
