"""A recorded tape of a model's operations, with a reverse pass of its own.

A rule (:mod:`ascribe.rules`) says how each kind of operation is treated; the tape sees every operation, whatever wrote it:
:mod:`.recorder` writes the tape, :mod:`.align` finds each value's counterpart in a reference run, :mod:`.regions` fuses
element-wise expressions, :mod:`.treatments` is the table from kind and treatment to formula, :mod:`.reverse` goes backwards,
:mod:`.evidence` is what the session asks. Why a tape and not hooks on autograd's nodes: docs/decisions/0020.
"""
