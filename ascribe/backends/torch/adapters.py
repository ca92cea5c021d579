"""The part of the PyTorch backend that facades of other libraries use: everything else in this folder may change.

* :func:`modules_behind`, :func:`host_of`: the modules that a callable runs, and the one whose layers have names.
* :class:`Parts`: every module and every parameter behind a model, each once.
* :func:`module_named`: the module at a dotted path.
* :func:`keep_untouched`: run a model in evaluation mode with frozen parameters, and leave it as it was.
* :data:`EVALUATE`: hold modules in evaluation mode while a block runs.
* :func:`as_tensor`: NumPy's numbers as a tensor of the model's type.
"""

from __future__ import annotations

from .model.arguments import as_tensor
from .model.modules import Parts, host_of, modules_behind
from .model.restore import EVALUATE, keep_untouched
from .run.hooks import module_named

__all__ = ["EVALUATE", "Parts", "as_tensor", "host_of", "keep_untouched", "module_named", "modules_behind"]
