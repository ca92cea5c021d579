"""What comes where arrays are needed: every error names what it is, and the code in it works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.calls.call import Call
from ascribe.calls.not_arrays import describe_value, error_without_arrays
from ascribe.errors import DistributionError, InputError

pandas = pytest.importorskip("pandas")
sparse = pytest.importorskip("scipy.sparse")
torch = pytest.importorskip("torch")

TABLE = pandas.DataFrame({"age": [31.0, 52.0], "town": ["Bern", "Genf"]})
NUMBERS = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
TEXTS = ["a good film", "no good at all"]
ROWS = sparse.csr_matrix(np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]))


def model(rows: Any) -> np.ndarray:
    return np.asarray(rows, dtype=float).reshape(len(rows), -1).sum(1)


def explain(*args: Any, **kwargs: Any) -> asc.Attribution:
    return asc.attribute(model, *args, over=asc.coalitions.LeaveOneOut(), by=0.0, **kwargs)


CAME = {
    "a row": (TABLE.iloc[0], "a row of a table", "iloc[[0]]", "row.to_numpy"),
    "a column": (NUMBERS["a"], "a column of 2 values", "to_numpy()[None]", "[:, None]"),
    "a text": ("a good film", "the text 'a good film'", "split()", "tokenizer("),
    "texts": (TEXTS, "a list of 2 texts", "split()", "tokenizer("),
    "a column of texts": (pandas.Series(TEXTS), "a column of 2 texts", "split()", "tokenizer("),
    "sparse rows": (ROWS, "a sparse matrix of shape (2, 3)", "x.toarray()", "x.toarray()"),
    "a number": (3.5, "a number", "np.array([[x]])", "torch.tensor([[x]])"),
    "a list": ([1.0, 2.0], "a list of 2 numbers", "np.array([x])", "torch.tensor([x]"),
    "a list of lists": ([[1.0, 2.0]], "a list of 1 lists", "np.stack(x)", "torch.tensor(x"),
    "lists of ids": ([[1, 2], [3, 4]], "a list of 2 lists", "np.stack(x)", "torch.tensor(x)"),
    "a record": ({"age": 31.0, "town": "Bern"}, "a record as a dictionary", "pandas.DataFrame([x])", "x.values()"),
    "records": ([{"age": 31.0}, {"age": 3.0}], "a list of 2 dictionaries", "pandas.DataFrame(x)", "pandas.DataFrame(x)"),
    "a scalar": (np.float64(2.0), "a single number", "np.array([[x]])", "torch.tensor([[x]])"),
    "batches": (iter([np.ones(3)]), "batches of a list_iterator", "for x, y in loader", "for x, y in loader"),
    "nothing": (None, "input 0: NoneType", "NumPy arrays or pandas tables", "the model's own arguments"),
}


@pytest.mark.parametrize("name", CAME)
def test_what_came_is_named_with_the_way_out(name: str) -> None:
    value, what, array, tensor = CAME[name]
    with pytest.raises(InputError) as caught:
        explain(value)
    assert what in str(caught.value)
    assert array in caught.value.advice
    assert tensor in error_without_arrays(Call(value), tensors=True).advice
    with pytest.raises(InputError) as caught:
        explain(x=value)
    assert what in str(caught.value) or "x: NoneType" in str(caught.value)


def test_loaders_data_sets_and_pictures_are_known() -> None:
    data = torch.utils.data.TensorDataset(torch.rand(4, 3), torch.zeros(4))
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    for value, what in ((loader, "batches of a DataLoader"), (data, "a data set"), (NUMBERS, "a table (DataFrame)")):
        assert what in error_without_arrays(Call(value), tensors=True).found
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 5))
    assert "a Pillow image" in error_without_arrays(Call(image), tensors=True).found
    found = describe_value([image, image])
    assert found is not None
    assert "the first of them a Pillow image" in found[0]


def test_the_code_for_a_row_of_a_table_works() -> None:
    a = explain(NUMBERS.iloc[[0]])
    np.testing.assert_allclose(a.values, [[1.0, 3.0]])


def test_the_code_for_texts_works() -> None:
    weights = {"good": 2.0, "no": -3.0}

    class Pipeline:
        def predict_proba(self, texts: Any) -> np.ndarray:
            return np.array([[sum(weights.get(word, 0.0) for word in text.split())] for text in texts])

    pipeline = Pipeline()
    whole = asc.attribute(pipeline, np.array(TEXTS, dtype=object), over=asc.coalitions.Exact(), by=asc.Replace(""))
    told = next(check for check in whole.checks if check.name == "features")
    assert told.status == "warn"
    assert "a whole text is one feature" in told.detail
    x = np.array([TEXTS[1].split()], dtype=object)

    def f(rows: np.ndarray) -> np.ndarray:
        return pipeline.predict_proba([" ".join(filter(None, row)) for row in rows])

    a = asc.ShapleyExact(by=asc.Replace(""))(f, x)
    np.testing.assert_allclose(a.values, [[-3.0, 2.0, 0.0, 0.0]], atol=1e-6)


def test_the_code_for_sparse_rows_works() -> None:
    for row in ROWS:
        x = row.toarray() if row.ndim == 2 else row.toarray()[None]
        a = asc.attribute(model, x, over=asc.coalitions.Exact(), by=0.0, features=np.where(x != 0, np.arange(x.shape[1]), -1))
        assert a.features.values.shape[1] == (x != 0).sum()
        np.testing.assert_allclose(a.values, x)


def test_a_structured_array_says_how_it_becomes_a_table() -> None:
    with pytest.raises(InputError, match=r"columns age, dose.*pandas.DataFrame"):
        explain(np.array([(1.0, 2)], dtype=[("age", float), ("dose", int)]))


def test_categories_that_are_one_word_each_are_records_still() -> None:
    a = asc.attribute(
        lambda rows: (rows == "a").astype(float), np.array(["a", "b"]), over=asc.coalitions.LeaveOneOut(), by=asc.Replace("z")
    )
    np.testing.assert_allclose(a.features.values[:, 0], [1.0, 0.0])


@pytest.mark.parametrize("value", [[1.0, 2.0], NUMBERS, "a good film", TEXTS, NUMBERS.iloc[0], ROWS])
def test_a_network_says_the_same(value: Any) -> None:
    with pytest.raises(InputError, match=r"without a tensor.*Found: input 0 is (a|the) .*Try: .*(torch|tokenizer)"):
        asc.Saliency()(torch.nn.Linear(2, 2), value)


def test_a_word_longer_than_the_arrays_says_how_it_fits() -> None:
    def score(rows: np.ndarray) -> np.ndarray:
        return (rows == "a").sum(1).astype(float)

    x = np.array([["a", "b"]])
    with pytest.raises(DistributionError, match=r"x.astype\(object\)"):
        asc.ShapleyExact(by=asc.Replace("[MASK]"))(score, x)
    np.testing.assert_allclose(asc.ShapleyExact(by=asc.Replace("[MASK]"))(score, x.astype(object)).values, [[1.0, 0.0]])
