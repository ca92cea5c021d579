"""Class activation maps of models that read words beside a picture: the map is of the picture's tokens, wherever they stand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ascribe as asc

Tensor = torch.Tensor
PICTURE = 55


class Reads(nn.Module):
    """A 4 x 4 grid of patches among the words: in front of them, or where the ids hold places for them."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inside = inside
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.vision = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.projector = nn.Linear(8, 8)
        self.words = nn.Embedding(60, 8)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))
        self.head = nn.Linear(8, 3)

    def forward(self, picture: Tensor, ids: Tensor) -> Tensor:
        seen = self.projector(self.vision(self.patches(picture).flatten(2).transpose(1, 2)))
        words = self.words(ids)
        if self.inside:
            h = words.masked_scatter((ids == PICTURE)[..., None], seen)
        else:
            h = torch.cat([seen, words], 1)
        for block in self.blocks:
            h = block(h)
        return self.head(h[:, -1])


def given(inside: bool) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    before, after = torch.randint(0, 50, (2, 3)), torch.randint(0, 50, (2, 4))
    places = [torch.full((2, 16), PICTURE)] if inside else []
    return torch.randn(2, 3, 16, 16), torch.cat([before, *places, after], 1)


@pytest.mark.parametrize("inside", [False, True], ids=["in front", "inside"])
def test_words_are_no_part_of_the_picture(inside: bool) -> None:
    model, (picture, ids) = Reads(inside).eval(), given(inside)
    found = asc.GradCam()(model, picture, ids, of=1)
    assert found.cut == repr(asc.Cut("projector"))
    assert found.values.shape[-2:] == (4, 4)
    assert torch.equal(found.values, asc.GradCam()(model, picture, ids, of=1, at="projector").values)


@pytest.mark.parametrize(("inside", "prefix"), [(False, 0), (True, 3)], ids=["in front", "inside"])
def test_tokens_behind_the_grid_are_left_out_where_their_place_is_named(inside: bool, prefix: int) -> None:
    model, (picture, ids) = Reads(inside).eval(), given(inside)
    found = asc.GradCam(grid=(4, 4), prefix=prefix)(model, picture, ids, of=1, at="blocks.0").values
    kept: list[Tensor] = []
    hook = model.blocks[0].register_forward_hook(lambda module, args, out: kept.append(out) or None)
    out = model(picture, ids)[:, 1].sum()
    (g,) = torch.autograd.grad(out, kept[-1])
    hook.remove()
    mine, back = (t.detach()[:, prefix : prefix + 16] for t in (kept[-1], g))
    weights = back.mean(1, keepdim=True)
    truth = (weights * mine).sum(-1).relu().view(2, 4, 4)
    assert torch.allclose(found[:, 0], truth, rtol=0, atol=1e-6)
