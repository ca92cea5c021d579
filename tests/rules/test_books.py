"""Rule books: which pair an operation falls to, and what a book makes of a network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import RuleError
from ascribe.rules.books import Operation
from tests.support.rescale_zoo import Fn, batch, net

DOUBLE = torch.float64
Tensor = torch.Tensor
BOOKS = {
    "EPSILON_PLUS": asc.rules.EPSILON_PLUS,
    "EPSILON_PLUS_FLAT": asc.rules.EPSILON_PLUS_FLAT,
    "EPSILON_ALPHA2_BETA1": asc.rules.EPSILON_ALPHA2_BETA1,
    "EPSILON_ALPHA2_BETA1_FLAT": asc.rules.EPSILON_ALPHA2_BETA1_FLAT,
    "EXCITATION_BACKPROP": asc.rules.EXCITATION_BACKPROP,
    "epsilon_gamma_box": asc.rules.epsilon_gamma_box(-4.0, 4.0),
}


def test_the_first_pair_that_fits_holds():
    book = asc.rules.RuleBook(
        (("features.*", asc.rules.Flat()), ("convolution", asc.rules.ZPlus()), (asc.rules.Where("dense", position=-1), asc.rules.Pass()))
    )
    assert book.choose(Operation("convolution", "features.0")) == 0
    assert book.choose(Operation("convolution", "features.3.conv")) == 0, "inside a module that the path names"
    assert book.choose(Operation("convolution", "stem")) == 1
    assert book.choose(Operation("dense", "head", 4, 5)) == 2
    assert book.choose(Operation("dense", "head", 3, 5)) is None
    assert book.choose(Operation("activation", "head")) is None
    around = asc.rules.Where(layer="block.?")
    paths = ("block.1", "block.1.mlp.up", "block.10", "my.block.1")
    assert [path for path in paths if around.fits(Operation("dense", path))] == ["block.1", "block.1.mlp.up"]


@pytest.mark.parametrize(
    ("position", "fits"), [(0, {0}), (-1, {4}), (2, {2}), ((0, 2), {0, 1}), ((3, None), {3, 4}), ((None, -3), {0, 1}), (7, set())]
)
def test_positions_count_layers(position, fits):
    where = asc.rules.Where(position=position)
    assert {i for i in range(5) if where.fits(Operation("dense", "a", i, 5))} == fits
    assert not where.fits(Operation("activation", "a"))


def test_what_is_no_place_and_no_rule_is_refused():
    for place in (3, None, asc.rules.Where):
        with pytest.raises(RuleError, match="condition"):
            asc.rules.RuleBook(((place, asc.rules.Epsilon()),))
    for rule in (asc.rules.Rescale(), asc.rules.Gradient(), asc.rules.Epsilon, "epsilon", asc.rules.EPSILON_PLUS):
        with pytest.raises(RuleError):
            asc.rules.RuleBook((("dense", rule),))
    with pytest.raises(RuleError, match="kind"):
        asc.rules.Where("gelu")


def plain() -> nn.Module:
    """Convolutions, batch norms, pools, two dense layers; by name and in order as they run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Fn(
            lambda x, a, b, c, d: d(torch.relu(c(b(a(x)).flatten(1)))),
            d=nn.Linear(7, 4),
            c=nn.Linear(32, 7),
            b=nn.Sequential(nn.Conv2d(5, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
            a=nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()),
        )
    return model.to(DOUBLE).eval()


def by_hand(model: nn.Module, x: Tensor, rules: dict[str, object]) -> Tensor:
    """The network layer by layer, each layer's relevance explained by itself under its rule."""
    a, b, c, d = (model.layers[n] for n in "abcd")
    steps = [
        (a[0], rules["a"]), (a[1], None), (b[0], rules["b"]), (b[1], None), (b[2], None), (nn.Flatten(), None),
        (c, rules["c"]), (nn.ReLU(), None), (d, rules["d"]),
    ]  # fmt: skip
    values = [x]
    with torch.no_grad():
        for layer, _ in steps:
            values.append(layer(values[-1]))
    relevance = torch.zeros_like(values[-1])
    relevance[:, 1] = values[-1][:, 1]
    for (layer, rule), value, out in zip(reversed(steps), reversed(values[:-1]), reversed(values), strict=False):
        share = torch.where(out == 0, 0.0, relevance / torch.where(out == 0, 1.0, out))

        def read(y: Tensor, share: Tensor = share) -> Tensor:
            return (y * share).flatten(1).sum(1)

        relevance = asc.attribute(layer, value, of=asc.quantities.Custom(read), by=rule or asc.rules.Epsilon(0.0)).values
    return relevance


@pytest.mark.parametrize(
    "book", [*BOOKS.values(), asc.rules.RuleBook(((asc.rules.Where(layer="layers.b"), asc.rules.Gamma()),), otherwise=asc.rules.ZPlus())]
)
def test_a_book_is_its_rules_layer_by_layer(book):
    model, x = plain(), batch()
    kinds = {"a": "convolution", "b": "convolution", "c": "dense", "d": "dense"}
    rules = {}
    for i, (name, kind) in enumerate(kinds.items()):
        page = book.choose(Operation(kind, f"layers.{name}", i, 4))
        rules[name] = book.otherwise if page is None else book.pairs[page][1]
    found = asc.attribute(model, x, of=1, by=book).values
    torch.testing.assert_close(found, by_hand(model, x, rules), rtol=1e-6, atol=1e-8)


def folded(model: nn.Module) -> nn.Module:
    """The same network with every batch norm put into the convolution before it, by PyTorch's own means."""
    model = copy.deepcopy(model)
    model.layers["a"] = nn.utils.fuse_conv_bn_eval(model.layers["a"], model.layers["n"])
    model.layers["n"] = nn.Identity()
    return model


@pytest.mark.parametrize(
    "rule",
    [*BOOKS.values(), asc.rules.Gamma(), asc.rules.AlphaBeta(), asc.rules.ZBox(-4.0, 4.0), asc.rules.WSquare(), asc.rules.Flat()],
    ids=repr,
)
def test_batch_norm_is_merged_with_the_convolution_before_it(rule):
    model, x = net("relu module"), batch()
    model.layers["n"].weight.data.uniform_(-2, 2, generator=torch.Generator().manual_seed(3))
    before = copy.deepcopy(model.state_dict())
    found = asc.attribute(model, x, of=1, by=rule).values
    expected = asc.attribute(folded(model), x, of=1, by=rule).values
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))


LINE = torch.linspace(-1.5, 2.0, 6, dtype=DOUBLE)
AFTER = {
    "dense": (lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)), (6,)),
    "convolution": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)), (3, 5, 5)),
    "groups": (lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2, bias=False)), (4, 5, 5)),
    "transposed": (lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 6, 3, groups=2, stride=2)), (4, 3, 3)),
    "both sides": (lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5), nn.BatchNorm1d(5)), (6,)),
    "transposed, then norm": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)), (4, 3, 3)),
    "groups, then norm": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)), (4, 5, 5)),
    "scalings": (lambda: Fn(lambda x, a: 3 * a((x - 0.3) / 2) + 1, a=nn.Linear(6, 5)), (6,)),
    "scalings of tokens": (lambda: Fn(lambda x, a: 3 * a((x - 0.3) / 2) + 1, a=nn.Linear(6, 5)), (3, 6)),
    "a scale for each feature of tokens": (lambda: Fn(lambda x, a: a(x * LINE - LINE), a=nn.Linear(6, 5)), (3, 6)),
    "positions": (lambda: Fn(lambda x, a: a(x + LINE.cos() * LINE[:3, None]), a=nn.Linear(6, 5)), (3, 6)),
    "tokens in rows and columns": (lambda: Fn(lambda x, a: a((x - 0.3) / 2), a=nn.Linear(4, 5, bias=False)), (2, 3, 4)),
}


def affine(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """A whole affine network as one matrix and one bias."""
    with torch.no_grad():
        b = model(torch.zeros_like(x)).flatten()
        return torch.stack([model(e.view_as(x)).flatten() - b for e in torch.eye(x.numel(), dtype=DOUBLE)], 1), b


def read(y: Tensor) -> Tensor:
    return (y * y).flatten(1).sum(1) / 2


AFFINE = (
    asc.rules.Epsilon(),
    asc.rules.Gamma(),
    asc.rules.Gamma(generalised=True),
    asc.rules.AlphaBeta(),
    asc.rules.ZBox(-4.0, 4.0),
    asc.rules.WSquare(),
)


@pytest.mark.parametrize("name", AFTER)
@pytest.mark.parametrize("rule", AFFINE, ids=repr)
def test_affine_neighbours_make_one_layer(name, rule):
    """Against the same affine map as a single dense layer."""
    make, shape = AFTER[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().to(DOUBLE).eval()
        for m in model.modules():
            if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
                for tensor in (m.running_mean, m.weight.data, m.bias.data):
                    tensor.uniform_(-1.5, 1.5)
                m.running_var.uniform_(0.5, 2)
        x = torch.randn(2, *shape, dtype=DOUBLE)
    found = asc.attribute(model, x, of=asc.quantities.Custom(read), by=rule).values
    for i in range(2):
        w, b = affine(model, x[i : i + 1])
        single = nn.Linear(*reversed(w.shape)).to(DOUBLE)
        single.weight.data, single.bias.data = w, b
        expected = asc.attribute(single, x[i : i + 1].flatten(1), of=asc.quantities.Custom(read), by=rule).values
        torch.testing.assert_close(found[i].flatten(), expected[0], rtol=1e-8, atol=1e-10)


def weights(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


W, V, B, S = weights(5, 4, seed=1), weights(5, 4, seed=2), weights(4, seed=3), weights(4, seed=4)


def used_twice(x: Tensor) -> Tensor:
    y = torch.addmm(B, x, W)
    return (y * S).relu() + 2 * y.relu()


def shifted_for_two(x: Tensor) -> Tensor:
    y = 2 * x + 1
    return (y @ W).relu() + (y @ V).relu()


@pytest.mark.parametrize(
    "run",
    [used_twice, shifted_for_two, lambda x: (torch.addmm(x @ V, x, W) * S + B).relu()],
    ids=["used twice", "shifted for two", "added to"],
)
def test_nothing_is_merged_that_something_else_relies_on(run):
    """Without a stabiliser LRP-epsilon is gradient times input in a network of rectifiers (Ancona et al. 2018), however it is written."""
    x = weights(3, 5, seed=5)
    found, expected = (asc.attribute(Fn(run), x, of=2, by=rule).values for rule in (asc.rules.Epsilon(1e-12), None))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("first", [asc.rules.Flat(), asc.rules.WSquare(), asc.rules.ZBox(-9.0, 9.0)], ids=repr)
def test_what_comes_by_two_ways_adds_up(first):
    """Relevance that is no multiple of a value and relevance that is one meet before a norm."""

    def of(*taken: str) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = {name: nn.Linear(5, 3, bias=False, dtype=DOUBLE) for name in ("one", "two")}
        norm = nn.LayerNorm(5, dtype=DOUBLE)

        def forward(x: Tensor, norm: nn.Module, **layers: nn.Module) -> Tensor:
            h = norm(x)
            return sum(layers[name](h) for name in taken)

        model = Fn(forward, norm=norm, **layers)
        book = asc.rules.RuleBook((("layers.one", first), ("layers.two", asc.rules.Epsilon(1e-12))))
        return asc.attribute(model, weights(3, 5, seed=5), of=1, by=book).values

    torch.testing.assert_close(of("one", "two"), of("one") + of("two"), rtol=1e-5, atol=1e-7)


def test_relevance_at_a_layer_is_the_same_whatever_else_is_asked_for():
    """Between a convolution and its batch norm, at the norm, behind it."""
    model, x = net("relu module"), batch()
    for rule in (*BOOKS.values(), asc.rules.Gamma(), asc.rules.AlphaBeta()):
        whole = asc.attribute(model, x, of=1, by=rule).values
        for layer in ("layers.a", "layers.n", "layers.b"):
            alone = asc.attribute(model, x, of=1, at=layer, by=rule).values
            both = asc.attribute(model, x, of=1, at=[layer, asc.INPUT], by=rule).values
            torch.testing.assert_close(both[0], alone)
            torch.testing.assert_close(both[1], whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS)
@pytest.mark.parametrize("over", [asc.Gaussian(0.1, 3), asc.Background(batch(3, seed=5)), asc.Line(0.1, 4)], ids=lambda d: type(d).__name__)
def test_books_run_over_distributions(book, over):
    model, x = net("relu module"), batch()
    found = asc.attribute(model, x, of=1, over=over, by=book)
    assert torch.isfinite(found.values).all()
    torch.testing.assert_close(asc.attribute(model, x, of=1, over=over, by=book, chunk=2).values, found.values, rtol=1e-7, atol=1e-9)


def test_gaussian_of_no_width_is_the_record():
    model, x = net("relu module"), batch()
    for book in BOOKS.values():
        still = asc.attribute(model, x, of=1, over=asc.Gaussian(0.0, 2), by=book).values
        torch.testing.assert_close(still, asc.attribute(model, x, of=1, by=book).values, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS)
def test_records_do_not_see_each_other(book):
    model, x = net("relu module"), batch(16)
    whole = asc.attribute(model, x, of=1, by=book).values
    torch.testing.assert_close(asc.attribute(model, x[5:6], of=1, by=book).values, whole[5:6], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS)
@pytest.mark.parametrize("name", ["relu function", "relu in place", "relu module in place", "relu by hand", "clamp"])
def test_spellings_agree(name, book):
    a, b = (asc.attribute(net(n), batch(), of=1, by=book).values for n in ("relu module", name))
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["attention", "encoder layer", "softmax head"])
def test_a_books_page_decides_what_is_fixed(name):
    """AttnLRP with CP-LRP's page for softmax and products is CP-LRP."""
    model, x = net(name), batch()
    book = asc.rules.RuleBook(
        (("softmax", asc.rules.CPLRP()), ("product", asc.rules.CPLRP()), ("dense", asc.rules.CPLRP())), otherwise=asc.rules.AttnLRP()
    )
    found = asc.attribute(model, x, of=1, by=book).values
    torch.testing.assert_close(found, asc.attribute(model, x, of=1, by=asc.rules.CPLRP()).values, rtol=1e-9, atol=1e-12)
    if name != "softmax head":
        assert not torch.allclose(found, asc.attribute(model, x, of=1, by=asc.rules.AttnLRP()).values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: asc.rules.Epsilon(-1.0),
        lambda: asc.rules.Gamma(-0.1),
        lambda: asc.rules.ZBox(0.0, 1.0, -1.0),
        lambda: asc.rules.ZPlus(float("nan")),
    ],
)
def test_numbers_below_zero_are_refused(make):
    with pytest.raises(RuleError, match="finite number >= 0"):
        make()


NO_NUMBER = (None, "a", True, float("nan"), float("inf"), [1.0], 1j)


@pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
@pytest.mark.parametrize(
    "make", [asc.rules.Epsilon, asc.rules.Gamma, asc.rules.LstmLRP, asc.rules.BetaSmooth, lambda v: asc.rules.AlphaBeta(v, v)]
)
def test_what_is_no_number_is_refused(make, value):
    with pytest.raises(RuleError, match="Try:"):
        make(value)


@pytest.mark.parametrize("points", [0, -1, 2.5, "8", True, None], ids=repr)
@pytest.mark.parametrize("rule", [asc.rules.Rescale, asc.rules.RevealCancel])
def test_points_of_a_derivative_are_a_whole_number(rule, points):
    with pytest.raises(RuleError, match="integer"):
        rule(points=points)


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.0, 0.0), ((0.0, 2.0), (1.0, 1.0)), (torch.ones(3), 0.5), ("a", 1), (None, 1), (float("nan"), 1.0), (0.0, float("inf"))],
    ids=repr,
)
def test_bounds_are_numbers_the_lower_one_below(low, high):
    with pytest.raises(RuleError, match="bound"):
        asc.rules.ZBox(low, high)
    with pytest.raises(RuleError, match="bound"):
        asc.rules.epsilon_gamma_box(low, high)


@pytest.mark.parametrize(
    "where",
    [{"layer": 3}, {"position": "first"}, {"position": 0.5}, {"position": (1,)}, {"position": [0, 1]}, {"position": (0, "b")}],
    ids=repr,
)
def test_places_that_are_none_are_refused(where):
    (name,) = where
    with pytest.raises(RuleError, match=name):
        asc.rules.Where(**where)


@pytest.mark.parametrize("pairs", [asc.rules.ZPlus(), ("dense", asc.rules.ZPlus()), (("dense",),), {"dense": asc.rules.ZPlus()}], ids=repr)
def test_a_book_is_made_of_pairs(pairs):
    with pytest.raises(RuleError, match="pairs"):
        asc.rules.RuleBook(pairs)
