"""Order statistics under DeepLIFT: sorting and its kin add up, and are what the path between the runs says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import RuleError
from ascribe.rules.rescale import Rescale, RevealCancel

Tensor = torch.Tensor

ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "sort": lambda h: h.sort(-1).values,
    "sort down": lambda h: h.sort(-1, descending=True).values,
    "sort stable": lambda h: torch.sort(h, dim=1, stable=True).values,
    "msort": lambda h: torch.msort(h.T).T,
    "argsort and gather": lambda h: h.gather(-1, h.argsort(-1)),
    "take along": lambda h: torch.take_along_dim(h, h.argsort(1, descending=True), 1),
    "topk": lambda h: h.topk(3).values,
    "topk smallest": lambda h: h.topk(2, largest=False).values,
    "topk and gather": lambda h: h.gather(1, h.topk(3).indices),
    "kthvalue": lambda h: h.kthvalue(3, dim=-1).values[:, None],
    "kthvalue kept": lambda h: h.kthvalue(2, dim=1, keepdim=True).values,
    "median": lambda h: h.median(1).values[:, None],
    "median of an even number": lambda h: h[:, 1:].median(1, keepdim=True).values,
    "nanmedian": lambda h: h.nanmedian(-1).values[:, None],
    "quantile": lambda h: torch.quantile(h, torch.tensor([0.1, 0.4, 0.9], dtype=h.dtype), dim=1).T,
    "trimmed mean": lambda h: h.sort(-1).values[:, 2:-2].mean(1, keepdim=True),
    "along records' positions": lambda h: h.view(len(h), -1, 7).repeat(1, 2, 1).cumsum(1).sort(2).values.flatten(1),
}
WINNERS: dict[str, Callable[[Tensor], Tensor]] = {
    "topk of one": lambda h: h.topk(1).values,
    "max": lambda h: h.max(-1, keepdim=True).values,
    "min and max": lambda h: torch.cat([m.unsqueeze(1) for m in h.aminmax(dim=1)], 1),
    "cummax": lambda h: h.cummax(1).values,
    "cummin": lambda h: torch.cummin(h, -1).values,
}


class Net(nn.Module):
    """Numbers, an order of them, and the weights that tell the ranks apart."""

    def __init__(self, order: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.order = order
        self.first = nn.Linear(5, 7, dtype=torch.float64)
        self.cut = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.order(self.cut(self.first(x).tanh()))
        return (h * torch.arange(1, h.shape[1] + 1)).sum(1, keepdim=True).sin()


def made(order: Callable[[Tensor], Tensor]) -> tuple[Net, Tensor, Tensor]:
    torch.manual_seed(4)
    return Net(order).eval(), torch.randn(6, 5, dtype=torch.float64), torch.randn(1, 5, dtype=torch.float64)


@pytest.mark.parametrize("rule", [Rescale(), RevealCancel()], ids=["rescale", "reveal-cancel"])
@pytest.mark.parametrize("at", [asc.INPUT, "cut"], ids=["input", "layer"])
@pytest.mark.parametrize("name", [*ORDERS, *WINNERS])
def test_adds_up_with_nothing_named(name: str, at: object, rule: Rescale) -> None:
    model, x, x0 = made({**ORDERS, **WINNERS}[name])
    found = asc.attribute(model, x, of=0, at=at, over=asc.Reference(x0), by=rule)
    change = (model(x) - model(x0))[:, 0]
    assert torch.allclose(found.values.sum(1), change.detach(), rtol=0, atol=1e-12)
    assert next(c for c in found.checks if c.name == "rule").status == "ok"


def along_the_line(order: Callable[[Tensor], Tensor], x: Tensor, x0: Tensor, g: Tensor) -> Tensor:
    """The average of an order's derivative from one vector to another: one derivative between every two crossings."""
    d, d0 = x[:, None] - x, x0[:, None] - x0
    times = (d0 / (d0 - d)).flatten()
    times = torch.cat([torch.tensor([0.0, 1.0]), times[(times > 0) & (times < 1)]]).sort().values
    total = torch.zeros_like(x)
    for start, end in pairwise(times):
        z = (x0 + (start + end) / 2 * (x - x0)).requires_grad_()
        total += (end - start) * torch.autograd.grad((order(z[None]) * g).sum(), z)[0]
    return total


@pytest.mark.parametrize("name", ORDERS)
def test_multipliers_are_the_mean_derivative_along_the_line(name: str) -> None:
    order = ORDERS[name]
    torch.manual_seed(1)
    x, x0 = torch.randn(4, 7, dtype=torch.float64), torch.randn(4, 7, dtype=torch.float64)
    x0[0] = x[0].flip(0)  # every pair crosses, all at one time
    x0[1, :3] = x0[1, 3]  # ties, parted at once
    x[2, :4] = x[2, 0]  # ties at the end
    x0[3] = 0.0  # all tied
    g = torch.randn(order(x).shape[1], dtype=torch.float64)
    found = asc.influence(lambda h: (order(h) * g).sum(1, keepdim=True), x, of=0, over=asc.Reference(x0), by=Rescale()).values
    truth = torch.stack([along_the_line(order, a, b, g) for a, b in zip(x, x0, strict=True)])
    assert torch.allclose(found, truth, rtol=0, atol=1e-12)


def test_a_record_is_what_it_is_alone() -> None:
    model, x, x0 = made(ORDERS["sort"])
    together = asc.DeepLift(x0)(model, x, of=0).values
    alone = torch.cat([asc.DeepLift(x0)(model, row[None], of=0).values for row in x])
    assert torch.allclose(together, alone, rtol=0, atol=1e-13)


def test_masked_scores_have_no_rank_to_change() -> None:
    mask = torch.tensor([False, True, False, True, False])

    def forward(x: Tensor) -> Tensor:
        return (x.masked_fill(mask, -torch.inf).sort(-1, descending=True).values[:, :3] * torch.tensor([3.0, 2.0, 1.0])).sum(
            1, keepdim=True
        )

    torch.manual_seed(0)
    x, x0 = torch.randn(4, 5, dtype=torch.float64), torch.randn(1, 5, dtype=torch.float64)
    found = asc.DeepLift(x0)(forward, x, of=0).values
    assert torch.allclose(found.sum(1), (forward(x) - forward(x0))[:, 0], rtol=0, atol=1e-12)
    assert not found[:, mask].any()


def test_without_a_reference_all_goes_to_what_was_picked() -> None:
    x = torch.tensor([[3.0, 1.0, 2.0]])
    found = asc.influence(
        lambda h: (h.sort(-1).values * torch.tensor([1.0, 10.0, 100.0])).sum(1, keepdim=True), x, of=0, by=asc.rules.AttnLRP()
    )
    assert found.values.tolist() == [[100.0, 1.0, 10.0]]
    assert next(c for c in found.checks if c.name == "rule").status == "ok"


def routed(h: Tensor) -> Tensor:
    weight, place = h.topk(2, 1)
    return weight.softmax(1) * (h * 2 + 1).cos().gather(1, place)


PICKED: dict[str, Callable[[Tensor], Tensor]] = {
    "other values by these places": routed,
    "a part of the places": lambda h: h.gather(1, h.argsort(1)[:, :2].flip(1)),
    "a number handed to Python": lambda h: h.roll(int(h[0].argmax()), 1),
}


@pytest.mark.parametrize("at", [asc.INPUT, "cut"], ids=["input", "layer"])
@pytest.mark.parametrize("name", PICKED)
def test_other_choices_are_those_of_the_record_and_named(name: str, at: object) -> None:
    model, x, x0 = made(PICKED[name])
    found = asc.attribute(model, x, of=0, at=at, over=asc.Reference(x0), by=Rescale())
    check = next(c for c in found.checks if c.name == "rule")
    assert check.status == "warn"
    assert "kept as it is for the record" in check.detail
    with pytest.raises(RuleError, match="kept as it is"):
        asc.attribute(model, x, of=0, at=at, over=asc.Reference(x0), by=Rescale(strict=True))


def written(change: Callable[[Tensor], None]) -> Callable[[Tensor], Tensor]:
    def forward(h: Tensor) -> Tensor:
        h = h * 1
        change(h)
        return h

    return forward


def fill(h: Tensor, mask: Tensor, value: Tensor | float) -> None:
    h[mask] = value


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "zeros where negative": written(lambda h: fill(h, h < 0, 0.0)),
    "a number where another is positive": written(lambda h: fill(h, h.roll(1, 1) > 0.1, 2.0)),
    "whole rows": written(lambda h: fill(h, h[:, 0] > 0, 1.5)),
    "a computed number": written(lambda h: fill(h, h < 0, h.mean().detach())),
    "in a view": written(lambda h: fill(h[:, 2:], h[:, 2:] < 0, 0.5)),
    "masked_fill by another": lambda h: h.masked_fill(h.roll(2, 1) > 0, 2.0),
    "index_put": lambda h: torch.index_put(h, (h > 0.2,), torch.tensor(0.3, dtype=h.dtype)),
    "a look for NaN": lambda h: torch.where(h.isnan().any(1, keepdim=True), torch.zeros_like(h), h),
}
PACKED: dict[str, Callable[[Tensor], Tensor]] = {
    "scaled where negative": written(lambda h: fill(h, h < 0, h[h < 0] * 0.1)),
    "chosen columns": lambda h: h[:, h[0] > 0].sum(1, keepdim=True),
    "masked_select": lambda h: h + h.masked_select(h.roll(1, 1) > 0).sum(),
}


@pytest.mark.parametrize("rule", [Rescale(), RevealCancel()], ids=["rescale", "reveal-cancel"])
@pytest.mark.parametrize("name", MASKS)
def test_writes_where_a_mask_says_add_up(name: str, rule: Rescale) -> None:
    model, x, x0 = made(MASKS[name])
    x = x[:1] if "computed" in name else x  # a mean over all records
    found = asc.attribute(model, x, of=0, over=asc.Reference(x0), by=rule)
    assert torch.allclose(found.values.sum(1), (model(x) - model(x0))[:, 0].detach(), rtol=0, atol=1e-12)
    if isinstance(rule, Rescale):  # RevealCancel parts what a mask does by sign, and says so
        assert next(c for c in found.checks if c.name == "rule").status == "ok"


@pytest.mark.filterwarnings("ignore:completeness")
@pytest.mark.parametrize("name", PACKED)
def test_places_picked_by_a_mask_are_a_choice_and_named(name: str) -> None:
    model, x, x0 = made(PACKED[name])
    found = asc.attribute(model, x[:1], of=0, over=asc.Reference(x0), by=Rescale())
    assert "kept as it is for the record" in next(c for c in found.checks if c.name == "rule").detail


@pytest.mark.parametrize("by", [asc.rules.Epsilon(0.0), asc.rules.CPLRP()], ids=["epsilon", "cp-lrp"])
def test_rules_without_a_reference_keep_what_a_mask_left(by: Any) -> None:
    x = torch.tensor([[2.0, -1.0, 3.0]])
    found = asc.attribute(written(lambda h: fill(h, h < 0, 0.0)), x, of=2, by=by)
    assert found.values.tolist() == [[0.0, 0.0, 3.0]]
