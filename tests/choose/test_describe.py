"""What models are made of, found from the operations that run: every spelling of attention, recurrences, experts, graphs, black boxes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.choose import Description, list_candidates
from ascribe.errors import InputError

IDS = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(0))


def parts(model: Any, *args: Any, **kwargs: Any) -> set[str]:
    return {part.name for part in asc.describe(model, *args, **kwargs).parts}


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cell, self.head = kind(4, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


class ByHand(nn.Module):
    """An LSTM in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h, self.head = nn.Linear(4, 32), nn.Linear(8, 32), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = torch.zeros(len(x), 8)
        for t in range(x.shape[1]):
            i, f, g, o = (self.x(x[:, t]) + self.h(h)).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.head(h)


class Attention(nn.Module):
    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling, self.q, self.k, self.v, self.head = spelling, *(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.spelling == "sdpa":
            y = nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        elif self.spelling == "einsum":
            y = torch.einsum("nij,njd->nid", torch.einsum("nid,njd->nij", q, k).softmax(-1), v)
        else:
            scores = (q @ k.transpose(1, 2)).exp()
            y = (scores / scores.sum(-1, keepdim=True)) @ v if self.spelling == "written out" else (q @ k.transpose(1, 2)).softmax(-1) @ v
        return self.head(y.mean(1))


@pytest.mark.parametrize("spelling", ["eager", "sdpa", "einsum"])
def test_attention_in_every_spelling(spelling: str) -> None:
    assert "attention" in parts(Attention(spelling), torch.rand(2, 5, 8))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrences(kind: Any) -> None:
    found = parts(Recurrent(kind), torch.rand(2, 5, 4))
    assert "recurrence" in found
    assert not found & {"attention", "message passing", "convolution"}


def test_a_recurrence_written_by_hand_and_a_layer_that_is_only_shared() -> None:
    assert "recurrence" in parts(ByHand(), torch.rand(2, 5, 4))
    shared = nn.Linear(6, 6)
    assert "recurrence" not in parts(nn.Sequential(shared, nn.ReLU(), shared, nn.ReLU(), shared), torch.rand(2, 6))


def test_transformers_models() -> None:
    """The detector of PnPXAI finds Linear and Convolution in the first, and an embedding in the second."""
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vit = transformers.ViTForImageClassification(transformers.ViTConfig(**small, image_size=16, patch_size=8)).eval()
    assert {"convolution", "attention", "norm"} <= parts(vit, torch.rand(2, 3, 16, 16))
    gpt = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)).eval()
    found = asc.describe(gpt, input_ids=IDS)
    assert {"attention", "embedding"} <= {part.name for part in found.parts}
    assert (found.output, found.modality, found.differentiable) == ("a row of scores for each step", "tokens", True)
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(**small, vocab_size=50)).eval()
    assert {"attention", "gating", "embedding"} <= parts(llama, input_ids=IDS)
    mixtral = transformers.MixtralConfig(**small, num_key_value_heads=2, num_local_experts=2, vocab_size=50)
    assert {"attention", "experts"} <= parts(transformers.MixtralForCausalLM(mixtral).eval(), input_ids=IDS)
    mamba = transformers.MambaConfig(hidden_size=16, num_hidden_layers=1, vocab_size=50, state_size=4)
    found_in_mamba = parts(transformers.MambaForCausalLM(mamba).eval(), input_ids=IDS)
    assert "state-space scan" in found_in_mamba
    assert "attention" not in found_in_mamba


def test_a_graph_network() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            h = self.first(x).relu()
            return self.head(torch.zeros_like(h).index_add_(0, edges[1], h[edges[0]]))

    found = asc.describe(Graph(), torch.rand(6, 4), torch.randint(0, 6, (2, 9)))
    assert "message passing" in {part.name for part in found.parts}
    assert [one.kind for one in found.inputs] == ["graph", "graph"]


def test_a_convolutional_network_says_where_its_parts_are() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 49, 5)).eval()
    found = asc.describe(model, torch.rand(2, 3, 16, 16))
    assert {part.name: part.places for part in found.parts} == {
        "convolution": ("0",),
        "norm": ("1",),
        "pooling": ("3",),
        "dense": ("5",),
        "activation": ("2",),
    }
    assert found.activations == ("relu",)
    assert (found.inputs[0].kind, found.output, found.framework) == ("image", "classes", "torch")
    assert "convolution" in repr(found)
    assert "<table>" in found._repr_html_()


def test_black_boxes_and_functions() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(rng.random((60, 4)), rng.integers(0, 2, 60))
    box = asc.describe(model.predict_proba, rng.random((5, 4)))
    assert not box.trees, "a function of arrays"
    trees = asc.describe(model, rng.random((5, 4)))
    assert trees.trees
    assert "TreeShap" in [one.name for one in list_candidates(trees) if one.method is not None] or not find_spec("shap")
    assert (box.framework, box.parts, box.differentiable, box.output, box.modality) == ("blackbox", (), False, "classes", "table")
    function = asc.describe(lambda x: x.square().sum(1), torch.rand(3, 4))
    assert (function.output, function.parameters, function.differentiable) == ("one number", 0, True)
    assert not parts(lambda x: x, torch.rand(3, 4))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((2, 3, 32, 32), "image"), ((2, 32, 32, 3), "image"), ((2, 28, 28), "image"), ((2, 100, 6), "series"), ((2, 1, 16000), "audio"),
     ((2, 7), "table"), ((2, 1, 8, 16, 16), "volume")],
)  # fmt: skip
def test_inputs_by_their_shape(shape: tuple[int, ...], kind: str) -> None:
    assert asc.describe(lambda x: x.flatten(1).sum(1), torch.rand(shape)).inputs[0].kind == kind


def test_several_inputs_and_masks() -> None:
    found = asc.describe(lambda image, row: image.flatten(1).sum(1) + row.sum(1), torch.rand(2, 3, 8, 8), torch.rand(2, 5))
    assert [one.kind for one in found.inputs] == ["image", "table"]
    assert found.modality == "several"


def test_other_frameworks() -> None:
    jax = pytest.importorskip("jax")
    found = asc.describe(lambda x: jax.nn.relu(x @ jax.numpy.ones((4, 3))), jax.numpy.ones((2, 4)))
    assert found.framework == "jax"
    assert {"dense", "activation"} <= {part.name for part in found.parts}


def described(**changes: Any) -> Description:
    return asc.describe(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3)), torch.rand(3, 4))


def test_candidates_have_a_value_or_a_reason() -> None:
    found = {one.name: one for one in list_candidates(described(), features=4)}
    assert set(found) == set(asc.methods.METHODS)
    assert all((one.method is None) == bool(one.reason) for one in found.values())
    assert found["GradCam"].reason == "it needs images, and the input is: table"
    assert found["GuidedBackprop"].reason == "the model has no ReLU"
    assert found["DeepLiftShap"].reason.startswith("it needs background=")
    assert found["LayerActivation"].reason == "it explains a layer, and not the input"
    assert found["ShapleyExact"].method is not None
    assert found["TreeShap"].reason == "the model is no ensemble of trees that can be read"
    box = {one.name: one for one in list_candidates(asc.describe(lambda x: x @ np.ones(4), np.ones((3, 4))))}
    assert box["Saliency"].reason == "the model is a black box"
    assert box["KernelShap"].method is not None


class Classified(nn.Module):
    """A model that returns the predicted class."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).argmax(1)


def test_a_model_that_returns_labels():
    model, x = Classified(), torch.randn(6, 4)
    found = asc.describe(model, x)
    assert not found.differentiable
    assert "no floating-point numbers" in found.notes[0]
    with pytest.raises(InputError, match="class index"):
        asc.recommend(model, x, budget=500)


def test_a_model_without_operations_has_a_gradient():
    for model in (nn.Identity(), lambda x: x):
        assert asc.describe(model, torch.randn(6, 4)).differentiable
