"""Recommendations: a method that applies, measured, with an honest verdict; on models of every kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.choose.comparing import Work
from ascribe.errors import InputError


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3))


X = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))


def test_a_recommended_method_is_ready_to_call_and_has_reasons() -> None:
    model = network()
    r = asc.recommend(model, X, budget=400_000)
    a = r.method(model, X[:2])
    assert a.values.shape == (2, 6)
    assert r.beats_random
    assert r.over_random[1] > 0
    assert r.held_out == 10
    assert r.skipped["GradCam"].startswith("it needs images")
    assert {"Saliency", "RandomValues"} <= set(r.comparison.names)
    assert r.name in r.verdict
    assert r.name in repr(r)
    assert "<table>" in r._repr_html_()
    assert len(r.to_pandas()) == len(r.comparison.methods)
    again = asc.recommend(model, X, budget=400_000)
    assert (again.name, again.lead) == (r.name, r.lead)


def test_a_model_that_ignores_its_input_has_no_winner() -> None:
    r = asc.recommend(lambda x: x[:, :3] * 0 + torch.arange(3.0), X, budget=100_000, of=1)
    assert not r.conclusive
    assert not r.beats_random
    assert "no method is clearly better than random" in r.verdict


def test_a_small_budget_measures_the_cheap_methods_and_says_so() -> None:
    r = asc.recommend(network(), X, budget=600)
    assert any("budget" in why for why in r.skipped.values())
    assert r.name
    with pytest.raises(InputError, match="positive number of seconds"):
        asc.recommend(network(), X, budget=0)


def test_few_records_are_not_held_out() -> None:
    r = asc.recommend(network(), X[:4], budget=50_000)
    assert r.held_out == 0
    assert "too few to hold any out" in repr(r)


def test_models_of_every_kind() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0][:, -1])

    rng = np.random.default_rng(0)
    boxes: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "recurrence": (Recurrent(), (torch.rand(9, 5, 4),)),
        "function": (lambda x: x.sum(1), (torch.rand(9, 3),)),
        "black box": (lambda x: x @ np.arange(4.0), (rng.random((9, 4)),)),
        "two inputs": (lambda a, b: a.flatten(1).sum(1, keepdim=True) * b, (torch.rand(9, 1, 8, 8), torch.rand(9, 3))),
    }
    for name, (model, args) in boxes.items():
        r = asc.recommend(model, *args, budget=20_000)
        assert r.method is not None, name
        assert np.isfinite(r.over_random[0]), name


def test_a_language_model_explains_its_likeliest_next_token() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)).eval()
    r = asc.recommend(model, input_ids=torch.randint(0, 50, (9, 6)), budget=20_000)
    assert r.skipped["GradCam"]
    assert any("become id 0" in note for note in r.notes)
    assert np.isfinite(r.comparison.score_of(r.name).mean)


def test_labels_and_a_metric_of_ones_own() -> None:
    y = torch.arange(30) % 3
    r = asc.recommend(network(), X, labels=y, budget=30_000, metric=asc.metrics.FaithfulnessCorrelation(by=0.0))
    assert list(r.comparison.metrics) == ["FaithfulnessCorrelation"]


@pytest.mark.parametrize("budget", [200_000, 400_000])
def test_a_budget_of_evaluations_is_kept(budget: int) -> None:
    """A tenth more at most: a method that has begun is finished, and methods that were not in an earlier round cost what the others do."""
    x = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
    r = asc.recommend(network(), x, budget=budget)
    assert r.evaluations <= 1.1 * budget
    assert 8 <= r.held_out <= 40
    assert len(r.comparison.methods) >= 4


def test_the_records_held_out_have_no_part_in_the_choice() -> None:
    """The winner is the first of the last round, also where another one is ahead on the records held out."""
    r = asc.recommend(network(), X, budget=200_000)
    last = r.rounds[-1]
    assert r.name == last.best()
    others = [name for name in r.comparison.names if name not in (r.name, "RandomValues")]
    assert r.comparison.score_of(r.runner_up).mean == max(r.comparison.score_of(name).mean for name in others)
    behind = dataclasses.replace(r, lead=(-2.0, -3.0, -1.0))
    assert f"but {r.runner_up} is ahead on the records held out: -2 (-3 to -1)" in behind.verdict
    assert not behind.conclusive


def test_an_interrupt_keeps_the_last_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    first = asc.recommend(network(), X, budget=200_000).rounds[0]
    calls, explain = iter(range(10_000)), Work.explain

    def interrupted(self: Work, *args: Any) -> Any:
        if next(calls) == len(first.methods):
            raise KeyboardInterrupt
        return explain(self, *args)

    monkeypatch.setattr(Work, "explain", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        asc.recommend(network(), X, budget=200_000)
    assert caught.value.partial.names == first.names  # type: ignore[attr-defined]


def tiny(kind: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Returns a tiny model of a library, and its inputs."""
    rng = np.random.default_rng(0)
    if kind in ("Llama", "ViT"):
        transformers = pytest.importorskip("transformers")
        sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        if kind == "Llama":
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, num_key_value_heads=2, vocab_size=40)).eval()
            return model, (), {"input_ids": torch.randint(1, 40, (9, 6)), "of": asc.Unit(5, 3)}
        config = transformers.ViTConfig(**sizes, image_size=16, patch_size=8, num_labels=3)
        return transformers.ViTForImageClassification(config).eval(), (), {"pixel_values": torch.rand(9, 3, 16, 16)}
    if kind == "LightGBM":
        lightgbm = pytest.importorskip("lightgbm")
        x = rng.random((80, 5))
        return (
            lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, verbose=-1).fit(x, x[:, 0] > x[:, 1]).predict_proba,
            (x[:30],),
            {},
        )
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    h, floats = onnx.helper, onnx.TensorProto.FLOAT
    w = h.make_tensor("w", floats, (5, 2), rng.standard_normal(10).tolist())
    ends = [h.make_tensor_value_info(name, floats, [None, size]) for name, size in (("x", 5), ("y", 2))]
    graph = h.make_graph([h.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [w])
    made = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return (lambda x: session.run(None, {"x": x})[0]), (rng.random((30, 5), dtype=np.float32),), {}


@pytest.mark.parametrize("kind", ["Llama", "ViT", "LightGBM", "ONNX"])
def test_models_of_libraries(kind: str) -> None:
    model, args, kwargs = tiny(kind)
    r = asc.recommend(model, *args, **kwargs, budget=12_000)
    assert np.isfinite(r.comparison.score_of(r.name).mean)
    count = len(next(iter([*args, *kwargs.values()])))
    assert len(r.method(model, *args, **kwargs)) == count
    if kind in ("LightGBM", "ONNX"):
        assert r.beats_random
        assert "IntegratedGradients" in r.skipped


def test_a_list_of_labels_is_an_array_of_labels() -> None:
    labels = [0, 1] * 15
    found = [asc.recommend(network(), X, labels=given, budget=3000).verdict for given in (labels, np.array(labels))]
    assert found[0] == found[1]
