"""Names of positions go with a result: selection, pooling, files, tables, figures, text; base values; means over records."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import ResultError
from ascribe.result.axes import AxisNames
from tests.support.small_models import chain, rows

NET, X = chain(4, 6, 3), rows(5, 4)
COLUMNS = ["age", "bmi", "<b>bp</b>", "s5"]


def explained(**call: Any) -> asc.Attribution:
    return asc.IntegratedGradients(steps=64)(NET, X, of=1, **call)


def shown(a: asc.Attribution) -> str:
    text = io.StringIO()
    a.show(text)
    return text.getvalue()


def test_the_base_value_is_the_quantity_at_the_baseline() -> None:
    with torch.no_grad():
        expected = NET(torch.zeros(1, 4, dtype=X.dtype))[0, 1]
    a = explained()
    np.testing.assert_allclose(a.base_value, np.full(5, float(expected)), rtol=0, atol=1e-12)
    several = asc.IntegratedGradients(steps=64)(NET, X, of=[asc.Unit(0), asc.Unit(1)])
    assert several.base_value is not None
    assert several.base_value.shape == (2, 5)
    np.testing.assert_allclose(several.quantity_at(1).base_value, a.base_value, rtol=0, atol=1e-12)
    assert asc.Saliency()(NET, X, of=1).base_value is None
    assert a.abs().base_value is None
    assert (a + a).base_value is None
    np.testing.assert_array_equal(a[1:3].base_value, a.base_value[1:3])  # type: ignore[index]


def test_the_base_value_of_removal_is_the_mean_over_the_background() -> None:
    background = rows(7, 4, seed=3)
    a = asc.ShapleyExact(by=asc.Resample(background))(NET, X, of=1)
    with torch.no_grad():
        expected = float(NET(background)[:, 1].mean())
    np.testing.assert_allclose(a.base_value, np.full(5, expected), rtol=0, atol=1e-10)


def test_results_are_indexed_by_records() -> None:
    a = explained()
    assert len(a[3]) == 1
    assert len(a[:2]) == 2
    assert len(a[[0, 4]]) == 2
    assert len(a[-1]) == 1
    torch.testing.assert_close(torch.cat([one.values for one in a]), a.values)
    with pytest.raises(ResultError, match="indexed by its records"):
        a["age"]  # type: ignore[index]
    with pytest.raises(ResultError, match="out of range"):
        a[5]


def test_names_are_shown_everywhere_without_passing_them_again(tmp_path: Path) -> None:
    a = explained().with_names(features=COLUMNS, classes=["no", "yes", "maybe"])
    assert "s5" in shown(a)
    assert "class yes" in shown(a)
    assert "bmi" in a._repr_html_()
    assert "<b>bp" not in a._repr_html_()
    assert list(a.to_pandas()["feature"][:4]) == COLUMNS
    assert list(a.to_pandas(wide=True).columns[:4]) == COLUMNS
    labels = [t.get_text() for t in a.plot().axes[0].get_yticklabels()]
    assert {label.split(" = ")[0] for label in labels} == set(COLUMNS)
    assert f"age = {float(X[0, 0]):.3g}" in labels
    a.save(tmp_path / "a.safetensors")
    again = asc.Attribution.load(tmp_path / "a.safetensors")
    assert again.axes == a.axes
    assert again.class_names == a.class_names
    np.testing.assert_array_equal(again.base_value, a.base_value)
    assert a[:2].abs().normalize().axes == a.axes
    assert list(a.to_pandas(features=["1", "2", "3", "4"])["feature"][:2]) == ["1", "2"]


def encoding() -> Any:
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    vocabulary = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "film", "##s", "bad"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    return fast, fast(["good films", "bad"], return_tensors="pt", padding=True)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(8, 5), nn.Linear(5, 2)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.embedding(input_ids)).mean(1))


def test_tokens_come_from_what_the_tokenizer_returned() -> None:
    fast, enc = encoding()
    a = asc.IntegratedGradients()(Bag().eval(), enc["input_ids"], of=1, at=asc.EMBEDDINGS)
    named = a.with_names(tokens=enc).sum("embedding")
    (axis,) = named.axes
    assert axis.names == (("[CLS]", "good", "film", "##s", "[SEP]"), ("[CLS]", "bad", "[SEP]", "[PAD]", "[PAD]"))
    assert axis.words == ((-1, 0, 1, 1, -1), (-1, 0, -1, -1, -1))
    table = named.to_pandas()
    assert list(table["token"][:5]) == list(axis.names[0])
    assert list(table["position"][5:]) == list(range(5))
    assert named[1].axes[0].names == (axis.names[1],)
    assert "films" in shown(named)
    assert "##s" not in shown(named)
    by_ids = a.with_names(tokens=fast, ids=enc["input_ids"])
    assert by_ids.axes[0].names == axis.names
    assert by_ids.axes[0].words == axis.words
    with pytest.raises(ResultError, match="mix their tokens"):
        named.mean()
    with pytest.raises(ResultError, match="token ids"):
        a.with_names(tokens=fast)


def test_byte_level_tokens_have_the_words_that_their_spaces_show() -> None:
    a = asc.Attribution(values=np.zeros((1, 5)), record=np.array([[0, 5, 6, 7, 8]]))

    class Fake:
        all_special_ids = (0,)

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [{0: "<s>", 5: "A", 6: "Ġfil", 7: "ms", 8: "Ġend"}[i] for i in ids]

    assert a.with_names(tokens=Fake()).axes[0].words == ((-1, 0, 1, 1, 2),)


def test_channels_and_times_find_the_axis_of_their_length() -> None:
    a = asc.Attribution(values=np.zeros((2, 3, 7)), record=np.zeros((2, 3, 7)))
    named = a.with_names(channels=["x", "y", "z"], times=np.arange(7) * 0.5, unit="s")
    assert [(one.kind, one.axis, one.unit) for one in named.axes] == [("channel", 1, ""), ("time", 2, "s")]
    assert named.axes[1].names[0][:3] == ("0", "0.5", "1")
    assert [(one.kind, one.axis) for one in named.sum(1).axes] == [("time", 1)]
    assert list(named.to_pandas()["channel"][:8]) == ["x"] * 7 + ["y"]
    with pytest.raises(ResultError, match="no axis has"):
        a.with_names(channels=["x"])


@pytest.mark.parametrize(
    ("given", "match"),
    [({"features": ["a"]}, "do not fit"), ({"features": "age"}, "list of texts"), ({"tokens": "a b"}, "tokens or a tokenizer")],
)
def test_names_that_do_not_fit_are_refused(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ResultError, match=match):
        explained().with_names(**given)


def test_parts_keep_their_names() -> None:
    a = asc.Attribution(values=(np.zeros((2, 3)), np.zeros((2, 2))), record=None)
    named = a.with_names(1, features=["u", "v"])
    assert named.part(1).axes == (AxisNames("feature", 1, (("u", "v"),)),)
    assert named.part(0).axes == ()


def test_the_mean_over_records_has_its_standard_error() -> None:
    a = explained().with_names(features=COLUMNS)
    m = a.abs().mean()
    values = a.values.abs().numpy()
    np.testing.assert_allclose(m.values.numpy()[0], values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(m.error.numpy()[0], values.std(0, ddof=1) / np.sqrt(5), rtol=1e-12)
    assert len(m) == 1
    assert m.axes == a.axes
    assert "s5" in shown(m)
    assert a[:1].mean().error is None
    with pytest.raises(ResultError, match="values for each record"):
        a[:0].mean()
    shapley = asc.ShapleySampling(40, by=0.0)(NET, X, of=1)
    assert shapley.features is not None
    averaged = shapley.mean().features
    assert averaged is not None
    np.testing.assert_allclose(averaged.values[0], shapley.features.values.mean(0))


def test_shap_explanations_have_the_same_numbers() -> None:
    pytest.importorskip("shap")
    a = explained().with_names(features=COLUMNS)
    e = a.to_shap()
    np.testing.assert_array_equal(e.values, a.values.numpy())
    np.testing.assert_array_equal(e.base_values, a.base_value)
    np.testing.assert_array_equal(e.data, X.numpy())
    assert e.feature_names == COLUMNS
    np.testing.assert_allclose(e.values.sum(1) + e.base_values, a.explained, atol=1e-6)
    several = asc.IntegratedGradients(steps=64)(NET, X, of=[asc.Unit(0), asc.Unit(1)]).to_shap()
    assert several.values.shape == (5, 4, 2)
    assert several.base_values.shape == (5, 2)


def test_xarray_has_named_axes() -> None:
    pytest.importorskip("xarray")
    a = explained().with_names(features=COLUMNS)
    found = a.to_xarray()
    assert found["values"].dims == ("record", "feature")
    assert float(found["values"].sel(feature="bmi")[2]) == float(a.values[2, 1])


def test_a_file_with_names_that_do_not_fit_is_damaged(tmp_path: Path) -> None:
    a = replace(explained(), axes=(AxisNames("feature", 1, (("a",),)),))
    with pytest.raises(ResultError, match="do not fit"):
        a.save(tmp_path / "a.safetensors")


def test_one_of_several_quantities_is_called_by_its_own_expression() -> None:
    several = asc.IntegratedGradients(steps=8)(NET, X, of=[asc.Unit(0), asc.Contrast(1, 2)])
    assert [several.quantity_at(k).quantity for k in (0, 1, -1)] == ["Unit(0)", "Contrast(1, 2)", "Contrast(1, 2)"]
    by_hand = asc.Attribution(values=np.zeros((2, 3, 4)), explained=np.ones((2, 3)), quantity="pair")
    assert by_hand.quantity_at(1).quantity == "pair[1]"
