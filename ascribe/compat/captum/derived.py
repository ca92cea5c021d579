"""A model whose derivative is what a function of the user's says: captum's ``gradient_func``, replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...errors import RuleError
from ...quantities import scores
from .asked import Asked
from .conventions import At, Each, quantity

Gradients = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True, eq=False)
class Derived:
    """The target of a model as the only output, with ``gradients(model, inputs, target, more)`` for its derivative.

    It is called with the inputs, the targets where each record has its own, and what else the model takes.
    """

    model: Any
    gradients: Gradients
    inputs: int
    target: Any
    each: bool

    def __call__(self, *args: Any, **named: Any) -> Tensor:
        inputs, more = args[: self.inputs], args[self.inputs + self.each :]
        target = args[self.inputs] if self.each else self.target
        target = [tuple(t) for t in target.tolist()] if self.each and target.ndim > 1 else target
        model = partial(self.model, **named) if named else self.model
        with torch.no_grad():
            output = scores(model(*inputs, *more), quantity(target))
            found: Tensor = quantity(target).bind(output)(output)
        if not any(x.requires_grad for x in inputs):
            return found
        here = tuple(x.detach().requires_grad_() for x in inputs)
        with torch.enable_grad():
            slopes = self.gradients(model, here, target, more or None)
        for x, slope in zip(inputs, slopes, strict=True):
            found = found + ((x - x.detach()) * slope.detach()).flatten(1).sum(1)  # adds nothing but its slope
        return found


def derived(asked: Asked, gradients: Gradients) -> Asked:
    """What is asked, of the model with that derivative. Raises RuleError for targets that are none of captum's, and inputs by name."""
    if not isinstance(asked.of, (At, Each)) or not isinstance(asked.inputs.names[0], int):
        there, try_ = f"{asked.of!r} of inputs {asked.inputs.names}", "inputs in a tuple, targets as captum takes them"
        raise RuleError("a gradient_func of your own", there=there, try_=try_)
    target, each = asked["target"], isinstance(asked.of, Each)
    rows = (torch.as_tensor(target, device=asked.inputs.tensors[0].device),) if each else ()
    model = Derived(asked.model, gradients, len(asked.inputs.tensors), target, each)
    return replace(asked, model=model, more=(*rows, *asked.more), of=At())
