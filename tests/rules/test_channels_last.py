"""Layer rules do not depend on where a network has its channels between two layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe import rules


class ChannelsLast(nn.Module):
    """A convolution, its bias and a batch norm on ``[records, height, width, channels]``, written out."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, head: nn.Linear) -> None:
        super().__init__()
        self.conv, self.norm, self.head = conv, norm, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.conv2d(x, self.conv.weight, padding=1).permute(0, 2, 3, 1) + self.conv.bias
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        y = (y - self.norm.running_mean) * scale + self.norm.bias
        scores: torch.Tensor = self.head(y.relu().mean((1, 2)))
        return scores


@pytest.mark.parametrize("rule", [rules.Epsilon(1e-2), rules.ZPlus(), rules.Gamma(), rules.WSquare(), rules.EPSILON_PLUS], ids=str)
def test_a_batch_norm_is_merged_behind_a_permutation(rule: Any) -> None:
    torch.manual_seed(0)
    conv, norm, head = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 3)
    with torch.no_grad():
        for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            t.uniform_(0.5, 1.5)
    first = nn.Sequential(conv, norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval().double()
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    truth = asc.attribute(first, x, of=1, by=rule).values
    found = asc.attribute(ChannelsLast(conv, norm, head).eval(), x, of=1, by=rule).values
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-9 * float(truth.abs().max()))
