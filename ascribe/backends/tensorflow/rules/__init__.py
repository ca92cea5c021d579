"""Backward rules on TensorFlow: the tape is written while the model runs eagerly, and the neutral formulas pass back over it."""
