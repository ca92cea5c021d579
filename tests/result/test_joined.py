"""Sums and differences of results: of the same records, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import ascribe as asc
from ascribe.errors import ResultError
from ascribe.result.attribution import Attribution

X = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
NET = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.Linear(4, 2)).eval()
IG = asc.IntegratedGradients(steps=8)


def test_results_of_other_records_are_not_added_up() -> None:
    a, b = IG(NET, X, of=1), IG(NET, X.flip(0), of=1)
    with pytest.raises(ResultError, match=r"different records.*record 0 differs.*torch.cat") as told:
        sum([a, b])
    assert told.value.code == "E-RESULT-RECORDS"
    with pytest.raises(ResultError, match=r"different records.*a.values - b.values"):
        a - b
    later = X.clone()
    later[1, 2] += 1
    with pytest.raises(ResultError, match="record 1 differs"):
        a + IG(NET, later, of=1)


def test_batches_of_other_sizes_are_told_how_to_be_put_together() -> None:
    a, b = IG(NET, X, of=1), IG(NET, X[:1], of=1)
    with pytest.raises(ResultError, match=r"different shapes.*torch.cat\(\[a.values, b.values\]\)"):
        a + b
    both = torch.cat([a.values, b.values])
    assert both.shape == (3, 3)
    two = [asc.Unit(0), asc.Unit(1)]
    with pytest.raises(ResultError, match=r"torch.cat\(\[a.values, b.values\], 1\)"):
        IG(NET, X, of=two) + IG(NET, X[:1], of=two)
    with pytest.raises(ResultError, match=r"a\.pool.*a\.resize"):
        Attribution(np.ones((2, 3))) + Attribution(np.ones((2, 4)))


def test_results_of_the_same_records_are_added_up() -> None:
    a = IG(NET, X, of=1)
    for other in (IG(NET, X.clone(), of=0), asc.Saliency(signed=True)(NET, X, of=1), IG(NET.double(), X.double(), of=1), a):
        total = a + other
        np.testing.assert_allclose(total.to_numpy(), a.to_numpy() + other.to_numpy(), rtol=1e-6)
    NET.float()
    short = IG(NET.bfloat16(), X.bfloat16() / 3, of=1)
    long = IG(NET.float(), X / 3, of=1)  # a third has no exact form in bfloat16
    assert (long + replace(short, values=short.values.float())).values.shape == X.shape
    same = replace(a, record=torch.where(X > 2, torch.nan, X))
    assert (same + replace(a, record=same.record.clone())).values.shape == X.shape  # NaN is where it was


def test_layers_of_other_models_are_added_up() -> None:
    """The same records have other values inside another model: what is averaged over an ensemble."""
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.Linear(4, 2)).eval()
    a, b = (IG(net, X, of=1, at="1") for net in (NET, other))
    np.testing.assert_allclose((a + b).to_numpy(), a.to_numpy() + b.to_numpy())


def test_rows_of_other_records_are_not_added_up() -> None:
    """The same rows, of which the middle one is a node of the first graph, or of the second."""
    nodes, line = torch.arange(12.0).reshape(3, 4), torch.nn.Linear(4, 2)

    def graphs(x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        return torch.zeros(2, 2).index_add(0, batch, line(x))

    one, other = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    a, again, b = (asc.influence(graphs, asc.Call(nodes, batch, records=batch), of=1) for batch in (one, one.clone(), other))
    torch.testing.assert_close((a + again).values, 2 * a.values)
    for join in (lambda: a + b, lambda: a - b):
        with pytest.raises(ResultError, match="rows of different records") as told:
            join()
        assert told.value.code == "E-RESULT-RECORDS"


def test_rows_in_another_order_are_divided_by_the_scale_of_their_record() -> None:
    """Each record has one row; values have the order of the rows, values by feature that of the records."""
    x, order, line = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]), torch.tensor([2, 0, 1]), torch.nn.Linear(2, 2)

    def model(x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        return torch.zeros(3, 2).index_add(0, order, line(x))

    a = asc.FeatureAblation(by=0.0)(model, asc.Call(x, order, records=order), of=1).normalize()
    assert a.features is not None
    np.testing.assert_allclose(np.abs(a.to_numpy()).max(1), 1, rtol=1e-6)
    np.testing.assert_allclose(a.features.values[order], a.to_numpy(), rtol=1e-5)


def test_tables_with_words_are_compared() -> None:
    table = pd.DataFrame({"age": [30.0, np.nan], "city": ["Rome", None]})

    def model(t: pd.DataFrame) -> np.ndarray:
        return (t["age"].fillna(0) / 10 + (t["city"] == "Rome")).to_numpy(float)

    method = asc.ShapleyExact(by=asc.Resample(table))
    a = method(model, table)
    np.testing.assert_allclose((a + method(model, table.copy())).to_numpy(), 2 * a.to_numpy())
    with pytest.raises(ResultError, match="record 0 differs"):
        a + method(model, table.assign(city=["Oslo", None]))
