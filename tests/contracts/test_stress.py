"""The library's promises under attack, minutes long (`make slow`): every method on models that peers trip over, failures at any pass,
threads, signals, odd inputs, random networks. Fixed seeds; a failure names what to run again.
"""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError, RuleError
from ascribe.tree import walk
from tests.support.small_models import rows, seeded
from tests.support.snapshots import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

Tensor = torch.Tensor


class Convolutional(nn.Module):
    """Statistics, dropout, in-place and functional rectifiers, one module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.mix, self.drop, self.fc = nn.Conv2d(6, 6, 3, padding=1), nn.Dropout(0.3), nn.Linear(6 * 4 * 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.conv(x)))
        x = x + self.act(self.mix(x))
        return self.fc(self.drop(torch.max_pool2d(x, 2).flatten(1)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0].mean(1))


class Counting(nn.Module):
    """A buffer that every pass writes to, parameters of which one is frozen and one has a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
        self.register_buffer("passes", torch.zeros(1))
        self.first.bias.requires_grad_(False)
        self.last.weight.grad = torch.ones_like(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.last(torch.tanh(self.first(x)))


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.encode(x).mean(1))


def weighted() -> nn.Module:
    wide, narrow = nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3))
    return nn.Sequential(wide, nn.GELU(), narrow)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3))
    model[1].register_forward_hook(lambda module, given, out: out * 1.5)
    model[0].register_full_backward_pre_hook(lambda module, grad: None)
    return model


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    model[2].weight = model[0].weight
    return model


MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "a CNN in training mode": (lambda: Convolutional().train(), (3, 3, 8, 8)),
    "an LSTM": (Recurrent, (3, 6, 5)),
    "a pass counter": (Counting, (3, 4)),
    "attention": (Attending, (3, 5, 8)),
    "parametrised weights": (weighted, (3, 4)),
    "hooks of the user's": (hooked, (3, 4)),
    "tied weights": (tied, (3, 6)),
    "double precision": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double(), (3, 4)),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))), (3, 4)),
}
METHODS: dict[str, Callable[[Tensor], Any]] = {
    "Saliency": lambda x: asc.Saliency(),
    "InputXGradient": lambda x: asc.InputXGradient(),
    "IntegratedGradients": lambda x: asc.IntegratedGradients(steps=8),
    "by tolerance": lambda x: asc.IntegratedGradients(tolerance=0.05),
    "SmoothGrad": lambda x: asc.SmoothGrad(4),
    "ExpectedGradients": lambda x: asc.ExpectedGradients(torch.zeros_like(x), 5),
    "DeepLift": lambda x: asc.DeepLift(),
    "DeepLiftShap": lambda x: asc.DeepLiftShap(x.flip(0)),
    "GuidedBackprop": lambda x: asc.GuidedBackprop(),
    "LRP": lambda x: asc.LRP(),
    "AttnLRP": lambda x: asc.AttnLRP(),
    "FeatureAblation": lambda x: asc.FeatureAblation(0.0),
    "KernelShap": lambda x: asc.KernelShap(120, features=asc.features.Masks(np.arange(x[0].numel()).reshape(1, *x.shape[1:]) % 6)),
    "ShapleySampling": lambda x: asc.ShapleySampling(60, features=asc.features.Masks(np.arange(x[0].numel()).reshape(1, *x.shape[1:]) % 6)),
    "Lime": lambda x: asc.Lime(60, features=asc.features.Masks(np.arange(x[0].numel()).reshape(1, *x.shape[1:]) % 6)),
}


def made(name: str) -> tuple[Any, Tensor]:
    make, shape = MODELS[name]
    torch.manual_seed(0)
    model = make()
    dtype = next(p.dtype for p in model.parameters())
    return model, rows(*shape).to(dtype)


def flat(found: asc.Attribution) -> Tensor:
    return torch.cat([leaf.detach().double().reshape(-1) for _, leaf in walk(found.values)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_as_it_was_after_a_call(name: str, method: str) -> None:
    model, x = made(name)
    with unchanged(model, arguments=x):
        try:
            found = METHODS[method](x)(model, x, of=1)
        except RuleError:
            assert method == "GuidedBackprop"  # the one that needs a rectifier; most of these have none
            return
        values = flat(found)
        assert bool(torch.isfinite(values).all()) or any(c.name == "finite" and c.status == "fail" for c in found.checks)


FAILURES: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("wrong"),
    "out of memory": lambda: RuntimeError("CUDA out of memory. Tried to allocate"),
    "MemoryError": lambda: MemoryError(),
    "OutOfMemoryError": lambda: torch.OutOfMemoryError("out"),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(),
    "StopIteration": lambda: StopIteration(),
    "SystemExit": lambda: SystemExit(3),
}


class Failing(nn.Module):
    """Raises at one of its passes, from the middle of the network."""

    def __init__(self, failure: str, at: int) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.failure, self.at, self.seen = failure, at, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        hidden = torch.relu(self.norm(self.first(x)))
        if len(self.seen) - 1 >= self.at:
            raise FAILURES[self.failure]()
        return self.last(hidden)


@pytest.mark.parametrize("at", [0, 1, 4])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_as_it_was_after_a_failure(method: str, failure: str, at: int) -> None:
    torch.manual_seed(0)
    model, x = Failing(failure, at).train(), rows(3, 4)
    with unchanged(model, arguments=x), contextlib.suppress(AscribeError, FAILURES[failure]().__class__):
        METHODS[method](x)(model, x, of=1)
    assert model.seen
    model.at = 10**9
    again = METHODS[method](x)(model, x, of=1)
    assert bool(torch.isfinite(flat(again)).all())


def test_threads_on_one_model_get_what_each_gets_alone() -> None:
    """Every method from four threads at once, beside calls that fail, on one model in training mode."""
    model, x = made("a CNN in training mode")
    alone = {name: flat(make(x)(model, x, of=1, seed=3)) for name, make in METHODS.items()}
    wrong: list[str] = []

    def work(seed: int) -> None:
        names = list(METHODS)
        random.Random(seed).shuffle(names)
        for name in names:
            try:
                found = flat(METHODS[name](x)(model, x, of=1, seed=3))
                # thread counts and chunk sizes may differ: rounding is allowed, LRP divides by sums near zero
                if not torch.allclose(found, alone[name], rtol=1e-3, atol=1e-4 * float(alone[name].abs().max())):
                    wrong.append(name)
                with contextlib.suppress(AscribeError):
                    METHODS[name](x)(model, x, of=99)
            except Exception as error:
                wrong.append(f"{name}: {error!r}")

    with unchanged(model, arguments=x):
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


SIGNALS = """
import os, random, signal, sys, torch
import ascribe as asc
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).train()
model[3].bias.requires_grad_(False)
x = torch.randn(6, 4)
methods = [asc.Saliency(), asc.IntegratedGradients(steps=8), asc.DeepLift(), asc.FeatureAblation(0.0), asc.Conductance(steps=4)]
draw = random.Random(int(sys.argv[1]))
for method in methods:
    layer = {"at": "0"} if "Conductance" in repr(method) else {}
    method(model, x, of=1, **layer)
state = {k: v.clone() for k, v in model.state_dict().items()}
bad, hits = [], 0
for k in range(400):
    method = draw.choice(methods)
    layer = {"at": "0"} if "Conductance" in repr(method) else {}
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 4e-3))
            method(model, x, of=1, progress=False, **layer)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        hits += 1
    except asc.AscribeError:
        pass
    if not all(m.training for m in model.modules()):
        bad.append(f"{k} {method}: a mode")
    if [p.requires_grad for p in model.parameters()] != [True, True, True, True, True, False]:
        bad.append(f"{k} {method}: frozen weights")
    if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
        bad.append(f"{k} {method}: gradients off")
    if any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules()):
        bad.append(f"{k} {method}: a hook")
    if any(not torch.equal(v, state[key]) for key, v in model.state_dict().items()):
        bad.append(f"{k} {method}: the state_dict")
    if bad:
        break
print(hits, "interrupts", bad)
sys.exit(bool(bad) or not hits)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of signals here")
@pytest.mark.parametrize("seed", range(3))
def test_interrupts_at_random_moments_leave_the_model_as_it_was(seed: int) -> None:
    code = "import signal\ndef stop(*_):\n    raise KeyboardInterrupt\nsignal.signal(signal.SIGALRM, stop)\n" + textwrap.dedent(SIGNALS)
    done = subprocess.run([sys.executable, "-c", code, str(seed)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def odd(draw: random.Random) -> Any:
    """Something that a user may give as the model's input."""
    fits = (draw.randint(1, 3), 4)
    shape = draw.choice([fits, tuple(draw.choice([0, 1, 2, 3, 4, 4, 4]) for _ in range(draw.choice([0, 1, 2, 2, 2, 3])))])
    kind = draw.choice(["float", "double", "half", "int", "bool", "complex", "numpy", "list", "nan", "strided", "expanded", "grad", "none"])
    base = torch.randn(shape, generator=torch.Generator().manual_seed(draw.randrange(10**6)))
    return {
        "float": lambda: base,
        "double": base.double,
        "half": base.half,
        "int": lambda: (base * 3).long(),
        "bool": lambda: base > 0,
        "complex": lambda: base + 1j,
        "numpy": lambda: base.numpy()[..., ::-1] if base.ndim else base.numpy(),
        "list": base.tolist,
        "nan": lambda: base * float("nan"),
        "strided": lambda: base.transpose(0, -1) if base.ndim else base,
        "expanded": lambda: base[None].expand(3, *base.shape),
        "grad": lambda: base.clone().requires_grad_(),
        "none": lambda: None,
    }[kind]()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_in_there_is_a_result_or_an_error_of_our_own(seed: int) -> None:
    draw = random.Random(seed)
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))).float()
    ofs = (None, 0, 1, 2, None, 0, 1, 2, 7, -1, [0, 1], asc.Contrast(0, 1), "cat", lambda y: y.sum(-1), asc.Unit(0, on=asc.Cut("0")))
    ats = (asc.INPUT, asc.INPUT, asc.INPUT, "0", "1", "nowhere", asc.Cut("2", "in"), ["0", asc.INPUT])
    results = 0
    for _ in range(120):
        x, method = odd(draw), draw.choice([name for name in METHODS if name not in ("ExpectedGradients", "DeepLiftShap")])
        of, at = draw.choice(ofs), draw.choice(ats)
        label = f"seed {seed}: {method}, of={of!r}, at={at!r}, x={type(x).__name__} {getattr(x, 'shape', x)} {getattr(x, 'dtype', '')}"
        with unchanged(model, arguments=x):
            try:
                make = METHODS[method](x) if method not in ("KernelShap", "ShapleySampling", "Lime") else {
                    "KernelShap": asc.KernelShap(60), "ShapleySampling": asc.ShapleySampling(60), "Lime": asc.Lime(60)}[method]  # fmt: skip
                found = make(model, x, of=of, at=at)
            except AscribeError as refused:
                said = str(refused)
                assert len(said) < 1500, label
                continue
            except Exception as foreign:
                pytest.fail(f"{label}: {foreign!r}")
            results += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = [leaf for _, leaf in walk(found.values)]
                bad = any(not np.isfinite(np.asarray(v.detach() if isinstance(v, Tensor) else v, dtype=float)).all() for v in values)
            assert not bad or any(c.name == "finite" and c.status == "fail" for c in found.checks), label
    assert results >= 12  # a tenth: without results nothing of the values would have been looked at


class RandomCoalitions(nn.Module):
    """A chain of blocks drawn from what networks are made of, on records ``[n, 4, 6]``."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        draw = random.Random(seed)
        self.kinds = [draw.choice(sorted(BLOCKS)) for _ in range(draw.choice([1, 2, 3]))]
        self.lin = nn.ModuleList(nn.Linear(6, 6) for _ in self.kinds)
        self.two = nn.ModuleList(nn.Linear(6, 6) for _ in self.kinds)
        self.norm = nn.ModuleList(nn.LayerNorm(6) for _ in self.kinds)
        self.fc = nn.Linear(24, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for kind, lin, two, norm in zip(self.kinds, self.lin, self.two, self.norm, strict=True):
            x = BLOCKS[kind](x, lin, two, norm)
        return self.fc(x.flatten(1))


def attention(x: Tensor, lin: nn.Module, two: nn.Module, norm: nn.Module) -> Tensor:
    return torch.softmax(lin(x) @ two(x).transpose(1, 2) / 6**0.5, -1) @ x


def by_hand(h: Tensor) -> Tensor:
    return (h - h.mean(-1, True)) * torch.rsqrt(h.var(-1, keepdim=True, unbiased=False) + 1e-3)


BLOCKS: dict[str, Callable[..., Tensor]] = {
    "relu": lambda x, a, b, n: torch.relu(a(x)),
    "gelu": lambda x, a, b, n: nn.functional.gelu(a(x)),
    "gelu by hand": lambda x, a, b, n: (lambda h: 0.5 * h * (1 + torch.erf(h / 2**0.5)))(a(x)),
    "silu by hand": lambda x, a, b, n: (lambda h: h * torch.sigmoid(h))(a(x)),
    "residual": lambda x, a, b, n: x + torch.tanh(a(x)),
    "gate": lambda x, a, b, n: torch.sigmoid(a(x)) * b(x),
    "norm": lambda x, a, b, n: n(a(x)),
    "norm by hand": lambda x, a, b, n: by_hand(a(x)),
    "rms": lambda x, a, b, n: (lambda h: h / (h.pow(2).mean(-1, keepdim=True) + 1e-3).sqrt())(a(x)),
    "softmax": lambda x, a, b, n: torch.softmax(a(x), -1),
    "logsumexp": lambda x, a, b, n: x - torch.logsumexp(a(x), -1, keepdim=True),
    "attention": attention,
    "amax": lambda x, a, b, n: a(x) + b(x).amax(1, keepdim=True),
    "pool": lambda x, a, b, n: torch.max_pool1d(a(x), 3, 1, 1),
    "square": lambda x, a, b, n: a(x) ** 2,
    "exp": lambda x, a, b, n: torch.exp(-(a(x) ** 2)),
    "in place": lambda x, a, b, n: a(x).relu_().mul_(2.0).add_(b(x)),
    "cumsum": lambda x, a, b, n: torch.cumsum(torch.tanh(a(x)), 1),
    "sort": lambda x, a, b, n: torch.sort(a(x), -1).values,
    "topk": lambda x, a, b, n: torch.cat([a(x), torch.topk(b(x), 2, -1).values.repeat(1, 1, 3)], 1)[:, :4] + x,
    "maximum": lambda x, a, b, n: torch.maximum(a(x), b(x)),
    "quotient": lambda x, a, b, n: a(x) / (1 + b(x).abs()),
    "roll": lambda x, a, b, n: torch.roll(a(x), 1, 1) * torch.sigmoid(x),
    "sort by columns": lambda x, a, b, n: torch.sort(a(x), 1, descending=True).values,
    "median": lambda x, a, b, n: x + torch.median(a(x), -1, keepdim=True).values,
    "quantile": lambda x, a, b, n: x + torch.quantile(a(x), 0.3, dim=-1, keepdim=True),
    "cummax": lambda x, a, b, n: torch.cummax(a(x), 1).values + b(x),
    "aminmax": lambda x, a, b, n: (lambda h, m: (h - m.min) / (m.max - m.min + 1))(a(x), torch.aminmax(b(x), dim=-1, keepdim=True)),
    "softmax by hand": lambda x, a, b, n: (lambda e: e / e.sum(-1, keepdim=True))(torch.exp(a(x))),
    "no softmax": lambda x, a, b, n: torch.exp(a(x)) / torch.exp(b(x)).sum(-1, keepdim=True),
    "no softmax either": lambda x, a, b, n: torch.exp(a(x)) / torch.exp(2 * a(x)).sum(-1, keepdim=True),
    "nor this": lambda x, a, b, n: torch.exp(a(x) - torch.logsumexp(b(x), -1, keepdim=True)),
    "in place by place": lambda x, a, b, n: a(x).index_copy(1, torch.tensor([1]), (b(x)[:, 0] * x[:, 2])[:, None]),
    "by order": lambda x, a, b, n: (lambda h: h.gather(1, h.argsort(1)))(a(x)),
    "fourier": lambda x, a, b, n: torch.fft.irfft(torch.fft.rfft(a(x)) * torch.sigmoid(b(x))[..., :4], n=6),
    "polar": lambda x, a, b, n: torch.view_as_real(torch.polar(torch.sigmoid(a(x)[..., :3]), b(x)[..., :3])).flatten(-2),
    "products": lambda x, a, b, n: torch.cumprod(1 + 0.3 * torch.tanh(a(x)), -1),
    "distances": lambda x, a, b, n: x * torch.exp(-((a(x)[:, :, None] - b(x)[:, None]) ** 2).sum(-1)).sum(-1, keepdim=True),
    "scatter": lambda x, a, b, n: torch.zeros_like(x).scatter_add(-1, torch.tensor([0, 0, 1, 2, 3, 3]).expand_as(x), a(x)) + b(x),
    "causal": lambda x, a, b, n: nn.functional.scaled_dot_product_attention(a(x), b(x), x, is_causal=True),
    "rational": lambda x, a, b, n: (1 + a(x) + a(x) ** 2) / (1 + b(x) ** 2),
}


@pytest.mark.parametrize("seed", range(90))
def test_deep_lift_adds_up_on_random_networks(seed: int) -> None:
    model, x, base = RandomCoalitions(seed), rows(3, 4, 6, seed=seed).double(), rows(3, 4, 6, seed=seed + 1000).double()
    change = (model(x) - model(base))[:, 1].detach()
    for by in (asc.rules.Rescale(), asc.rules.RevealCancel()):
        found = asc.attribute(model, x, of=1, over=asc.Reference(base), by=by)
        total = found.values.sum((1, 2))
        scale = float(found.values.abs().sum((1, 2)).max()) + float(change.abs().max())
        assert float((total - change).abs().max()) <= 1e-8 * scale, (model.kinds, by)
        alone = torch.cat([asc.attribute(model, x[k : k + 1], of=1, over=asc.Reference(base[k : k + 1]), by=by).values for k in range(3)])
        assert float((alone - found.values).abs().max()) <= 1e-9 * scale, (model.kinds, by)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_goes_with_its_last_reference(method: str) -> None:
    """Without the collector's help: on a device the memory would stay until it comes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = rows(3, 4)
    METHODS[method](x)(model, x, of=1)
    METHODS[method](x)(model, x, of=1)
    gone, weight = weakref.ref(model), weakref.ref(model[0].weight)
    gc.collect()
    gc.disable()
    try:
        METHODS[method](x)(model, x, of=1)
        del model
        assert gone() is None
        assert weight() is None
    finally:
        gc.enable()
