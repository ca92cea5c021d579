"""Members from outside the package: those of CONTRIBUTING.md, in under 15 lines each, by public names only, against independent values."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ascribe as asc

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
CLASSES = [node for node in ast.parse(CODE).body if isinstance(node, ast.ClassDef)]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "contributing"}
    exec(compile(CODE, str(PAGE), "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_a_member_takes_fewer_than_15_lines(node: ast.ClassDef) -> None:
    lines = CODE.splitlines()[node.decorator_list[0].lineno - 1 : node.end_lineno]
    assert sum(bool(line.strip()) for line in lines) < 15


def test_only_public_names_are_used() -> None:
    imported = [
        node for node in ast.walk(ast.parse(CODE)) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ascribe")
    ]
    assert all(node.module in {f"ascribe.{name}" for name in asc.MODULES} for node in imported)
    for module, name in re.findall(r"\basc\.([a-z_]+)\.(\w+)", CODE):
        assert name in getattr(asc, module).__all__
    assert set(re.findall(r"\basc\.(\w+)", CODE)) <= {*asc.__all__, *asc.MODULES}


def test_a_metric(page: dict[str, Any]) -> None:
    model, x = page["model"], page["x"]
    values = asc.IntegratedGradients()(model, x, of=1).values
    kept = values < values.quantile(0.75, 1, keepdim=True)
    np.testing.assert_allclose(page["drop"], (model(x)[:, 1] - model(x * kept)[:, 1]).detach().numpy())
    assert (page["drop"].values > 0).any()
    assert page["drop"].direction == "higher"


def test_a_quantity(page: dict[str, Any]) -> None:
    model, x = page["model"], page["x"]
    y, h = model(x).detach(), model[0](x).detach()
    np.testing.assert_allclose(page["margin"].explained, y[:, 0] - y[:, 1:].amax(1))
    np.testing.assert_allclose(page["energy"].explained, h.square().sum(1))


def test_a_distribution(page: dict[str, Any]) -> None:
    model, x = page["model"], page["x"]
    gradients = []
    for position in (np.arange(32) + 0.5) / 32:
        point = (position * x).requires_grad_()
        (gradient,) = torch.autograd.grad(model(point)[:, 1].sum(), point)
        gradients.append(gradient)
    torch.testing.assert_close(page["midpoints"].values, x * torch.stack(gradients).mean(0))
    assert page["midpoints"].gap is not None
    again = asc.attribute(model, x, of=1, over=page["Midpoints"](), chunk=3)
    torch.testing.assert_close(again.values, page["midpoints"].values)
    assert asc.estimate(model, x, of=1, over=page["Midpoints"](steps=7)).backward_rows == 7 * len(x)


def test_a_rule(page: dict[str, Any]) -> None:
    model, x = page["model"], page["x"]
    first, second = model[0].weight.detach() ** 3, model[2].weight.detach() ** 3
    h = model[1](model[0](x)).detach()
    came = h * second[1] / (h @ second[1])[:, None] * model(x)[:, 1:2].detach()
    torch.testing.assert_close(page["relevance"].values, x * ((came / (x @ first.T)) @ first), rtol=1e-3, atol=1e-4)
    book = asc.rules.RuleBook((("0", page["Cubed"]()),))
    assert "Cubed()" in [row.rule for row in asc.explain_rules(model, x, by=book, of=1).rows]


def test_a_removal(page: dict[str, Any]) -> None:
    model, x = page["model"], page["x"]
    for k in range(6):
        changed = x.clone()
        changed[:, k] = x[:, 5 - k]
        torch.testing.assert_close(page["mirrored"].values[:, k], (model(x) - model(changed))[:, 1].detach())


def test_an_estimator_over_coalitions(page: dict[str, Any]) -> None:
    model, x = page["model"], page["x"]
    scores = [model(x * (torch.arange(6) < k))[:, 1].detach() for k in range(7)]
    torch.testing.assert_close(page["in_order"].values, torch.stack(scores, 1).diff(dim=1))
    assert page["in_order"].gap is not None
    assert page["in_order"].ok
    parts = asc.attribute(model, x, of=[asc.Unit(1), asc.Unit(2)], over=page["InOrder"](), by=0.0, chunk=2)
    torch.testing.assert_close(parts.quantity_at(0).values, page["in_order"].values)


def test_a_named_method(page: dict[str, Any]) -> None:
    same = asc.attribute(page["model"], page["x"], of=1, over=asc.Gaussian(0.1, 8) * asc.Line(0.0, 16))
    torch.testing.assert_close(page["smooth"].values, same.values)
    assert page["smooth"].method == "SmoothIntegratedGradients()(model, *inputs, of=Unit(1))"
