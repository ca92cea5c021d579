"""The rest of captum's names: noise, helpers, and what captum does not accept."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import captum.attr as ca
import numpy as np
import pytest
import torch
from captum._utils.common import _run_forward as run_forward
from torch import nn

import ascribe as asc
import ascribe.compat.captum.attr as oa
from ascribe.compat.captum import STANDS_FOR, embeddings
from tests.support.captum_cases import HOMES, fresh, same
from tests.support.small_models import DOUBLE, Words, chain, rows, seeded, sums

pytestmark = pytest.mark.filterwarnings("ignore")
X = rows(5, 4)


# Noise: the same generator draws the same numbers in both

TUNNELS: list[tuple[str, dict[str, Any]]] = [
    ("Saliency", {}),
    ("Saliency", {"abs": False}),
    ("InputXGradient", {}),
    ("IntegratedGradients", {"n_steps": 6, "baselines": "start", "return_convergence_delta": True}),
    ("DeepLift", {"baselines": "start", "return_convergence_delta": True}),
    ("LayerGradCam", {}),
    ("LayerIntegratedGradients", {"n_steps": 5}),
    ("NeuronGradient", {"neuron_selector": "neuron"}),
]


@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize(("name", "options"), TUNNELS, ids=lambda v: v if isinstance(v, str) else "")
def test_noise_tunnels(name: str, options: dict[str, Any], kind: str) -> None:
    for home in (HOMES["a class each"], HOMES["two inputs"], HOMES["a position"]):
        words = {"start": home.start, "neuron": home.neurons[0]}
        call = {key: words.get(word, word) if isinstance(word, str) else word for key, word in options.items()}
        if not name.startswith("Neuron"):
            call["target"] = home.target
        stdevs = (0.1, 0.3) if home.name == "two inputs" else 0.2
        for batch in (None, 2):
            found = []
            for where in (oa, ca):
                torch.manual_seed(3)
                made = getattr(where, name)
                method = made(home.model, home.module) if name.startswith(("Layer", "Neuron")) else made(home.model)
                given = {"inputs": fresh(home.inputs), "additional_forward_args": home.more, **call}
                found.append(
                    where.NoiseTunnel(method).attribute(nt_type=kind, nt_samples=5, nt_samples_batch_size=batch, stdevs=stdevs, **given)
                )
            same(*found, atol=1e-7)


def test_tunnels_take_whole_numbers_for_deviations() -> None:
    tunnel = oa.NoiseTunnel(oa.Saliency(chain(4, 5, 3)))
    assert tunnel.attribute(X, target=1, stdevs=1).shape == X.shape
    assert tunnel.has_convergence_delta() is False
    with pytest.raises(AssertionError, match="nt_type"):
        tunnel.attribute(X, "smooth", target=1)


@pytest.mark.parametrize("name", ["GradientShap", "LayerGradientShap", "NeuronGradientShap"])
def test_gradient_shap_has_the_same_expectation(name: str) -> None:
    home = HOMES["a class each"]
    call: dict[str, Any] = {"baselines": home.background, "n_samples": 30, "stdevs": 0.05}
    call |= {"neuron_selector": 2} if name.startswith("Neuron") else {"target": home.target}
    found = []
    torch.manual_seed(0)
    np.random.seed(0)
    for where in (ca, oa):
        made = getattr(where, name)
        method = made(home.model, home.module) if name != "GradientShap" else made(home.model)
        found.append(torch.stack([method.attribute(fresh(home.inputs), **call).detach() for _ in range(80)]))
    theirs, ours = found
    error = (theirs.var(0) / 80 + ours.var(0) / 80).sqrt()
    assert ((theirs.mean(0) - ours.mean(0)).abs() < 4.5 * error + 1e-9).all()
    if name == "NeuronGradientShap":
        return
    values, delta = method_with_delta(name, home, call)
    assert delta.shape == (5 * 30,)
    spread = ours.std(0) + 1e-9
    assert ((values - ours.mean(0)).abs() < 6 * spread).all()
    if name == "GradientShap":
        both = sums(values) - delta.reshape(5, 30).mean(1)
        change = home.model(home.inputs)[range(5), home.target].detach()
        assert ((both - change).abs() < 2).all()


def method_with_delta(name: str, home: Any, call: dict[str, Any]) -> Any:
    made = getattr(oa, name)
    method = made(home.model, home.module) if name != "GradientShap" else made(home.model)
    return method.attribute(fresh(home.inputs), **call, return_convergence_delta=True)


class Rows:
    """How many rows go into a model's first layer, by one hook for all calls: a hook is a part of the model that is explained."""

    def __init__(self, model: nn.Module) -> None:
        self.seen: list[int] = []
        first = next(m for m in model.modules() if not list(m.children()))
        first.register_forward_pre_hook(lambda m, a: self.seen.append(len(a[0])))

    def __call__(self, call: Any) -> tuple[Any, int]:
        """What a call gives, and the rows for it."""
        self.seen.clear()
        return call(), sum(self.seen)


def test_rows_for_a_delta_are_run_where_it_is_asked_for() -> None:
    """The first call like it is looked at in full; after that values take the points of the path alone, and are what they were."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4)).double().eval()
    with_rows = Rows(model)
    x, rows = torch.randn(4, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    ig, background = oa.IntegratedGradients(model), {"baselines": rows, "n_samples": 12}
    first, looked = with_rows(lambda: ig.attribute(x, target=[0, 1, 2, 3], n_steps=10))
    again, alone = with_rows(lambda: ig.attribute(x, target=[0, 1, 2, 3], n_steps=10))
    (values, delta), asked = with_rows(lambda: ig.attribute(x, target=[0, 1, 2, 3], n_steps=10, return_convergence_delta=True))
    torch.testing.assert_close(again, first)
    torch.testing.assert_close(values, first)
    change = model(x).gather(1, torch.arange(4)[:, None])[:, 0] - model(torch.zeros_like(x)).gather(1, torch.arange(4)[:, None])[:, 0]
    torch.testing.assert_close(delta, values.sum(1) - change.detach())
    assert looked > alone == 40
    assert asked > 40
    for _ in range(2):
        _, drawn = with_rows(lambda: oa.GradientShap(model).attribute(x, target=1, **background))
    assert drawn == 48
    with pytest.raises(asc.errors.QuantityError, match="out of range"):
        ig.attribute(x, target=[0, 1, 2, 4], n_steps=10)


def test_deltas_of_samples_belong_to_them() -> None:
    """Values less their deltas are the change from each sample's baseline to its record; without noise that has a mean known exactly."""
    net, back = chain(4, 5, 3), rows(4, 4, seed=9)
    values, delta = oa.GradientShap(net).attribute(X, back, 40, target=1, return_convergence_delta=True)
    change = (net(X)[:, 1] - net(back)[:, 1].mean()).detach()
    torch.testing.assert_close(values.sum(1) - delta.reshape(5, 40).mean(1), change)  # 40 draws take each of 4 rows ten times


# Conventions


def test_baselines_from_functions() -> None:
    home = HOMES["a class each"]
    back = home.background
    for give in (lambda: back, lambda inputs: back + 0 * inputs.sum()):
        for name in ("DeepLiftShap", "GradientShap"):
            found = getattr(oa, name)(home.model).attribute(fresh(home.inputs), give, target=1)
            assert found.shape == home.inputs.shape
        same(
            oa.DeepLiftShap(home.model).attribute(home.inputs, give, target=1),
            ca.DeepLiftShap(home.model).attribute(fresh(home.inputs), give, target=1),
        )


def test_compute_convergence_delta() -> None:
    for home in (HOMES["a class"], HOMES["two inputs"]):
        values = oa.IntegratedGradients(home.model).attribute(home.inputs, home.start, home.target, home.more, n_steps=9)
        given = (values, home.start, home.inputs, home.target, home.more)
        same(
            oa.IntegratedGradients(home.model).compute_convergence_delta(*given),
            ca.IntegratedGradients(home.model).compute_convergence_delta(*given),
        )


def test_layers_are_brought_to_the_size_of_the_picture() -> None:
    values = rows(2, 1, 3, 3)
    for size, mode in (((6, 6), "nearest"), (7, "bilinear")):
        same(oa.LayerAttribution.interpolate(values, size, mode), ca.LayerAttribution.interpolate(values, size, mode))


def test_methods_of_ones_own() -> None:
    class Squared(oa.GradientAttribution):
        """The square of the gradient."""

        def __init__(self, forward_func: Any) -> None:
            oa.GradientAttribution.__init__(self, forward_func)

        def attribute(self, inputs: Any, target: Any = None) -> Any:
            (gradient,) = self.gradient_func(self.forward_func, inputs, target)
            return gradient**2

    net = chain(4, 5, 3)
    method = Squared(net)
    torch.testing.assert_close(method.attribute(X, 1), oa.Saliency(net).attribute(X, 1) ** 2)
    assert method.get_name() == "Squared"
    assert oa.NoiseTunnel(method).attribute(X, target=1).shape == X.shape
    with pytest.raises(NotImplementedError):
        oa.Attribution(net).attribute(X)


def steep(forward_fn: Any, inputs: Any, target_ind: Any = None, additional_forward_args: Any = None) -> Any:
    """Derivatives of another number than the model's, and none of them below zero."""
    with torch.enable_grad():
        found = torch.autograd.grad(torch.unbind(run_forward(forward_fn, inputs, target_ind, additional_forward_args).tanh()), inputs)
    return tuple(2 * g.clamp(min=0) for g in found)


@pytest.mark.parametrize("home", HOMES.values(), ids=lambda home: home.name)
def test_derivatives_by_a_function_of_ones_own(home: Any) -> None:
    paths = {"n_steps": 7, "baselines": home.start, "internal_batch_size": 8}
    for name, options in [
        ("Saliency", {"abs": False}),
        ("InputXGradient", {}),
        ("IntegratedGradients", paths),
        ("IntegratedGradients", {**paths, "return_convergence_delta": True}),
    ]:
        found = []
        for where in (oa, ca):
            method = getattr(where, name)(home.model)
            method.gradient_func = steep
            found.append(method.attribute(fresh(home.inputs), target=home.target, additional_forward_args=home.more, **options))
        same(*found)


def test_derivatives_of_ones_own_over_a_background() -> None:
    home = HOMES["a class each"]
    plain, twice = oa.GradientShap(home.model), oa.GradientShap(home.model)
    plain_gradients = plain.gradient_func
    twice.gradient_func = lambda *args: tuple(2 * g for g in plain_gradients(*args))
    for more in ({}, {"stdevs": 0.1}, {"return_convergence_delta": True}):
        found = []
        for method in (plain, twice):
            torch.manual_seed(0)
            values = method.attribute(home.inputs, home.background, 6, target=home.target, **more)
            found.append(values[0] if isinstance(values, tuple) else values)
        torch.testing.assert_close(found[1], 2 * found[0])


# What captum rejects


class Named(nn.Module):
    """Keyword arguments in, a dictionary out, one input without effect."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor, idle: torch.Tensor, *, scale: torch.Tensor, flip: bool = False) -> dict[str, torch.Tensor]:
        h = torch.tanh(self.inner(x)) * scale[:, None]
        return {"logits": self.head(-h if flip else h), "hidden": h}


def test_what_captum_rejects() -> None:
    net, idle = seeded(Named), rows(5, 2)
    more = {"forward_kwargs": {"scale": torch.linspace(1, 2, 5, dtype=DOUBLE), "flip": True}}
    plain = lambda x: net(x, idle, **more["forward_kwargs"])["logits"]  # noqa: E731
    found = oa.Saliency(net).attribute((X, idle), target=-1, **more)
    torch.testing.assert_close(found[0], ca.Saliency(plain).attribute(X.clone(), target=2))
    assert not found[1].any(), "an input that plays no part"
    torch.testing.assert_close(oa.LayerActivation(net, "inner").attribute((X, idle), **more), net.inner(X).detach())
    by_name = oa.IntegratedGradients(net).attribute({"x": X, "idle": idle}, target=1, n_steps=8, **more)
    assert by_name.keys() == {"x", "idle"}
    for layer in ("inner", asc.Cut("inner"), net.inner):
        assert oa.LayerDeepLift(net, layer).attribute((X, idle), target=1, **more).shape == (5, 5)
        assert oa.NeuronDeepLift(net, layer).attribute((X, idle), 2, **more)[0].shape == X.shape
    tunnel = oa.NoiseTunnel(oa.IntegratedGradients(net)).attribute((X, idle), target=[0, 1, 2, 0, -1], n_steps=4, **more)
    assert tunnel[0].shape == X.shape


def test_token_ids_are_explained_at_their_embeddings() -> None:
    net, ids = seeded(Words), torch.randint(0, 20, (3, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 6)
    for name, more in (("Saliency", {}), ("IntegratedGradients", {"baselines": 3}), ("DeepLift", {"baselines": 3})):
        found = getattr(oa, name)(net).attribute(ids, target=1, additional_forward_args=(mask,), **more)
        assert found.shape == (3, 6, 4)
    call = {"baselines": torch.full_like(ids, 3), "target": 1, "return_convergence_delta": True, "additional_forward_args": (mask,)}
    values, delta = oa.LayerIntegratedGradients(net, net.embed).attribute(ids, **call)
    bare = lambda ids, mask: net(ids, mask)["logits"]  # noqa: E731
    same((values, delta), ca.LayerIntegratedGradients(bare, net.embed).attribute(ids, **call))
    same(
        oa.FeatureAblation(net).attribute(ids, 3, 1, (mask,)),
        ca.FeatureAblation(bare).attribute(ids, 3, 1, (mask,)),
        atol=1e-6,
        check_dtype=False,
    )


def test_several_layers_on_one_path() -> None:
    home = HOMES["two inputs"]
    layers = [home.model.left, home.model.right]
    call = {"target": home.target, "baselines": home.start, "additional_forward_args": home.more, "n_steps": 7}
    for more in ({}, {"return_convergence_delta": True}, {"attribute_to_layer_input": True}):
        theirs = ca.LayerIntegratedGradients(home.model, layers).attribute(fresh(home.inputs), **call, **more)
        same(oa.LayerIntegratedGradients(home.model, layers).attribute(fresh(home.inputs), **call, **more), theirs)
    for name in ("LayerActivation", "LayerGradientXActivation"):
        given = {key: call[key] for key in ("additional_forward_args",) if key in call} | ({"target": 1} if "Grad" in name else {})
        same(getattr(oa, name)(home.model, layers).attribute(fresh(home.inputs), **given),
             getattr(ca, name)(home.model, layers).attribute(fresh(home.inputs), **given))  # fmt: skip


def test_maps_of_several_layers() -> None:
    home = HOMES["a position"]
    layers = [home.model.conv, home.model.pool]
    found = oa.LayerGradCam(home.model, layers).attribute(home.inputs, target=home.target)
    same(found, [ca.LayerGradCam(home.model, layer).attribute(fresh(home.inputs), target=home.target) for layer in layers])


def test_neurons_beyond_captum() -> None:
    """Built-in recurrent layers, several tensors at the neuron's layer, and the second rule of DeepLIFT."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.nn.functional.silu(self.lstm(x)[0][:, -1]))

    net, x, start = seeded(Recurrent), rows(3, 6, 4), rows(1, 6, 4, seed=2)
    neuron = lambda held: held[0][:, -1, 2] + held[1][0][0][:, 1]  # noqa: E731

    def held(x: torch.Tensor) -> torch.Tensor:
        return neuron(net.lstm(x)).detach()

    for rule in (None, asc.rules.Rescale(), asc.rules.RevealCancel()):
        found = oa.NeuronDeepLift(net, net.lstm).attribute(x, neuron, start, by=rule)
        torch.testing.assert_close(sums(found), held(x) - held(start), rtol=1e-9, atol=1e-10)
    back = rows(4, 6, 4, seed=3)
    found = oa.NeuronDeepLiftShap(net, net.lstm).attribute(x, neuron, back)
    torch.testing.assert_close(sums(found), held(x) - held(back).mean(), rtol=1e-9, atol=1e-10)


# Embeddings and baselines


class Sentences(nn.Module):
    """An embedding below a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.inner = nn.Embedding(10, 3), nn.Module()
        self.inner.words, self.head = nn.Embedding(10, 3), nn.Linear(3, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head((self.embedding(ids) + (self.inner.words(ids) if ids.dtype == torch.long else 0)).sum(1))


def test_embeddings_can_be_the_inputs() -> None:
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    for name in ("embedding", "inner.words"):
        found = []
        for where in (oa, ca):
            net = seeded(Sentences)
            layer = net.get_submodule(name)
            stand_in = where.configure_interpretable_embedding_layer(net, name)
            assert isinstance(net.get_submodule(name), where.InterpretableEmbeddingBase)
            assert stand_in.full_name == name
            words = stand_in.indices_to_embeddings(ids)
            with pytest.raises(AssertionError):
                where.configure_interpretable_embedding_layer(net, name)
            if name == "embedding":
                found.append(where.IntegratedGradients(net).attribute(words, target=1, n_steps=5))
            where.remove_interpretable_embedding_layer(net, stand_in)
            assert net.get_submodule(name) is layer
        if found:
            same(*found)
    with pytest.raises(AttributeError):
        oa.configure_interpretable_embedding_layer(seeded(Sentences), "nowhere")


def test_references_and_baselines() -> None:
    for where in (oa, ca):
        assert where.TokenReferenceBase(reference_token_idx=7).generate_reference(3, torch.device("cpu")).tolist() == [7, 7, 7]
    one = oa.ProductBaselines([[1, 2], [3]])
    assert {tuple(one()) for _ in range(40)} == {(1, 3), (2, 3)}
    named = oa.ProductBaselines({"a": [1], ("b", "c"): [(2, 3), (4, 5)]})
    assert {tuple(sorted(named().items())) for _ in range(40)} == {(("a", 1), ("b", 2), ("c", 3)), (("a", 1), ("b", 4), ("c", 5))}


def test_inputs_as_layers() -> None:
    from captum.attr._utils.input_layer_wrapper import ModelInputWrapper

    net = chain(4, 5, 3)
    ours, theirs = embeddings.ModelInputWrapper(net), ModelInputWrapper(net)
    found = oa.LayerIntegratedGradients(ours, ours.input_maps["input"]).attribute(X, target=1, n_steps=5)
    same(found, ca.LayerIntegratedGradients(theirs, theirs.input_maps["input"]).attribute(X.clone(), target=1, n_steps=5))
    torch.testing.assert_close(embeddings.Addition_Module()(X, X), 2 * X)


# The table


def test_every_module_that_is_stood_for_exists_and_has_its_public_classes() -> None:
    from importlib import import_module

    for foreign, own in STANDS_FOR.items():
        ours = import_module(f"ascribe.compat.captum.{own}".rstrip("."))
        if foreign in ("captum", "captum._utils", "captum.attr.visualization", "captum.log", "captum.attr._utils", "captum.attr._models"):
            continue
        try:
            theirs = import_module(foreign)
        except ModuleNotFoundError:
            assert "internal_influence" in foreign, foreign
            continue
        classes = [n for n, c in vars(theirs).items() if inspect.isclass(c) and c.__module__ == foreign and not n.startswith("_")]
        lacking = [n for n in classes if not hasattr(ours, n)]
        inner = {"InputBaselineXGradient", "LayerInputBaselineXGradient", "ModifiedReluGradientAttribution", "Riemann", "TokenizerLike"}
        assert set(lacking) <= inner, (foreign, lacking)


# Scripts


@pytest.mark.parametrize("name", ["image", "text", "table"])
def test_scripts_run_unchanged(name: str) -> None:
    """With captum, and with ascribe standing in for it: the same lines."""
    script = Path(__file__).parents[2] / "examples" / "captum" / f"{name}.py"
    said = []
    for words in ([str(script)], ["-m", "ascribe.compat", "captum", str(script)]):
        done = subprocess.run([sys.executable, "-W", "ignore", *words], capture_output=True, text=True, check=False, cwd=script.parents[2])
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.splitlines())
    assert said[0] == said[1]
    assert len(said[0]) > 3
    assert not any("False" in line for line in said[0])
