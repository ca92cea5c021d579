"""DeepLIFT and DeepLIFT-SHAP as methods: references of every kind, combinations, what they cost, the models that others fail on."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import ascribe as asc
from ascribe.errors import CutError, DistributionError, RuleError
from tests.support.rescale_zoo import Fn, batch, net

captum = pytest.importorskip("captum.attr")
DOUBLE = torch.float64
LABELS = torch.tensor([0, 1, 2])
RULES = (asc.rules.Rescale(), asc.rules.RevealCancel())


def relu_net() -> nn.Sequential:
    """Modules that captum treats right."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(80, 6), nn.ReLU(),
            nn.Linear(6, 4),
        )  # fmt: skip
        model[1].running_mean.normal_()
        model[1].running_var.uniform_(0.5, 2)
    return model.to(DOUBLE).eval()


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


# ---- references


REFERENCES = {
    "a number": lambda x, row: (0.25, torch.full_like(x, 0.25)),
    "an array": lambda x, row: (row[0].numpy(), row.expand_as(x)),
    "one row": lambda x, row: (row, row.expand_as(x)),
    "a row for each": lambda x, row: (x.flip(0) * 0.5, x.flip(0) * 0.5),
    "a function": lambda x, row: (lambda x: x.mean((2, 3), keepdim=True).expand_as(x), x.mean((2, 3), keepdim=True).expand_as(x)),
    "a name": lambda x, row: ("mean", x.mean((2, 3), keepdim=True).expand_as(x)),
    "another call": lambda x, row: (asc.Call(x.flip(0)), x.flip(0)),
    "a tuple of one": lambda x, row: ((row,), row.expand_as(x)),
    "by name": lambda x, row: ({"input 0": row}, row.expand_as(x)),
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_every_kind_of_reference(kind, chunk):
    model, x = relu_net(), batch()
    given, meant = REFERENCES[kind](x, batch(1, seed=7))
    found = asc.DeepLift(given)(model, x, of=LABELS, chunk=chunk)
    close(found.values, captum.DeepLift(model).attribute(x, meant.contiguous(), target=LABELS))
    assert found.gap.relative.max() < 1e-9


def test_a_background_as_a_function_or_a_call():
    model, x, rows = relu_net(), batch(), batch(4, seed=3)
    expected = asc.DeepLiftShap(rows)(model, x, of=LABELS).values
    for background in (lambda x: rows, asc.Call(rows), rows.numpy(), (rows,), {"input 0": rows}):
        for chunk in (None, 2):
            torch.testing.assert_close(asc.DeepLiftShap(background)(model, x, of=LABELS, chunk=chunk).values, expected)


def test_references_for_several_inputs():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Linear(5, 8), nn.Linear(4, 8), nn.Linear(8, 3)
            self.relu = nn.ReLU()

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.out(self.relu(self.a(a) + self.b(b)))

    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Two().double()
        a, b, a0, b0 = (torch.randn(3, n, dtype=DOUBLE) for n in (5, 4, 5, 4))
    expected = captum.DeepLift(model).attribute((a, b), (a0, b0), target=LABELS)
    for baseline in ((a0, b0), {"input 0": a0, "input 1": b0}):
        found = asc.DeepLift(baseline)(model, a, b, of=LABELS)
        for mine, theirs in zip(found.values, expected, strict=True):
            close(mine, theirs)
    with pytest.raises(DistributionError, match="1 baselines"):
        asc.DeepLift((a0,))(model, a, b, of=LABELS)
    shap = asc.DeepLiftShap((a0, b0))(model, a, b, of=LABELS)
    for mine, theirs in zip(shap.values, captum.DeepLiftShap(model).attribute((a, b), (a0, b0), target=LABELS), strict=True):
        close(mine, theirs)


def test_token_ids_are_explained_at_their_embeddings():
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mix, self.out = nn.Embedding(20, 6), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.mix(self.embed(input_ids))[0].mean(1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Words().double()
    ids = torch.randint(0, 20, (3, 7), generator=torch.Generator().manual_seed(1))
    zeros = asc.DeepLift()(model, input_ids=ids, of=1)
    assert zeros.values.shape == (3, 7, 6)
    masked = asc.DeepLift(asc.distributions.MaskedTokens(4))(model, input_ids=ids, of=1)
    start = model.embed(torch.full_like(ids, 4)).detach()
    torch.testing.assert_close(masked.values, asc.DeepLift(start)(model, input_ids=ids, of=1).values)
    rows = asc.DeepLiftShap(asc.Call(input_ids=torch.arange(14).view(2, 7)))(model, input_ids=ids, of=1)
    for found in (zeros, masked, rows):
        assert found.gap.relative.max() < 1e-9


@pytest.mark.parametrize("by", RULES)
@pytest.mark.parametrize("name", ["relu module", "softmax head", "max pool 1d", "gelu", "encoder layer", "lstm"])
def test_neighbours_and_shared_references_change_nothing(name, by):
    """A batch of 1 against 16, two references in one background, a shared row against a row for each record."""
    model, x, rows = net(name), batch(16), batch(2, seed=7)
    whole = asc.DeepLift(rows[:1], by=by)(model, x, of=1)
    alone = [asc.DeepLift(rows[:1], by=by)(model, x[i : i + 1], of=1).values for i in (0, 7, 15)]
    torch.testing.assert_close(torch.cat(alone), whole.values[[0, 7, 15]], rtol=1e-9, atol=1e-12)
    each = asc.DeepLift(rows[:1].expand_as(x).clone(), by=by)(model, x, of=1)
    torch.testing.assert_close(each.values, whole.values, rtol=1e-9, atol=1e-12)
    second = asc.DeepLift(rows[1:], by=by)(model, x, of=1)
    both = asc.DeepLiftShap(rows, by=by)(model, x, of=1)
    torch.testing.assert_close(both.values, (whole.values + second.values) / 2, rtol=1e-9, atol=1e-12)


# ---- places, multipliers, combinations


def test_parity_with_captum_at_layers_and_neurons_over_a_background():
    model, x, rows = relu_net(), batch(), batch(5, seed=3)
    ours = asc.DeepLiftShap(rows)
    into = {"attribute_to_layer_input": True}
    pairs = [
        (ours(model, x, of=LABELS), captum.DeepLiftShap(model).attribute(x, rows, target=LABELS)),
        (
            asc.DeepLiftShap(rows, multiply=False)(model, x, of=LABELS),
            captum.DeepLiftShap(model, False).attribute(x, rows, target=LABELS),
        ),
        (ours(model, x, of=LABELS, at="3"), captum.LayerDeepLiftShap(model, model[3]).attribute(x, rows, target=LABELS)),
        (
            ours(model, x, of=LABELS, at=asc.Cut("5", "in")),
            captum.LayerDeepLiftShap(model, model[5]).attribute(x, rows, target=LABELS, **into),
        ),
        (
            ours(model, x, of=asc.Unit(2, on=asc.Cut("5"))),
            captum.NeuronDeepLiftShap(model, model[5]).attribute(x, (2,), rows),
        ),
        (
            ours(model, x, of=asc.Unit(1, on=asc.Cut("6", "in"))),
            captum.NeuronDeepLiftShap(model, model[6]).attribute(x, (1,), rows, attribute_to_neuron_input=True),
        ),
    ]
    for found, expected in pairs:
        close(found.values, expected)


COMBINATIONS: dict[str, tuple[Callable[..., torch.Tensor], Callable[..., tuple[torch.Tensor, ...]]]] = {
    "one": (lambda m: m.abs(), lambda m: (m[0].abs(),)),
    "two": (lambda m, x: m * x, lambda m, x: (m[0] * x[0],)),
    "three": (lambda m, x, x0: m * (x - x0) ** 2, lambda m, x, x0: (m[0] * (x[0] - x0[0]) ** 2,)),
}


@pytest.mark.parametrize("takes", COMBINATIONS)
def test_a_combination_of_ones_own(takes):
    mine, theirs = COMBINATIONS[takes]
    model, x, rows = relu_net(), batch(), batch(4, seed=3)
    row = rows[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = [
            (asc.DeepLift(row, combine=mine)(model, x, of=LABELS),
             captum.DeepLift(model).attribute(x, row, target=LABELS, custom_attribution_func=theirs)),
            (asc.DeepLiftShap(rows, combine=mine)(model, x, of=LABELS),
             captum.DeepLiftShap(model).attribute(x, rows, target=LABELS, custom_attribution_func=theirs)),
            (asc.DeepLift(row, combine=mine)(model, x, of=LABELS, at="2"),
             captum.LayerDeepLift(model, model[2]).attribute(x, row, target=LABELS, custom_attribution_func=theirs)),
        ]  # fmt: skip
    for found, expected in pairs:
        close(found.values, expected)
        assert found.gap is None
    alone = asc.DeepLiftShap(rows, combine=mine)
    close(alone(model, x[:1], of=1, chunk=2).values, alone(model, x[:1], of=1, chunk=1).values)
    twice = asc.DeepLift(row, combine=mine)(model, x, of=[asc.Unit(0), asc.Unit(1)])
    close(twice.values[1], asc.DeepLift(row, combine=mine)(model, x, of=1).values)


@pytest.mark.parametrize("by", [None, asc.rules.Epsilon(), asc.rules.Gradient(), asc.rules.Rescale], ids=repr)
@pytest.mark.parametrize("method", [lambda by: asc.DeepLift(by=by), lambda by: asc.DeepLiftShap(torch.zeros(1, 3), by=by)])
def test_rules_that_compare_nothing_are_refused(method, by):
    with pytest.raises(RuleError, match=r"asc\.rules\.Rescale\(\)"):
        method(by)


def test_a_combination_of_the_wrong_shape_is_told():
    model, x = relu_net(), batch()
    with pytest.raises(RuleError, match="combine=") as wrong:
        asc.DeepLift(combine=lambda m: m.sum(1))(model, x, of=1)
    assert wrong.value.code == "E-RULE-COMBINE"


def test_contributions_that_any_letter_would_make():
    """What genomics calls hypothetical contributions, as a combination."""

    def hypothetical(m: torch.Tensor, x: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        return m - (m * x0).sum(1, keepdim=True)

    model, x, rows = dna_net(), dna(3), [asc.distributions.Shuffled().rows(dna(3), 0, 0, i) for i in range(4)]
    found = asc.DeepLiftShap(asc.distributions.Shuffled(), 4, combine=hypothetical)(model, x, of=1).values
    plain = asc.DeepLiftShap(asc.distributions.Shuffled(), 4)(model, x, of=1).values
    torch.testing.assert_close((found * x).sum(1), plain.sum(1))
    m = torch.stack([asc.DeepLift(row, multiply=False)(model, x, of=1).values for row in rows])
    expected = (m - (m * torch.stack(rows)).sum(2, keepdim=True)).mean(0)
    torch.testing.assert_close(found, expected)


# ---- what it costs


def rows_seen(model: nn.Module, layer: nn.Module, run: Callable[[], object]) -> list[int]:
    """Rows of every pass through a layer, on a model that has been explained before with the same hook, empty as now: all is its state."""
    seen: list[int] = []
    handle = layer.register_forward_pre_hook(lambda m, args: seen.append(len(args[0])))
    run()
    seen.clear()
    run()
    handle.remove()
    return seen


@pytest.mark.parametrize("by", RULES)
def test_records_and_references_are_run_once(by):
    model, x, rows = relu_net(), batch(6), batch(9, seed=3)
    seen = rows_seen(model, model[0], lambda: asc.DeepLiftShap(rows, by=by)(model, x, of=1, chunk=6))
    assert sorted(seen) == [1] * 9 + [6], "N + M rows forward"
    found = asc.DeepLiftShap(rows, by=by)(model, x, of=1, chunk=6)
    assert (found.cost.forward, found.cost.backward, found.cost.rows) == (1 + 9, 9, 6 + 6 * 9)


def test_blocks_of_records_share_the_runs_of_references():
    model, x, rows = relu_net(), batch(6), batch(5, seed=3)
    seen = rows_seen(model, model[0], lambda: asc.DeepLiftShap(rows)(model, x, of=1, chunk=3))
    assert sum(seen) == 6 + 5
    assert sorted(seen) == [1] * 5 + [3, 3]
    seen = rows_seen(model, model[0], lambda: asc.DeepLift()(model, x, of=1, chunk=2))
    assert sorted(seen) == [1, 2, 2, 2]
    torch.testing.assert_close(asc.DeepLiftShap(rows)(model, x, of=1, chunk=3).values, asc.DeepLiftShap(rows)(model, x, of=1).values)


@pytest.mark.parametrize("by", RULES)
@pytest.mark.parametrize("name", ["relu module", "gelu", "max pool 1d", "encoder layer", "lstm", "writes into a part"])
def test_the_larger_side_goes_on_the_tape(name, by):
    """One record against many references: they run together, and multipliers are the same from either side."""
    model, x, rows = net(name), batch(1), batch(6, seed=3)
    together = asc.DeepLiftShap(rows, by=by)(model, x, of=[asc.Unit(1), asc.Unit(2)], chunk=3, at=asc.INPUT)
    single = asc.DeepLiftShap(rows, by=by)(model, x, of=[asc.Unit(1), asc.Unit(2)], chunk=1)
    torch.testing.assert_close(together.values, single.values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(together.gap.absolute, single.gap.absolute, atol=1e-9)
    if name != "encoder layer":  # one row takes another way through it, so the record cannot stand beside three
        assert together.cost.backward < single.cost.backward


def test_rows_of_one_record_run_together():
    model, x, rows = relu_net(), batch(1), batch(6, seed=3)
    seen = rows_seen(model, model[0], lambda: asc.DeepLiftShap(rows)(model, x, of=1, chunk=3))
    assert sorted(seen) == [1, 3, 3]


class Mixing(nn.Module):
    """What comes out for a row depends on how many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(192, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x.flatten(1)).relu()
        return self.b(h - h.mean(0))


def test_references_that_cannot_run_together_run_one_by_one():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mixing().double()
    x, rows = batch(1), batch(4, seed=3)
    found = asc.DeepLiftShap(rows)(model, x, of=1, chunk=4)
    each = [asc.DeepLift(rows[i : i + 1])(model, x, of=1).values for i in range(4)]
    torch.testing.assert_close(found.values, torch.stack(each).mean(0))


def test_many_references_hold_no_more_than_few(monkeypatch):
    """The most that tapes hold at any time, by their own count."""
    from ascribe.backends.torch.rules import evaluate
    from ascribe.backends.torch.rules.framework import tape_bytes

    def most(references: int, records: int) -> int:
        peaks: list[int] = []
        against = evaluate.RuleEvaluation._against

        def watched(self, main, job):
            found = against(self, main, job)
            kept = sum(tape_bytes(r.tape) for r in self.tapes.references.values())
            peaks.append(tape_bytes(main.tape) + kept)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(evaluate.RuleEvaluation, "_against", watched)
            asc.DeepLiftShap(batch(references, seed=3))(relu_net(), batch(records), of=1, chunk=4)
        return max(peaks)

    assert most(60, 4) == most(3, 4)
    assert most(60, 12) <= (1 + evaluate.SPARE) * most(3, 4)


# ---- the models of user reports


def dna(records: int, length: int = 24) -> torch.Tensor:
    ids = torch.randint(0, 4, (records, length), generator=torch.Generator().manual_seed(4))
    return F.one_hot(ids, 4).transpose(1, 2).double()


class Trunk(nn.Module):
    """Convolutions with overlapping max-pools over one-hot letters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(4, 2)
        self.deeper = nn.Conv1d(6, 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.pool(self.relu(self.conv(x)))
        return F.max_pool1d(self.relu(self.deeper(h)), 3, 1).flatten(1)  # the one ReLU again, a pool as a function


class Report(nn.Module):
    """A trunk and what a user built on it."""

    def __init__(self, head: Callable[[torch.Tensor], torch.Tensor], twin: bool = False) -> None:
        super().__init__()
        self.trunk, self.out, self.head, self.twin = Trunk(), nn.Linear(30, 3), head, twin

    def forward(self, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        h = self.trunk(x)
        if other is not None:
            second = self.trunk(other)
            h = (h - second).abs() + h * second
        return self.head(self.out(h))


HEADS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "overlapping pools": lambda y: y,
    "softmax inside": lambda y: (3 * y).softmax(1),
    "log-softmax inside": lambda y: F.log_softmax(3 * y, 1),
    "exponential": torch.exp,
    "logarithm of a sum of exponentials": lambda y: torch.cat([y.logsumexp(1, keepdim=True), y.exp().sum(1, keepdim=True).log()], 1),
    "product of outputs": lambda y: torch.stack([y[:, 0] * y[:, 1], y.prod(1)], 1),
    "mean-centred logits": lambda y: y - y.mean(1, keepdim=True),
}


def dna_net(head: str = "overlapping pools", twin: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Report(HEADS[head], twin).double().eval()
        for p in model.parameters():
            p.data.mul_(2)
    return model


@pytest.mark.parametrize("by", RULES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("twin", [False, True])
def test_complete_on_the_models_of_user_reports(head, twin, by):
    """Every pair of a record and a shuffled reference, the second input of a twin being the same on both sides."""
    model, x = dna_net(head, twin), dna(3)
    other = {"other": dna(6)[3:]} if twin else {}
    shuffles = [asc.distributions.Shuffled().rows(x, 0, 0, i) for i in range(3)]
    changes = []
    for row in shuffles:
        baseline = {"input 0": row, **other} if twin else row
        found = asc.DeepLift(baseline, by=by)(model, x, of=1, **other)
        values = found.values[0] if twin else found.values
        change = (model(x, **other) - model(row, **other))[:, 1].detach()
        torch.testing.assert_close(values.flatten(1).sum(1), change, rtol=1e-9, atol=1e-10)
        if twin:
            assert not found.values["other"].any()
        changes.append(change)
    assert float(torch.stack(changes).abs().min()) > 1e-6, "there is something to miss"
    if not twin:
        mean = asc.DeepLiftShap(asc.distributions.Shuffled(), 3, by=by)(model, x, of=1)
        torch.testing.assert_close(mean.values.flatten(1).sum(1), torch.stack(changes).mean(0), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("head", HEADS)
def test_complete_in_single_precision_on_the_models_of_user_reports(head):
    model, x = dna_net(head).float(), dna(3).float()
    assert asc.DeepLiftShap(asc.distributions.Shuffled(), 3)(model, x, of=1).gap.relative.max() < 1e-4


TAILS: dict[str, Callable[[], list[nn.Module]]] = {
    "overlapping pools": list,
    "softmax inside": lambda: [nn.Softmax(1)],
    "exponential": lambda: [Fn(torch.exp)],
}


@pytest.mark.parametrize("tail", TAILS)
def test_captum_loses_part_of_the_change_on_them(tail):
    """Each module used once, as it asks for; still, for some pair its values miss the change by more than a percent. Ours do not."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(4, 2), nn.Conv1d(6, 6, 3), nn.ReLU(), nn.MaxPool1d(3, 1), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(30, 3), *TAILS[tail]()).double().eval()
    x, missed = dna(3), {"theirs": 0.0, "ours": 0.0}
    for i in range(3):
        row = asc.distributions.Shuffled().rows(x, 0, 0, i)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = captum.DeepLift(model).attribute(x, row, target=1).detach()
        ours = asc.DeepLift(row)(model, x, of=1).values
        change = (model(x) - model(row))[:, 1].detach()
        for who, values in (("theirs", theirs), ("ours", ours)):
            missed[who] = max(missed[who], float(((values.flatten(1).sum(1) - change) / change).abs().max()))
    assert missed["theirs"] > 1e-2
    assert missed["ours"] < 1e-9


# ---- layers that run again


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("by", RULES)
def test_layers_inside_a_checkpoint(reentrant, by):
    """Values and shares are those of the model without it, at a layer inside too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        a, m, b = nn.Linear(192, 12), nn.Sequential(nn.Linear(12, 10), nn.GELU()), nn.Linear(10, 4)
    plain = Fn(lambda x, a, m, b: b(m(a(x.flatten(1)))), a=a, m=m, b=b).double()
    kept = Fn(lambda x, a, m, b: b(checkpoint(m, a(x.flatten(1)), use_reentrant=reentrant)), a=a, m=m, b=b).double()
    x, rows = batch(), batch(3, seed=3)
    for where in (asc.INPUT, "layers.m.0", asc.Cut("layers.m", "in")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = asc.DeepLiftShap(rows, by=by)(kept, x, of=1, at=where)
        torch.testing.assert_close(found.values, asc.DeepLiftShap(rows, by=by)(plain, x, of=1, at=where).values)
        assert found.gap.relative.max() < 1e-9


def test_layers_in_order():
    with pytest.raises(CutError, match="before the references"):
        asc.attribute(relu_net(), batch(), of=1, at=asc.INPUT, over=asc.Reference(0.1, at=asc.Cut("2")), by=asc.rules.Rescale())
