"""What was learnt about a model at one call is used at another only where it holds there."""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.torch.model.facts import KNOWN
from tests.support.odd_models import rows, seeded

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
LINE = asc.Line(0.0, steps=6)
X = rows(4, 4)
CENTRED = False
SETTING: ContextVar[bool] = ContextVar("setting", default=False)


def middle(x: Tensor, wanted: Any) -> Tensor:
    """The rows, less their mean where that is wanted: then no record can be run apart."""
    return x - x.mean(0) if wanted else x


class Centres(nn.Module):
    """A model that some setting somewhere makes depend on its whole batch."""

    spread = False

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out, self.number, self.nothing = nn.Linear(4, 5), nn.Linear(5, 4), 0, None
        self.config = SimpleNamespace(centred=False, deep={"list": [0.0]})
        self.table, self.listed, self.array = {"on": False}, [0], np.zeros(2)
        self.gate, self.slotted = nn.Parameter(torch.zeros(())), Slotted()
        self.gates, self.wide, self.short = nn.Parameter(torch.zeros(5)), np.zeros(3000), torch.zeros(3, dtype=torch.bfloat16)
        self.long, self.names, self.objects = [0] * 3000, {str(i): 0 for i in range(600)}, np.array([False, None], dtype=object)
        self.numbers, self.kind = array("i", [0, 0]), Kind

    def wanted(self) -> Any:
        config = self.config.centred, self.config.deep["list"][0]
        held = self.table["on"], self.listed[0], self.array[0], self.gate.item(), self.slotted.on
        small = self.gates.sum().item(), self.short[1].item(), self.wide[1], self.objects[0], self.numbers[1]
        large = self.long[1], self.names["1"], self.kind.on, self.kind.listed
        outside = SETTING.get(), os.environ.get("ASCRIBE_TEST_CENTRED")
        return (self.number, self.nothing, *config, *held, *small, *large, *outside, self.spread, CENTRED)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.fc(middle(x, any(self.wanted())))))


def plain_settings(model: Centres) -> Any:
    seeded(model)
    with torch.no_grad():
        model.gate.zero_()
        model.gates.zero_()
    return model


class OfKinds(type):
    listed = False


class Kind(metaclass=OfKinds):
    on = False


class Slotted:
    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False


def centre_class(model: Centres) -> None:
    Centres.spread = True


def centre_global(model: Centres) -> None:
    global CENTRED
    CENTRED = True


def centre_weights(model: Centres) -> None:
    with torch.no_grad():
        model.gate.fill_(1)


CHANGES: dict[str, Callable[[Centres], Any]] = {
    "an int": lambda m: setattr(m, "number", 1),
    "None to something": lambda m: setattr(m, "nothing", 1.5),
    "a config": lambda m: setattr(m.config, "centred", True),
    "a list in a dictionary in a config": lambda m: m.config.deep["list"].__setitem__(0, 0.5),
    "a dictionary": lambda m: m.table.__setitem__("on", True),
    "a list": lambda m: m.listed.__setitem__(0, 1),
    "an array": lambda m: m.array.__setitem__(0, 1.0),
    "slots": lambda m: setattr(m.slotted, "on", True),
    "a weight": centre_weights,
    "a weight's data": lambda m: m.gate.data.fill_(1),
    "one of several weights": lambda m: m.gates.data[1:2].fill_(1),
    "a weight, through NumPy": lambda m: m.gates.detach().numpy().__setitem__(1, 1.0),
    "a short float": lambda m: m.short.data[1:2].fill_(1),
    "a long array": lambda m: m.wide.__setitem__(1, 1.0),
    "an array of objects": lambda m: m.objects.__setitem__(0, True),
    "an array of Python": lambda m: m.numbers.__setitem__(1, 1),
    "a long list": lambda m: m.long.__setitem__(1, 1),
    "a long dictionary": lambda m: m.names.__setitem__("1", 1),
    "a class that is held": lambda m: setattr(Kind, "on", True),
    "the class of a class": lambda m: setattr(OfKinds, "listed", True),
    "a variable of the context": lambda m: SETTING.set(True),
    "the environment": lambda m: os.environ.__setitem__("ASCRIBE_TEST_CENTRED", "1"),
    "another weight": lambda m: setattr(m, "gate", nn.Parameter(torch.ones(()))),
    "a loaded weight": lambda m: m.load_state_dict({**m.state_dict(), "gate": torch.ones(())}),
    "a class": centre_class,
    "a global": centre_global,
    "a user's hook": lambda m: m.fc.register_forward_pre_hook(lambda module, args: (middle(args[0], True),)),
    "a method": lambda m: setattr(m, "forward", lambda x: m.out(torch.tanh(m.fc(middle(x, True))))),
}


@pytest.fixture(autouse=True)
def settled() -> Any:
    global CENTRED
    yield
    CENTRED, Centres.spread, Kind.on, OfKinds.listed = False, False, False, False
    SETTING.set(False)
    os.environ.pop("ASCRIBE_TEST_CENTRED", None)


def centred_by_hand(model: Centres, x: Tensor, of: int) -> Tensor:
    """Integrated gradients of every record's own score in the model that subtracts the mean of all, point after point."""
    from ascribe.distributions.quadrature import quadrature_nodes

    total = torch.zeros_like(x)
    for position, weight in zip(*quadrature_nodes("gauss-legendre", 6), strict=True):
        z = (position * x).requires_grad_()
        total += weight * torch.autograd.grad(model.out(torch.tanh(model.fc(middle(z, True))))[:, of].sum(), z)[0]
    return total * x


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_that_changed_is_seen(name: str) -> None:
    model = plain_settings(Centres())
    plain = asc.attribute(model, X, of=1, over=LINE).values
    asc.influence(model, X, of=1, chunk=2)
    CHANGES[name](model)
    truth = centred_by_hand(model, X, 1)
    assert not torch.allclose(plain, truth, atol=1e-2)
    assert torch.allclose(asc.attribute(model, X, of=1, over=LINE).values, truth, atol=1e-5)
    z = X.clone().requires_grad_()
    gradient = torch.autograd.grad(model.out(torch.tanh(model.fc(middle(z, True))))[:, 1].sum(), z)[0]
    assert torch.allclose(asc.influence(model, X, of=1, chunk=2).values, gradient, atol=1e-5)


@pytest.mark.parametrize("name", CHANGES)
def test_the_number_of_uses_of_a_layer_is_counted_again(name: str) -> None:
    class Loops(Centres):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3 if any(self.wanted()) else 1):
                x = torch.tanh(self.out(self.fc(x)))
            return x

    model = plain_settings(Loops())
    for _ in range(2):
        assert asc.activation(model, X, at="fc").values.shape == (4, 5)
    if name in ("a user's hook", "a method"):
        model.forward = lambda x: Loops.forward(model, x)
        model.number = 1
    else:
        CHANGES[name](model)
    found = asc.activation(model, X, at="fc").values
    assert len(found) == 3


def wrappers(model: nn.Module) -> dict[str, tuple[Callable[..., Any], Callable[[Tensor], Tensor]]]:
    """Callables around one module, called with the same arguments, and what each computes."""
    m: Any = model

    class Calls:
        def __init__(self, factor: float, swap: bool) -> None:
            self.factor, self.swap = factor, swap

        def __call__(self, x: Tensor) -> Tensor:
            return self.factor * (m(x).T if self.swap else m(middle(x, self.factor == 3)))

    class Slots:
        __slots__ = ("swap",)

        def __init__(self, swap: bool) -> None:
            self.swap = swap

        def __call__(self, x: Tensor) -> Tensor:
            return m(x).T if self.swap else m(x)

    def default(x: Tensor, swap: bool = False, *, mean: bool = False) -> Tensor:
        return m(middle(x, mean)).T if swap else m(middle(x, mean))

    def kept(swap: bool) -> Callable[[Tensor], Tensor]:
        return lambda x: m(x).T if swap else m(x)

    return {
        "itself": (m, m),
        "turned": (lambda x: m(x).T, lambda x: m(x)),
        "centred": (lambda x: m(middle(x, True)), lambda x: m(middle(x, True))),
        "a method": (m.turned, m),
        "a closure that turns": (kept(True), m),
        "a closure that does not": (kept(False), m),
        "a partial that turns": (functools.partial(default, swap=True), m),
        "a partial that centres": (functools.partial(default, mean=True), lambda x: m(middle(x, True))),
        "defaults": (default, m),
        "an object that turns": (Calls(1.0, True), m),
        "an object": (Calls(2.0, False), lambda x: 2 * m(x)),
        "an object that centres": (Calls(3.0, False), lambda x: 3 * m(middle(x, True))),
        "slots that turn": (Slots(True), m),
        "slots": (Slots(False), m),
    }


class Turns(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.fc(x)) * x

    def turned(self, x: Tensor) -> Tensor:
        return self(x).T


@pytest.mark.parametrize("backwards", [False, True])
def test_callables_around_one_module_share_nothing(backwards: bool) -> None:
    """Three records, so that what is turned cannot pass for what is not; then four, where it can."""
    from tests.backends.test_model_calls import line_by_hand

    model = seeded(Turns())
    for x in (X[:3], X):
        called = wrappers(model)
        for name in [*called][::-1] if backwards else called:
            function, truth = called[name]
            if len(x) == 4 and ("turn" in name or name == "a method"):
                continue  # the first of two axes that fit is taken
            found = asc.attribute(function, x, of=1, over=LINE).values
            assert torch.allclose(found, line_by_hand(lambda z, f=truth: f(z)[:, 1], x), atol=1e-5), name


def test_records_that_are_all_the_same_settle_nothing() -> None:
    model: Any = seeded(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Tanh(), nn.Linear(6, 3)))
    x = rows(8, 4, seed=3)

    def gradient(x: Tensor) -> Tensor:
        z = x.clone().requires_grad_()
        return torch.autograd.grad(model(z)[:, 1].sum(), z)[0]

    same = torch.zeros(8, 4), X[:1].expand(8, 4).clone()
    for warm in (*same, torch.cat([same[0][:7], x[:1]])):
        fresh: Any = seeded(nn.Sequential(*[type(m)(6, track_running_stats=False) if isinstance(m, nn.BatchNorm1d) else m for m in model]))
        asc.influence(fresh, warm, of=1, chunk=2)
        asc.attribute(fresh, warm, of=1, over=LINE)
        asc.attribute(fresh, warm, of=1, over=asc.Points(torch.stack([warm] * 3)))
        assert torch.allclose(asc.influence(fresh, x, of=1, chunk=2).values, gradient(x), atol=1e-5)
        truth, found = centred_line(fresh, x), asc.attribute(fresh, x, of=1, over=LINE).values
        assert torch.allclose(found, truth, atol=1e-5)


def centred_line(model: nn.Module, x: Tensor) -> Tensor:
    from tests.backends.test_model_calls import line_by_hand

    return line_by_hand(lambda z: model(z)[:, 1], x)


def test_token_ids_that_are_all_the_same_settle_nothing() -> None:
    class Ids(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb, self.fc = nn.Embedding(20, 4), nn.Linear(4, 3)

        def forward(self, ids: Tensor) -> Tensor:
            h = self.emb(ids).mean(1)
            return self.fc(torch.tanh(h - h.mean(0)))

    model, ids = seeded(Ids()), torch.arange(18).reshape(6, 3)
    asc.influence(model, ids * 0, of=1, at="emb", chunk=2)
    with torch.no_grad():
        h = model.emb(ids)  # type: ignore[operator]
    h.requires_grad_()
    pooled = h.mean(1)
    truth = torch.autograd.grad(model.fc(torch.tanh(pooled - pooled.mean(0)))[:, 1].sum(), h)[0]  # type: ignore[operator]
    assert torch.allclose(asc.influence(model, ids, of=1, at="emb", chunk=2).values, truth, atol=1e-5)


def test_a_quantity_of_equal_rows_settles_nothing() -> None:
    def ranked(y: Tensor) -> Tensor:
        return y[:, 0] - y[:, 0].mean()

    model, x = seeded(nn.Sequential(nn.Linear(4, 3), nn.Tanh())), rows(8, 4)
    asc.influence(model, x[:1].expand(8, 4).clone(), of=ranked, chunk=2)
    z = x.clone().requires_grad_()
    truth = torch.autograd.grad(ranked(model(z)).sum(), z)[0]
    assert torch.allclose(asc.influence(model, x, of=ranked, chunk=2).values, truth, atol=1e-6)


def test_an_equal_state_is_known_again() -> None:
    """Remembering must go on: the same call of the same model, or of a wrapper made anew, learns nothing twice."""
    model, runs = seeded(Turns()), []
    model.register_forward_hook(lambda *a: runs.append(len(a[1][0])))

    def cost(ask: Callable[[], Any]) -> int:
        runs.clear()
        ask()
        return len(runs)

    for make in (lambda: model, lambda: lambda x: model(x), lambda: functools.partial(model.__call__)):
        ask = lambda make=make: asc.attribute(make(), X, of=1, over=LINE)  # noqa: E731
        first, *later = [cost(ask) for _ in range(4)]
        assert max(later) < first
        assert later[1] == later[2]


def test_little_is_kept_of_a_model_that_changes_with_every_call() -> None:
    class Counts(Turns):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x)

    model = seeded(Counts())
    for _ in range(300):
        asc.influence(model, X, of=1)
    assert len(KNOWN[model].states) <= 16
    assert len(KNOWN[model].signatures) <= 257


def test_a_deep_network_leaves_room_for_what_is_behind_its_layers() -> None:
    """Strides and paddings, which each convolution has four of, are not counted as objects to be looked at."""

    class Deep(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return middle(self[0](x), self.config["deep"].centred)

    model = seeded(Deep(nn.Linear(4, 4), *[nn.Conv2d(1, 1, 1) for _ in range(300)]))
    model.config = {"deep": SimpleNamespace(centred=False)}
    asc.attribute(model, X, of=1, over=LINE)
    model.config["deep"].centred = True
    fresh = seeded(Deep(nn.Linear(4, 4), *[nn.Conv2d(1, 1, 1) for _ in range(300)]))
    fresh.config = {"deep": SimpleNamespace(centred=True)}
    fresh.load_state_dict(model.state_dict())
    found, truth = (asc.attribute(m, X, of=1, over=LINE).values for m in (model, fresh))
    assert torch.allclose(found, truth, atol=1e-6)


def test_of_more_objects_than_are_looked_at_nothing_is_taken_for_known() -> None:
    model = plain_settings(Centres())
    parts = SimpleNamespace(**{f"part{i}": SimpleNamespace(number=i) for i in range(1200)})
    model.config = SimpleNamespace(parts=parts, centred=False, deep={"list": [0.0]})
    asc.attribute(model, X, of=1, over=LINE)
    model.config.deep["list"][0] = 0.5
    assert torch.allclose(asc.attribute(model, X, of=1, over=LINE).values, centred_by_hand(model, X, 1), atol=1e-5)
