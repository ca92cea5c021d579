"""The recorded tape of a model's operations, and the reverse pass of a rule over it. Nothing here knows a framework.

A backend writes the tape (:mod:`.tape`): one :class:`Entry` per operation, with the values that depend on the explained inputs as
:class:`Var`. What the neutral code asks of the framework is the protocol :class:`Framework`: the row of an operation in its table, its
arguments in neutral form, the operation evaluated again, and a vector-Jacobian product.

:mod:`.alignment` finds each value's counterpart in a reference run, :mod:`.regions` groups element-wise expressions, :mod:`.gates` ranks
values, :mod:`.assignment` and :mod:`.merging` decide which rule treats which operation, :mod:`.table` maps kind and treatment to a formula
of :mod:`.formulas`, :mod:`.reverse` goes backwards, :mod:`.conservation` and :mod:`.coverage` report.
"""

from .tape import Entry, Framework, Operation, Tape, Var

__all__ = ["Entry", "Framework", "Operation", "Tape", "Var"]
