"""The model is called as its user calls it: arguments, outputs, types, wrappers, modes."""

from __future__ import annotations

import functools
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import CutError, InputError, ModelError, RuleError
from ascribe.rules.layers import Epsilon
from ascribe.rules.rescale import Rescale
from tests.support.odd_models import Pair, Words, rows, seeded, table
from tests.support.snapshots import unchanged

Tensor = torch.Tensor
X = rows(3, 4)
LINE = asc.Line(0.0, steps=6)

pytestmark = pytest.mark.filterwarnings("ignore:completeness")


def line_by_hand(run: Any, x: Tensor, start: Tensor | float = 0.0, steps: int = 6) -> Tensor:
    """Integrated gradients of ``run``'s rows, one point after the other."""
    from ascribe.distributions.quadrature import quadrature_nodes

    start = torch.as_tensor(start, dtype=x.dtype).expand_as(x)
    total = torch.zeros_like(x)
    for position, weight in zip(*quadrature_nodes("gauss-legendre", steps), strict=True):
        z = (start + position * (x - start)).requires_grad_()
        total += weight * torch.autograd.grad(run(z).sum(), z)[0]
    return total * (x - start)


def close(a: Any, b: Any, tolerance: float = 1e-6) -> bool:
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance * max(1.0, float(b.abs().max()))))


# Arguments


class Mixed(nn.Module):
    """Tensors, None, flags, numbers, words and lists, by position and by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.calls = nn.Linear(4, 3), []

    def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: float = 1.0, kind: str = "tanh", take: list[int] | None = None,
                flip: bool = False, extra: Tensor | None = None, **rest: Any) -> Tensor:  # fmt: skip
        self.calls.append((mask is None, scale, kind, take, flip, tuple(rest)))
        h = x if mask is None else x.masked_fill(mask, 0.0)
        y = getattr(torch, kind)(self.fc(h)) * scale
        y = -y if flip else y
        return y if extra is None else y + extra


def test_everything_passes_through_by_name_and_in_order() -> None:
    model, mask = seeded(Mixed()), X > 0.5
    given: dict[str, Any] = {"kind": "sin", "flip": True, "take": [1, 2], "zeta": None, "scale": 2, "alpha": 3, "x": X, "mask": mask}
    found = asc.attribute(model, of=1, over=LINE, **given)
    assert set(map(str, model.calls)) == {str((False, 2, "sin", [1, 2], True, ("zeta", "alpha")))}
    truth = line_by_hand(lambda z: -torch.sin(model.fc(z.masked_fill(mask, 0.0)))[:, 1] * 2, X)
    assert close(found.values, truth)


@pytest.mark.parametrize("form", ["positional", "keyword", "mixed"])
def test_results_are_named_as_the_arguments_are(form: str) -> None:
    model, b = seeded(Pair()), rows(3, 2, seed=2)
    left = line_by_hand(lambda z: (model.left(z) * torch.tanh(model.right(z[:, :2] * 0 + b)))[:, 1], X)
    if form == "positional":
        values = asc.attribute(model, X, b, of=1).values
        assert isinstance(values, tuple)
        assert [v.shape for v in values] == [X.shape, b.shape]
    elif form == "keyword":
        values = asc.attribute(model, b=b, a=X, of=1).values
        assert list(values) == ["b", "a"]
        assert values["a"].shape == X.shape
        assert close(asc.attribute(model, b=b, a=X, of=1, at=asc.INPUT.at("a")).values, values["a"])
    else:
        values = asc.attribute(model, X, b=b, of=1).values
        assert list(values) == [0, "b"]
    only = asc.attribute(model, X, b, of=1, at=asc.INPUT.at(0), over=asc.Line(0.0, steps=6, at=asc.INPUT.at(0)))
    assert close(only.values, left)


def test_unused_inputs_get_zeros() -> None:
    model, b = seeded(Pair()), rows(3, 2, seed=2)
    for ask in (asc.attribute, asc.influence):
        for over in (None, LINE, asc.Gaussian(0.1, 3)):
            used, unused = ask(model, X, b, use_both=False, of=1, over=over).values
            assert bool(used.any())
            assert unused.shape == b.shape
            assert not bool(unused.any())


def test_containers_of_arguments() -> None:
    Point = namedtuple("Point", "a b")

    @dataclass
    class Batch:
        a: Tensor
        b: Tensor
        name: str = "x"

    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()

        def forward(self, batch: Any) -> Tensor:
            if isinstance(batch, dict):
                return self.pair(batch["a"], batch["b"])
            return self.pair(*batch) if isinstance(batch, (tuple, list)) else self.pair(batch.a, batch.b)

    model, b = seeded(Takes()), rows(3, 2, seed=2)
    truth = asc.attribute(model.pair, X, b, of=1, over=LINE).values
    given = [(X, b), [X, b], {"a": X, "b": b}, OrderedDict(a=X, b=b), Point(X, b), Batch(X, b)]
    for batch in given:
        with unchanged(model, arguments=[X, b]):
            values = asc.attribute(model, batch, of=1, over=LINE).values
        values = values[0] if isinstance(values, tuple) and len(values) == 1 else values
        found = values.values() if isinstance(values, dict) else values
        assert all(close(a, t) for a, t in zip(found, truth, strict=True)), type(batch)


def test_masks_and_ids_ride_along() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.fc = nn.Embedding(20, 4), nn.Linear(4, 3)

        def forward(self, ids: Tensor, mask: Tensor, length: int) -> Tensor:
            h = torch.tanh(self.words(ids)) * mask[..., None]
            return self.fc(h.sum(1) / length)

    model, ids = seeded(Text()), torch.tensor([[3, 4, 5, 0], [6, 7, 0, 0]])
    mask = ids > 0
    e = model.words(ids).detach()
    truth = line_by_hand(lambda z: model.fc((torch.tanh(z) * mask[..., None]).sum(1) / 4)[:, 1], e)
    for given in (mask, mask.long(), mask.float().requires_grad_()):
        found = asc.attribute(model, ids, given, 4, of=1, at=asc.EMBEDDINGS, over=asc.Line(0.0, steps=6, at=asc.EMBEDDINGS))
        assert close(found.values, truth)
        assert not bool(found.values[~mask].any())


def test_ids_by_keyword_and_a_mask_token_baseline() -> None:
    model, ids = seeded(Words()), torch.tensor([[3, 4, 5], [6, 7, 0]])
    words = model.tables[0]
    start = words(torch.where(ids == 0, ids, 19)).detach()
    truth = line_by_hand(lambda z: model.fc(z.mean(1))[:, 2], words(ids).detach(), start)
    over = asc.Line(asc.distributions.MaskedTokens(19, keep=[0]), steps=6, at=asc.EMBEDDINGS)
    for args, kwargs in (((ids,), {}), ((), {"ids": ids})):
        assert close(asc.attribute(model, *args, of=2, at=asc.EMBEDDINGS, over=over, **kwargs).values, truth)


def test_a_model_may_have_arguments_of_our_names() -> None:
    class Clash(nn.Module):
        def forward(self, x: Tensor, at: float = 1.0, of: float = 0.0) -> Tensor:
            return torch.stack([x.sum(1) * at + of, x.prod(1)], 1)

    found = asc.attribute(Clash(), asc.Call(X, at=3.0, of=1.0), of=0)
    assert close(found.values, 3 * X)
    assert close(found.explained, 3 * X.sum(1) + 1)


def test_one_dimensional_records_and_constants() -> None:
    found = asc.attribute(lambda x: x**2, torch.tensor([1.0, 2.0, 3.0]), of=asc.Total())
    assert close(found.values, torch.tensor([2.0, 8.0, 18.0]))
    weights = rows(7, seed=3)
    found = asc.attribute(lambda x, w: torch.tanh(x @ w[:4]), X, weights, of=0)
    assert isinstance(found.values, Tensor)  # the constant has no row per record and is not explained


# Types


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_results_keep_the_type(dtype: torch.dtype) -> None:
    model = table()
    truth = asc.attribute(model, X, of=1, over=LINE, at=[asc.INPUT, asc.Cut("0")]).values
    low = model.to(dtype)
    found = asc.attribute(low, X.to(dtype), of=1, over=LINE, at=[asc.INPUT, asc.Cut("0")])
    for value, record, t in zip(found.values, found.record, truth, strict=True):
        assert value.dtype == record.dtype == dtype
        assert close(value.float(), t, {torch.float64: 1e-6, torch.float32: 1e-6, torch.bfloat16: 0.1, torch.float16: 1e-2}[dtype])
    assert found.explained is not None
    assert found.explained.dtype == np.float64


@pytest.mark.parametrize("mode", ["no_grad", "inference", "enable_grad", "autocast"])
def test_modes_of_the_caller(mode: str) -> None:
    model = table()
    truth = asc.attribute(model, X, of=1, over=LINE).values
    modes: dict[str, Any] = {"no_grad": torch.no_grad, "inference": torch.inference_mode, "enable_grad": torch.enable_grad,
                             "autocast": lambda: torch.autocast("cpu", torch.bfloat16)}  # fmt: skip
    with modes[mode]():
        x = X * 1
        found = asc.attribute(model, x, of=1, over=asc.Line(x * 0, steps=6)).values
    assert found.dtype == torch.float32
    assert not found.is_inference()
    assert close(found, truth, 0.02 if mode == "autocast" else 1e-6)


GRAPHLESS: dict[str, Callable[[nn.Module, torch.Tensor], torch.Tensor]] = {
    "a forward without gradients": lambda net, x: torch.no_grad()(net.forward)(x),
    "detached outputs": lambda net, x: net(x).detach(),
    "detached inputs": lambda net, x: net(x.detach()),
    "numpy": lambda net, x: net(torch.from_numpy(x.detach().numpy() * 1)),
    "whole numbers": lambda net, x: net((x * 10).long().float()),
    "a constant": lambda net, x: x.new_ones(len(x), 2),
}
FOLLOWED = ("a forward without gradients", "detached outputs", "detached inputs")  # rules read operations, not the graph


@pytest.mark.parametrize("by", [None, Rescale(), Epsilon(1e-9)], ids=["gradient", "rescale", "epsilon"])
@pytest.mark.parametrize("way", GRAPHLESS)
def test_no_graph_is_no_gradient_of_zero(way: str, by: Any) -> None:
    model, over = table(), asc.Reference(0.0) if isinstance(by, Rescale) else None

    def forward(x: torch.Tensor) -> torch.Tensor:
        return GRAPHLESS[way](model, x)

    if by is not None and way in FOLLOWED:
        found, truth = (asc.attribute(f, X, of=1, over=over, by=by).values for f in (forward, model))
        assert close(found, truth, 1e-6)
        return
    with pytest.raises(CutError, match="E-CUT-GRADIENT"):
        asc.attribute(forward, X, of=1, over=over, by=by)


@pytest.mark.filterwarnings("ignore")  # PyTorch calls its quantised layers deprecated
@pytest.mark.parametrize("by", [None, Rescale(), Epsilon(1e-9)], ids=["gradient", "rescale", "epsilon"])
def test_quantised_layers_are_named_as_what_has_no_derivative(by: Any, capfd: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    model = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    over = asc.Reference(0.0) if isinstance(by, Rescale) else None
    with pytest.raises(CutError if by is None else RuleError, match="quantised layers.*: 0, 2" if by is None else "linear_dynamic in 2"):
        asc.attribute(model, torch.randn(3, 4), of=1, over=over, by=by)
    removed = asc.attribute(model, torch.randn(3, 4), of=1, over=asc.coalitions.LeaveOneOut(), by=asc.Replace(0.0))
    assert removed.values.any()
    asc.KernelShap()(model, torch.randn(5, 4))
    assert "performance drop" not in capfd.readouterr().err  # vmap has no rule for quantised layers, and says so in C++


# What is a model


class Holder:
    """Calls a module it holds."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, x: Tensor) -> Tensor:
        return self.net(x)

    def predict(self, x: Tensor, times: float = 1.0) -> Tensor:
        return self.net(x) * times


def spelled(net: nn.Module) -> dict[str, Any]:
    holder = Holder(net)
    return {
        "module": net, "bound method": net.forward, "closure": lambda x: net(x), "closure that works on it": lambda x: net(x * 1.0) + 0,
        "partial": functools.partial(net), "partial of a closure": functools.partial(lambda net, x: net(x), net),
        "object": holder, "method of an object": holder.predict, "partial of a method": functools.partial(holder.predict, times=1.0),
        "function of a function": (lambda inner: lambda x: inner(x))(lambda x: net(x)),
        "decorated": functools.wraps(net.forward)(lambda x: net.forward(x)),
        "compiled": torch.compile(net, backend="eager"),
        "compiled function": torch.compile(lambda x: net(x), backend="eager"),
        "wrapped": nn.Sequential(net), "parallel": nn.DataParallel(net),
    }  # fmt: skip


SPELLINGS = list(spelled(nn.Identity()))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_callable_is_a_model(spelling: str) -> None:
    net = seeded(nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Linear(6, 3))).train()
    model = spelled(net)[spelling]
    net.eval()
    truth = line_by_hand(lambda z: net(z)[:, 1], X)
    net.train()
    with pytest.warns(asc.AscribeWarning, match="training mode"), unchanged(net, arguments=X):
        found = asc.attribute(model, X, of=1, over=LINE)
    assert close(found.values, truth)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_layers_of_every_callable_have_names(spelling: str) -> None:
    net = table()
    layer = {"wrapped": "0.0", "parallel": "module.0"}.get(spelling, "0")
    truth = line_by_hand(lambda z: net[2](net[1](z))[:, 1], net[0](X).detach())
    model = spelled(net)[spelling]
    if "forward" in spelling or spelling == "bound method":
        model = net.forward
    if spelling.startswith("compiled"):
        model(X)  # compiled before any hook was there
    with unchanged(net, arguments=X):
        found = asc.attribute(model, X, of=1, at=layer, over=asc.Line(0.0, steps=6, at=asc.Cut(layer)))
    assert close(found.values, truth)


def test_a_layer_compiled_on_its_own() -> None:
    net, plain = table(), table()
    net[0] = torch.compile(net[0], backend="eager")
    net(X)
    truth = asc.attribute(plain, X, of=1, at="1", over=LINE).values
    assert close(asc.attribute(net, X, of=1, at="1", over=LINE).values, truth)
    net[1].compile(backend="eager")
    net(X)
    with unchanged(arguments=X):
        assert close(asc.attribute(net, X, of=1, at="1", over=LINE).values, truth)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("how", ["script", "trace", "frozen"])
def test_scripts(how: str) -> None:
    net = seeded(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)))
    truth = asc.attribute(net, X, of=1, over=LINE).values
    made = torch.jit.trace(net, X) if how == "trace" else torch.jit.script(net)
    made = torch.jit.freeze(made) if how == "frozen" else made
    before = {name: value.clone() for name, value in made.state_dict().items()}
    modes = [getattr(m, "training", None) for m in made.modules()]
    assert close(asc.attribute(made, X, of=1, over=LINE).values, truth)
    if how != "frozen":
        made.train()
        with pytest.warns(asc.AscribeWarning, match="training mode"):
            assert close(asc.attribute(made, X, of=1, over=LINE).values, truth)
        assert all(m.training for m in made.modules())
        made.eval()
        with pytest.raises(CutError, match=r"E-CUT-SCRIPT|E-CUT-NOT-RUN"):
            asc.attribute(made, X, of=1, at="0")
    assert [getattr(m, "training", None) for m in made.modules()] == modes
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in before.items())


def test_a_model_made_in_inference_mode_is_told_apart() -> None:
    with torch.inference_mode():
        net = nn.Linear(4, 3)
    before = [p.requires_grad for p in net.parameters()]
    with pytest.raises(ModelError, match="inference mode"):
        asc.attribute(net, X, of=1)
    assert [p.requires_grad for p in net.parameters()] == before


def test_a_buffer_left_over_from_inference_mode() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            self.seen = y.detach().mean(0)
            return y

    model = seeded(Keeps())
    with torch.inference_mode():
        model(X)
    with unchanged(model):
        found = asc.attribute(model, X, of=1)
    assert close(found.values, X * model.fc.weight[1])


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_checkpoints(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    net = table()

    class Saves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.net, x, use_reentrant=reentrant)

    if reentrant:
        with pytest.raises(ModelError, match="use_reentrant=False"):
            asc.attribute(Saves(), X, of=1)
    else:
        assert close(asc.attribute(Saves(), X, of=1, over=LINE).values, asc.attribute(net, X, of=1, over=LINE).values)
        with pytest.raises(ModelError, match="E-MODEL-GRADIENT"):  # run again in the backward pass, without the cut
            asc.attribute(Saves(), X, of=1, at="net.0")


def test_models_on_the_meta_device_can_be_looked_at() -> None:
    places = asc.cuts_of(table().to("meta"), X.to("meta"))
    assert [p.shape for p in places] == [p.shape for p in asc.cuts_of(table(), X)]
    with pytest.raises(InputError, match="E-DEVICE"):
        asc.attribute(table().to("meta"), X.to("meta"))


def test_models_that_write_into_their_input() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            x.sub_(0.5).mul_(2)
            x[:, 0] = 0
            if mask is not None:
                x.masked_fill_(mask.clone(), 0.1)
                mask.fill_(True)
            return self.fc(torch.tanh(x))

    model, mask = seeded(Writes()), X > 0.8
    truth = line_by_hand(lambda z: model(z.clone(), mask.clone())[:, 1], X)
    for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with context(), unchanged(model, arguments=[X, mask]):
            found = asc.attribute(model, X, mask, of=1, over=LINE)
            assert close(found.values, truth)
        assert close(found.record, X)


def test_a_model_that_returns_its_input() -> None:
    for model in (nn.Identity(), nn.Dropout(0.5).eval(), lambda x: x, lambda x: x.view_as(x)):
        assert close(asc.influence(model, X, of=1).values, torch.eye(4)[1].expand(3, 4))


def test_a_model_with_a_model_inside_that_is_explained_too() -> None:
    inner = table()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                weights = asc.influence(self.inner, x, of=0, at="1").values
            return self.inner(x) * weights.mean(1, keepdim=True)

    model = Outer()
    weights = asc.influence(inner, X, of=0, at="1").values.mean(1, keepdim=True)
    with unchanged(model):
        found = asc.influence(model, X, of=1, at="inner.0")
    assert close(found.values, asc.influence(inner, X, of=1, at="0").values * weights)


def test_numpy_inputs_get_the_type_of_the_first_weights() -> None:
    """In a model of several types, the first layer's: that is what the inputs meet."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
            self.head = nn.Linear(6, 3).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x).double())

    model, x = seeded(Mixed()), np.linspace(-1, 1, 8).reshape(2, 4)
    found = asc.attribute(model, x, of=1)
    assert found.values.dtype == np.float32
    assert not any("cast" in check.detail for check in found.checks)
    assert np.array_equal(found.values, asc.attribute(model, torch.tensor(x, dtype=torch.float32), of=1).values.numpy())
