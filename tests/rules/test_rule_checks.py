"""What results say of a rule: which operation met it, what biases took, what got lost, what blew up; and the table before a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends import open_session
from ascribe.engine.checks.relevance import check_blow_up
from ascribe.engine.request import make_request
from ascribe.engine.run import run_request
from ascribe.errors import RuleError
from ascribe.rules.trace import Flow, RuleTrace
from tests.support.rescale_zoo import NETS, batch, net

DOUBLE = torch.float64
Tensor = torch.Tensor
CONSERVING = (asc.rules.Epsilon(1e-12), asc.rules.Gamma(0.3, 1e-12), asc.rules.ZPlus(1e-12), asc.rules.EPSILON_PLUS_FLAT, asc.rules.CPLRP())


def check(found: asc.Attribution, name: str) -> asc.result.Check:
    return next(c for c in found.checks if c.name == name)


def trace_of(model: nn.Module, x: Tensor, by: object, **more: object) -> tuple[RuleTrace, Tensor]:
    """The books of a run, and the values that came of it."""
    with open_session(model, asc.Call(x)) as session:
        _, done = run_request(session, make_request(1, asc.INPUT, None, by, **more))
    return done[0].trace, done[0].values[0][0]


@pytest.mark.parametrize("rule", CONSERVING, ids=repr)
@pytest.mark.parametrize("name", ["relu module", "gelu", "max pool 1d", "layer norm", "group norm", "attention", "encoder layer", "lstm"])
def test_what_arrives_and_what_constants_take_is_the_quantity(name, rule):
    model, x = net(name), batch()
    trace, values = trace_of(model, x, rule)
    explained = float(model(x)[:, 1].sum())
    assert trace.quantity == pytest.approx(explained, rel=1e-9)
    taken = sum(flow.absorbed for flow in trace.flows.values())
    lost = sum(flow.lost for flow in trace.flows.values())
    assert float(values.sum()) + taken + lost == pytest.approx(explained, rel=1e-7, abs=1e-9)


class WithBiases(nn.Module):
    """Two layers whose biases come in like inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 7, bias=False), nn.Linear(7, 3, bias=False)

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x) + first)) + second


def test_the_share_of_biases_is_that_of_inputs_that_are_one():
    """Relevance at biases that are inputs, against what the books say biases took."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        split = WithBiases().to(DOUBLE)
        x, first, second = torch.randn(3, 5, dtype=DOUBLE), torch.randn(7, dtype=DOUBLE), torch.randn(3, dtype=DOUBLE)
    whole = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).to(DOUBLE)
    whole[0].weight, whole[0].bias, whole[2].weight, whole[2].bias = (
        nn.Parameter(t.detach()) for t in (split.a.weight, first, split.b.weight, second)
    )
    rule = asc.rules.Epsilon(1e-13)
    trace, _ = trace_of(whole, x, rule)
    parts = asc.attribute(split, x, first.expand(3, 7).clone(), second.expand(3, 3).clone(), of=1, by=rule).values
    assert [flow.absorbed for flow in trace.flows.values() if flow.place == "0"] == [pytest.approx(float(parts[1].sum()))]
    assert [flow.absorbed for flow in trace.flows.values() if flow.place == "2"] == [pytest.approx(float(parts[2].sum()))]


def test_conservation_is_told_with_the_largest_takers():
    found = asc.attribute(net("relu module"), batch(), of=1, by=asc.rules.Epsilon())
    said = check(found, "conservation")
    assert said.status == "ok"
    assert f"{float(found.values.sum()):.4g} of the quantity's {float(found.explained.sum()):.4g}" in said.detail
    assert "convolution in layers.a" in said.detail


def test_what_gets_lost_is_named():
    """z+ where some neurons have nothing positive to share among: their relevance goes nowhere."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)).to(DOUBLE)
    model[0].weight.data, model[1].weight.data = -torch.eye(2, dtype=DOUBLE), torch.tensor([[1.0, 1.0]], dtype=DOUBLE)
    found = asc.attribute(model, torch.tensor([[1.0, 2.0]], dtype=DOUBLE), of=0, by=asc.rules.RuleBook((("0", asc.rules.ZPlus()),)))
    said = check(found, "conservation")
    assert said.status == "warn"
    assert "not conserved" in said.detail
    assert "addmm in 0" in said.detail or "mm in 0" in said.detail


def test_blow_up_names_the_operation():
    """Large contributions that cancel: without an epsilon each gets a large share."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Identity(), nn.Linear(2, 1, bias=False)).to(DOUBLE)
    model[0].weight.data = torch.tensor([[1000.0, -999.0], [1.0, 0.0]], dtype=DOUBLE)
    model[2].weight.data = torch.tensor([[1.0, 1.0]], dtype=DOUBLE)
    x = torch.tensor([[1.0, 1.0], [0.001, 0.0]], dtype=DOUBLE)
    said = check(asc.attribute(model, x, of=0, by=asc.rules.Epsilon()), "blow-up")
    assert said.status == "warn"
    assert said.records == (0,)
    assert "mm in 0" in said.detail
    assert check(asc.attribute(model, x, of=0, by=asc.rules.ZPlus()), "blow-up").status == "ok"


class Odd(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return torch.cumprod(h, 1)


def odd() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), nn.Sequential(Odd()), nn.Linear(4, 3)).to(DOUBLE)


@pytest.mark.parametrize("rule", [asc.rules.Epsilon(), asc.rules.EPSILON_PLUS, asc.rules.AttnLRP(), asc.rules.Rescale()], ids=repr)
def test_operations_without_a_rule_are_named_with_their_place(rule):
    model, x = odd(), torch.randn(2, 4, dtype=DOUBLE)
    said = check(asc.attribute(model, x, of=1, by=rule), "rule")
    assert said.status == "warn"
    assert "cumprod" in said.detail
    assert "1.0" in said.detail
    table = asc.explain_rules(model, x, by=rule)
    assert [(row.operation, row.place) for row in table.missing] == [("cumprod", "1.0")]
    assert "none:" in repr(table)


STRICT = (asc.rules.Epsilon(strict=True), asc.rules.RuleBook((("nowhere", asc.rules.Flat()),), strict=True), asc.rules.Rescale(strict=True))


@pytest.mark.parametrize("rule", STRICT, ids=repr)
def test_strict_raises_and_names_all(rule):
    model, x = odd(), torch.randn(2, 4, dtype=DOUBLE)
    with pytest.raises(RuleError, match="cumprod") as raised:
        asc.attribute(model, x, of=1, by=rule)
    assert isinstance(rule, asc.rules.RuleBook) == ("nowhere" in str(raised.value))
    assert asc.explain_rules(model, x, by=rule).missing, "the table is there to look at"


def test_pairs_that_fit_nothing_are_told():
    model, x = odd()[:1], torch.randn(2, 4, dtype=DOUBLE)
    said = check(asc.attribute(model, x, of=1, by=asc.rules.EPSILON_PLUS), "rule")
    assert said.status == "ok"
    assert "nothing fits 'convolution'" in said.detail
    said = check(asc.attribute(model, x, of=1, by=asc.rules.RuleBook((("encoder.*", asc.rules.Gamma()),))), "rule")
    assert said.status == "warn"
    assert "encoder.*" in said.detail
    assert "no module has such a path" in said.detail


def test_the_table_counts_what_ran():
    """Convolutions merged with their norms, a module used twice, what only moves numbers together."""
    table = asc.explain_rules(net("relu module"), batch(), by=asc.rules.EPSILON_PLUS_FLAT)
    rows = {(row.operation, row.place): (row.rule, row.times) for row in table.rows}
    assert rows["convolution", "layers.a"] == ("rules.Flat()", 1)
    assert rows["convolution", "layers.b"] == ("rules.ZPlus()", 1)
    assert rows["addmm", "layers.head"] == ("rules.Epsilon()", 1)
    assert rows["relu", "layers.m"] == ("f(x) / x", 2)
    assert rows["native_batch_norm", "layers.n"] == ("merged with the neighbouring layer", 1)
    assert not table.missing
    assert table.unused == ()
    assert "layers.head" in repr(table)


@pytest.mark.parametrize("name", NETS)
def test_every_operation_of_every_network_is_in_the_table(name):
    """Whatever has no formula is marked, and the same is named in the result."""
    model, x = net(name), batch()
    table = asc.explain_rules(model, x, by=asc.rules.EPSILON_PLUS, of=1)
    found = check(asc.attribute(model, x, of=1, by=asc.rules.EPSILON_PLUS), "rule")
    assert table.rows
    for row in table.missing:
        assert row.operation in found.detail
    assert bool(table.missing) <= (found.status == "warn")


def test_the_table_of_part_of_a_network():
    model, x = net("relu module"), batch()
    table = asc.explain_rules(model, x, by=asc.rules.Epsilon(), at="layers.b")
    assert {row.place for row in table.rows if row.kind in ("convolution", "dense")} == {"layers.head"}


def test_what_others_named_is_escaped():
    model = nn.Sequential()
    model.add_module("<script>alert(1)</script>", nn.Linear(4, 3).to(DOUBLE))
    page = asc.explain_rules(model, torch.randn(2, 4, dtype=DOUBLE), by=asc.rules.Epsilon())._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_what_would_write_to_a_terminal_appears_as_escapes():
    model = nn.Sequential()
    model.add_module("\x1b[31mred\nline", Odd())
    table = asc.explain_rules(model, torch.randn(2, 4, dtype=DOUBLE), by=asc.rules.Epsilon())
    assert table.notes
    assert r"\x1b[31mred\nline" in repr(table)
    assert all(line.isprintable() for line in repr(table).splitlines())


def test_the_gradient_has_no_table():
    with pytest.raises(RuleError, match="this rule is the gradient"):
        asc.explain_rules(odd(), torch.randn(2, 4, dtype=DOUBLE), by=asc.rules.Gradient())


def test_relevance_is_large_beside_the_quantity_of_its_record_or_of_most():
    trace = RuleTrace(flows={0: Flow("mm", "a", 1.0, 1.0, 0.0, 1.0)}, quantity=2.0, size=2.0)
    numbers = np.array([[1.0, 1.0, 1e-9]])
    for sums, largest, records in (
        ([[1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]], ()),  # a quantity of nearly nothing among others
        ([[1.0, 1.0, 1.0]], [[500.0, 1.0, 1.0]], (0,)),  # what is large cancels in the sum
        ([[1.0, -500.0, 500.0]], [[1.0, 1.0, 1.0]], (1, 2)),
    ):
        said = check_blow_up(trace, np.array(sums), np.array(largest), numbers)
        assert said.records == records
        assert said.status == ("warn" if records else "ok")


def test_an_operation_without_formula_and_derivative_is_named():
    class Floored(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 4)

        def forward(self, x):
            return (self.first(x) * 3) // 0.5

    for rule, over in ((asc.rules.Rescale(), asc.Reference(0.0)), (asc.rules.Epsilon(), asc.Point())):
        with pytest.raises(asc.AscribeError, match="floor_divide"):
            asc.attribute(Floored(), torch.ones(2, 3), of=1, by=rule, over=over)


@pytest.mark.parametrize("by", [asc.rules.Rescale(), asc.rules.RevealCancel()], ids=repr)
def test_shapes_that_depend_on_the_record_are_those_of_the_record(by):
    """A leaky rectifier by a mask: what is not packed at the reference is zero there, so the record's mask will do, and is named."""

    class Masked(torch.nn.Module):
        def forward(self, x):
            h = x.clone()
            h[h < 0] *= 0.1
            return h.tanh()

    x = torch.tensor([[1.0, -2.0, 3.0], [-1.0, -2.0, 0.5]])
    found = asc.attribute(Masked(), x, of=1, by=by, over=asc.Reference(0.0))
    assert torch.allclose(found.values.sum(1), Masked()(x)[:, 1], rtol=0, atol=1e-6)
    assert "lt: its choice kept as it is" in next(c for c in found.checks if c.name == "rule").detail


def test_a_factor_that_is_added_too_is_told():
    """``x + x y`` in one operation: one derivative for both places of ``x``, which cannot be shared out."""

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 4)

        def forward(self, x):
            h = self.first(x)
            return torch.addcmul(h, h, h.flip(1))

    found = asc.attribute(Both(), torch.ones(2, 3), of=1, by=asc.rules.AttnLRP())
    rule = next(check for check in found.checks if check.name == "rule")
    assert rule.status == "warn"
    assert "addcmul" in rule.detail


class Pictured(torch.nn.Module):
    """A picture and words, which meet in a rectifier."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.picture, self.last = torch.nn.Embedding(9, 4), torch.nn.Linear(6, 4, bias=False), torch.nn.Linear(4, 3)

    def forward(self, picture, ids):
        return self.last((self.words(ids).mean(1) + self.picture(picture)).relu())


@pytest.mark.parametrize(
    "by",
    [asc.rules.CPLRP(), asc.rules.AttnLRP(), asc.rules.Epsilon(1e-12), asc.rules.Guided(), asc.rules.Rescale(), asc.rules.RevealCancel()],
    ids=repr,
)
def test_inputs_and_embeddings_together_are_what_each_is_alone(by):
    model, picture, ids = Pictured().double().eval(), torch.randn(2, 6, dtype=torch.float64), torch.randint(0, 9, (2, 5))
    over = asc.Reference(0.0) if by.compares else None
    both = asc.attribute(model, picture, ids, of=1, at=[asc.INPUT, asc.EMBEDDINGS], by=by, over=over).values
    assert [tuple(v.shape) for v in both] == [(2, 6), (2, 5, 4)]
    alone = asc.attribute(model, picture, ids, of=1, by=by, over=over).values
    if isinstance(by, asc.rules.RevealCancel):  # words are a term of their sum now, so that its terms are parted anew
        both, alone = [v.flatten(1).sum(1) for v in both], alone.sum(1)
    assert torch.allclose(both[0], alone, rtol=0, atol=1e-6)
    if not by.compares:  # words do not move where the reference is the picture's
        assert torch.allclose(both[1], asc.attribute(model, picture, ids, of=1, at=asc.EMBEDDINGS, by=by).values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 0), (2, 3, 0)])
@pytest.mark.parametrize(
    "by", [None, asc.rules.CPLRP(), asc.rules.Epsilon(), asc.rules.Guided(), asc.rules.Rescale(), asc.rules.RevealCancel()], ids=repr
)
@pytest.mark.parametrize("line", [False, True])
def test_inputs_without_numbers_have_no_values(shape, by, line):
    over = asc.Reference(0.0) if by is not None and by.compares else asc.Line(0.0, steps=3) if line and by is None else None
    found = asc.attribute(lambda x: x.flatten(1).sum(1, keepdim=True).relu(), torch.zeros(shape), of=0, by=by, over=over)
    assert found.values.shape == shape
    empty_inside = asc.attribute(
        lambda x: x[:, :0].sort(1).values.sum(1, keepdim=True).relu() + x, torch.ones(2, 3), of=1, by=by, over=over
    )
    assert empty_inside.values.tolist() == [[0.0, 1.0, 0.0]] * 2
