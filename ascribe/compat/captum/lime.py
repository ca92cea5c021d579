"""LIME: a simple model fitted to the network near a record, and LimeBase, in which the user supplies every part."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from ...coalitions import GameEstimate, Players
from ...engine.chunks import first_chunk, show_progress
from ...errors import InputError, MethodError, QuantityError
from ...quantities import select_scores
from .base import PerturbationAttribution
from .linear import Model, SkLearnLasso
from .recipes.batch_outputs import to_tensor
from .recipes.perturbation import format_coefficients, make_replacement, support_any_output
from .recipes.skipped_inputs import read_output, run_model
from .translate.call import CaptumCall, make_baselines
from .translate.inputs import parse_inputs
from .translate.masks import choose_mean_dtype, list_features, parse_features, parse_masks

PENALTY = 0.01


@dataclass(frozen=True)
class ExpKernel:
    """The kernel ``exp(-distance^2 / (2 width^2))`` of an original and a perturbed input, with Euclidean or cosine distance."""

    distance_mode: Literal["cosine", "euclidean"] = "cosine"
    kernel_width: float = 1.0

    def __call__(self, original: Any, perturbed: Any, interpretable: Any = None, **kwargs: Any) -> float:
        a, b = (torch.cat([t.reshape(-1).double() for t in parse_inputs(side).tensors]) for side in (original, perturbed))
        return float(self.of(a @ a, a @ b, b @ b))

    def of(self, aa: Any, ab: Any, bb: Any) -> Any:
        """Returns the kernel from the inputs' inner products."""
        if self.distance_mode == "cosine":
            squared = (1 - ab / (aa * bb).clamp(min=1e-32).sqrt()) ** 2
        else:
            squared = (aa - 2 * ab + bb).clamp(min=0)
        return torch.exp(-squared / (2 * self.kernel_width**2))


def get_exp_kernel_similarity_function(distance_mode: str = "cosine", kernel_width: float = 1.0) -> ExpKernel:
    """Returns the exponential similarity kernel. Raises MethodError for an unknown distance."""
    if distance_mode not in ("cosine", "euclidean"):
        advice = "'cosine' or 'euclidean'"
        raise MethodError("The distance must be one of `cosine` and `euclidean`", found=f"distance_mode={distance_mode!r}", advice=advice)
    return ExpKernel("cosine" if distance_mode == "cosine" else "euclidean", kernel_width)


@dataclass(frozen=True, eq=False)
class ListedCoalitions:
    """A coalition estimator over given coalitions. Its estimate is the value of each, ``[quantities, records, coalitions, 1]``."""

    there: np.ndarray

    def rows(self, players: Players) -> int:
        return len(self.there)

    def game(self, players: Players, seed: int) -> ListedGame:
        return ListedGame(self.there)


class ListedGame:
    """A game that stores the values of its coalitions."""

    def __init__(self, there: np.ndarray) -> None:
        self.there, self.next = there, 0
        self.values: list[np.ndarray] = []

    def ask(self, most: int) -> np.ndarray | None:
        if self.next >= len(self.there):
            return None
        found = self.there[self.next : self.next + most]
        self.next += len(found)
        return found

    def tell(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        self.values.append(values)

    def estimate(self) -> GameEstimate:
        return GameEstimate(np.concatenate(self.values, 1).transpose(0, 2, 1)[..., None])


class LimeBase(
    PerturbationAttribution,
    init="forward_func interpretable_model! similarity_func! perturb_func! perturb_interpretable_space"
    " from_interp_rep_transform to_interp_rep_transform",
    call="inputs target additional_forward_args n_samples=50 perturbations_per_eval show_progress **kwargs",
    multiplies=False,
):
    """Fits a simple model to samples near the input, weighted by their similarity; the user supplies all parts."""

    interpretable_model: Any
    similarity_func: Callable[..., Any]
    perturb_func: Callable[..., Any]
    perturb_interpretable_space: bool
    from_interp_rep_transform: Callable[..., Any] | None
    to_interp_rep_transform: Callable[..., Any] | None

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Returns the representation of the fitted model. Inputs may have any number of rows if the model has one output for all."""
        own = inspect.signature(type(self).attribute).parameters
        extra = {name: value for name, value in arguments.items() if name not in own}
        call = self.translate(arguments)
        original = call.inputs.pack(call.inputs.tensors)
        parts = [self.sample(z, original, extra) for z in draw_perturbations(self.perturb_func, original, call["n_samples"], extra)]
        codes, inputs, near = zip(*parts, strict=True)
        outcomes = evaluate_samples(call, [parse_inputs(p).tensors for p in inputs])
        found = fit_model(self.interpretable_model, torch.cat([c.reshape(1, -1) for c in codes]), outcomes, torch.stack(near))
        return found.to(outcomes.dtype) if found.is_floating_point() and outcomes.dtype in (torch.float32, torch.float64) else found

    def sample(self, drawn: Any, original: Any, extra: dict[str, Any]) -> tuple[Tensor, Any, Tensor]:
        """Returns the code of a perturbation, its input and its similarity. Raises MethodError if a transform is missing."""
        way = self.from_interp_rep_transform if self.perturb_interpretable_space else self.to_interp_rep_transform
        if way is None:
            side = "from_interp_rep_transform" if self.perturb_interpretable_space else "to_interp_rep_transform"
            raise MethodError(
                f"The function `{side}` is not given",
                found=f"{side}=None",
                advice=f"{side}=f, a function that converts inputs to interpretable codes, or back",
            )
        other = way(drawn, original, **extra)
        code, moved = (drawn, other) if self.perturb_interpretable_space else (other, drawn)
        near = torch.as_tensor(self.similarity_func(original, moved, code, **extra)).double().reshape(())
        return code, moved, near


def evaluate_samples(call: CaptumCall, samples: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """Returns the quantity at each sample, one at a time or ``perturbations_per_eval`` together, as captum runs them.

    If that is 1, samples of one shape still run together, as long as the model returns the same for several as for each alone.
    """
    alike: dict[Any, list[int]] = {}
    for i, tensors in enumerate(samples):
        alike.setdefault(tuple(t.shape for t in tensors), []).append(i)
    found: dict[int, Tensor] = {}
    with show_progress(len(samples), call.progress) as progress:
        for one in alike.values():
            size = call["perturbations_per_eval"]
            bound = size > 1
            size = size if bound else first_chunk(sum(t.numel() for t in samples[one[0]]), 0, 1)
            while one:
                here = one[:size]
                together = (evaluate_together if bound else try_together)(call, [samples[i] for i in here])
                if together is None:
                    size, here = 1, here[:1]
                    together = evaluate_alone(call, samples[here[0]])[None]
                found.update(zip(here, together, strict=True))
                one = one[size:]
                progress.advance(len(here))
    return torch.stack([found[i] for i in range(len(samples))])


def evaluate_together(call: CaptumCall, samples: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """Returns the quantity at samples of one shape in one forward pass. Raises QuantityError unless there is one number for each."""
    many = call.repeat_records(len(samples)).with_inputs([torch.cat(t) for t in zip(*samples, strict=True)])
    y = select_scores(run_model(many), many.of)
    found: Tensor = many.of.bind(y)(y)
    if found.shape != (len(samples),):
        there = f"{found.numel()} numbers for {len(samples)} samples"
        raise QuantityError("The model must return one number for each sample", found=there, advice="perturbations_per_eval=1")
    return found


def try_together(call: CaptumCall, samples: Sequence[tuple[Tensor, ...]]) -> Tensor | None:
    """Returns the quantity at samples evaluated together; None if the model needs them one at a time. The first and the last are checked.

    The two runs may differ by 0.1 %, far above rounding in float32. Shorter floats may exceed it, and are then evaluated alone.
    """
    if len(samples) == 1:
        return None
    try:
        found = evaluate_together(call, samples)
    except Exception:  # whatever a model says of rows that it was not made for; one at a time it may say it again
        return None
    alone = torch.stack([evaluate_alone(call, samples[k]) for k in (0, -1)]).to(found)
    near = torch.allclose(found[[0, -1]], alone, rtol=1e-3, atol=1e-5 * float(found.abs().max()))
    return found if near else None


def evaluate_alone(call: CaptumCall, sample: tuple[Tensor, ...]) -> Tensor:
    """Returns the quantity at one sample as a scalar. Raises QuantityError for several numbers."""
    one = call.with_inputs(sample)
    y = read_output(one)
    if isinstance(y, Tensor) and y.ndim > 1:
        y = one.of.bind(y)(y)
    elif call["target"] is not None and isinstance(y, Tensor) and y.ndim:
        y = one.of.bind(y[None])(y[None])
    y = to_tensor(y)
    if y.numel() != 1:
        there = f"{y.numel()} numbers for a sample, in an output of shape {tuple(y.shape)}"
        raise QuantityError("The model must return one number for each sample", found=there, advice="target=0, to select one")
    return y.reshape(()).to(y.dtype if y.is_floating_point() else torch.get_default_dtype())


def draw_perturbations(perturb: Callable[..., Any], original: Any, count: int, extra: dict[str, Any]) -> Iterator[Any]:
    """Yields ``count`` results of a function, or at most as many of a generator."""
    if inspect.isgeneratorfunction(perturb):
        for _, found in zip(range(count), perturb(original, **extra), strict=False):
            yield found
        return
    for _ in range(count):
        yield perturb(original, **extra)


def fit_model(model: Any, codes: Tensor, outcomes: Tensor, near: Tensor) -> Tensor:
    """Fits a model to weighted samples. Returns its representation."""
    rows = TensorDataset(codes.detach().float(), outcomes.detach().cpu(), near.detach().cpu())
    model.fit(DataLoader(rows, batch_size=len(codes)))
    found = model.representation()
    return found if isinstance(found, Tensor) else torch.as_tensor(found)


def fit_records(call: CaptumCall) -> Any:
    """Returns the coefficients of a model fitted to random coalitions, weighted by similarity; records share the coalitions."""
    ids = parse_masks(call)
    known = list_features(ids)
    cells = [torch.searchsorted(known.to(m.device), m).expand_as(x) for m, x in zip(ids, call.inputs.tensors, strict=True)]
    if call["perturb_func"] is not None:
        alone = [take_record(call, i, [c[i : i + 1] for c in cells]) for i in range(call.inputs.records)]
        each = [LocalSamples(one, mine, len(known)).coefficients(one, features_from_cells(one, mine)) for one, mine in alone]
        found, kind = torch.cat([f for f, _ in each]), each[0][1]
    else:
        found, kind = LocalSamples(call, cells, len(known)).coefficients(call, parse_features(call))
    return format_coefficients(call, found.cpu().numpy(), choose_mean_dtype(call, kind))


def features_from_cells(call: CaptumCall, cells: Sequence[Tensor]) -> Any:
    """Returns the features of a call from their numbers."""
    return parse_features(call.with_options(feature_mask=tuple(cells) if len(cells) > 1 else cells[0]))


def take_record(call: CaptumCall, i: int, cells: list[Tensor]) -> tuple[CaptumCall, list[Tensor]]:
    """Returns the call for one of its records."""
    n = call.inputs.records

    def row(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(row, value))
        return value[i : i + 1] if isinstance(value, Tensor) and value.ndim and len(value) == n else value

    begin = [b.expand_as(x)[i : i + 1] for b, x in zip(make_baselines(call, call["baselines"]), call.inputs.tensors, strict=True)]
    one = call.with_inputs([x[i : i + 1] for x in call.inputs.tensors])
    of = one.of.row(i) if hasattr(one.of, "row") else one.of
    found = replace(one, extra_args=row(call.extra_args), extra_kwargs={k: row(v) for k, v in call.extra_kwargs.items()}, of=of)
    return found.with_options(baselines=tuple(begin)), cells


class LocalSamples:
    """Random coalitions near the records of a call, and the models fitted to them."""

    def __init__(self, call: CaptumCall, cells: Sequence[Tensor], count: int) -> None:
        self.call, self.cells, self.count = call, cells, count
        self.begin = [b.expand_as(x) for b, x in zip(make_baselines(call, call["baselines"]), call.inputs.tensors, strict=True)]

    def coefficients(self, call: CaptumCall, features: Any) -> tuple[Tensor, torch.dtype]:
        """Returns the coefficients ``[records, features]``, and the dtype of the model's output."""
        codes = self.codes()
        outcome, kind = call.attribute_coalitions(ListedCoalitions(codes.bool().numpy()), make_replacement(call), features)
        assert outcome.features is not None
        values = torch.as_tensor(outcome.features.values).double()[..., 0]
        near = self.near(codes)
        model = call["interpretable_model"]
        return torch.stack([fit_model(model, codes, y, w).double().reshape(-1) for y, w in zip(values, near, strict=True)]), kind

    def codes(self) -> Tensor:
        """Returns the random coalitions ``[samples, features]``: independent with probability 0.5, or from the user's function."""
        count, perturb = self.call["n_samples"], self.call["perturb_func"]
        if perturb is None:
            return torch.randint(0, 2, (count, self.count))
        extra = self.extra
        found = draw_perturbations(perturb, self.call.inputs.pack(self.call.inputs.tensors), count, extra)
        return torch.cat([torch.as_tensor(z).reshape(1, -1) for z in found])

    @property
    def extra(self) -> dict[str, Any]:
        """The additional keyword arguments of the user's functions."""
        like = self.call.inputs.pack
        return {"baselines": like(self.begin), "feature_mask": like(list(self.cells)), "num_interp_features": self.count}

    def near(self, codes: Tensor) -> Tensor:
        """Returns the similarity of each sample to each record, ``[records, samples]``."""
        kernel = self.call["similarity_func"] or ExpKernel()
        if isinstance(kernel, ExpKernel):
            return self.by_products(codes.double(), kernel)
        return torch.stack([self.by_function(codes, kernel, i) for i in range(self.call.inputs.records)])

    def by_products(self, codes: Tensor, kernel: ExpKernel) -> Tensor:
        """Returns similarities from sums over features, without building the samples."""
        xx, xb, bb = (self.summed(lambda x, b, k=k: (x * x, x * b, b * b)[k]) for k in range(3))
        mixed, own = codes @ xx.T + (1 - codes) @ xb.T, codes @ xx.T + (1 - codes) @ bb.T
        return kernel.of(xx.sum(1)[None], mixed, own).T.contiguous()

    def summed(self, product: Callable[..., Tensor]) -> Tensor:
        """Returns a product of inputs and baselines summed over each feature, ``[records, features]``."""
        found = torch.zeros(self.call.inputs.records, self.count, dtype=torch.float64)
        for x, b, c in zip(self.call.inputs.tensors, self.begin, self.cells, strict=True):
            part = product(x.double(), b.double()).reshape(len(x), -1).cpu()
            found.scatter_add_(1, c.reshape(len(c), -1).cpu(), part)
        return found

    def by_function(self, codes: Tensor, similarity: Callable[..., Any], i: int) -> Tensor:
        """Returns the similarities of one record from the user's function of the original, the sample and its code."""
        rows = [
            (x[i : i + 1], b[i : i + 1], c[i : i + 1]) for x, b, c in zip(self.call.inputs.tensors, self.begin, self.cells, strict=True)
        ]
        original = self.call.inputs.pack([x for x, _, _ in rows])
        found = []
        for code in codes:
            there = code.bool()
            moved = self.call.inputs.pack([torch.where(there.to(c.device)[c], x, b) for x, b, c in rows])
            found.append(torch.as_tensor(similarity(original, moved, code[None], **self.extra)).double().reshape(()))
        return torch.stack(found)


def default_from_interp_rep_transform(curr_sample: Tensor, original_inputs: Any, **kwargs: Any) -> Any:
    """Returns the input of a code: features in the code as they are, the others at their baseline.

    Raises InputError without ``feature_mask`` and ``baselines``.
    """
    if not {"feature_mask", "baselines"} <= kwargs.keys():
        there = ", ".join(kwargs) or "no keywords"
        raise InputError(
            "`feature_mask` and `baselines` are needed to convert an interpretable code to an input",
            found=there,
            advice="feature_mask=..., baselines=...",
        )

    def moved(x: Tensor, mask: Tensor, start: Any) -> Tensor:
        return torch.where(curr_sample.reshape(-1)[mask].bool(), x, torch.as_tensor(start, dtype=x.dtype, device=x.device))

    parts, starts_ = kwargs["feature_mask"], kwargs["baselines"]
    if isinstance(original_inputs, Tensor):
        return moved(original_inputs, parts, starts_)
    return tuple(moved(x, m, b) for x, m, b in zip(original_inputs, parts, starts_, strict=True))


def default_perturb_func(original_inp: Any, **kwargs: Any) -> Tensor:
    """Returns a random code with each feature present with probability 0.5. Raises InputError without ``num_interp_features``."""
    if "num_interp_features" not in kwargs:
        there = ", ".join(kwargs) or "no keywords"
        raise InputError(
            "`num_interp_features` is needed, the length of the interpretable code", found=there, advice="num_interp_features=8"
        )
    return torch.randint(0, 2, (1, int(kwargs["num_interp_features"])), device=parse_inputs(original_inp).tensors[0].device)


class Lime(
    LimeBase,
    init="forward_func interpretable_model similarity_func perturb_func",
    call="inputs baselines target additional_forward_args feature_mask n_samples=25 perturbations_per_eval return_input_shape"
    " show_progress",
    by=support_any_output(fit_records, single=True),
):
    """Fits a linear model to random coalitions of features near the record. Its coefficients are the values.

    Its parts can be used alone, as those of :class:`LimeBase`: ``from_interp_rep_transform`` returns the input of a code.
    """

    perturb_interpretable_space = True
    from_interp_rep_transform = staticmethod(default_from_interp_rep_transform)
    to_interp_rep_transform = None

    def finish_init(self) -> None:
        """Fills in captum's defaults."""
        for name, part in (("similarity_func", ExpKernel()), ("perturb_func", default_perturb_func)):
            if getattr(self, name, None) is None:
                setattr(self, name, part)
        if getattr(self, "interpretable_model", None) is None:
            self.interpretable_model = SkLearnLasso(alpha=PENALTY)

    def translate(self, arguments: Mapping[str, Any]) -> CaptumCall:
        """Returns the translated call; the default codes need no function."""
        call = super().translate(arguments)
        return call.with_options(perturb_func=None) if call["perturb_func"] is default_perturb_func else call

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Runs the recipe: one fit for each record."""
        return PerturbationAttribution.explain(self, arguments)


__all__ = [
    "ExpKernel",
    "Lime",
    "LimeBase",
    "Model",
    "default_from_interp_rep_transform",
    "default_perturb_func",
    "get_exp_kernel_similarity_function",
]
