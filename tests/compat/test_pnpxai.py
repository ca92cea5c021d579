"""The facade of PnPXAI: its names, and a test for each fault that was measured in it (D1 to D19)."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import ascribe as asc
from ascribe.compat import standing_in
from ascribe.compat.pnpxai import (
    AutoExplanationForImageClassification,
    AutoExplanationForTabularClassification,
    AutoExplanationForTextClassification,
    AutoExplanationForTSClassification,
    AutoExplanationForVisualQuestionAnswering,
    Experiment,
    XaiRecommender,
    detect_model_architecture,
    explainers,
)
from ascribe.compat.pnpxai.core.detector import LSTM, RNN, Attention, Convolution, Embedding, Linear, extract_graph_data, symbolic_trace
from ascribe.compat.pnpxai.core.modality import ImageModality, TabularModality, TextModality
from ascribe.compat.pnpxai.evaluator.metrics import AbPC, Complexity, LeRF, MoRF, MuFidelity, PixelFlipping, Sensitivity
from ascribe.compat.pnpxai.evaluator.optimizer import Objective, load_sampler, optimize, suggest
from ascribe.compat.pnpxai.explainers.attention import AttentionRecorder
from ascribe.compat.pnpxai.explainers.utils import FunctionSelector, PostProcessor
from ascribe.compat.pnpxai.explainers.utils import postprocess as pooled
from ascribe.compat.pnpxai.explainers.utils.postprocess import POOLING_FUNCTIONS, MinMax
from ascribe.errors import AscribeError, CompatError, InputError

Tensor = torch.Tensor
optuna.logging.set_verbosity(optuna.logging.ERROR)
PP = PostProcessor.from_name


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


class Cnn(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1, bias=bias), nn.Conv2d(6, 8, 3, padding=1, bias=bias)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(8 * 16, 5, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.b(self.pool(self.a(x).relu())).relu()).flatten(1))


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        vectors = self.embed(ids)
        weights = torch.ones_like(ids, dtype=vectors.dtype) if mask is None else mask.to(vectors.dtype)
        return self.head((vectors * weights[..., None]).sum(1).tanh())


class Both(nn.Module):
    """An image and a text."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.embed, self.head = nn.Conv2d(3, 4, 3), nn.Embedding(20, 4), nn.Linear(4, 3)

    def forward(self, image: Tensor, ids: Tensor) -> Tensor:
        return self.head((self.conv(image).relu().mean((2, 3)) + self.embed(ids).mean(1)).tanh())


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 5), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head((self.a(x) + self.b(y)).relu())


class Patches(nn.Module):
    """A small vision transformer: a class token and 16 patches."""

    def __init__(self, layers: int = 3) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8))
        layer = [nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True) for _ in range(layers)]
        self.layers, self.head = nn.ModuleList(layer), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.patch(x).flatten(2).transpose(1, 2)], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(tokens[:, 0])


@pytest.fixture
def cnn() -> Cnn:
    return seeded(Cnn)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets() -> Tensor:
    return torch.tensor([1, 3, 0, 2])


LRPS = (
    explainers.LRPUniformEpsilon,
    explainers.LRPEpsilonPlus,
    explainers.LRPEpsilonGammaBox,
    explainers.LRPEpsilonAlpha2Beta1,
)


@pytest.mark.parametrize("kind", LRPS)
def test_d1_settings_of_relevance_take_effect(kind, cnn, images, targets):
    small = kind(cnn, epsilon=1e-6)
    same, large = small.set_kwargs(epsilon=1e-6), small.set_kwargs(epsilon=1.0)
    before, after = small.attribute(images, targets), large.attribute(images, targets)
    torch.testing.assert_close(before, same.attribute(images, targets))
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, kind(cnn, epsilon=1.0).attribute(images, targets))
    if "gamma" in small.get_tunables():
        assert not torch.allclose(before, small.set_kwargs(gamma=1.0).attribute(images, targets))


def test_d2_sensitivity_compares_maps_that_are_processed_in_the_same_way(cnn, images, targets):
    data = DataLoader(TensorDataset(images, targets), batch_size=2)
    metric, gradient = Sensitivity(cnn, n_iter=2, epsilon=0.0), explainers.Gradient(cnn)
    still = Experiment(cnn, data, ImageModality(), [gradient], [PP("sumabs", "minmax", 1)], [metric])
    torch.testing.assert_close(still.run_batch(0, 0, 0)["evaluation"], torch.zeros(4))
    torch.manual_seed(0)
    moved = Experiment(cnn, data, ImageModality(), [gradient], [PP("sumabs", "minmax", 1)], [metric.set_kwargs(epsilon=0.2)])
    scores = moved.run_batch(0, 0, 0)["evaluation"]
    assert (scores > 0).all()
    assert not torch.allclose(scores, torch.full_like(scores, 3**0.5), atol=1e-2)


@pytest.mark.parametrize("bias", [True, False])
def test_d3_relative_propagation_explains_the_targets(bias, images):
    model = seeded(lambda: Cnn(bias))
    one, other = (explainers.RAP(model).attribute(images, torch.tensor(t)) for t in ([1, 3, 0, 2], [0, 0, 1, 1]))
    assert one.shape == images.shape
    assert not torch.allclose(one, other)


def test_d4_variances_are_variances(cnn, images, targets):
    found = explainers.VarGrad(cnn, n_iter=10).attribute(images, targets)
    assert (found >= 0).all()
    assert found.max() > 0


def rollout(model: Patches, x: Tensor, discard: float = 0.0) -> Tensor:
    """Abnar and Zuidema's rollout, layer by layer, with the mean over heads."""
    tokens = torch.cat([model.token.expand(len(x), -1, -1), model.patch(x).flatten(2).transpose(1, 2)], 1)
    result = torch.eye(17).expand(len(x), -1, -1)
    for layer in model.layers:
        normed = layer.norm1(tokens)
        attention = layer.self_attn(normed, normed, normed, need_weights=True, average_attn_weights=True)[1]
        whole = attention + torch.eye(17)
        result = (whole / whole.sum(-1, keepdim=True)) @ result
        tokens = layer(tokens)
    return result[:, 0, 1:].reshape(len(x), 1, 4, 4)


def test_d5_attention_is_rolled_out_from_the_last_layer_to_the_first(images, targets):
    model = seeded(Patches).eval()
    explainer = explainers.AttentionRollout(model, interpolate_mode="nearest", head_fusion_method="mean", discard_ratio=0.0)
    found = explainer.attribute(images, targets)
    assert found.shape == (4, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(found[..., ::4, ::4], rollout(model, images), rtol=1e-4, atol=1e-6)


def test_d6_attention_times_gradient_depends_on_the_class(images):
    model = seeded(Patches).eval()
    explainer = explainers.TransformerAttribution(model)
    one, other = (explainer.attribute(images, torch.tensor(t)) for t in ([0, 1, 2, 3], [1, 2, 3, 0]))
    assert not torch.allclose(one, other)
    assert (one >= 0).all()


@pytest.mark.parametrize("kind", [explainers.Gradient, explainers.SmoothGrad, explainers.LRPUniformEpsilon, explainers.IntegratedGradients])
def test_d7_all_records_of_several_inputs(kind):
    model, x, y = seeded(Two), torch.randn(5, 4), torch.randn(5, 6)
    first, second = kind(model).attribute((x, y), torch.tensor([0, 1, 2, 0, 1]))
    assert (first.shape, second.shape) == (x.shape, y.shape)


def test_d8_the_layer_of_a_class_activation_map_can_be_set(cnn, images, targets):
    explainer = explainers.GradCam(cnn)
    default = explainer.attribute(images, targets)
    assert default.shape == (4, 1, 16, 16)
    explainer.set_target_layer(cnn.a)
    assert not torch.allclose(default, explainer.attribute(images, targets))
    assert explainer.layer is cnn.a


@pytest.mark.parametrize("kind", [explainers.KernelShap, explainers.Lime])
def test_d9_one_segment_and_failing_trials(kind, cnn, targets):
    flat = torch.full((4, 3, 16, 16), 0.5)
    found = kind(cnn, n_samples=10).attribute(flat, targets)
    assert found.shape == flat.shape
    assert torch.isfinite(found).all()

    class Sometimes(explainers.SmoothGrad):
        def attribute(self, inputs, targets):
            if self.n_iter > 50:
                raise RuntimeError("too many")
            return super().attribute(inputs, targets)

    objective = Objective(Sometimes(cnn), PP("sumabs", "minmax", 1), AbPC(cnn), ImageModality(), flat + torch.rand(4, 3, 16, 16), targets)
    study = optimize(objective, sampler="random", n_trials=8, seed=0)
    states = {trial.state.name for trial in study.trials}
    assert states == {"COMPLETE", "FAIL"}
    assert study.best_trial.user_attrs["explainer"].n_iter <= 50


def test_d10_constant_maps_and_any_number_of_channels(cnn, images, targets):
    constant = torch.ones(4, 16, 16)
    assert torch.equal(MinMax()(constant), torch.zeros(4, 16, 16))
    for channels in (1, 2, 3, 5):
        assert torch.isfinite(Complexity(cnn).evaluate(images, targets, torch.rand(4, channels, 8, 8))).all()
    assert torch.isnan(Complexity(cnn).evaluate(images, targets, torch.full((4, 3, 8, 8), float("nan")))).all()
    assert torch.isnan(MuFidelity(cnn, n_perturb=10).evaluate(images, targets, torch.zeros(4, 16, 16))).all()


def test_d11_ranks_are_computed(cnn, images, targets):
    data = DataLoader(TensorDataset(images, targets), batch_size=2)
    chosen = [explainers.Gradient(cnn), explainers.GradientXInput(cnn), explainers.LRPEpsilonPlus(cnn)]
    experiment = Experiment(cnn, data, ImageModality(), chosen, [PP("sumpos", "identity", 1)], [AbPC(cnn), Complexity(cnn)])
    assert experiment.get_explainers_ranks() is None
    experiment.run_all()
    assert experiment.errors == []
    ranks = np.array(experiment.get_explainers_ranks())
    assert ranks.shape == (3, 4)
    scores = np.array(experiment.get_evaluations_flattened(), dtype=float)[:, 0]  # [explainers, metrics, records]
    better = [(scores[None, :, 0] > scores[:, None, 0]).sum(1), (scores[None, :, 1] < scores[:, None, 1]).sum(1)]
    total = better[0] + better[1]
    assert np.array_equal(ranks, (total[None] < total[:, None]).sum(1))


def test_d12_a_grid_tries_every_combination_once(cnn, images, targets):
    objective = Objective(explainers.GradCam(cnn), PP("sumabs", "minmax", 1), AbPC(cnn), ImageModality(), images, targets)
    study = optimize(objective, sampler="grid")
    tried = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(tried) == len(set(tried)) == 2 * 10 * 2
    space = {"explainer.interpolate_mode": ["bilinear"], "postprocessor.pooling_fn.method": ["sumabs", "l1norm"]}
    given = optimize(objective, sampler="grid", search_space={**space, "postprocessor.normalization_fn.method": ["minmax"]})
    assert len(given.trials) == 2


def test_d13_the_objective_is_the_mean_over_the_records(cnn, images, targets):
    metric, processor = AbPC(cnn), PP("sumabs", "minmax", 1)
    objective = Objective(explainers.Gradient(cnn), processor, metric, ImageModality(), images, targets)
    value = objective.score(explainers.Gradient(cnn), (processor,))
    direct = metric.evaluate(images, targets, processor(explainers.Gradient(cnn).attribute(images, targets)))
    assert value == pytest.approx(float(direct.double().mean()))


def test_d14_labels_are_labels(cnn, images, targets):
    experiment = Experiment(cnn, DataLoader(TensorDataset(images, targets), batch_size=2), ImageModality(), [], [], [])
    assert [int(label) for label in experiment.get_labels_flattened()] == targets.tolist()
    predicted = cnn(images).argmax(-1)
    assert [int(t) for t in experiment.get_targets_flattened([2, 0])] == predicted[[2, 0]].tolist()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", [None, "causal", "float", "padding"])
def test_attention_of_pytorch_is_computed_step_by_step_with_the_same_result(batch_first, masked):
    layer = seeded(lambda: nn.MultiheadAttention(8, 2, batch_first=batch_first)).eval()
    x = torch.randn(3, 5, 8)
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    more = {
        None: {},
        "causal": {"attn_mask": causal},
        "float": {"attn_mask": torch.randn(6, 3 if not batch_first else 5, 3 if not batch_first else 5)},
        "padding": {"key_padding_mask": torch.zeros(3, 5).bool().index_fill(1, torch.tensor([4]), True) if batch_first else None},
    }[masked]
    if not batch_first and masked == "causal":
        more = {"attn_mask": causal[:3, :3]}
    if not batch_first and masked == "float":
        more = {"attn_mask": torch.randn(10, 3, 3)}
    with torch.no_grad(), AttentionRecorder() as recorder:
        found = layer(x, x, x, **more)
    expected = layer(x, x, x, **more)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert recorder.found[0].shape[1] == 2


def test_d15_attention_that_is_written_by_hand(images, targets):
    class Attention(nn.Module):  # as in timm: one product for queries, keys and values
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.qkv(x).reshape(len(x), -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
            return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))

    class Vit(Patches):
        def __init__(self) -> None:
            super().__init__(0)
            self.attention = Attention()

        def forward(self, x: Tensor) -> Tensor:
            tokens = torch.cat([self.token.expand(len(x), -1, -1), self.patch(x).flatten(2).transpose(1, 2)], 1)
            return self.head((tokens + self.attention(tokens))[:, 0])

    model = seeded(Vit)
    for kind in (explainers.AttentionRollout, explainers.TransformerAttribution):
        assert kind(model).attribute(images, targets).shape == (4, 1, 16, 16)
    assert {k.__name__ for k in detect_model_architecture(model)} == {"Attention", "Convolution", "Linear"}


def test_d16_the_others_work_or_say_why_not(cnn, images, targets):
    assert explainers.FullGrad(cnn).attribute(images, targets).shape[-2:] == (16, 16)
    captum = pytest.importorskip("captum.attr")
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 196, 5)))
    expected = captum.GuidedBackprop(model).attribute(images.clone().requires_grad_(), target=targets)
    torch.testing.assert_close(explainers.GuidedBackprop(model).attribute(images, targets), expected, rtol=1e-4, atol=1e-6)
    shap = explainers.DeepLiftShap(cnn, torch.zeros(2, 3, 16, 16)).attribute(images, targets)
    assert shap.shape == images.shape
    gap = cnn(images).gather(1, targets[:, None])[:, 0] - cnn(torch.zeros(1, 3, 16, 16))[0, targets]
    torch.testing.assert_close(shap.sum((1, 2, 3)), gap, rtol=1e-3, atol=1e-4)
    for kind in (explainers.LEAR, explainers.Gfgp):
        with pytest.raises(CompatError, match="downloads"):
            kind(cnn)


def test_d17_records_run_in_batches_of_the_loader(cnn, images, targets):
    seen: list[int] = []
    handle = cnn.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    data = DataLoader(TensorDataset(images, targets), batch_size=2)
    found = Experiment(cnn, data, ImageModality(), [explainers.Gradient(cnn)], [PP("sumabs", "minmax", 1)], [AbPC(cnn)]).run_batch(0, 0, 0)
    handle.remove()
    assert max(seen) == 2
    assert found["explanation"].shape == images.shape
    assert len(found) == 10
    assert not found["outputs"].requires_grad


def test_d18_tables():
    x = torch.randn(6, 5)
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)))
    found = AutoExplanationForTabularClassification(model, DataLoader(TensorDataset(x, torch.zeros(6, dtype=torch.long)), batch_size=4))
    assert {type(e).__name__ for e in found.manager.explainers} >= {"Gradient", "IntegratedGradients", "KernelShap"}
    found.run_all()
    assert found.errors == []
    assert np.array(found.get_explainers_ranks()).shape == (len(found.manager.explainers), 6)


def test_d19_relevance_and_attention_on_transformers(images, targets):
    model = seeded(Patches)
    for kind in (*LRPS, explainers.AttentionRollout, explainers.TransformerAttribution):
        assert torch.isfinite(kind(model).attribute(images, targets)).all(), kind


def test_detection_by_modules_of_any_library():
    class GRU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 4)

    assert detect_model_architecture(GRU()) == {RNN}
    assert detect_model_architecture(nn.LSTM(3, 4)) == {LSTM}
    assert detect_model_architecture(nn.Identity()) == set()
    assert detect_model_architecture(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), targets=(Linear,)) == {Linear}
    names = {e.__name__ for e in XaiRecommender().recommend(TabularModality(), nn.Identity()).explainers}
    assert {"Gradient", "KernelShap"} <= names
    transformers = pytest.importorskip("transformers")
    gpt = transformers.GPT2Model(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50, n_positions=16))
    assert detect_model_architecture(gpt) == {Linear, Attention, Embedding}
    text = XaiRecommender().recommend(TextModality(), gpt)
    assert [e.__name__ for e in text.explainers] == sorted(
        e.__name__ for e in TextModality.EXPLAINERS if e.SUPPORTED_MODULES != (Convolution,)
    )


def test_the_recommendation_is_printed(cnn, capsys):
    found = XaiRecommender().recommend(ImageModality(), cnn)
    found.print_tabular()
    out = capsys.readouterr().out
    assert "GradCam" in out
    assert "Convolution" in out
    XaiRecommender().architecture_to_explainers_map.print_tabular()
    assert "LSTM" in capsys.readouterr().out


def test_the_graph_can_be_drawn(cnn):
    graph = extract_graph_data(symbolic_trace(cnn))
    assert [node["name"] for node in graph["nodes"]][:2] == ["x", "a"]
    assert {"source": "x", "target": "a"} in graph["edges"]


def literal_flips(model, x, target, value, n_steps, descending):
    """The curve of one record by loops."""
    flat = value.flatten()
    order = torch.argsort(flat, descending=descending, stable=True).tolist()
    each = max(len(order) // n_steps, 1)
    counts = [min(each * step, len(order)) for step in range(n_steps - 1)] + [len(order)]
    found = []
    for count in counts:
        flipped = x.clone().reshape(x.shape[0], -1)
        for place in order[:count]:
            flipped[:, place] = 0
        found.append(model(flipped.reshape(1, *x.shape)).softmax(-1)[0, target])
    return torch.stack(found)


def test_curves_against_loops(cnn, images, targets):
    values = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        least, most = (
            torch.stack([literal_flips(cnn, x, int(t), v, 10, order) for x, t, v in zip(images, targets, values, strict=True)])
            for order in (False, True)
        )
    torch.testing.assert_close(MoRF(cnn).evaluate(images, targets, values), most.mean(-1))
    torch.testing.assert_close(LeRF(cnn).evaluate(images, targets, values), least.mean(-1))
    torch.testing.assert_close(AbPC(cnn).evaluate(images, targets, values), (least - most).mean(-1))
    torch.testing.assert_close(AbPC(cnn, lb=0.0).evaluate(images, targets, values), (least - most).clamp(min=0).mean(-1))
    area, down, up = AbPC(cnn).evaluate(images, targets, values, return_pf=True)
    torch.testing.assert_close(down["probs"], most)
    assert up["preds"].shape == (4, 10)
    assert PixelFlipping(cnn).evaluate(images, targets, values)["probs"].shape == (4, 10)
    torch.testing.assert_close(area, (least - most).mean(-1))


def test_fewer_features_than_steps_and_tokens_that_are_ignored():
    model, ids = seeded(Text), torch.randint(1, 20, (3, 5), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    values, targets = torch.rand(3, 5), torch.tensor([0, 1, 2])
    metric = AbPC(
        model, channel_dim=-1, additional_forward_arg_extractor=lambda inputs: inputs[1], forward_arg_extractor=lambda inputs: inputs[0]
    )
    found, most, _ = metric.evaluate((ids, mask), targets, values, attention_mask=mask, return_pf=True)
    assert torch.isfinite(found).all()
    alone = ids.clone()
    alone[mask == 1] = 0
    last = model(alone, mask).softmax(-1)[torch.arange(3), targets]
    torch.testing.assert_close(most["probs"][:, -1], last)


def test_gradients_at_layers_and_arguments_by_name():
    model, ids = seeded(Text), torch.randint(0, 20, (3, 7))
    mask, targets = torch.ones(3, 7), torch.tensor([0, 1, 2])
    at = {"forward_arg_extractor": lambda x: x[0], "additional_forward_arg_extractor": lambda x: x[1]}
    found = explainers.Gradient(model, layer=model.embed, **at).attribute((ids, mask), targets)
    assert found.shape == (3, 7, 6)
    vectors = model.embed(ids).detach().requires_grad_()
    model.head((vectors * mask[..., None]).sum(1).tanh()).gather(1, targets[:, None]).sum().backward()
    torch.testing.assert_close(found, vectors.grad)
    two, x, y = seeded(Two), torch.randn(5, 4), torch.randn(5, 6)
    target = torch.tensor([0, 1, 2, 0, 1])
    by_name = explainers.Gradient(two, layer=["x", two.b]).attribute((x, y), target)
    assert [tuple(g.shape) for g in by_name] == [(5, 4), (5, 5)]
    torch.testing.assert_close(by_name[0], explainers.Gradient(two).attribute((x, y), target)[0])


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(layer):
    class Series(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = layer(3, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layer(x)[0][:, -1])

    model, x = seeded(Series), torch.randn(4, 5, 3)
    for kind in (explainers.Gradient, explainers.GradientXInput, explainers.SmoothGrad, explainers.LRPUniformEpsilon):
        assert kind(model).attribute(x, torch.tensor([0, 1, 2, 0])).shape == x.shape


def test_a_model_is_as_it_was(cnn, images, targets):
    cnn.train()
    cnn.b.eval()
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    explainers.Gradient(cnn).attribute(images, targets)
    MoRF(cnn).evaluate(images, targets, torch.rand(4, 16, 16))
    assert cnn.training
    assert cnn.a.training
    assert not cnn.b.training
    assert all(torch.equal(before[name], value) for name, value in cnn.state_dict().items())


def test_a_search_finds_settings_and_reports_the_trials(cnn, images, targets):
    data = DataLoader(TensorDataset(images, targets), batch_size=2)
    experiment = AutoExplanationForImageClassification(cnn, data)
    place = [type(e).__name__ for e in experiment.manager.explainers].index("LRPUniformEpsilon")
    metric = [type(m).__name__ for m in experiment.manager.metrics].index("AbPC")
    found = experiment.optimize([0, 1, 2, 3], place, metric, n_trials=12, seed=1)
    assert type(found.explainer).__name__ == "LRPUniformEpsilon"
    assert found.explainer.epsilon == found.study.best_params["explainer.epsilon"]
    values = {
        (t.params["postprocessor.pooling_fn.method"], t.params["postprocessor.normalization_fn.method"], t.value)
        for t in found.study.trials
    }
    assert len({value for *_, value in values}) > 1
    predicted = cnn(images).argmax(-1)
    processed = found.postprocessor(found.explainer.attribute(images, predicted))
    value = AbPC(cnn).evaluate(images, predicted, processed).double().mean()
    assert found.study.best_value == pytest.approx(float(value), abs=1e-6)


def test_every_recommended_explainer_of_images_is_evaluated(cnn, images, targets):
    data = DataLoader(TensorDataset(images, targets), batch_size=4)
    experiment = AutoExplanationForImageClassification(cnn, data)
    small = experiment.manager
    small.postprocessors[:] = [PP("l1norm", "minmax", 1)]
    small.metrics[:] = [
        m.set_kwargs(n_perturb=10) if isinstance(m, MuFidelity) else m.set_kwargs(n_iter=2) if isinstance(m, Sensitivity) else m
        for m in small.metrics
    ]
    experiment.run_all([0, 1])
    assert experiment.errors == []
    assert len(experiment.recommended.explainers) == 14
    ranks = np.array(experiment.get_explainers_ranks())
    assert ranks.shape == (14, 4)


def test_texts_series_and_two_modalities():
    model, ids, labels = seeded(Text), torch.randint(1, 20, (4, 6)), torch.tensor([0, 1, 2, 0])
    text = AutoExplanationForTextClassification(model, DataLoader(TensorDataset(ids, labels), batch_size=2), model.embed, 0)
    place = [type(p.pooling_fn).__name__ for p in text.manager.postprocessors].index("L2Norm")
    for number, explainer in enumerate(text.manager.explainers):
        if isinstance(explainer, explainers.KernelShap):
            with pytest.raises(ValueError, match="does not support"):
                text.run_batch(number, place, 0)
        else:
            assert text.run_batch(number, place, 0)["evaluation"].shape == (4,)
    series = seeded(lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)))
    x = torch.randn(4, 2, 12)
    ts = AutoExplanationForTSClassification(series, DataLoader(TensorDataset(x, labels), batch_size=4))
    ts.manager.metrics[:] = [m.set_kwargs(n_perturb=10) if isinstance(m, MuFidelity) else m for m in ts.manager.metrics]
    ts.run_all()
    assert ts.errors == []
    both, image = seeded(Both), torch.rand(4, 3, 8, 8)
    vqa = AutoExplanationForVisualQuestionAnswering(
        both, DataLoader(TensorDataset(image, ids, labels), batch_size=4), ["image", both.embed], 0, input_extractor=lambda b: (b[0], b[1])
    )
    names = [type(e).__name__ for e in vqa.manager.explainers]
    found = vqa.run_batch(names.index("IntegratedGradients"), 0, 2)
    assert [tuple(e.shape) for e in found["explanation"]] == [(4, 3, 8, 8), (4, 6, 4)]
    assert [tuple(e.shape) for e in found["postprocessed"]] == [(4, 8, 8), (4, 6)]
    assert [tuple(e.shape) for e in found["evaluation"]] == [(4,), (4,)]
    study = vqa.optimize([0, 1], names.index("Gradient"), 2, n_trials=2, sampler="random", seed=0)
    assert len(study.postprocessor) == 2


def test_results_are_kept_by_content_and_settings(cnn, images, targets, tmp_path):
    data = DataLoader(TensorDataset(images, targets), batch_size=4)
    count = {"calls": 0}

    class Counted(explainers.IntegratedGradients):
        def attribute(self, inputs, targets):
            count["calls"] += 1
            return super().attribute(inputs, targets)

    def made() -> Experiment:
        return Experiment(cnn, data, ImageModality(), [Counted(cnn)], [PP("sumabs", "minmax", 1)], [MoRF(cnn)], cache_dir=tmp_path)

    experiment = made()
    first = experiment.run_batch(0, 0, 0)["explanation"]
    assert count["calls"] == 1
    experiment.run_batch(0, 0, 0)
    assert count["calls"] == 1
    experiment.manager.explainers[0] = Counted(cnn, n_steps=5)
    assert not torch.equal(first, experiment.run_batch(0, 0, 0)["explanation"])
    assert count["calls"] == 2
    again = made()
    assert torch.equal(again.run_batch(0, 0, 0)["explanation"], first)
    assert count["calls"] == 2
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors"}
    with torch.no_grad():
        cnn.head.weight.mul_(2)
    assert not torch.equal(made().run_batch(0, 0, 0)["explanation"], first)
    assert count["calls"] == 3


def test_every_setting_that_is_tuned_changes_the_attribution(cnn, images, targets):
    """The settings of the explainers, one by one, at both ends of their ranges."""
    for explainer in (kind(cnn) for kind in (*LRPS, explainers.IntegratedGradients)):
        for name, (kind, space) in explainer.get_tunables().items():
            if kind is float or kind is int:
                low, high = (explainer.set_kwargs(**{name: space[end]}).attribute(images, targets) for end in ("low", "high"))
                assert not torch.allclose(low, high), (explainer, name)


def test_functions_of_the_user_can_be_chosen_from(cnn, images, targets):
    selector = FunctionSelector({})
    selector.add("half", lambda **_: lambda inputs: inputs * 0.5)
    modality = ImageModality(baseline_fn_selector=selector)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = suggest(study.ask(), explainers.IntegratedGradients(cnn), modality, key="e")
    expected = asc.IntegratedGradients(images * 0.5, steps=found.n_steps)(cnn, images, of=asc.Labels(tuple(targets.tolist())))
    torch.testing.assert_close(found.attribute(images, targets), expected.values)
    assert set(POOLING_FUNCTIONS) >= {"sumpos", "posl2normsq", "identity"}


def test_faults_of_the_caller_are_named(cnn, images, targets):
    with pytest.raises(AscribeError, match="another model"):
        MoRF(cnn).set_explainer(explainers.Gradient(seeded(Cnn)))
    with pytest.raises(InputError, match="needs an explainer"):
        Sensitivity(cnn).evaluate(images, targets)
    with pytest.raises(InputError, match="do not fit"):
        MoRF(cnn).evaluate(images, targets, torch.rand(4, 7, 7))
    with pytest.raises(InputError, match="no such records"):
        Experiment(cnn, DataLoader(TensorDataset(images, targets)), ImageModality(), [], [], []).predict_batch([9])
    with pytest.raises(AscribeError, match="layer"):
        explainers.Gradient(cnn, layer=nn.Linear(2, 2)).attribute(images, targets)

    class Broken(explainers.SmoothGrad):
        def attribute(self, inputs, targets):
            raise RuntimeError("out of order")

    objective = Objective(Broken(cnn), PP("sumabs", "minmax", 1), AbPC(cnn), ImageModality(), images, targets)
    with pytest.raises(CompatError, match="out of order"):
        optimize(objective, n_trials=2)


def test_code_for_pnpxai_runs_unchanged(cnn, images, targets):
    with standing_in("pnpxai"):
        from pnpxai import AutoExplanationForImageClassification, XaiRecommender
        from pnpxai.core.modality.modality import ImageModality
        from pnpxai.evaluator.metrics import AbPC, MuFidelity
        from pnpxai.evaluator.optimizer import Objective, optimize
        from pnpxai.explainers import LRPEpsilonPlus
        from pnpxai.explainers.utils.postprocess import PostProcessor

        loader = DataLoader(TensorDataset(images, targets), batch_size=4)
        expr = AutoExplanationForImageClassification(
            model=cnn, data=loader, input_extractor=lambda batch: batch[0], label_extractor=lambda batch: batch[-1],
            target_extractor=lambda outputs: outputs.argmax(-1).to("cpu"), channel_dim=1,
        )  # fmt: skip
        results = expr.run_batch(data_ids=[0, 1], explainer_id=2, postprocessor_id=0, metric_id=1)
        assert results["evaluation"].shape == (2,)
        opt = expr.optimize(data_ids=[0], explainer_id=2, metric_id=1, direction="maximize", sampler="tpe", n_trials=3, seed=42)
        assert opt.explainer is not None
        assert XaiRecommender().recommend(ImageModality(), cnn).explainers
        explainer = LRPEpsilonPlus(model=cnn, epsilon=1e-6, n_classes=5)
        attrs = explainer.attribute(images, targets)
        pp = PostProcessor.from_name(pooling_method="sumpos", normalization_method="minmax", channel_dim=1)
        assert MuFidelity(model=cnn, explainer=explainer, n_perturb=10).evaluate(images, targets, pp(attrs)).shape == (4,)
        objective = Objective(
            explainer=explainer, postprocessor=pp, metric=AbPC(model=cnn), modality=ImageModality(), inputs=images, targets=targets
        )
        assert optimize(objective, direction="maximize", sampler="tpe", n_trials=2).best_trial.user_attrs["explainer"] is not None


def test_parameters_by_position_are_those_of_pnpxai(cnn, images, targets):
    first, second = (lambda x: x[0]), (lambda x: x[1])
    for explainer in (
        explainers.GradientXInput(cnn, cnn.a, first, second),
        explainers.LRPUniformEpsilon(cnn, 0.1, 1e-6, None, first, second, cnn.a, 5),
        explainers.LRPEpsilonGammaBox(cnn, -3.0, 3.0, 0.1, 0.25, 1e-6, None, first, second, cnn.a, 5),
        explainers.GuidedBackprop(cnn, 1e-6, first, second, cnn.a, 5),
    ):
        found = explainer.forward_arg_extractor, explainer.additional_forward_arg_extractor, explainer.layer
        assert found == (first, second, cnn.a), explainer
    assert AbPC(cnn, None, 1, 5, None, None, None, first, second, 0.0).lb == 0.0
    selector = FunctionSelector({})
    assert ImageModality(1, selector).baseline_fn_selector is selector
    assert torch.equal(pooled.l2norm(images, 1), POOLING_FUNCTIONS["l2norm"](1)(images))
    assert torch.equal(pooled.minmax(images), MinMax()(images))


def test_wrong_calls_are_errors_of_ours() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)).eval()
    x, y = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    explainer = explainers.IntegratedGradients(model)
    for targets in (None, torch.tensor([0.5, 1.0]), torch.tensor([])):
        with pytest.raises(CompatError, match="classes of the records"):
            explainer.attribute(x, targets)
    with pytest.raises(CompatError, match="must be tensors"):
        explainer.attribute("x", y)
    for kind in (explainers.AttentionRollout, explainers.TransformerAttribution, explainers.GenericAttention):
        with pytest.raises(AscribeError):
            kind(model).attribute(x, y)
    pytest.importorskip("optuna")
    with pytest.raises(CompatError, match="no argument 'num_trials'"):
        load_sampler("random", num_trials=3)
