"""Replacements for removed features, each written out; tokens, layers, state, chunks, memory, and what is chosen unasked."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.coalitions import GameEstimate
from ascribe.coalitions.hierarchies import halve_grid
from ascribe.engine.passes.coalition import join_draws
from ascribe.errors import DistributionError, FeatureError, MemoryLimitError
from ascribe.features.base import Groups
from ascribe.removal import inpaint
from tests.support.small_models import Pictures, TwoInputs, chain, rows, seeded
from tests.support.snapshots import unchanged

NET, X, BACKGROUND = chain(4, 6, 3), rows(5, 4), rows(7, 4, seed=3)
PICTURES, IMAGES = seeded(Pictures), rows(2, 2, 6, 6)


def scores(model: nn.Module, x: torch.Tensor, of: int = 1) -> torch.Tensor:
    with torch.no_grad():
        return model(x)[:, of]


def left_out(by: Any, x: torch.Tensor = X, **more: Any) -> asc.Attribution:
    return asc.attribute(NET, x, of=1, over=asc.coalitions.LeaveOneOut(), by=by, **more)


def test_blur_is_a_weighted_mean_that_keeps_constants():
    sigma, grid = 1.5, np.arange(6)
    kernel = np.exp(-0.5 * ((grid[:, None] - grid) / sigma) ** 2)
    kernel = torch.as_tensor(kernel / kernel.sum(1, keepdims=True))
    smooth = torch.einsum("ih,jw,nchw->ncij", kernel, kernel, IMAGES)
    found = asc.attribute(
        PICTURES, IMAGES, of=1, over=asc.coalitions.LeaveOneOut(alone=True), by=asc.Blur(sigma), features=torch.zeros(6, 6)
    )
    change = scores(PICTURES, IMAGES) - scores(PICTURES, smooth)
    np.testing.assert_allclose(found.features.values[:, 0], change.numpy(), atol=1e-12)
    flat = torch.full((1, 2, 6, 6), 3.0, dtype=torch.float64)
    assert (
        abs(asc.attribute(PICTURES, flat, of=1, over=asc.coalitions.LeaveOneOut(), by=asc.Blur(), features=asc.Grid(2)).values).max()
        < 1e-12
    )


def test_mean_is_each_records_own():
    found = asc.attribute(PICTURES, IMAGES, of=1, over=asc.coalitions.LeaveOneOut(), by=asc.Mean(), features=torch.zeros(1))
    gone = IMAGES.mean((2, 3), keepdim=True).expand_as(IMAGES)
    np.testing.assert_allclose(found.features.values[:, 0], (scores(PICTURES, IMAGES) - scores(PICTURES, gone)).numpy(), atol=1e-12)


def test_noise_is_averaged_and_has_an_error():
    found = left_out(asc.removal.Noise(0.5, 6), seed=2)
    e = np.random.default_rng((2, 5, 0)).standard_normal((6, 1, 4)) * 0.5
    each = []
    for k, j in product(range(6), range(4)):
        gone = X.clone()
        gone[:, j] = torch.as_tensor(e[k, 0, j])
        each.append((scores(NET, X) - scores(NET, gone)).numpy())
    changes = np.array(each).reshape(6, 4, 5)
    np.testing.assert_allclose(found.values.numpy(), changes.mean(0).T, atol=1e-12)
    np.testing.assert_allclose(found.error.numpy(), changes.std(0, ddof=1).T / np.sqrt(6), atol=1e-12)


def test_nearest_rows_are_near_in_what_is_left():
    found = left_out(asc.removal.Nearest(BACKGROUND, 2))
    scale = BACKGROUND.std(0, unbiased=False)
    expected = torch.zeros_like(X)
    for i, j in product(range(5), range(4)):
        others = [k for k in range(4) if k != j]
        distance = (((X[i] - BACKGROUND) / scale)[:, others] ** 2).sum(1)
        gone = X[i].repeat(2, 1)
        gone[:, j] = BACKGROUND[distance.argsort()[:2], j]
        expected[i, j] = scores(NET, X[i : i + 1])[0] - scores(NET, gone).mean()
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-12)


def test_permutation_takes_values_of_other_records_in_any_block():
    for chunk in (1, 2, 100):
        found = left_out(asc.removal.Permute(3), seed=1, chunk=chunk)
        expected = torch.zeros_like(X)
        for k in range(3):
            order = np.random.default_rng((1, 7, k)).permutation(5)
            for j in range(4):
                gone = X.clone()
                gone[:, j] = X[order, j]
                expected[:, j] += (scores(NET, X) - scores(NET, gone)) / 3
        torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("band", [0, 64], ids=["sparse", "banded"])
def test_both_solvers_of_inpainting_equal_a_dense_one(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpaint, "WIDEST_BAND", band)
    random = np.random.default_rng(0)
    images, gone = random.random((4, 30, 2)), random.random((4, 30)) < 0.6
    gone[2], gone[3] = False, True  # nothing removed, everything removed
    found = inpaint.solve_neighbour_means(images, gone, (5, 6))
    expected = []
    for image, holes in zip(images, gone, strict=True):
        places = [divmod(int(i), 6) for i in np.flatnonzero(holes)]
        matrix, right = np.zeros((len(places), len(places))), np.zeros((len(places), 2))
        for k, (i, j) in enumerate(places):
            for down, across, weight in inpaint.NEIGHBOURS:
                r, c = i + down, j + across
                if 0 <= r < 5 and 0 <= c < 6:
                    matrix[k, k] += weight
                    if holes[r * 6 + c]:
                        matrix[k, places.index((r, c))] -= weight
                    else:
                        right[k] += weight * image[r * 6 + c]
        expected.append(np.broadcast_to(image.mean(0), (30, 2)) if holes.all() else np.linalg.solve(matrix, right))
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=0, atol=1e-12)


def test_inpainted_places_are_the_mean_of_their_neighbours():
    x = rows(1, 2, 5, 5)
    seen: list[torch.Tensor] = []

    class Watching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.clone())
            return x.sum((1, 2, 3))[:, None]

    mask = torch.zeros(5, 5, dtype=torch.long)
    mask[1:4, 2:5] = 1
    asc.attribute(Watching(), x, of=0, over=asc.coalitions.LeaveOneOut(alone=True), by=asc.Inpaint(0.0), features=mask, chunk=1)
    painted = next(s[0] for s in seen if torch.equal(s[0][:, mask == 0], x[0][:, mask == 0]) and not torch.equal(s[0], x[0]))
    weights = {(0, 1): 2, (1, 0): 2, (0, -1): 2, (-1, 0): 2, (1, 1): 1, (1, -1): 1, (-1, 1): 1, (-1, -1): 1}
    for c, i, j in product(range(2), range(1, 4), range(2, 5)):
        near = [(painted[c, i + a, j + b], w) for (a, b), w in weights.items() if i + a < 5 and j + b < 5]
        mean = sum(v * w for v, w in near) / sum(w for _, w in near)
        assert abs(float(painted[c, i, j] - mean)) < 1e-9


def test_patching_brings_another_runs_activation():
    other = rows(5, 4, seed=8)
    with torch.no_grad():
        held, patch = NET[:2](X), NET[:2](other)
    found = asc.attribute(NET, X, of=2, at="1", over=asc.coalitions.LeaveOneOut(), by=asc.removal.Patch(asc.Call(other)))
    for k in range(6):
        mixed = held.clone()
        mixed[:, k] = patch[:, k]
        change = scores(NET[2:], held, 2) - scores(NET[2:], mixed, 2)
        torch.testing.assert_close(found.values[:, k], change, rtol=0, atol=1e-12)


class Words(nn.Module):
    """The mean of the attended words' vectors; remembers the ids and masks it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(20, 5), nn.Linear(5, 2)
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        weight = attention_mask[:, :, None].to(self.words.weight)
        return self.head(((self.words(input_ids) * weight).sum(1) / (weight.sum(1) + 1)).tanh())


IDS = torch.tensor([[4, 5, 6, 7], [8, 9, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.mark.parametrize("kind", [torch.long, torch.bool])
def test_dropped_tokens_are_not_attended_to(kind):
    net, mask = seeded(Words), MASK.to(kind)
    with unchanged(net, arguments=(IDS, mask)):
        found = asc.attribute(net, input_ids=IDS, attention_mask=mask, of=1, over=asc.coalitions.LeaveOneOut())
    assert "Drop()" in found.method
    assert found.values.shape == IDS.shape
    assert found.values.is_floating_point()
    for j in range(4):
        gone = mask.clone()
        gone[:, j] = 0
        with torch.no_grad():
            change = (net(IDS, mask) - net(IDS, gone))[:, 1]
        torch.testing.assert_close(found.values[:, j].double(), torch.where(MASK[:, j] > 0, change, 0.0), rtol=0, atol=1e-6)


def test_masked_tokens_and_words():
    net = seeded(Words)
    words = asc.Tokens([[0, 0, 1, 1], [0, 1, 1, None]])
    found = asc.attribute(net, IDS, attention_mask=MASK, of=1, over=asc.coalitions.Exact(), by=asc.MaskToken(2, keep=(9,)), features=words)
    cells = [[0, 0, 1, 1], [0, 1, 1, -1]]
    for i in range(2):
        worth = {}
        for there in product((False, True), repeat=2):
            ids = IDS[i : i + 1].clone()
            for j, c in enumerate(cells[i]):
                if c >= 0 and not there[c] and ids[0, j] != 9:
                    ids[0, j] = 2
            with torch.no_grad():
                worth[there] = float(net(ids, MASK[i : i + 1])[0, 1])
        first = (worth[1, 0] - worth[0, 0] + worth[1, 1] - worth[0, 1]) / 2
        assert found.features.values[i, 0] == pytest.approx(first, abs=1e-12)
    assert found.cost.backward == 0


def test_words_by_a_function_of_the_record():
    net = seeded(Words)
    given = [[0, 0, 1, 1], [0, 1, 1, None]]
    a = asc.attribute(net, IDS, attention_mask=MASK, of=1, over=asc.coalitions.Exact(), features=asc.Tokens(lambda i: given[i]))
    b = asc.attribute(net, IDS, attention_mask=MASK, of=1, over=asc.coalitions.Exact(), features=asc.Tokens(given))
    np.testing.assert_array_equal(a.features.values, b.features.values)


def test_tokens_without_a_mask_need_a_stand_in():
    with pytest.raises(FeatureError, match="MaskToken"):
        asc.attribute(nn.Sequential(nn.Embedding(20, 3), nn.Flatten(), nn.Linear(12, 2)), IDS, over=asc.coalitions.LeaveOneOut())
    net = seeded(lambda: nn.Sequential(nn.Embedding(20, 3), nn.Flatten(), nn.Linear(12, 2)))
    found = asc.attribute(net, IDS, of=0, over=asc.coalitions.Exact(), by=asc.MaskToken(1))
    assert found.values.shape == IDS.shape
    masked = asc.attribute(net, IDS, of=0, over=asc.coalitions.Exact(), by=asc.Replace(1))
    torch.testing.assert_close(found.values, masked.values)


STOCHASTIC = (
    {"over": asc.coalitions.Permutations(30), "by": asc.Replace(0.2)},
    {"over": asc.coalitions.ShapleyRegression(20), "by": asc.Resample(BACKGROUND, 3)},
    {"over": asc.coalitions.LinearSurrogate(40), "by": asc.removal.Noise(0.3, 2)},
    {"over": asc.coalitions.TotalSobolIndices(60), "by": asc.Replace("zeros")},
    {"over": asc.coalitions.LeaveOneOut(), "by": asc.removal.Nearest(BACKGROUND, 2)},
)


@pytest.mark.parametrize("how", STOCHASTIC, ids=lambda how: repr(how["over"]))
@pytest.mark.parametrize("at", [asc.INPUT, "0"])
def test_chunks_change_nothing_and_seeds_decide(how, at):
    how = how if at == asc.INPUT else how | {"by": asc.Replace(0.2)}
    whole = asc.attribute(NET, X, of=1, at=at, seed=3, **how)
    for chunk in (1, 3, 7, 64):
        with unchanged(NET, arguments=(X,)):
            found = asc.attribute(NET, X, of=1, at=at, seed=3, chunk=chunk, **how)
        torch.testing.assert_close(found.values, whole.values, rtol=0, atol=1e-10)
    alone = asc.attribute(NET, X[2:3], of=1, at=at, seed=3, **how)
    torch.testing.assert_close(alone.values, whole.values[2:3], rtol=0, atol=1e-10)


def test_the_model_is_as_it_was_when_it_fails_in_the_middle():
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = chain(4, 3), 0
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen += 1
            if (x == 0).any() and not (x[:, :3] == 0).any():
                raise ValueError("the last column is needed")
            return self.inner(x)

    net = Failing().train()
    with unchanged(net, arguments=(X,)), pytest.raises(asc.AscribeError, match="the last column is needed") as caught:
        asc.attribute(net, X, of=1, over=asc.coalitions.LeaveOneOut(), chunk=5)
    known = caught.value.partial
    assert known is None or not known.ok


def test_chunks_that_do_not_fit_are_halved():
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = NET
            self.most = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("out of memory")
            self.most = max(self.most, len(x))
            return self.inner(x)

    whole = asc.attribute(NET, X, of=1, over=asc.coalitions.Exact())
    net = Small()
    found = asc.attribute(net, X, of=1, over=asc.coalitions.Exact())
    torch.testing.assert_close(found.values, whole.values, rtol=0, atol=1e-12)
    assert net.most <= 3

    class None_(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(MemoryLimitError):
        asc.attribute(None_(), X, of=1, over=asc.coalitions.Exact())


def test_equal_coalitions_and_the_ends_are_run_once():
    seen: list[int] = []

    def model(x: np.ndarray) -> np.ndarray:
        seen.append(len(x))
        return x.sum(1)

    found = asc.attribute(model, X.numpy()[:1, :3], over=asc.coalitions.Permutations(60, "independent"), by=asc.Replace(0.5))
    assert sum(seen) == 8 + 1  # a black box's first record is run once more, for the check of steadiness
    assert found.cost.rows == 8 + 1
    assert any("8 of 2^3" in check.detail or "7 of 2^3" in check.detail for check in found.checks)


def test_infinite_numbers_are_selected_not_multiplied():
    x = X.clone()
    x[0, 1] = torch.inf

    class First(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x[:, 0], x[:, 2]], 1)

    found = asc.attribute(First(), x, of=1, over=asc.coalitions.LeaveOneOut(), by=asc.Replace(0.0))
    torch.testing.assert_close(found.values[:, 2], x[:, 2])
    assert torch.isfinite(found.values).all()


CHOICES = {
    "each number": (lambda: rows(2, 8), 8, "each of 8 elements", "ok"),
    "a small picture": (lambda: rows(2, 3, 8, 8), 192, "each of 192 elements", "ok"),
    "a picture": (lambda: torch.nn.functional.interpolate(rows(1, 3, 4, 4), (32, 32)), None, "superpixels", "warn"),
    "a picture of noise": (lambda: rows(1, 3, 32, 32), 64, "a grid of 8 x 8", "warn"),
    "a series": (lambda: rows(2, 4, 90), 16, "segments", "warn"),
    "a long table": (lambda: rows(2, 300), 300, "each of 300 elements", "ok"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_grouped_unasked_is_told(name):
    make, count, told, status = CHOICES[name]
    if told == "superpixels":
        pytest.importorskip("skimage")
    x = make()
    net = nn.Sequential(nn.Flatten(), chain(x[0].numel(), 2))
    found = asc.attribute(net, x, of=0, over=asc.coalitions.LeaveOneOut())
    (check,) = (c for c in found.checks if c.name == "features")
    assert told in check.detail
    assert check.status == status
    assert found.features.values.shape[1] == (count or found.features.values.shape[1])
    assert found.features.values.shape[1] <= 300
    assert any(c.name == "removal" and "by= is not given" in c.detail for c in found.checks)


@pytest.mark.parametrize("how", ["slic", "felzenszwalb", "quickshift", "watershed"])
def test_superpixels_follow_the_picture(how):
    pytest.importorskip("skimage")
    x = torch.zeros(2, 3, 24, 24, dtype=torch.float64)
    x[0, :, :, 12:] = 1.0
    x[1, :, 12:] = 1.0
    found = asc.attribute(lambda x: x.sum((1, 2, 3))[:, None] + 0 * x[:, 0, :1, 0], x, of=0, over=asc.coalitions.LeaveOneOut(),
                          features=asc.Superpixels(9, how))  # fmt: skip
    assert 2 <= found.features.values.shape[1] <= 200
    assert "superpixels" in found.features.description
    np.testing.assert_allclose(found.features.values.sum(1), x.sum((1, 2, 3)).numpy(), atol=1e-6)
    light, dark = found.values[0, 0, :, 14:], found.values[0, 0, :, :10]
    assert float(light.mean()) > float(dark.mean())


def test_trees_of_grids_halve_the_longer_side():
    assert halve_grid((2, 3)) == (((0, 1), (3, 4)), (2, 5))
    found = asc.attribute(PICTURES, IMAGES, of=1, over=asc.coalitions.Owen(), features=asc.Grid((2, 3)))
    exact = asc.attribute(PICTURES, IMAGES, of=1, over=asc.coalitions.Exact(), features=asc.Grid((2, 3)))
    np.testing.assert_allclose(found.features.values.sum(1), exact.features.values.sum(1), atol=1e-9)


def test_layers_of_channels_are_ablated_by_channel():
    net = nn.Sequential(nn.Conv2d(2, 24, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 16, 2)).double()
    found = asc.attribute(net, IMAGES, of=1, at="1", over=asc.coalitions.LeaveOneOut())
    assert found.features.values.shape == (2, 24)
    with torch.no_grad():
        held = net[:2](IMAGES)
    for k in range(24):
        gone = held.clone()
        gone[:, k] = 0
        np.testing.assert_allclose(found.features.values[:, k], (scores(net[2:], held) - scores(net[2:], gone)).numpy(), atol=1e-12)


def test_interactions_are_a_matrix():
    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[:, 0] * x[:, 1] + 2 * x[:, 2])[:, None]

    found = asc.attribute(Product(), X, of=0, over=asc.coalitions.Interactions(), by=asc.Replace(0.0))
    assert found.values.shape == (5, 4, 4)
    torch.testing.assert_close(found.values[:, 0, 1] + found.values[:, 1, 0], X[:, 0] * X[:, 1], rtol=0, atol=1e-9)
    torch.testing.assert_close(found.values[:, 2, 1], torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-9)
    assert found.record is None
    np.testing.assert_allclose(found.gap.absolute, 0, atol=1e-9)


def test_an_estimate_beforehand_is_what_it_takes():
    for over, by in (
        (asc.coalitions.Exact(), 0.0),
        (asc.coalitions.LeaveOneOut(), asc.removal.Noise(samples=4)),
        (asc.coalitions.Exact(), asc.Resample(BACKGROUND)),
    ):
        said = asc.estimate(NET, X, of=1, over=over, by=by)
        took = asc.attribute(NET, X, of=1, over=over, by=by).cost
        assert took.rows <= said.forward_rows <= took.rows * 1.3 + 3 * len(X) * 7
        assert said.backward_rows == 0


def test_half_precision_inputs_come_back_in_their_own_type():
    net = chain(4, 6, 3).to(torch.bfloat16)
    found = asc.attribute(net, X.to(torch.bfloat16), of=1, over=asc.coalitions.ShapleyRegression(14), by=asc.Replace(0.5))
    assert found.values.dtype == torch.bfloat16
    exact = asc.attribute(NET, X, of=1, over=asc.coalitions.Exact(), by=asc.Replace(0.5))
    assert float((found.values.double() - exact.values).abs().max()) < 0.05 * float(exact.values.abs().max()) + 0.02


def test_a_zero_that_no_column_holds_is_told():
    net = chain(4, 2)
    for x, status in ((rows(8, 4), "ok"), (rows(8, 4).abs() + 1, "warn")):
        (check,) = (c for c in asc.attribute(net, x, of=0, over=asc.coalitions.LeaveOneOut()).checks if c.name == "removal")
        assert check.status == status
        assert ("4 columns" in check.detail) == (status == "warn")


IRIS, WINE = [5.1, 3.5, 1.4, 0.2], [14.23, 1.71, 2.43, 1065.0]
ONE_ROW = {
    "centimetres": (IRIS, "warn"),
    "units of their own": (WINE, "warn"),
    "degrees below 0": ([-20.0, 3.0, 0.5, 1.0], "warn"),
    "standardised": ([0.3, -1.2, 2.5, 0.1], "ok"),
    "from 0 to 1": ([0.3, 0.9, 0.0, 0.1], "ok"),
    "counts of words": ([0.0, 0.0, 12.0, 0.0], "ok"),
    "nothing known": ([np.nan, -0.5, 1.0, 2.0], "ok"),
}


@pytest.mark.parametrize("name", ONE_ROW)
@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
def test_the_scales_of_a_tables_columns_are_looked_at_from_one_row_on(name):
    row, status = ONE_ROW[name]
    found = asc.ShapleyExact()(lambda x: np.nan_to_num(x).sum(1), np.array([row]))
    (check,) = (c for c in found.checks if c.name == "removal")
    assert check.status == status
    assert ("asc.Resample(" in check.detail) == (status == "warn")


@pytest.mark.parametrize("by", [asc.Replace("mean"), asc.Mean(), asc.Replace("uniform"), asc.Replace(("blur", "mean"))], ids=repr)
def test_a_row_of_a_table_has_no_mean(by):
    """It would add metres and grams. A hidden layer's units are of one kind, and a picture's places."""
    picture, table = rows(2, 3, 6, 6).numpy(), rows(2, 4).numpy()
    args = (picture, table) if isinstance(by, asc.Replace) and isinstance(by.value, tuple) else (table,)
    with pytest.raises(FeatureError, match=r"x_train\.mean\(0\)") as caught:
        asc.attribute(lambda *x: x[-1].sum(1), *args, over=asc.coalitions.LeaveOneOut(), by=by, features=None)
    assert "4 columns" in str(caught.value)
    column = asc.attribute(lambda x: x @ np.arange(4.0), table, over=asc.coalitions.Exact(), by=table.mean(0))
    np.testing.assert_allclose(column.values, np.arange(4) * (table - table.mean(0)), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 6, 6), (2, 6, 6, 3), (2, 6, 6)])
def test_a_picture_of_bytes_without_a_removal_becomes_dark(shape):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = asc.attribute(
        lambda x: x.reshape(len(x), -1).sum(1, dtype=float), x, over=asc.coalitions.LeaveOneOut(), features=asc.features.EachElement()
    )
    np.testing.assert_array_equal(found.values, x)
    assert any(c.name == "removal" and c.status == "ok" and "Replace()" in c.detail for c in found.checks)
    with pytest.raises(FeatureError, match=r"asc\.Replace\(0\) or by=asc\.Blur\(\)"):
        asc.attribute(lambda x: x.reshape(len(x), -1).sum(1), x.astype(np.int64), over=asc.coalitions.LeaveOneOut())


WHOLE = np.array([[0, 3, 250], [7, 40, 5]], dtype=np.uint8)


@pytest.mark.parametrize(("by", "expected"), [
    (asc.Mean(), np.rint(WHOLE.mean(1))[:, None, None].repeat(3, 2)),
    (asc.removal.Noise(0.0, 1, around=True), WHOLE),
    (asc.removal.Noise(400.0, 1), None),
    (asc.Replace(255), np.full((2, 3), 255)),
], ids=repr)  # fmt: skip
def test_computed_stand_ins_for_whole_numbers_are_rounded_and_stay_in_range(by, expected):
    seen: list[np.ndarray] = []

    def model(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x.reshape(2, 3).sum(1, dtype=float)

    x = WHOLE if expected is None or np.ndim(expected) == 2 else WHOLE[:, None]
    asc.attribute(model, x, over=asc.coalitions.LeaveOneOut(), by=by, features=np.zeros(3, int))
    assert all(x.dtype == np.uint8 for x in seen)
    if expected is None:
        drawn = np.random.default_rng((0, 5, 0)).standard_normal((1, 1, 3))[0] * 400
        expected = np.broadcast_to(np.clip(np.rint(drawn), 0, 255), (2, 3))
    np.testing.assert_array_equal(seen[-2], expected)  # the last call asks once more about the first record


MIXED = np.array([[1, "a"], [2, "b"], [3, "a"]], dtype=object)
CUT: dict[str, tuple[np.ndarray, Any]] = {
    "fractions of a background": (WHOLE, asc.Resample(np.full((2, 3), 0.5))),
    "fractions of an array": (WHOLE, asc.Replace(np.array([0.0, 0.5, 0.0]))),
    "a fraction of another type": (WHOLE, asc.Replace(np.float32(0.5))),
    "numbers out of range": (WHOLE, asc.Replace(256)),
    "nothing known": (WHOLE, asc.Replace(np.array([0.0, np.nan, 0.0]))),
    "longer words": (np.array([["a"], ["b"]]), asc.Resample(np.array([["abc"]]))),
    "a number among words": (MIXED, asc.Replace(0.5)),
    "the mean of words": (MIXED, asc.Mean()),
    "noise on words": (MIXED, asc.removal.Noise()),
}


@pytest.mark.parametrize("name", CUT)
def test_stand_ins_are_never_cut_to_the_type_of_the_records(name):
    x, by = CUT[name]
    with pytest.raises((FeatureError, DistributionError)):
        asc.attribute(lambda x: np.ones(len(x)), x, over=asc.coalitions.LeaveOneOut(), by=by)


def test_whole_numbers_and_words_are_never_there_in_part():
    for x, by in ((WHOLE, asc.MaskToken(0)), (MIXED, asc.Resample(MIXED))):
        with pytest.raises(FeatureError, match="in part"):
            asc.attribute(lambda x: np.ones(len(x)), x, over=asc.coalitions.TotalSobolIndices(64), by=by)


def test_a_column_of_texts():
    x = np.array(["a good film", "a film"], dtype=object)
    found = asc.attribute(
        lambda x: [float(len(s)) for s in x], x, over=asc.coalitions.Exact(), by=asc.Resample(np.array(["", "abcd"], dtype=object))
    )
    np.testing.assert_array_equal(found.values, [11 - 2, 6 - 2])


def test_a_cell_in_several_features_is_there_as_much_as_the_least_of_them():
    cover = np.array([[True, False, False], [True, True, False], [False, True, True]])
    groups = Groups((np.arange(3)[None],), 3, "windows that overlap", cover)
    np.testing.assert_allclose(groups.presence(np.array([[0.2, 0.7, 0.4]])), [[0.2, 0.2, 0.4, 1.0]])
    whole = np.array(list(product((False, True), repeat=3)))
    np.testing.assert_array_equal(groups.presence(whole), groups.presence(whole.astype(float)))


def test_an_error_is_that_of_the_estimate_and_that_of_the_draws():
    values, error = np.array([1.0, 2.0, 6.0]).reshape(3, 1, 1), np.array([0.3, 0.5, 0.1]).reshape(3, 1, 1)
    both = join_draws(GameEstimate(values, error), 3)
    np.testing.assert_allclose(both.values, 3.0)
    np.testing.assert_allclose(both.error, np.sqrt(7.0 / 3 + 0.3**2))  # variance of three draws over three; the mean error
    np.testing.assert_allclose(join_draws(GameEstimate(values), 3).error, np.sqrt(7.0 / 3))


def test_features_of_several_arrays_are_counted_on():
    net, a, b = seeded(TwoInputs), rows(3, 4), rows(3, 3, seed=1)
    exact = []
    for k, array in enumerate((a, b)):
        for j in range(array.shape[1]):
            gone = [a.clone(), b.clone()]
            gone[k][:, j] = 0
            with torch.no_grad():
                exact.append((net(a, b) - net(*gone))[:, 1])
    exact = torch.stack(exact, 1).numpy()
    found = asc.attribute(net, a, b, of=1, over=asc.coalitions.LeaveOneOut(), features=asc.features.Channels())
    np.testing.assert_allclose(found.features.values, exact, rtol=1e-9, atol=1e-12)
    kept = (asc.features.Channels(), np.array([0, -1, 1]))
    found = asc.attribute(net, a, b, of=1, over=asc.coalitions.LeaveOneOut(), features=kept)
    np.testing.assert_allclose(found.features.values, exact[:, [0, 1, 2, 3, 4, 6]], rtol=1e-9, atol=1e-12)
    assert (found.values[1][:, 1] == 0).all()
