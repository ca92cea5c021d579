"""Rules on PyTorch models: a recorded tape of a model's operations, with a reverse pass of its own.

A rule (:mod:`ascribe.rules`) says how each kind of operation is treated; the tape sees every operation, whatever wrote it:
:mod:`.recorder` writes the tape, :mod:`.record` runs the model, :mod:`.evaluate` answers a job of the session.
Why a tape and not hooks on autograd's nodes: docs/decisions/0020.
"""
