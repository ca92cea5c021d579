"""How the axes of a record are read: series with their channels first and last, grey pictures, volumes, films, noise, empty records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.errors import FeatureError
from ascribe.result.attribution import Check

RNG = np.random.default_rng(0)


def run(shape: tuple[int, ...], features: Any = None, x: np.ndarray | None = None, **names: Any) -> asc.Attribution:
    """An additive model of records of this shape, explained feature by feature."""
    given = RNG.normal(size=(2, *shape)) if x is None else x

    def model(*args: np.ndarray, **kwargs: np.ndarray) -> np.ndarray:
        rows = [*args, *kwargs.values()][0]
        return rows.reshape(len(rows), -1).sum(1)

    args, kwargs = ((), {names["name"]: given}) if names else ((given,), {})
    return asc.attribute(model, *args, over=asc.coalitions.LeaveOneOut(), by=0.0, features=features, **kwargs)


def check(a: asc.Attribution) -> Check:
    return next(c for c in a.checks if c.name == "features")


def cut(a: asc.Attribution) -> list[bool]:
    """Along which axes of a record the features' values differ."""
    values = a.values[0]
    return [bool((np.diff(values, axis=i) != 0).any()) for i in range(values.ndim)]


@pytest.mark.parametrize("features", [None, asc.Segments(12)])
@pytest.mark.parametrize(("shape", "along"), [((1000, 12), [True, False]), ((12, 1000), [False, True]), ((64, 500), [False, True])])
def test_stretches_are_of_time_wherever_the_channels_are(features: Any, shape: tuple[int, ...], along: list[bool]) -> None:
    a = run(shape, features)
    assert cut(a) == along
    told = check(a)
    assert f"along axis {along.index(True) + 1} of [records, {shape[0]}, {shape[1]}]" in told.detail
    assert told.status == ("ok" if features else "warn")  # the user's own are plain; chosen ones always say so
    values = a.features.values.sum(1)
    np.testing.assert_allclose(values, a.explained, atol=1e-9)


@pytest.mark.parametrize(("axis", "along"), [(1, [True, False]), (2, [False, True]), (-1, [False, True]), (-2, [True, False])])
def test_the_axis_of_time_is_the_users_to_say(axis: int, along: list[bool]) -> None:
    a = run((40, 30), asc.Segments(5, axis=axis))
    assert cut(a) == along
    assert check(a).status == "ok"
    assert repr(asc.Segments(5, axis=axis)) == f"Segments(5, axis={axis})"


def test_where_time_could_be_either_axis_the_check_says_so_with_the_code_for_the_other() -> None:
    told = check(run((40, 30), asc.Segments(5)))
    assert told.status == "warn"
    assert "asc.Segments(5, axis=1)" in told.detail
    assert cut(run((40, 30), asc.Segments(5, axis=1))) == [True, False]
    with pytest.raises(FeatureError, match=r"6 steps along axis 2 .*asc.Segments\(8, axis=1\)"):
        run((9, 6), asc.Segments(8, axis=2))
    for axis in (0, 3, 1.0, True):
        with pytest.raises(FeatureError, match="must be an axis of the records, not the batch axis"):
            run((9, 6), asc.Segments(2, axis=axis))


def test_a_single_series_has_one_axis() -> None:
    a = run((300,), asc.Segments(10))
    assert a.features.values.shape == (2, 10)
    assert check(a).status == "ok"


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (40, 60)])
def test_a_grey_picture_is_no_series(shape: tuple[int, ...]) -> None:
    x = np.zeros((2, *shape))
    x[..., 4:14, 4:14], x[..., 15:25, 16:24] = 1.0, 0.5
    a = run(shape, x=x + RNG.normal(size=x.shape) * 0.01)
    assert cut(a)[-2:] == [True, True]
    told = check(a)
    assert told.status == "warn"
    assert ("greyscale image" in told.detail and "asc.Segments(16, axis=2)" in told.detail) == (len(shape) == 2)


@pytest.mark.parametrize(
    ("shape", "along"),
    [
        ((1, 16, 16, 16), [False, True, True, True]),
        ((2, 8, 24, 24), [False, True, True, True]),
        ((8, 3, 16, 16), [True, False, True, True]),
    ],
)
def test_volumes_and_films_are_cut_into_blocks(shape: tuple[int, ...], along: list[bool]) -> None:
    a = run(shape)
    assert cut(a) == along
    assert a.features.values.shape == (2, 64)
    np.testing.assert_allclose(a.features.values.sum(1), a.explained, atol=1e-9)


def test_a_grid_has_as_many_axes_as_it_has_numbers() -> None:
    a = run((2, 4, 6, 8), asc.Grid((2, 3, 4)))
    assert a.features.values.shape == (2, 24)
    np.testing.assert_allclose(a.values[0, 0, :2, :2, :2], a.values[0, 0, 0, 0, 0])
    assert a.values[0, 0, 0, 0, 0] != a.values[0, 0, 2, 0, 0]
    assert run((6, 8), asc.Grid((2, 4))).features.values.shape == (2, 8)
    with pytest.raises(FeatureError, match="images of 4 x 6 x 8"):
        run((2, 4, 6, 8), asc.Grid((5, 3, 4)))


@pytest.mark.parametrize(
    ("shape", "features", "words"),
    [
        ((12, 1000), asc.Grid(4), "axis=2"),
        ((1000, 12), asc.Windows(4), "axis=1"),
        ((1000, 12), asc.Windows((4,)), "axis=1"),
        ((64, 64, 12), asc.Grid(4), "channels came last"),
        ((12, 1000), asc.Superpixels(), "axis=2"),
    ],
)
def test_features_of_pictures_on_what_looks_like_something_else_warn(shape: Any, features: Any, words: str) -> None:
    told = check(run(shape, features))
    assert told.status == "warn"
    assert words in told.detail


@pytest.mark.parametrize(
    ("shape", "features"),
    [((12, 1000), asc.Grid((1, 8))), ((1000, 12), asc.Windows((50, 12))), ((12, 1000), asc.Windows((50,))), ((28, 28), asc.Grid(4)),
     ((3, 32, 32), asc.Grid(4)), ((64, 32, 32), asc.Grid(4)), ((8, 8), asc.Grid(4)), ((32, 32, 3), asc.Windows((16, 16, 3)))],
)  # fmt: skip
def test_plain_layouts_are_ok(shape: Any, features: Any) -> None:
    assert check(run(shape, features)).status == "ok"


def test_superpixels_of_noise_say_that_they_are_none() -> None:
    pytest.importorskip("skimage")
    x = RNG.random((3, 3, 32, 32))
    x[1], x[1, :, 8:20, 8:20] = 0.2, 0.9
    a = run((3, 32, 32), asc.Superpixels(), x=x)
    told = check(a)
    assert told.status == "warn"
    assert "in record 0, 2" in told.detail
    assert "asc.Grid(8)" in told.detail
    chosen = check(run((3, 32, 32), x=x))  # one record of noise is enough: the grid serves all of them
    assert "a grid of 8 x 8" in chosen.detail
    assert check(run((3, 32, 32), asc.Superpixels(), x=x[1:2])).status == "ok"
    several = asc.attribute(lambda a, b: a.sum((1, 2, 3)) + b.sum(1), x, np.ones((3, 2)), over=asc.coalitions.LeaveOneOut(), by=0.0)
    assert "a grid of 8 x 8" in check(several).detail


@pytest.mark.parametrize("features", [None, asc.Grid(1), asc.Superpixels(), asc.Segments(1), asc.Windows(1), asc.features.Channels()])
@pytest.mark.parametrize("shape", [(3, 0, 5), (3, 20, 0), (0, 30, 30)])
def test_records_without_a_number_have_no_features(shape: tuple[int, ...], features: Any) -> None:
    with pytest.raises(FeatureError, match=r"cannot group empty records|Empty records have no features|layout|channels first"):
        run(shape, features)


def test_embedded_tokens_are_removed_token_by_token() -> None:
    a = run((10, 64), name="inputs_embeds")
    assert a.features.values.shape == (2, 10)
    assert cut(a) == [True, False]


@pytest.mark.parametrize(("shape", "along"), [((12, 400), [False, True]), ((400, 12), [True, False]), ((3, 60), [False, True])])
def test_smooth_masks_of_a_series_are_over_its_time(shape: tuple[int, ...], along: list[bool]) -> None:
    def model(rows: np.ndarray) -> np.ndarray:
        return rows.reshape(len(rows), -1).sum(1)

    a = asc.Rise(40)(model, np.ones((1, *shape)), of=None)
    assert cut(a) == along
    assert f"axis {along.index(True) + 1}" in check(a).detail
    assert a.features.values.shape == (1, max(shape))


def test_smooth_masks_of_a_grey_picture_are_over_its_places() -> None:
    a = asc.Rise(40)(lambda rows: rows.sum((1, 2)), np.ones((1, 20, 30)))
    assert cut(a) == [True, True]
    assert check(a).status == "ok"


def curved(rows: np.ndarray) -> np.ndarray:
    """A score of ``[records, channels, time]`` that is not the same along time."""
    weights = np.sin(np.arange(rows.shape[-1])) * np.arange(1, rows.shape[1] + 1)[:, None]
    return (np.tanh(rows) * weights).sum((1, 2))


@pytest.mark.parametrize("by", [asc.Blur(3.0), asc.Mean(), asc.Replace("mean"), asc.Replace("blur")], ids=repr)
def test_stand_ins_of_a_series_are_made_along_its_time(by: Any) -> None:
    x = RNG.normal(size=(2, 3, 40))
    first = asc.attribute(curved, x, over=asc.coalitions.Exact(), by=by, features=asc.Segments(4))
    last = asc.attribute(
        lambda rows: curved(rows.swapaxes(1, 2)), x.swapaxes(1, 2), over=asc.coalitions.Exact(), by=by, features=asc.Segments(4)
    )
    np.testing.assert_allclose(last.features.values, first.features.values, atol=1e-9)


@pytest.mark.parametrize("by", [asc.Blur(3.0), asc.Mean(), asc.Replace("mean"), asc.Replace("blur")], ids=repr)
@pytest.mark.parametrize("size", [(20, 24), (8, 8)])
def test_stand_ins_of_a_grey_picture_are_those_with_an_axis_for_its_channel(by: Any, size: tuple[int, int]) -> None:
    x = RNG.normal(size=(2, *size))
    plain = asc.attribute(curved, x, over=asc.coalitions.Exact(), by=by, features=asc.Grid(2))
    one = asc.attribute(lambda rows: curved(rows[:, 0]), x[:, None], over=asc.coalitions.Exact(), by=by, features=asc.Grid(2))
    np.testing.assert_allclose(plain.features.values, one.features.values, atol=1e-9)


@pytest.mark.parametrize("name", ["mean", "blur"])
def test_named_baselines_read_the_axes_too(name: str) -> None:
    torch = pytest.importorskip("torch")
    weights = torch.linspace(-1, 1, 3 * 40).reshape(3, 40).double()
    x = torch.tensor(RNG.normal(size=(2, 3, 40)))

    class Score(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, last: bool) -> None:
            super().__init__()
            self.last = last

        def forward(self, rows: Any) -> Any:
            return (torch.tanh(rows.transpose(1, 2) if self.last else rows) * weights).sum((1, 2))[:, None]

    first = asc.IntegratedGradients(name, steps=8)(Score(False), x)
    last = asc.IntegratedGradients(name, steps=8)(Score(True), x.transpose(1, 2))
    np.testing.assert_allclose(last.values.transpose(1, 2), first.values, atol=1e-9)
    pictures = torch.tensor(RNG.normal(size=(2, 12, 12, 3)))  # channels last, by their lengths

    def score(rows: Any) -> Any:
        return torch.tanh(rows).flatten(1).cumsum(1).sum(1, keepdim=True)

    moved = asc.IntegratedGradients(name, steps=8)(lambda rows: score(rows.movedim(1, -1)), pictures.movedim(-1, 1))
    there = asc.IntegratedGradients(name, steps=8)(score, pictures)
    np.testing.assert_allclose(there.values.movedim(-1, 1), moved.values, atol=1e-9)
