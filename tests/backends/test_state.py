"""The model, its arguments and the process are as they were: after success, after every kind of error, and midway."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError
from tests.support.snapshots import of_model, unchanged

Tensor = torch.Tensor


class Restless(nn.Module):
    """A model in training mode that draws, counts, stashes and grows as it runs, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6, momentum=None)
        self.drop = nn.Dropout(0.5)
        self.act = nn.ReLU(inplace=True)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.quiet = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.1)).eval()
        self.last = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3))
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("cache", None)
        self.register_buffer("scratch", torch.ones(2), persistent=False)
        self.failure: BaseException | None = None
        self.fails_at = 0
        self.runs = 0

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        x.mul_(scale)
        h = self.norm(self.first(x))
        self.steps += 1
        self.scratch.add_(1)
        self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        self.cache = h.detach() if self.cache is None else self.cache
        if not hasattr(self, "late"):
            self.register_buffer("late", torch.full((6,), 0.1, dtype=torch.float32))
        h = self.act(self.drop(h)) + self.late + 0 * torch.rand(())
        torch.set_default_dtype(torch.float32)
        h = self.quiet(self.frozen(h))
        if self.failure is not None:
            self.runs += 1
            if self.runs > self.fails_at:
                torch.set_grad_enabled(False)
                torch.set_default_dtype(torch.float64)
                raise self.failure
        return self.last(h)


def restless() -> Restless:
    torch.manual_seed(0)
    model = Restless()
    model.quiet.eval()
    model.first.weight.grad = torch.ones(6, 4)
    model.register_forward_hook(lambda *a: None)
    model.act.register_forward_pre_hook(lambda *a: None)
    return model


def records(count: int = 3) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()


LINE, CUT = asc.Line(0.0, steps=4), asc.Cut("act")
CALLS: dict[str, Callable[[Any, Tensor], Any]] = {
    "gradient": lambda m, x: asc.influence(m, x, of=1),
    "line": lambda m, x: asc.attribute(m, x, of=1, over=LINE),
    "chunks": lambda m, x: asc.attribute(m, x, of=1, over=LINE, chunk=2),
    "tolerance": lambda m, x: asc.attribute(m, x, of=1, over=asc.Line(0.0, tolerance=0.01)),
    "noise": lambda m, x: asc.influence(m, x, of=1, over=asc.Gaussian(0.1, 3)),
    "background": lambda m, x: asc.attribute(m, x, of=1, over=asc.Background(torch.zeros(2, 4))),
    "layer": lambda m, x: asc.attribute(m, x, of=1, at="act"),
    "layer's line": lambda m, x: asc.attribute(m, x, of=1, at="act", over=asc.Line(0.0, steps=4, at=CUT)),
    "in to an inner layer": lambda m, x: asc.attribute(m, x, of=1, at=asc.Cut("quiet", "in"), over=LINE),
    "neuron, stopped early": lambda m, x: asc.influence(m, x, of=asc.Unit(1, on=asc.Cut("act", call=0))),
    "several quantities": lambda m, x: asc.attribute(m, x, of=[asc.Unit(0), asc.Unit(1)], over=LINE),
    "by keyword": lambda m, x: asc.attribute(m, x=x, scale=0.5, of=1, over=LINE),
    "activation": lambda m, x: asc.activation(m, x, at="act"),
    "places": lambda m, x: asc.cuts_of(m, x),
    "logits": lambda m, x: asc.attribute(m, x, of=asc.Unit(0, on=asc.LOGITS)),
    "another call as baseline": lambda m, x: asc.attribute(m, x, of=1, over=asc.Line(asc.Call(x * 0), steps=3)),
}


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("mode", ["train", "eval", "mixed"])
def test_nothing_changes(name: str, mode: str) -> None:
    model, x = restless(), records()
    model.train(mode == "train")
    if mode == "mixed":
        model.norm.train()
    with unchanged(model, arguments=x):
        CALLS[name](model, x)


FAILURES: dict[str, BaseException] = {
    "an error of the model": RuntimeError("the roof is leaking"),
    "a value error": ValueError("no"),
    "an assertion": AssertionError(),
    "an odd one": StopIteration(),
    "an interrupt": KeyboardInterrupt(),
    "an exit": SystemExit(3),
    "a generator's end": GeneratorExit(),
}


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
@pytest.mark.parametrize("fails_at", [0, 1, 3])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", ["line", "chunks", "layer's line", "gradient"])
def test_nothing_changes_when_the_model_fails(name: str, failure: str, fails_at: int) -> None:
    model, x = restless().train(), records()
    raised = FAILURES[failure]
    model.failure, model.fails_at = raised, fails_at if name != "gradient" else 0
    expected = AscribeError if isinstance(raised, Exception) else type(raised)
    with pytest.raises(expected) as caught, unchanged(model, arguments=x):
        CALLS[name](model, x)
    if isinstance(raised, Exception):
        assert caught.value.__cause__ is raised  # the model's own trace is above ours
        assert "E-MODEL-RUN" in str(caught.value)


WRONG: dict[str, Callable[[Any, Tensor], Any]] = {
    "class": lambda m, x: asc.attribute(m, x, of=99, over=LINE),
    "layer": lambda m, x: asc.attribute(m, x, at="nowhere", over=LINE),
    "quantity's layer": lambda m, x: asc.influence(m, x, of=asc.Unit(0, on=asc.Cut("nowhere"))),
    "layer that never runs": lambda m, x: asc.attribute(m, x, at="spare"),
    "baseline": lambda m, x: asc.attribute(m, x, of=1, over=asc.Line(torch.zeros(7), steps=4)),
    "baseline that raises": lambda m, x: asc.attribute(m, x, of=1, over=asc.Line(lambda x, scale=1.0: 1 / 0, steps=4)),
    "quantity that raises": lambda m, x: asc.attribute(m, x, of=lambda y: y.nothing, over=LINE),
    "quantity that raises late": lambda m, x: asc.attribute(m, x, of=Late(), over=LINE),
    "argument": lambda m, x: asc.attribute(m, x, volume=3),
    "shape": lambda m, x: asc.attribute(m, x[:, :2]),
    "labels": lambda m, x: asc.attribute(m, x, of=[0, 1], over=LINE),
    "device": lambda m, x: asc.attribute(m, x.detach().to("meta"), over=LINE),
}


class Late:
    """A quantity that works for the records and not later."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, y: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 1:
            raise OverflowError("too late")
        return y[:, 0]


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
@pytest.mark.parametrize("name", WRONG)
def test_nothing_changes_when_the_request_is_wrong(name: str) -> None:
    model, x = restless().train(), records()
    model.spare = nn.Linear(2, 2)
    with unchanged(model, arguments=x), pytest.raises(Exception) as caught:
        WRONG[name](model, x)
    assert caught.traceback  # a live traceback keeps every frame alive: nothing may wait for a frame to go


def test_nothing_changes_when_a_warning_is_an_error() -> None:
    model, x = restless().train(), records()
    with unchanged(model, arguments=x), pytest.warns(asc.AscribeWarning):
        asc.attribute(model, x, of=1)
    with unchanged(model, arguments=x), warnings.catch_warnings(), pytest.raises(asc.AscribeWarning):
        warnings.simplefilter("error")
        asc.attribute(model, x, of=1)


@pytest.mark.parametrize("around", ["no_grad", "inference", "autocast", "float64"])
@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
def test_nothing_changes_under_modes_of_the_user(around: str) -> None:
    model, x = restless().train(), records()
    contexts: dict[str, Any] = {"no_grad": torch.no_grad(), "inference": torch.inference_mode(),
                                "autocast": torch.autocast("cpu", torch.bfloat16), "float64": torch.no_grad()}  # fmt: skip
    plain = asc.attribute(model, x, of=1, over=LINE).values
    if around == "float64":
        torch.set_default_dtype(torch.float64)
    try:
        with contexts[around], unchanged(model, arguments=x):
            found = asc.attribute(model, x, of=1, over=LINE)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.values.dtype == x.dtype
    assert not found.values.is_inference()
    assert not found.values.requires_grad
    assert torch.allclose(found.values, plain, atol=0.05 if around == "autocast" else 1e-6)


def test_the_model_learns_on_as_if_nothing_had_happened() -> None:
    def trained(explain: bool) -> dict[str, Tensor]:
        model, x = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 3)), records(8).detach()
        torch.manual_seed(0)
        for p in model.parameters():
            nn.init.normal_(p)
        optimiser = torch.optim.Adam(model.parameters())
        for _ in range(3):
            loss = model(x).square().mean()
            if explain:
                with pytest.warns(asc.AscribeWarning, match="training mode"):
                    asc.attribute(model, x, over=LINE)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return model.state_dict()

    plain, explained = trained(False), trained(True)
    assert all(torch.equal(plain[name], explained[name]) for name in plain)


def test_modules_behind_a_function_are_guarded_too() -> None:
    norm, head = nn.BatchNorm1d(4), nn.Linear(4, 3)
    x = records().detach()

    class Pipeline:
        """Not a module, but made of two."""

        def __init__(self) -> None:
            self.parts = [norm, head]

        def __call__(self, x: Tensor) -> Tensor:
            for part in self.parts:
                x = part(x)
            return x

    wrapped = Pipeline()
    for model in (lambda x: head(norm(x)), wrapped, wrapped.__call__, lambda x: wrapped(x)):
        with unchanged(norm, head, arguments=x), pytest.warns(asc.AscribeWarning, match="training mode"):
            asc.attribute(model, x, over=LINE)


def test_the_result_holds_nothing_of_the_model() -> None:
    model, x = restless().eval(), records()
    found = asc.attribute(model, x, of=1, at=["act", "quiet"], over=asc.Line(torch.zeros(4, requires_grad=True), steps=4))
    for leaf in (*found.values, *found.record):
        assert not leaf.requires_grad
        assert leaf.grad_fn is None
    before = [leaf.clone() for leaf in (*found.values, *found.record)]
    model(x.detach() * 3)
    assert all(torch.equal(a, b) for a, b in zip(before, (*found.values, *found.record), strict=True))


def test_a_model_that_switches_its_own_modes_is_left_as_it_was() -> None:
    class Switches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.drop = nn.Linear(4, 3), nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            self.drop.train()  # as for Monte Carlo dropout
            self.fc.weight.requires_grad_(True)
            return self.drop(self.fc(x))

    model, x = Switches().eval().requires_grad_(False), records()
    with unchanged(model, arguments=x):
        asc.attribute(model, x, of=1)


def test_what_a_model_keeps_of_a_run_is_that_of_the_users_last_run() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out, self.seen, self.state = nn.Linear(4, 6), nn.Linear(6, 3), None, ()

        def forward(self, x: Tensor) -> Tensor:
            self.seen = torch.tanh(self.fc(x))
            self.state, self.late = (self.seen, [x]), {"x": self.seen * 2}
            return self.out(self.seen - self.seen.mean(0))

    model, x = Keeps(), records()
    for _ in range(2):
        for ask in (CALLS["line"], CALLS["several quantities"], CALLS["gradient"], CALLS["places"]):
            seen, state, late = model.seen, model.state, getattr(model, "late", None)
            with unchanged(model, arguments=x):
                ask(model, x)
            assert model.seen is seen
            assert model.state is state
            assert getattr(model, "late", None) is late
        model(x)


def test_every_run_starts_from_the_state_the_user_left() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(4, 6), nn.Linear(6, 3)
            self.register_buffer("level", torch.zeros(6))

        def forward(self, x: Tensor) -> Tensor:
            h = torch.tanh(self.fc(x) + self.level)
            self.level.add_(0.5)
            return self.out(h)

    torch.manual_seed(0)
    model, x = Counts(), records().detach()
    z = x.clone().requires_grad_()
    truth = torch.autograd.grad(model(z)[:, 1].sum(), z)[0]
    for over in (None, asc.Gaussian(0.0, 2)):
        model.level.zero_()
        assert torch.allclose(asc.influence(model, x, of=1, over=over).values, truth, atol=1e-5)


def test_nothing_is_kept_alive() -> None:
    model, x = restless().eval(), records()
    held = [weakref.ref(model), weakref.ref(x), weakref.ref(model.act)]
    for ask in CALLS.values():
        ask(model, x)
    with pytest.raises(AscribeError):
        asc.attribute(model, x, of=99)
    del model, x
    gc.collect()
    assert [ref() for ref in held] == [None] * 3


def test_what_was_learnt_is_forgotten_when_the_model_changes() -> None:
    class Changes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.centred, self.after = nn.Linear(4, 3), False, torch.sin

        def forward(self, x: Tensor) -> Tensor:
            return self.after(self.fc(x - x.mean(0) if self.centred else x))

    def changed(model: Changes) -> Changes:
        model.centred = True
        return model

    x = records().detach()
    model = Changes().eval()
    asc.attribute(model, x, of=1, over=LINE)
    fresh = changed(Changes().eval())
    fresh.load_state_dict(model.state_dict())
    found, truth = (asc.attribute(m, x, of=1, over=LINE).values for m in (changed(model), fresh))
    assert torch.allclose(found, truth, atol=1e-6)
    model.fc = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    model.after, fresh.after = (lambda y: y), (lambda y: y)
    fresh.fc = model.fc
    found, truth = (asc.attribute(m, x, of=asc.Unit(1, on=asc.LOGITS)).values for m in (model, fresh))
    assert torch.allclose(found, truth, atol=1e-6)


def test_the_record_is_a_copy_of_the_input() -> None:
    model, x = nn.Linear(4, 3), records().detach()
    found = asc.attribute(model, x)
    kept = found.record.clone()
    x.zero_()
    assert torch.equal(found.record, kept)


def test_a_snapshot_sees_what_it_should() -> None:
    """The test's own instrument: each of these changes must be seen."""
    changes: list[Callable[[Restless], Any]] = [
        lambda m: m.act.register_forward_hook(lambda *a: None),
        lambda m: m.act.register_forward_pre_hook(lambda *a: None, with_kwargs=True),
        lambda m: m.quiet.train(),
        lambda m: m.last.train(not m.last.training),
        lambda m: m.frozen.requires_grad_(),
        lambda m: m.norm.running_mean.add_(1),  # type: ignore[union-attr, operator]
        lambda m: setattr(m, "mean", m.mean.clone()),
        lambda m: m.register_buffer("more", torch.zeros(1)),
        lambda m: setattr(m, "cache", torch.zeros(1)),
        lambda m: setattr(m.first.weight, "grad", None),
        lambda m: torch.rand(1),
        lambda m: setattr(m, "extra", 1),
    ]
    for change in changes:
        model = restless()
        with pytest.raises(AssertionError), unchanged(model):
            change(model)
    x = records()
    with pytest.raises(AssertionError), unchanged(arguments=x):
        x.detach().add_(1)
    assert of_model(restless()).keys() == of_model(restless()).keys()
