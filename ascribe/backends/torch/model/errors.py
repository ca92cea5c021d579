"""Errors for what a model itself raises, in a sentence with both values that disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ....calls.call import Call, argument_name
from ....cuts import Cut
from ....errors import AscribeError, CutError, InputError, ModelError
from ....utils.hints import unexpected_hint
from .arguments import Inputs

DTYPES = ("should be the same", "same dtype", "scalar type", "Found dtype", "expected dtype", "mat1 and mat2 must have")


def wrong_dtype(inputs: Inputs, dtype: torch.dtype | None, wrong: BaseException) -> bool:
    """True if a run failed because the inputs have another floating type than the model."""
    types = {inputs.leaves[p].dtype for p in inputs.explained}
    named_so = any(part in str(wrong) for part in DTYPES)
    return named_so and dtype is not None and bool(types) and types != {dtype}


def complex_inputs(inputs: Inputs) -> InputError:
    """The error for inputs of complex numbers, which have no gradient of their own."""
    there = ", ".join(f"{argument_name(p)} {tuple(inputs.leaves[p].shape)}" for p in inputs.complex)
    advice = "asc.attribute(lambda z: model(torch.view_as_complex(z)), torch.view_as_real(x)), with real and imaginary parts as numbers"
    return InputError("Inputs of complex numbers cannot be explained", found=there, advice=advice, code="E-INPUT-COMPLEX")


INNER = ("does not require grad", "appears to not have been used in the graph")
"""Autograd's messages where a model differentiates inside and finds nothing to differentiate."""


def differentiates_inside(wrong: BaseException | None) -> bool:
    """True if a run failed because the model takes a gradient of its own, as for forces, of what has no graph here."""
    return wrong is not None and any(part in str(wrong) for part in INNER)


def refuses_counting(wrong: BaseException | None) -> bool:
    """True if a run failed because a transform of ``torch.func`` in the model does not let its memory be counted."""
    return wrong is not None and "saved tensor hooks" in str(wrong)


MOST = 3  # layers named


def without_graph(host: torch.nn.Module | None, cuts: Sequence[Cut]) -> CutError:
    """The error for cuts without a gradient: layers that have none, or a value that was taken out of the graph."""
    names = [name or "the model" for name in quantised(host)]
    there = "a cut that it does not depend on, or detach(), no_grad(), .data, NumPy or integers between the two"
    if names:
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        there = f"quantised layers, which have no derivative: {', '.join(names[:MOST])}{more}"
    where = ", ".join(map(repr, cuts))
    removal = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
    return CutError(f"The quantity has no gradient at {where}", found=there, advice=removal, code="E-CUT-GRADIENT")


def quantised(host: torch.nn.Module | None) -> list[str]:
    """The names of quantised layers, without the layers inside them."""
    found: list[str] = []
    for name, module in host.named_modules() if host is not None else ():
        if "quantized" in type(module).__module__ and not any(name.startswith(f"{one}.") for one in found):
            found.append(name)
    return found


def explained_failure(model: Any, host: torch.nn.Module | None, call: Call, inputs: Inputs, wrong: Exception) -> AscribeError:
    """An error of ours for what the model raised when it was called with these inputs."""
    first = (str(wrong).strip().splitlines() or [type(wrong).__name__])[0]
    devices = sorted({str(leaf.device) for leaf in inputs.leaves.values()})
    home = sorted({str(p.device) for p in host.parameters()}) if host is not None else []
    if home and len(home) == 1 and devices != home and ("device" in first or "meta" in first):
        what = "The model and its inputs must be on the same device"
        there = f"the model on {home[0]}, the inputs on {', '.join(devices)}"
        return InputError(what, found=there, advice=f'x.to("{home[0]}")', code="E-DEVICE")
    given = ", ".join(
        f"{argument_name(path)} {tuple(leaf.shape)} {str(leaf.dtype).removeprefix('torch.')}" for path, leaf in inputs.leaves.items()
    )
    return ModelError(
        f"The model raised {type(wrong).__name__}: {first}",
        found=f"a call with {given}",
        advice=_advice(model, call, inputs, first),
        code="E-MODEL-RUN",
    )


def _advice(model: Any, call: Call, inputs: Inputs, message: str) -> str:
    if (hint := unexpected_hint(message, call.kwargs)) is not None:
        return hint
    args, kwargs = call.args, call.kwargs
    if len(args) == 1 and not kwargs and isinstance(args[0], Mapping):
        return "the dictionary unpacked: method(model, **batch)"
    if "must be Tensor, not list" in message or "must be Tensor, not tuple" in message:
        return "torch.stack(x), for a list of records"
    if "expected np.ndarray (got Tensor)" in message:
        return "x.numpy(), for a model that takes arrays"
    ranks = {leaf.ndim for leaf in inputs.leaves.values() if leaf.is_floating_point()}
    sizes = ("size" in message or "shape" in message) and ranks <= {1, 3}
    if sizes or any(part in message for part in ("channels", "dimensions", "not enough values to unpack")):
        return "x[None] if the input has no batch dimension"
    if any(part in message for part in DTYPES) and not any(leaf.is_floating_point() for leaf in inputs.leaves.values()):
        return "numbers of the type of the model's weights: x.float()"
    if isinstance(model, torch.jit.ScriptModule):
        return "the model before scripting"
    return "the same call without ascribe, to see the model's own trace above"
