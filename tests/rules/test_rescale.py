"""DeepLIFT's Rescale rule: complete on anything, per record, the same in every spelling, equal to captum where that is right."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
from ascribe.backends.torch.rules.kernels import KERNELS
from ascribe.backends.torch.session import TorchSession
from ascribe.errors import AscribeError, RuleError
from tests.support.rescale_zoo import NETS, Fn, batch, mlp, net
from tests.support.snapshots import unchanged

captum = pytest.importorskip("captum.attr")
DOUBLE = torch.float64
RULE = asc.rules.Rescale()


def explained(model: nn.Module, x: torch.Tensor, **more) -> asc.Attribution:
    """Against one row that is not zero, unless told otherwise."""
    more = {"of": 1, "over": asc.Reference(batch(1, x.dtype, seed=7)), "by": RULE, **more}
    return asc.attribute(model, x, **more)


def statuses(found: asc.Attribution) -> dict[str, str]:
    return {check.name: check.status for check in found.checks}


@pytest.mark.parametrize("name", NETS)
def test_complete_and_exact(name):
    found = explained(net(name), batch())
    assert found.gap.relative.max() < 1e-9
    assert np.abs(found.gap.absolute - found.values.flatten(1).sum(1).numpy()).max() > 1e-6, "there is something to miss"
    assert statuses(found)["rule"] == "ok", found.checks


@pytest.mark.parametrize("name", NETS)
def test_complete_in_single_precision(name):
    x = batch(dtype=torch.float32)
    for over in (asc.Reference(), asc.Reference(batch(1, torch.float32, seed=7))):
        assert explained(net(name, torch.float32), x, over=over).gap.relative.max() < 1e-4


@pytest.mark.parametrize("name", NETS)
def test_every_operation_passes_on_what_it_got(name, monkeypatch):
    """``<g, Dy> = sum <g_in, Dx>`` for each: a wrong formula cannot hide behind another."""
    books = []
    enter = TorchSession.__enter__

    def opened(session):
        session.tapes.balances = books
        return enter(session)

    monkeypatch.setattr(TorchSession, "__enter__", opened)
    explained(net(name), batch())
    moved = max(abs(b.out) for b in books)
    assert len(books) > 3
    wrong = {b.name: b.missing for b in books if abs(b.out - b.passed) > 1e-9 * moved}
    assert not wrong


@pytest.mark.parametrize("name", [n for n in NETS if n != "packed lstm"])
def test_a_record_is_explained_by_itself(name):
    model, x = net(name), batch(4)
    together = explained(model, x).values
    torch.testing.assert_close(explained(model, x[2:3]).values[0], together[2], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(explained(model, x.flip(0)).values.flip(0), together, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_one_reference_row_stands_for_all(name):
    model, x = net(name), batch()
    row = batch(1, seed=7)
    each = explained(model, x, over=asc.Reference(row.expand_as(x).clone())).values
    torch.testing.assert_close(explained(model, x).values, each, rtol=1e-9, atol=1e-12)


def test_one_reference_row_is_run_once():
    seen = []
    model = net("relu module")
    handle = model.layers["a"].register_forward_pre_hook(lambda m, args: seen.append(len(args[0])))
    explained(model, batch(5))
    seen.clear()
    explained(model, batch(5))
    handle.remove()
    assert seen == [5, 1]


SPELLINGS = ("relu module", "relu function", "relu in place", "relu module in place", "relu by hand", "clamp")


@pytest.mark.parametrize("name", SPELLINGS[1:])
def test_spellings_agree(name):
    torch.testing.assert_close(explained(net(name), batch()).values, explained(net(SPELLINGS[0]), batch()).values, rtol=1e-12, atol=1e-14)


def test_spellings_of_rms_norm_agree():
    left, right = net("rms norm"), net("rms norm by hand")
    norm = left.layers["m"]
    nn.init.ones_(norm.weight)
    norm.eps = 1e-6
    torch.testing.assert_close(explained(left, batch()).values, explained(right, batch()).values, rtol=1e-9, atol=1e-12)


# ---- against captum, in double precision, where captum is right


def plain_net(act: type[nn.Module]) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), act(), nn.AvgPool2d(2), nn.Conv2d(6, 6, 3), act(),
            nn.Flatten(), nn.Linear(24, 8), act(), nn.Linear(8, 4),
        )  # fmt: skip
        model[1].running_mean.normal_()
        model[1].running_var.uniform_(0.5, 2)
        for p in model.parameters():
            p.data.mul_(2)
    return model.to(DOUBLE).eval()


LABELS = torch.tensor([0, 1, 2])


@pytest.mark.parametrize("act", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Softplus])
@pytest.mark.parametrize("seed", [None, 7])
def test_parity_with_captum(act, seed):
    model, x = plain_net(act), batch()
    row = torch.zeros(1, 3, 8, 8, dtype=DOUBLE) if seed is None else batch(1, seed=seed)
    x[0, :, :4] = row[0, :, :4]  # where the record is its reference
    base = row.expand_as(x)
    ours = asc.DeepLift(row)
    pairs = [
        (ours(model, x, of=LABELS), captum.DeepLift(model).attribute(x, base, target=LABELS)),
        (asc.DeepLift(row, multiply=False)(model, x, of=LABELS), captum.DeepLift(model, False).attribute(x, base, target=LABELS)),
        (ours(model, x, of=LABELS, at="4"), captum.LayerDeepLift(model, model[4]).attribute(x, base, target=LABELS)),
        (
            ours(model, x, of=LABELS, at=asc.Cut("4", "in")),
            captum.LayerDeepLift(model, model[4]).attribute(x, base, target=LABELS, attribute_to_layer_input=True),
        ),
        (ours(model, x, of=asc.Unit(2, on=asc.Cut("7"))), captum.NeuronDeepLift(model, model[7]).attribute(x, (2,), base)),
    ]
    for found, expected in pairs:
        torch.testing.assert_close(found.values, expected.detach(), rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


def test_parity_with_captum_over_a_background():
    model, x, background = plain_net(nn.ReLU), batch(), batch(5, seed=3)
    found = asc.DeepLiftShap(background)(model, x, of=LABELS)
    expected = captum.DeepLiftShap(model).attribute(x, background, target=LABELS).detach()
    torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "head",
    [
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(16, 4)),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(1)),
    ],
)
def test_complete_where_captum_is_not(head):
    """Captum's max-pool next to a ReLU, and its softmax over a batch, lose part of the change."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = head().to(DOUBLE).eval()
    x, row = batch() * 2, batch(1, seed=7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = captum.DeepLift(model).attribute(x, row.expand_as(x), target=1).flatten(1).sum(1)
    change = (model(x) - model(row))[:, 1]
    assert float(((theirs - change) / change).abs().max()) > 1e-3
    assert explained(model, x).gap.relative.max() < 1e-9


# ---- the distributions


def test_a_background_is_the_mean_of_its_rows():
    model, x, background = net("gelu"), batch(), batch(4, seed=3)
    found = explained(model, x, over=asc.Background(background))
    rows = [explained(model, x, over=asc.Reference(background[i : i + 1])).values for i in range(4)]
    torch.testing.assert_close(found.values, torch.stack(rows).mean(0), rtol=1e-9, atol=1e-12)
    assert found.gap.relative.max() < 1e-9
    assert (found.cost.forward, found.cost.backward) == (1 + 4, 4)
    for chunk in (3, 6):
        torch.testing.assert_close(explained(model, x, over=asc.Background(background), chunk=chunk).values, found.values)


def test_a_background_runs_the_records_once():
    seen = []
    model = net("relu module")
    handle = model.layers["a"].register_forward_pre_hook(lambda m, args: seen.append(len(args[0])))
    explained(model, batch(3), over=asc.Background(batch(4, seed=3)))
    seen.clear()
    explained(model, batch(3), over=asc.Background(batch(4, seed=3)), chunk=3)
    handle.remove()
    assert sorted(seen) == [1, 1, 1, 1, 3]


def test_a_reference_for_each_record_and_by_name():
    model, x = net("gelu"), batch()
    each = batch(seed=5)
    found = explained(model, x, over=asc.Reference(each))
    for i in range(3):
        alone = explained(model, x[i : i + 1], over=asc.Reference(each[i : i + 1]))
        torch.testing.assert_close(alone.values[0], found.values[i])
    for baseline in (0.3, "mean", "blur", lambda x: x * 0.5, asc.Call(each)):
        assert explained(model, x, over=asc.Reference(baseline)).gap.relative.max() < 1e-9


def test_noise_beside_a_reference():
    model, x = net("gelu"), batch()
    found = explained(model, x, over=asc.Gaussian(0.2, 3) * asc.Reference(0.1), of=[asc.Unit(0), asc.Unit(1)])
    assert found.values.shape == (2, *x.shape)
    assert found.gap.relative.max() < 1e-9


def test_several_quantities_are_each_their_own():
    model, x = net("gelu"), batch()
    both = explained(model, x, of=[asc.Unit(0), asc.Contrast(2, 1)])
    torch.testing.assert_close(both.values[0], explained(model, x, of=asc.Unit(0)).values)
    torch.testing.assert_close(both.values[1], explained(model, x, of=asc.Contrast(2, 1)).values)


@pytest.mark.parametrize("of", [asc.PredictedClass(), asc.Prob(1), asc.LogProb(1), asc.Contrast(2, 0), asc.Threshold(0.1), LABELS])
def test_quantities(of):
    found = explained(net("relu module"), batch(), of=of)
    assert found.gap.relative.max() < 1e-9


def test_layers_that_everything_passes_are_complete_together():
    found = explained(net("relu module"), batch(), at=["layers.a", asc.Cut("layers.head", "in"), asc.INPUT])
    for values in found.values:
        torch.testing.assert_close(values.flatten(1).sum(1), found.values[2].flatten(1).sum(1))
    inside = explained(net("relu module"), batch(), at="layers.a", over=asc.Reference(0.1, at=asc.Cut("layers.a")))
    assert inside.gap.relative.max() < 1e-9


def test_several_inputs():
    class Two(nn.Module):
        def forward(self, a: torch.Tensor, *, b: torch.Tensor, scale: float) -> torch.Tensor:
            return torch.stack([(a * b).sum(1) * scale, (a / (1 + b**2)).sum(1)], 1)

    a, b = batch().flatten(1), batch(seed=4).flatten(1)
    found = asc.attribute(Two(), a, b=b, scale=2.0, of=1, over=asc.Reference({"input 0": 0.1, "b": 0.5}), by=RULE)
    assert found.gap.relative.max() < 1e-9


@pytest.mark.parametrize(
    ("over", "by"), [(asc.Line(0.0, 8), None), (asc.Reference(0.0), asc.rules.Rescale()), (asc.Reference(0.0), asc.rules.RevealCancel())]
)
def test_what_rounding_leaves_of_values_that_cancel_is_no_gap(over, by):
    model = Fn(lambda x: x @ x.new_tensor([[0.1], [0.2], [-0.3]]))
    x = torch.rand(20, 1, generator=torch.Generator().manual_seed(0)).expand(20, 3)
    found = asc.attribute(model, x, of=0, over=over, by=by)
    assert np.abs(found.explained).max() < 1e-6 < found.values.abs().sum(1).min()
    assert next(c for c in found.checks if c.name == "completeness").status == "ok"


def test_influence_is_the_multiplier():
    model, x = net("gelu"), batch()
    row = batch(1, seed=7)
    m = asc.influence(model, x, of=1, over=asc.Reference(row), by=RULE).values
    torch.testing.assert_close(m * (x - row), explained(model, x).values)


# ---- what has no rule


def indices_moved(x: torch.Tensor) -> torch.Tensor:
    places = torch.arange(3)
    first = x[:, places]
    places += 3
    return first * x[:, places] + first


def mask_moved(x: torch.Tensor) -> torch.Tensor:
    h, mask, found = x[:, None, None] * x.new_tensor([[1.0], [2.0]]), x.new_zeros(2, 2), 0.0
    for i in range(2):
        mask.zero_()
        mask[:, i] = -3.0
        found = found + F.scaled_dot_product_attention(h, h, h, attn_mask=mask)
    return found.flatten(1)


def spectrum(x: torch.Tensor) -> torch.Tensor:
    h = torch.fft.rfft(x)
    return torch.fft.irfft(h * h.conj() + h / (2 + 1j))


@pytest.mark.parametrize("made", [indices_moved, mask_moved, spectrum])
@pytest.mark.parametrize("by", [asc.rules.Rescale(), asc.rules.RevealCancel()], ids=repr)
def test_constants_that_change_later_and_complex_numbers(made, by):
    x = torch.randn(3, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    found = asc.attribute(Fn(made), x, of=1, over=asc.Reference(0.5), by=by)
    assert found.gap.relative.max() < 1e-9


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_random_numbers_are_constants(p):
    """Dropout that is always on: the relevance of what it left."""
    model = Fn(lambda x: F.dropout(x, p, training=True) * torch.rand_like(x))
    x = torch.rand(3, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)) + 1
    for by in (asc.rules.CPLRP(), asc.rules.Epsilon(0.0), asc.rules.AttnLRP()):
        found = asc.attribute(model, x, of=1, by=by)
        np.testing.assert_allclose(found.values.sum(1).numpy(), found.explained, rtol=1e-12, atol=1e-15)


def test_an_operation_without_a_rule_is_named():
    model = mlp(lambda h: torch.atan2(h, h.roll(1, 1) + 3))
    found = explained(model.double(), batch())
    told = next(c for c in found.checks if c.name == "rule")
    assert told.status == "warn"
    assert "atan2" in told.detail
    assert found.gap.relative.max() < 1e-2
    with pytest.raises(RuleError, match="atan2"):
        explained(model.double(), batch(), by=asc.rules.Rescale(strict=True))


def test_choices_are_frozen_and_named():
    def routed(h: torch.Tensor) -> torch.Tensor:
        weight, place = h.topk(2, 1)
        return h.gather(1, place.flip(1)).repeat(1, 6) * weight.softmax(1).repeat(1, 6)

    model = mlp(routed).double()
    found = explained(model, batch())
    assert "topk" in next(c for c in found.checks if c.name == "rule").detail
    together = found.values
    torch.testing.assert_close(explained(model, batch()[1:2]).values[0], together[1])
    with pytest.raises(RuleError, match="topk"):
        explained(model, batch(), by=asc.rules.Rescale(strict=True))


def test_what_leaves_the_framework_shows_in_the_gap():
    model = mlp(lambda h: torch.from_numpy(np.tanh(h.detach().numpy())) + 0.1 * h).double()
    with pytest.warns(asc.AscribeWarning, match="completeness"):
        found = explained(model, batch())
    assert statuses(found)["completeness"] == "fail"


def test_a_rule_needs_something_to_compare_with():
    model, x = net("gelu"), batch()
    for over in (asc.Point(), asc.Line(0.0, 4), asc.Gaussian(0.1, 2)):
        with pytest.raises(RuleError, match="compares"):
            asc.attribute(model, x, of=1, over=over, by=RULE)
    with pytest.raises(AscribeError):
        asc.Reference(0.0) * asc.Line(0.0, 4)


def test_backends_without_the_rule_say_so():
    table = np.array([[0.1, 0.2, 0.3]])
    with pytest.raises(RuleError):
        asc.attribute(Mlp([np.eye(3), np.ones((3, 2))], [np.zeros(3), np.zeros(2)]), table, of=1, by=RULE)


# ---- nothing is left behind


class Watching(nn.Module):
    """Notes the process-wide switches while it runs."""

    def __init__(self, inner: nn.Module, fail: bool = False) -> None:
        super().__init__()
        self.inner, self.fail = inner, fail
        self.seen: list[tuple[bool, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        self.seen.append(flags())
        if self.fail and len(self.seen) > 4:
            raise ValueError("the model's own")
        return y


def flags() -> tuple[bool, ...]:
    b = torch.backends
    return b.mha.get_fastpath_enabled(), b.mkldnn.enabled, b.cuda.flash_sdp_enabled(), b.cuda.math_sdp_enabled()


@pytest.mark.parametrize("name", ["encoder layer", "lstm", "attention"])
@pytest.mark.parametrize("fail", [False, True])
def test_process_wide_switches_are_never_touched(name, fail):
    before = flags()
    model = Watching(net(name, torch.float32), fail)
    x = batch(dtype=torch.float32)
    with unchanged(model, arguments=(x,)):
        for _ in range(4):
            try:
                assert explained(model, x).gap.relative.max() < 1e-4
            except AscribeError:
                assert fail
    assert {seen[1:] for seen in model.seen} == {before[1:]}  # the first, PyTorch's fused path, is off for a session
    assert flags() == before


def test_gradients_elsewhere_are_as_ever_also_in_another_thread():
    other, y = net("relu module"), batch(seed=9)

    def gradient() -> torch.Tensor:
        z = y.clone().requires_grad_()
        return torch.autograd.grad(other(z)[:, 1].sum(), z)[0]

    expected, found = gradient(), []

    class Interrupted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                worker = threading.Thread(target=lambda: found.append(gradient()))
                worker.start()
                worker.join()
            return x.flatten(1).relu() * 2

    assert explained(Interrupted(), batch()).gap.relative.max() < 1e-9
    assert found
    for g in (*found, gradient()):
        torch.testing.assert_close(g, expected, rtol=0, atol=0)


def test_two_threads_explain_at_once():
    model, x = net("gelu"), batch()
    expected = explained(model, x).values
    found: list[torch.Tensor] = []
    workers = [threading.Thread(target=lambda: found.append(explained(model, x).values)) for _ in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(found) == 3
    for values in found:
        torch.testing.assert_close(values, expected, rtol=0, atol=0)


def test_checkpointed_scripted_and_custom_functions():
    from torch.utils.checkpoint import checkpoint

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h):
            return h.tanh() * 2

        @staticmethod
        def backward(ctx, g):
            return g * 1e6  # ignored: what counts is what the forward does

    scripted = torch.jit.script(nn.Sequential(nn.Linear(12, 12), nn.Tanh()).double())
    for middle in (lambda h: checkpoint(F.gelu, h, use_reentrant=False), Twice.apply, scripted):
        model = Fn(lambda x, a, b, middle=middle: b(middle(a(x.flatten(1)))), a=nn.Linear(192, 12), b=nn.Linear(12, 4)).double()
        assert explained(model, batch()).gap.relative.max() < 1e-9


def test_a_compiled_model_is_seen_through():
    model = net("gelu")
    compiled = torch.compile(net("gelu"), backend="eager")
    torch.testing.assert_close(explained(compiled, batch()).values, explained(model, batch()).values)


MADE: dict[str, Any] = {
    "clamp from a tensor": lambda a, b: a.clamp(min=b),
    "clamp to a tensor": lambda a, b: torch.clamp(a, max=b),
    "clamp between tensors": lambda a, b: a.clamp(b - 0.5, b + 0.5),
    "addcdiv": lambda a, b: torch.addcdiv(a, a, 1 + b**2, value=0.5),
    "sum of sizes": lambda a, b: a / (1 + b.norm(1, -1, keepdim=True)),
    "largest size": lambda a, b: a / (1 + b.norm(float("inf"), -1, keepdim=True)),
}


@pytest.mark.parametrize("rule", [asc.rules.Rescale(), asc.rules.RevealCancel()], ids=repr)
@pytest.mark.parametrize("name", MADE)
def test_operations_made_of_others_add_up(name: str, rule: Any) -> None:
    torch.manual_seed(0)
    first, second, last = (nn.Linear(5, 5).double() for _ in range(3))
    x, x0 = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).unbind()

    def model(x: torch.Tensor) -> torch.Tensor:
        return last(MADE[name](first(x), second(x)))

    found = asc.attribute(model, x, of=1, over=asc.Reference(x0), by=rule)
    torch.testing.assert_close(found.values.sum(1), (model(x) - model(x0))[:, 1].detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("neutral", [False, True])
@pytest.mark.parametrize("narrow", [torch.float32, torch.bfloat16])
def test_a_region_may_end_in_another_precision_than_it_starts(narrow, neutral, monkeypatch):
    """A record next to the reference gets derivatives: a difference quotient there is rounding of the narrower type."""
    for name in ("secant", "slope_between") if neutral else ():
        monkeypatch.delitem(KERNELS, name)  # the formula of the other frameworks

    class Narrowed(nn.Module):
        def __init__(self, kind: torch.dtype) -> None:
            super().__init__()
            self.kind = kind
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.first, self.head = nn.Linear(3, 6).double(), nn.Linear(6, 2).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.first(x).relu().to(self.kind).to(x.dtype))

    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    method = asc.DeepLift(baseline=x[1:2] + 1e-12, multiply=False)
    found, exact = (method(Narrowed(kind), x, of=1).values for kind in (narrow, torch.float64))
    torch.testing.assert_close(found, exact, rtol=4 * torch.finfo(narrow).eps, atol=4 * torch.finfo(narrow).eps)
