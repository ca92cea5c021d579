"""The rows of the table: the explanation, the contenders, and the aims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from benchmarks import ascribe_side as ours
from benchmarks import bare, models
from benchmarks import captum_side as captum
from benchmarks.models import Subject
from benchmarks.timing import Call

Ratio = Literal["ascribe/bare", "captum/ascribe"]


@dataclass(frozen=True)
class Aim:
    """A ratio and the bound it should keep."""

    ratio: Ratio
    sense: Literal["<=", ">="]
    bound: float

    def met(self, figure: float) -> bool:
        """Returns True if a measured figure keeps the bound."""
        return figure <= self.bound if self.sense == "<=" else figure >= self.bound

    def __str__(self) -> str:
        return f"{self.ratio} {'≤' if self.sense == '<=' else '≥'} {self.bound:g}"


@dataclass(frozen=True)
class Settings:
    """The size of everything."""

    device: str = "cpu"
    steps: int = 32
    samples: int = 32
    call_steps: int = 50
    memory_steps: int = 256
    image: int = 64
    tokens: int = 32
    batch: int = 8
    tolerance: float = 1e-3
    pictures: int = 16
    references: int = 20
    long: int = 512


@dataclass(frozen=True)
class Case:
    """One row: a subject, and the three that explain it.

    ``bare`` is called with rows at once and with whether to run the ends too; ``points`` are the rows per record among
    which its chunk is looked for. ``random`` explanations are not compared with each other.
    """

    name: str
    subject: Callable[[], Subject]
    ascribe: Callable[[Subject], Call]
    captum: Callable[[Subject], Call]
    bare: Callable[[Subject, int, bool], Any]
    points: int = 1
    ends: bool = False
    random: bool = False
    aims: tuple[Aim, ...] = ()


STREAMED = (Aim("ascribe/bare", "<=", 1.10), Aim("captum/ascribe", ">=", 2.0))
INNER = (Aim("captum/ascribe", ">=", 15.0),)
COMPARED = (Aim("ascribe/bare", "<=", 1.8), Aim("captum/ascribe", ">=", 5.0))
CHEAP = (Aim("captum/ascribe", ">=", 1.0),)


def cases(s: Settings) -> list[Case]:
    """Every row of the table."""
    return [*_streamed(s), *_inner(s), *_single(s), *_compared(s), *_calls(s), *_transformers(s), *_corrected(s)]


def _cnn(s: Settings) -> Callable[[], Subject]:
    return partial(models.cnn, s.device, s.image, s.batch)


def _streamed(s: Settings) -> list[Case]:
    steps, samples = s.steps, s.samples
    return [
        Case(f"CNN IntegratedGradients {steps}", _cnn(s),
             partial(ours.integrated_gradients, steps=steps), partial(captum.integrated_gradients, steps=steps),
             lambda m, c, e: bare.integrated_gradients(m, steps=steps, chunk=c, ends=e), steps, True, aims=STREAMED),
        Case(f"CNN SmoothGrad {samples}", _cnn(s),
             partial(ours.smooth_grad, samples=samples), partial(captum.smooth_grad, samples=samples),
             lambda m, c, e: bare.smooth_grad(m, samples=samples, chunk=c, ends=e), samples, True, True, STREAMED),
        Case(f"CNN ExpectedGradients {samples}", _cnn(s),
             partial(ours.expected_gradients, samples=samples), partial(captum.expected_gradients, samples=samples),
             lambda m, c, e: bare.expected_gradients(m, samples=samples, chunk=c, ends=e), samples, True, True, STREAMED),
    ]  # fmt: skip


def _inner(s: Settings) -> list[Case]:
    def at(layer: str, aims: tuple[Aim, ...]) -> Case:
        return Case(f"CNN integrated gradients at {layer} {s.steps}", _cnn(s),
                    partial(ours.layer_integrated_gradients, layer=layer, steps=s.steps),
                    partial(captum.layer_integrated_gradients, layer=layer, steps=s.steps),
                    lambda m, c, e: bare.layer_integrated_gradients(m, layer, steps=s.steps, chunk=c),
                    s.steps, aims=aims)  # fmt: skip

    return [at("fc2", INNER), at("relu4", ())]


def _single(s: Settings) -> list[Case]:
    def layer(name: str, where: str) -> Case:
        ask, peer, hand = getattr(ours, name), getattr(captum, name), getattr(bare, name)
        return Case(f"CNN {name} {where}", _cnn(s), partial(ask, layer=where), partial(peer, layer=where),
                    lambda m, c, e: hand(m, where))  # fmt: skip

    return [
        Case("CNN Saliency", _cnn(s), ours.saliency, captum.saliency, lambda m, c, e: bare.saliency(m)),
        Case("CNN InputXGradient", _cnn(s), ours.input_x_gradient, captum.input_x_gradient,
             lambda m, c, e: bare.input_x_gradient(m)),
        layer("grad_cam", "relu4"), layer("activation", "fc2"), layer("activation", "relu1"),
    ]  # fmt: skip


def _compared(s: Settings) -> list[Case]:
    """``bare`` is a gradient; for a background, as many backward passes as rows, and a forward pass for each row."""
    return [
        Case(f"CNN DeepLift, batch {s.pictures}", partial(models.cnn, s.device, s.image, s.pictures),
             ours.deep_lift, captum.deep_lift, lambda m, c, e: bare.input_x_gradient(m), random=True, aims=COMPARED),
        Case(f"CNN DeepLiftShap, {s.references} references", partial(models.cnn, s.device, s.image, s.batch, s.references),
             ours.deep_lift_shap, captum.deep_lift_shap, lambda m, c, e: bare.pairs(m), random=True,
             aims=(Aim("captum/ascribe", ">=", 12.0),)),
        Case(f"BERT DeepLift, {s.long} tokens", partial(models.bert, s.device, s.long, 2, 4 * s.image),
             ours.deep_lift, captum.deep_lift, lambda m, c, e: bare.input_x_gradient(m), random=True,
             aims=(Aim("ascribe/bare", "<=", 2.5),)),
    ]  # fmt: skip


def _calls(s: Settings) -> list[Case]:
    steps, rows = s.call_steps, []
    for batch in (1, s.batch):
        subject = partial(models.mlp, s.device, batch)
        rows += [
            Case(f"MLP Saliency, batch {batch}", subject, ours.saliency, captum.saliency,
                 lambda m, c, e: bare.saliency(m), aims=CHEAP),
            Case(f"MLP IntegratedGradients {steps}, batch {batch}", subject,
                 partial(ours.integrated_gradients, steps=steps), partial(captum.integrated_gradients, steps=steps),
                 lambda m, c, e: bare.integrated_gradients(m, steps=steps, chunk=c, ends=e), steps, True, aims=CHEAP),
        ]  # fmt: skip
    return rows


def _transformers(s: Settings) -> list[Case]:
    return [
        Case(f"{name} IntegratedGradients {s.steps} at EMBEDDINGS", partial(make, s.device, s.tokens, s.batch),
             partial(ours.embedding_integrated_gradients, steps=s.steps),
             partial(captum.embedding_integrated_gradients, steps=s.steps),
             lambda m, c, e: bare.integrated_gradients(m, steps=s.steps, chunk=c, ends=e), s.steps, True)
        for name, make in (("BERT", models.bert), ("Llama", models.llama))
    ]  # fmt: skip


def _corrected(s: Settings) -> list[Case]:
    """On a Llama of 8 layers and width 512, compared with gradient times input: captum has no such rules."""
    return [
        Case(f"Llama {name}, {s.long} tokens", partial(models.llama, s.device, s.long, 1, 8 * s.image, 8), ask,
             captum.embedded_input_x_gradient, lambda m, c, e: bare.input_x_gradient(m), random=True,
             aims=(Aim("ascribe/bare", "<=", 1.08),))
        for name, ask in (("AttnLRP", ours.attn_lrp), ("CPLRP", ours.cp_lrp))
    ]  # fmt: skip
