"""Keras 3 on PyTorch, JAX and TensorFlow: one way to name, read and replace the values of its layers, for the sessions of all three."""
