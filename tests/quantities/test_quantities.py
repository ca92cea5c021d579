"""What is explained, against the sums written out in NumPy; and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ascribe as asc
from ascribe.errors import AscribeError, QuantityError
from ascribe.quantities import Part, as_quantities, select_scores
from tests.support.small_models import Dense, Pictures, Words, chain, rows, seeded

pytestmark = pytest.mark.filterwarnings("ignore:completeness:ascribe.AscribeWarning")

TABLE = rows(5, 4, seed=3)
DENSE = rows(3, 4, 6, 5, seed=4)
MASKS = (rows(3, 6, 5, seed=5) > 0).double() + 0.25


def probabilities(y: np.ndarray) -> np.ndarray:
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def best(y: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[np.arange(len(y)), y.argmax(1)]


CASES = {
    "PredictedClass": (asc.PredictedClass(), TABLE, lambda y: y.max(1)),
    "Unit": (asc.Unit(2), TABLE, lambda y: y[:, 2]),
    "Unit range": (asc.Unit(slice(1, 3)), TABLE, lambda y: y[:, 1:3].sum(1)),
    "Unit pixel": (asc.Unit(1, 5, 0), DENSE, lambda y: y[:, 1, 5, 0]),
    "Unit line": (asc.Unit(1, slice(None), 4), DENSE, lambda y: y[:, 1, :, 4].sum(1)),
    "Unit of numbers": (asc.Unit(0), TABLE[:, 1], lambda y: y),
    "Labels": (asc.Labels((3, 0, 1, 1, 2)), TABLE, lambda y: y[np.arange(5), [3, 0, 1, 1, 2]]),
    "Labels for all": (asc.Labels((3,)), TABLE, lambda y: y[:, 3]),
    "Contrast": (asc.Contrast(3, 1), TABLE, lambda y: y[:, 3] - y[:, 1]),
    "Channel sum": (asc.Channel(2), DENSE, lambda y: y[:, 2].sum((1, 2))),
    "Channel mean": (asc.Channel(2, "mean"), DENSE, lambda y: y[:, 2].mean((1, 2))),
    "Channel max": (asc.Channel(2, "max"), DENSE, lambda y: y[:, 2].max((1, 2))),
    "Channel last": (asc.Channel(4, axis=-1), DENSE, lambda y: y[..., 4].sum((1, 2))),
    "Channel of a table": (asc.Channel(2, "mean"), TABLE, lambda y: y[:, 2]),
    "Total": (asc.Total(), DENSE, lambda y: y.sum((1, 2, 3))),
    "Total of numbers": (asc.Total(), TABLE[:, 0], lambda y: y),
    "Threshold": (asc.Threshold(0.3), DENSE, lambda y: (np.sign(y - 0.3) * y).sum((1, 2, 3))),
    "Threshold turned": (asc.Threshold(0.3, low_minus_high=True), TABLE, lambda y: -(np.sign(y - 0.3) * y).sum(1)),
    "LogProb": (asc.LogProb(1), TABLE, lambda y: np.log(probabilities(y))[:, 1]),
    "LogProb likeliest": (asc.LogProb(), TABLE, lambda y: np.log(probabilities(y)).max(1)),
    "LogProb per record": (asc.LogProb((0, 1, 2, 3, 0)), TABLE, lambda y: np.log(probabilities(y))[np.arange(5), [0, 1, 2, 3, 0]]),
    "LogProb of one score": (asc.LogProb(1), TABLE[:, :1], lambda y: -np.log1p(np.exp(-y[:, 0]))),
    "LogProb against one score": (asc.LogProb(0), TABLE[:, 0], lambda y: -np.log1p(np.exp(y))),
    "Prob": (asc.Prob(1), TABLE, lambda y: probabilities(y)[:, 1]),
    "Prob likeliest": (asc.Prob(), TABLE, lambda y: best(y, probabilities(y))),
    "Prob of one score": (asc.Prob(1), TABLE[:, :1], lambda y: 1 / (1 + np.exp(-y[:, 0]))),
    "Box": (asc.Box(2, (1, 0, 4, 3)), DENSE, lambda y: y[:, 2, 1:4, 0:3].mean((1, 2))),
    "Mask for all": (asc.Region(1, MASKS[0]), DENSE, lambda y: (y[:, 1] * MASKS[0].numpy()).sum((1, 2)) / MASKS[0].numpy().sum()),
    "Mask per record": (asc.Region(1, MASKS), DENSE, lambda y: (y[:, 1] * MASKS.numpy()).sum((1, 2)) / MASKS.numpy().sum((1, 2))),
    "Custom": (asc.quantities.Custom(lambda y: y[:, 0] * y[:, 1]), TABLE, lambda y: y[:, 0] * y[:, 1]),
}


@pytest.mark.parametrize("name", CASES)
def test_value_written_out(name):
    quantity, y, expected = CASES[name]
    wanted = expected(y.numpy())
    for array in (y, y.numpy()):
        found = quantity.bind(array)(array)
        assert found.shape == (len(y),)
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_taken_rows_keep_their_own_meaning(name):
    """Rows of other records, in any order and number, give those records' numbers."""
    quantity, y, _ = CASES[name]
    index = np.array([2, 0, 2, 1, 0, 0])
    bound = quantity.bind(y)
    np.testing.assert_allclose(bound.take(index)(y[index]).numpy(), bound(y).numpy()[index], rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_block_of_records_is_bound_to_its_own_share(name):
    quantity, y, expected = CASES[name]
    if getattr(quantity, "whole", False):
        pytest.skip("a function is the same for all records")
    block = Part(np.arange(1, 3), len(y))
    found = quantity.bind(y[1:3], None, block)(y[1:3])
    np.testing.assert_allclose(found.numpy(), expected(y.numpy())[1:3], rtol=1e-12)


def test_every_quantity_has_a_case():
    named = {type(quantity).__name__ for quantity, _, _ in CASES.values()}
    exported = {
        name
        for name in asc.quantities.__all__
        if hasattr(kind := getattr(asc.quantities, name), "bind") and not getattr(kind, "_is_protocol", False)
    }
    assert exported <= named, f"add a case to CASES for {exported - named}"


def test_the_class_of_max_stays_that_of_the_record():
    bound = asc.PredictedClass().bind(TABLE)
    other = -TABLE
    np.testing.assert_array_equal(bound(other).numpy(), other.numpy()[np.arange(5), TABLE.numpy().argmax(1)])
    np.testing.assert_array_equal(bound.classes, TABLE.numpy().argmax(1))


def test_a_score_far_from_zero_has_a_log_probability():
    y = torch.tensor([[1000.0, 0.0, -1000.0]], dtype=torch.float64)
    np.testing.assert_allclose(asc.LogProb((2,)).bind(y)(y).numpy(), [-2000.0])
    np.testing.assert_allclose(asc.Prob(0).bind(y)(y).numpy(), [1.0])


# Names and the forms of of=


def test_names_become_positions():
    names = ("cat", "dog", "owl", "yak")
    np.testing.assert_array_equal(asc.Labels(("owl", "cat", "cat", "yak", "dog")).bind(TABLE, names).classes, [2, 0, 0, 3, 1])
    np.testing.assert_allclose(asc.Contrast("yak", "dog").bind(TABLE, names)(TABLE), TABLE[:, 3] - TABLE[:, 1])
    with pytest.raises(QuantityError, match="'cat', 'dog'"):
        asc.Labels(("cow",)).bind(TABLE, names)
    with pytest.raises(QuantityError, match="id2label"):
        asc.Labels(("cat",)).bind(TABLE)


@pytest.mark.parametrize(
    ("of", "quantity"),
    [
        (None, asc.PredictedClass()),
        (2, asc.Unit(2)),
        (np.int64(2), asc.Unit(2)),
        (torch.tensor(2), asc.Unit(2)),
        ((1, 2), asc.Unit(1, 2)),
        ([0, 1], asc.Labels((0, 1))),
        (np.array([0, 1]), asc.Labels((0, 1))),
        (torch.tensor([0, 1]), asc.Labels((0, 1))),
        ("dog", asc.Labels(("dog",))),
        (["dog", "cat"], asc.Labels(("dog", "cat"))),
        (np.array(["dog", "cat"]), asc.Labels(("dog", "cat"))),
        (asc.Contrast(0, 1), asc.Contrast(0, 1)),
    ],
)
def test_what_of_accepts(of, quantity):
    assert as_quantities(of) == ((quantity,), False)


def test_a_list_of_quantities_is_several():
    both = [asc.Unit(0), asc.Contrast(0, 1)]
    assert as_quantities(both) == (tuple(both), True)
    assert as_quantities([asc.PredictedClass()]) == ((asc.PredictedClass(),), True)


def test_any_callable_is_a_quantity():
    def margin(y):
        return y[:, 0] - y[:, 1]

    (found,), several = as_quantities(margin)
    assert found == asc.quantities.Custom(margin)
    assert not several


@pytest.mark.parametrize(
    "of",
    [True, np.bool_(False), 1.5, [0.5, 1.0], [], (), [[0, 1], [1, 0]], torch.eye(2), {"a": 1}, asc.PredictedClass, [None, 1]],
    ids=repr,
)
def test_what_of_refuses(of):
    with pytest.raises(QuantityError):
        as_quantities(of)


@pytest.mark.parametrize(
    ("quantity", "y"),
    [
        (asc.Unit(4), TABLE),
        (asc.Unit(-1), TABLE),
        (asc.Unit(1.5), TABLE),
        (asc.Unit(), TABLE),
        (asc.Unit(0, 0), TABLE),
        (asc.Unit(0), DENSE),
        (asc.Unit(4, 0, 0), DENSE),
        (asc.Labels((0, 1)), TABLE),
        (asc.Labels((0, 1, 2, 3, 4)), TABLE),
        (asc.Labels((0, 1, 2, 3, -1)), TABLE),
        (asc.Labels((0,)), DENSE),
        (asc.PredictedClass(), DENSE),
        (asc.Contrast(0, 4), TABLE),
        (asc.Contrast(0, 1), DENSE),
        (asc.Channel(4), DENSE),
        (asc.Channel(0, "median"), DENSE),
        (asc.Channel(0, axis=0), DENSE),
        (asc.Channel(0, axis=5), DENSE),
        (asc.Channel(0), TABLE[:, 0]),
        (asc.LogProb(4), TABLE),
        (asc.LogProb((0, 1)), TABLE),
        (asc.Prob(-1), TABLE),
        (asc.Prob(), DENSE),
        (asc.Box(0, (0, 0, 7, 1)), DENSE),
        (asc.Box(0, (2, 0, 2, 1)), DENSE),
        (asc.Box(0, (0, 0, 1, 1)), TABLE),
        (asc.Box(9, (0, 0, 1, 1)), DENSE),
        (asc.Region(0, np.ones((5, 6))), DENSE),
        (asc.Region(0, np.ones((2, 6, 5))), DENSE),
        (asc.Region(0, np.zeros((6, 5))), DENSE),
        (asc.Region(0, -np.ones((6, 5))), DENSE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_fit_the_value_is_refused(quantity, y):
    with pytest.raises(QuantityError) as caught:
        quantity.bind(y)
    assert caught.value.code.startswith("E-")


def test_the_way_out_of_a_dense_output_is_said():
    with pytest.raises(QuantityError, match=r"Unit\(0, 0, 0\)"):
        asc.PredictedClass().bind(DENSE)
    with pytest.raises(QuantityError, match="3, counted from 0"):
        asc.Unit(-1).bind(TABLE)


# Where they are read from


def test_the_table_in_a_container():
    logits = TABLE
    assert select_scores({"logits": logits, "hidden": DENSE}, asc.PredictedClass()) is logits
    assert select_scores((logits, [3, None]), asc.PredictedClass()) is logits
    with pytest.raises(QuantityError, match=r"on=OUTPUT\.at"):
        select_scores((logits, DENSE), asc.PredictedClass())
    with pytest.raises(QuantityError, match="has no floating-point array"):
        select_scores((None, torch.arange(3)), asc.PredictedClass())


def test_a_function_gets_the_whole_output():
    model, ids = seeded(Words), torch.tensor([[1, 2, 3], [4, 5, 6]])
    a = asc.influence(model, ids, of=lambda out: out["hidden"][:, 0].sum(-1) + out["logits"][:, 1], at=asc.EMBEDDINGS)
    both = asc.influence(model, ids, of=asc.Unit(1), at=asc.EMBEDDINGS).values
    hidden = asc.influence(model, ids, of=asc.Unit(0, slice(None), on=asc.OUTPUT.at("hidden")), at=asc.EMBEDDINGS).values
    torch.testing.assert_close(a.values, both + hidden)


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_what_is_given_per_record_holds_in_every_chunk(chunk):
    net, x, labels = chain(4, 6, 3), rows(5, 4), [0, 2, 1, 1, 0]
    alone = torch.cat([asc.influence(net, x[i : i + 1], of=label, over=asc.Line(0.0, 6)).values for i, label in enumerate(labels)])
    for of in (labels, torch.tensor(labels), asc.Labels(tuple(labels))):
        torch.testing.assert_close(asc.influence(net, x, of=of, over=asc.Line(0.0, 6), chunk=chunk).values, alone)
    chosen = asc.influence(net, x, of=asc.LogProb(tuple(labels)), over=asc.Line(0.0, 6), chunk=chunk)
    each = [asc.influence(net, x[i : i + 1], of=asc.LogProb(label), over=asc.Line(0.0, 6)).values for i, label in enumerate(labels)]
    torch.testing.assert_close(chosen.values, torch.cat(each))


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_masks_per_record_hold_in_every_chunk(chunk):
    net, x = seeded(Dense), rows(3, 2, 5, 4)
    masks = rows(3, 5, 4, seed=2).abs()
    alone = [asc.influence(net, x[i : i + 1], of=asc.Region(1, masks[i]), over=asc.Line(0.0, 4)).values for i in range(3)]
    found = asc.influence(net, x, of=asc.Region(1, masks), over=asc.Line(0.0, 4), chunk=chunk)
    torch.testing.assert_close(found.values, torch.cat(alone))


def test_too_few_labels_are_told_with_the_number_of_all_records():
    with pytest.raises(QuantityError, match=r"number of labels must be the number of records\. Found: 2 labels for 5 records"):
        asc.attribute(chain(4, 6, 3), rows(5, 4), of=[0, 1], over=asc.Line(0.0, 4), chunk=2)


# Several at once, and at other cuts


def test_several_quantities_are_those_one_after_the_other():
    net, x = seeded(Pictures), rows(3, 2, 6, 6)
    several = [
        asc.PredictedClass(),
        asc.Contrast(0, 2),
        asc.LogProb(1),
        asc.quantities.Custom(lambda y: y.tanh().prod(1)),
        asc.Labels((0, 1, 2)),
    ]
    for over in (None, asc.Line(0.0, 12), asc.Gaussian(0.1, 3), asc.Background(rows(2, 2, 6, 6, seed=9)) * asc.Line(0.0, 4)):
        found = asc.attribute(net, x, of=several, over=over)
        for k, quantity in enumerate(several):
            alone = asc.attribute(net, x, of=quantity, over=over)
            torch.testing.assert_close(found.values[k], alone.values, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.explained[k], alone.explained)


def test_a_quantity_inside_the_model():
    net, x = seeded(Pictures), rows(3, 2, 6, 6)
    found = asc.attribute(net, x, of=asc.Channel(1, "mean", on=asc.Cut("conv1")), over=asc.Line(0.0, 1))
    hidden = net.conv1(x) - net.conv1(torch.zeros_like(x))
    np.testing.assert_allclose(found.values.sum((1, 2, 3)), hidden[:, 1].mean((1, 2)).detach(), rtol=1e-10)


def test_quantities_at_different_cuts_are_refused():
    with pytest.raises(AscribeError, match="at the same cut"):
        asc.attribute(chain(4, 6, 3), rows(2, 4), of=[asc.Unit(0), asc.Unit(0, on=asc.Cut("0"))])


def test_a_column_of_one_number_per_record_is_one_number_per_record():
    net, x = chain(4, 5, 3), rows(6, 4)
    column = asc.attribute(net, x, of=lambda y: y[:, 1:2])
    torch.testing.assert_close(column.values, asc.attribute(net, x, of=1).values)


@pytest.mark.parametrize("of", [asc.LogProb(0), asc.Prob(0)], ids=repr)
def test_probabilities_of_large_scores(of):
    y = torch.tensor([[2000.0, 1999.0], [-2000.0, 2000.0], [1e4, 1e4]], dtype=torch.float64)
    exact = {"LogProb": torch.log_softmax(y, 1)[:, 0], "Prob": torch.softmax(y, 1)[:, 0]}[type(of).__name__]
    torch.testing.assert_close(of.bind(y)(y), exact)
