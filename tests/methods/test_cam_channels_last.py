"""Class activation maps of images with their channels last."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ascribe as asc


@pytest.mark.parametrize("cam", [asc.GradCam(), asc.LayerCam(), asc.EigenCam(), asc.AblationCam(), asc.ScoreCam()], ids=repr)
def test_maps_have_the_layout_of_the_images(cam):
    """A network that takes images with channels last, and the same network with channels first: equal maps, each in the images' layout."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x.permute(0, 3, 1, 2))

    images = torch.rand(2, 3, 15, 17)
    first = cam(net, images, of=1)
    last = cam(Last(), images.permute(0, 2, 3, 1).contiguous(), of=1)
    assert first.values.shape == (2, 1, 7, 8)
    assert last.values.shape == (2, 7, 8, 1)
    torch.testing.assert_close(last.values.permute(0, 3, 1, 2), first.values)
    torch.testing.assert_close(last.resize(15, 17).values.permute(0, 3, 1, 2), first.resize(15, 17).values)
