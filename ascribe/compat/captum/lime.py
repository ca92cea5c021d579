"""LIME: a simple model of what a network does near a record, and its general form in which every part is the user's."""

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
from ...engine.chunks import first_chunk, showing
from ...errors import InputError, MethodError, QuantityError
from ...quantities import scores
from .asked import Asked, starts
from .base import PerturbationAttribution
from .cells import cells_of, features_of, known_of, smooth
from .conventions import given
from .linear import Model, SkLearnLasso
from .pared import answer, output
from .removal import coefficients, everywhere, stand_in
from .whole import as_tensor

PENALTY = 0.01


@dataclass(frozen=True)
class ExpKernel:
    """exp(-distance^2 / (2 width^2)) of an original and a perturbed input; distance is Euclidean, or 1 less the cosine."""

    distance_mode: Literal["cosine", "euclidean"] = "cosine"
    kernel_width: float = 1.0

    def __call__(self, original: Any, perturbed: Any, interpretable: Any = None, **kwargs: Any) -> float:
        a, b = (torch.cat([t.reshape(-1).double() for t in given(side).tensors]) for side in (original, perturbed))
        return float(self.of(a @ a, a @ b, b @ b))

    def of(self, aa: Any, ab: Any, bb: Any) -> Any:
        """From the inputs' products with themselves and each other."""
        if self.distance_mode == "cosine":
            squared = (1 - ab / (aa * bb).clamp(min=1e-32).sqrt()) ** 2
        else:
            squared = (aa - 2 * ab + bb).clamp(min=0)
        return torch.exp(-squared / (2 * self.kernel_width**2))


def get_exp_kernel_similarity_function(distance_mode: str = "cosine", kernel_width: float = 1.0) -> ExpKernel:
    """How near a perturbed input is to the original. Raises MethodError for a distance that there is none of."""
    if distance_mode not in ("cosine", "euclidean"):
        raise MethodError(f"distance_mode={distance_mode!r}", there="cosine, euclidean")
    return ExpKernel("cosine" if distance_mode == "cosine" else "euclidean", kernel_width)


@dataclass(frozen=True, eq=False)
class Listed:
    """Coalitions of the caller's own: a game that says what each is worth, ``[quantities, records, coalitions, 1]``."""

    there: np.ndarray

    def rows(self, players: Players) -> int:
        return len(self.there)

    def game(self, players: Players, seed: int) -> Told:
        return Told(self.there)


class Told:
    """A game that keeps the values of its coalitions."""

    def __init__(self, there: np.ndarray) -> None:
        self.there, self.next = there, 0
        self.worth: list[np.ndarray] = []

    def ask(self, most: int) -> np.ndarray | None:
        if self.next >= len(self.there):
            return None
        found = self.there[self.next : self.next + most]
        self.next += len(found)
        return found

    def tell(self, coalitions: np.ndarray, worth: np.ndarray) -> None:
        self.worth.append(worth)

    def estimate(self) -> GameEstimate:
        return GameEstimate(np.concatenate(self.worth, 1).transpose(0, 2, 1)[..., None])


class LimeBase(
    PerturbationAttribution,
    init="forward_func interpretable_model! similarity_func! perturb_func! perturb_interpretable_space"
    " from_interp_rep_transform to_interp_rep_transform",
    call="inputs target additional_forward_args n_samples=50 perturbations_per_eval show_progress **kwargs",
    multiplies=False,
):
    """Samples near the input, each with its outcome and its nearness, and a simple model fitted to them: all parts are the user's."""

    interpretable_model: Any
    similarity_func: Callable[..., Any]
    perturb_func: Callable[..., Any]
    perturb_interpretable_space: bool
    from_interp_rep_transform: Callable[..., Any] | None
    to_interp_rep_transform: Callable[..., Any] | None

    def explain(self, arguments: dict[str, Any]) -> Any:
        """What the fitted model stands for. The inputs may have any rows, if the model has one answer for them all."""
        own = inspect.signature(type(self).attribute).parameters
        extra = {name: value for name, value in arguments.items() if name not in own}
        asked = self.asked(arguments)
        original = asked.inputs.of(asked.inputs.tensors)
        parts = [self.sample(z, original, extra) for z in drawn(self.perturb_func, original, asked["n_samples"], extra)]
        codes, inputs, near = zip(*parts, strict=True)
        outcomes = outcomes_at(asked, [given(p).tensors for p in inputs])
        found = fit(self.interpretable_model, torch.cat([c.reshape(1, -1) for c in codes]), outcomes, torch.stack(near))
        return found.to(outcomes.dtype) if found.is_floating_point() and outcomes.dtype in (torch.float32, torch.float64) else found

    def sample(self, drawn: Any, original: Any, extra: dict[str, Any]) -> tuple[Tensor, Any, Tensor]:
        """A perturbation as its code, the input it means, and how near that is. Raises MethodError where a way between is missing."""
        way = self.from_interp_rep_transform if self.perturb_interpretable_space else self.to_interp_rep_transform
        if way is None:
            raise MethodError("a perturbation without a way between inputs and their interpretable codes")
        other = way(drawn, original, **extra)
        code, moved = (drawn, other) if self.perturb_interpretable_space else (other, drawn)
        near = torch.as_tensor(self.similarity_func(original, moved, code, **extra)).double().reshape(())
        return code, moved, near


def outcomes_at(asked: Asked, samples: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """The quantity at each sample, as captum runs them: one at a time, or ``perturbations_per_eval`` together.

    Where that is 1, samples of one shape are run together all the same, as long as the model gives for some what it gives for them alone.
    """
    alike: dict[Any, list[int]] = {}
    for i, tensors in enumerate(samples):
        alike.setdefault(tuple(t.shape for t in tensors), []).append(i)
    found: dict[int, Tensor] = {}
    with showing(len(samples), asked.progress) as progress:
        for one in alike.values():
            size = asked["perturbations_per_eval"]
            bound = size > 1
            size = size if bound else first_chunk(sum(t.numel() for t in samples[one[0]]), 0, 1)
            while one:
                here = one[:size]
                together = (at_samples if bound else checked)(asked, [samples[i] for i in here])
                if together is None:
                    size, here = 1, here[:1]
                    together = alone_at(asked, samples[here[0]])[None]
                found.update(zip(here, together, strict=True))
                one = one[size:]
                progress.advance(len(here))
    return torch.stack([found[i] for i in range(len(samples))])


def at_samples(asked: Asked, samples: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """The quantity at samples of one shape, run together. Raises QuantityError where there is not one number for each."""
    many = asked.spread(len(samples)).on([torch.cat(t) for t in zip(*samples, strict=True)])
    y = scores(output(many), many.of)
    found: Tensor = many.of.bind(y)(y)
    if found.shape != (len(samples),):
        raise QuantityError(f"{found.numel()} numbers for {len(samples)} samples", there="perturbations_per_eval=", try_="1")
    return found


def checked(asked: Asked, samples: Sequence[tuple[Tensor, ...]]) -> Tensor | None:
    """The quantity at samples run together; None where the model takes one at a time: the first and the last are run alone, too.

    Rounding in single precision is far below the 0.1 % by which the two runs may differ. Short floats may exceed it, and then run alone.
    """
    if len(samples) == 1:
        return None
    try:
        found = at_samples(asked, samples)
    except Exception:  # whatever a model says of rows that it was not made for; one at a time it may say it again
        return None
    alone = torch.stack([alone_at(asked, samples[k]) for k in (0, -1)]).to(found)
    near = torch.allclose(found[[0, -1]], alone, rtol=1e-3, atol=1e-5 * float(found.abs().max()))
    return found if near else None


def alone_at(asked: Asked, sample: tuple[Tensor, ...]) -> Tensor:
    """The quantity at one sample, a number whatever form it has. Raises QuantityError for several numbers."""
    one = asked.on(sample)
    y = answer(one)
    if isinstance(y, Tensor) and y.ndim > 1:
        y = one.of.bind(y)(y)
    elif asked["target"] is not None and isinstance(y, Tensor) and y.ndim:
        y = one.of.bind(y[None])(y[None])
    y = as_tensor(y)
    if y.numel() != 1:
        raise QuantityError(f"{y.numel()} numbers for a sample", there=f"an output of shape {tuple(y.shape)}", try_="target=: one of them")
    return y.reshape(()).to(y.dtype if y.is_floating_point() else torch.get_default_dtype())


def drawn(perturb: Callable[..., Any], original: Any, count: int, extra: dict[str, Any]) -> Iterator[Any]:
    """Samples of a function, or as many as a generator has, at most ``count``."""
    if inspect.isgeneratorfunction(perturb):
        for _, found in zip(range(count), perturb(original, **extra), strict=False):
            yield found
        return
    for _ in range(count):
        yield perturb(original, **extra)


def fit(model: Any, codes: Tensor, outcomes: Tensor, near: Tensor) -> Tensor:
    """A model fitted to samples, and what it stands for."""
    rows = TensorDataset(codes.detach().float(), outcomes.detach().cpu(), near.detach().cpu())
    model.fit(DataLoader(rows, batch_size=len(codes)))
    found = model.representation()
    return found if isinstance(found, Tensor) else torch.as_tensor(found)


def explained(asked: Asked) -> Any:
    """Coefficients of a model fitted to random subsets of features, nearer ones counting more; records share the subsets."""
    ids = cells_of(asked)
    known = known_of(ids)
    cells = [torch.searchsorted(known.to(m.device), m).expand_as(x) for m, x in zip(ids, asked.inputs.tensors, strict=True)]
    if asked["perturb_func"] is not None:
        alone = [one_record(asked, i, [c[i : i + 1] for c in cells]) for i in range(asked.inputs.records)]
        each = [Near(one, mine, len(known)).coefficients(one, masks_of(one, mine)) for one, mine in alone]
        found, kind = torch.cat([f for f, _ in each]), each[0][1]
    else:
        found, kind = Near(asked, cells, len(known)).coefficients(asked, features_of(asked))
    return coefficients(asked, found.cpu().numpy(), smooth(asked, kind))


def masks_of(asked: Asked, cells: Sequence[Tensor]) -> Any:
    """The features of a call by their numbers."""
    return features_of(asked.with_options(feature_mask=tuple(cells) if len(cells) > 1 else cells[0]))


def one_record(asked: Asked, i: int, cells: list[Tensor]) -> tuple[Asked, list[Tensor]]:
    """The call for one of its records."""
    n = asked.inputs.records

    def row(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(row, value))
        return value[i : i + 1] if isinstance(value, Tensor) and value.ndim and len(value) == n else value

    begin = [b.expand_as(x)[i : i + 1] for b, x in zip(starts(asked, asked["baselines"]), asked.inputs.tensors, strict=True)]
    one = asked.on([x[i : i + 1] for x in asked.inputs.tensors])
    of = one.of.row(i) if hasattr(one.of, "row") else one.of
    found = replace(one, more=row(asked.more), named={k: row(v) for k, v in asked.named.items()}, of=of)
    return found.with_options(baselines=tuple(begin)), cells


class Near:
    """Samples near the records of a call."""

    def __init__(self, asked: Asked, cells: Sequence[Tensor], count: int) -> None:
        self.asked, self.cells, self.count = asked, cells, count
        self.begin = [b.expand_as(x) for b, x in zip(starts(asked, asked["baselines"]), asked.inputs.tensors, strict=True)]

    def coefficients(self, asked: Asked, features: Any) -> tuple[Tensor, torch.dtype]:
        """One for each feature of each record, ``[records, features]``, and the type of the output."""
        codes = self.codes()
        outcome, kind = asked.removed(Listed(codes.bool().numpy()), stand_in(asked), features)
        assert outcome.features is not None
        worth = torch.as_tensor(outcome.features.values).double()[..., 0]
        near = self.near(codes)
        model = asked["interpretable_model"]
        return torch.stack([fit(model, codes, y, w).double().reshape(-1) for y, w in zip(worth, near, strict=True)]), kind

    def codes(self) -> Tensor:
        """Which features are there, ``[samples, features]``: each by the toss of a coin, or as the user's function says."""
        count, perturb = self.asked["n_samples"], self.asked["perturb_func"]
        if perturb is None:
            return torch.randint(0, 2, (count, self.count))
        extra = self.extra
        found = drawn(perturb, self.asked.inputs.of(self.asked.inputs.tensors), count, extra)
        return torch.cat([torch.as_tensor(z).reshape(1, -1) for z in found])

    @property
    def extra(self) -> dict[str, Any]:
        """What functions of the user's get in addition to the input."""
        like = self.asked.inputs.of
        return {"baselines": like(self.begin), "feature_mask": like(list(self.cells)), "num_interp_features": self.count}

    def near(self, codes: Tensor) -> Tensor:
        """How much each sample counts for each record, ``[records, samples]``."""
        kernel = self.asked["similarity_func"] or ExpKernel()
        if isinstance(kernel, ExpKernel):
            return self.by_products(codes.double(), kernel)
        return torch.stack([self.by_function(codes, kernel, i) for i in range(self.asked.inputs.records)])

    def by_products(self, codes: Tensor, kernel: ExpKernel) -> Tensor:
        """From sums over features alone, without making the samples."""
        xx, xb, bb = (self.summed(lambda x, b, k=k: (x * x, x * b, b * b)[k]) for k in range(3))
        mixed, own = codes @ xx.T + (1 - codes) @ xb.T, codes @ xx.T + (1 - codes) @ bb.T
        return kernel.of(xx.sum(1)[None], mixed, own).T.contiguous()

    def summed(self, product: Callable[..., Tensor]) -> Tensor:
        """A product of inputs and baselines summed over each feature, ``[records, features]``."""
        found = torch.zeros(self.asked.inputs.records, self.count, dtype=torch.float64)
        for x, b, c in zip(self.asked.inputs.tensors, self.begin, self.cells, strict=True):
            part = product(x.double(), b.double()).reshape(len(x), -1).cpu()
            found.scatter_add_(1, c.reshape(len(c), -1).cpu(), part)
        return found

    def by_function(self, codes: Tensor, similarity: Callable[..., Any], i: int) -> Tensor:
        """By a function of the original, the sample, and its code."""
        rows = [
            (x[i : i + 1], b[i : i + 1], c[i : i + 1]) for x, b, c in zip(self.asked.inputs.tensors, self.begin, self.cells, strict=True)
        ]
        original = self.asked.inputs.of([x for x, _, _ in rows])
        found = []
        for code in codes:
            there = code.bool()
            moved = self.asked.inputs.of([torch.where(there.to(c.device)[c], x, b) for x, b, c in rows])
            found.append(torch.as_tensor(similarity(original, moved, code[None], **self.extra)).double().reshape(()))
        return torch.stack(found)


def default_from_interp_rep_transform(curr_sample: Tensor, original_inputs: Any, **kwargs: Any) -> Any:
    """The input that a code stands for: features that are there as they are, others at their baseline.

    Raises InputError without ``feature_mask`` and ``baselines``.
    """
    if not {"feature_mask", "baselines"} <= kwargs.keys():
        raise InputError("an input from a code", there=", ".join(kwargs) or "no keywords", try_="feature_mask=..., baselines=...")

    def moved(x: Tensor, mask: Tensor, start: Any) -> Tensor:
        return torch.where(curr_sample.reshape(-1)[mask].bool(), x, torch.as_tensor(start, dtype=x.dtype, device=x.device))

    parts, starts_ = kwargs["feature_mask"], kwargs["baselines"]
    if isinstance(original_inputs, Tensor):
        return moved(original_inputs, parts, starts_)
    return tuple(moved(x, m, b) for x, m, b in zip(original_inputs, parts, starts_, strict=True))


def default_perturb_func(original_inp: Any, **kwargs: Any) -> Tensor:
    """A code with each feature there by the toss of a coin. Raises InputError without ``num_interp_features``."""
    if "num_interp_features" not in kwargs:
        raise InputError("a code of unknown length", try_="num_interp_features=...")
    return torch.randint(0, 2, (1, int(kwargs["num_interp_features"])), device=given(original_inp).tensors[0].device)


class Lime(
    LimeBase,
    init="forward_func interpretable_model similarity_func perturb_func",
    call="inputs baselines target additional_forward_args feature_mask n_samples=25 perturbations_per_eval return_input_shape"
    " show_progress",
    by=everywhere(explained, one=True),
):
    """Coefficients of a linear model of which features are there, fitted near the record.

    Its parts are those of :class:`LimeBase`, which can be called by themselves: ``from_interp_rep_transform`` gives the input of a code.
    """

    perturb_interpretable_space = True
    from_interp_rep_transform = staticmethod(default_from_interp_rep_transform)
    to_interp_rep_transform = None

    def made(self) -> None:
        """Parts that are not given are captum's."""
        for name, part in (("similarity_func", ExpKernel()), ("perturb_func", default_perturb_func)):
            if getattr(self, name, None) is None:
                setattr(self, name, part)
        if getattr(self, "interpretable_model", None) is None:
            self.interpretable_model = SkLearnLasso(alpha=PENALTY)

    def asked(self, arguments: Mapping[str, Any]) -> Asked:
        """A call as what it asks for; codes that are drawn as always need no function."""
        asked = super().asked(arguments)
        return asked.with_options(perturb_func=None) if asked["perturb_func"] is default_perturb_func else asked

    def explain(self, arguments: dict[str, Any]) -> Any:
        """The recipe; each record has a fit of its own."""
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
