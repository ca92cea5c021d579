"""What a framework writes out, recognised by its arithmetic: softmax and its logarithms, norms, means, biases."""

from .calls import Call, call_named
from .recognition import recognise_motifs

__all__ = ["Call", "call_named", "recognise_motifs"]
