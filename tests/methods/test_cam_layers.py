"""Layers and layouts from shapes alone: no framework runs here."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascribe.calls.call import Call
from ascribe.cuts import Cut
from ascribe.errors import MethodError
from ascribe.methods.cam.layouts import ImageInput, LayerClues, Layout, collect_clues, image_input, spatial_cuts

SQUARE = ImageInput(2, (224, 224))
WIDE = ImageInput(2, (32, 48))


class Place(NamedTuple):
    cut: Cut
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    calls: int = 1


def listed(*rows: tuple[str, str, tuple[int, ...]]) -> list[Place]:
    return [Place(Cut(layer), kind, (shape,)) for layer, kind, shape in rows]


def best(places: list[Place], picture: ImageInput) -> tuple[Cut, Layout]:
    return next(spatial_cuts(places, picture))[0]


def ways_in(places: list[Place], picture: ImageInput) -> list[Cut]:
    """What is read where the last place, behind a class token, is of no use."""
    return [cut for spots in spatial_cuts(places, picture) for cut, _ in spots][1:]


# Layouts


@pytest.mark.parametrize(
    ("shape", "kind", "grid", "channels"),
    [
        ((2, 512, 7, 7), "ReLU", (7, 7), -3),
        ((2, 7, 7, 512), "LayerNorm", (7, 7), -1),
        ((2, 56, 56, 96), "Sequential", (56, 56), -1),
        ((2, 3, 226, 226), "ZeroPad2d", (226, 226), -3),  # padding may make a map larger than the picture
        ((2, 7, 7, 7), "ReLU", (7, 7), -3),
        ((2, 7, 7, 7), "LayerNorm", (7, 7), -1),
    ],
)
def test_channels_first_and_last_are_told_apart(shape: tuple[int, ...], kind: str, grid: tuple[int, ...], channels: int) -> None:
    assert SQUARE.layout(shape, kind, LayerClues()) == Layout(grid, channels)


@given(
    st.integers(2, 7), st.integers(2, 7), st.integers(1, 40), st.integers(2, 16), st.booleans()
)  # the picture is a whole multiple of the grid
def test_the_aspect_ratio_decides_unless_both_readings_keep_it(h: int, w: int, channels: int, stride: int, last: bool) -> None:
    picture = ImageInput(1, (h * stride, w * stride))
    shape = (1, h, w, channels) if last else (1, channels, h, w)
    other = (w, channels) if last else (channels, h)
    if math.isclose(other[0] / other[1], h / w):
        return
    assert picture.layout(shape, "Block", LayerClues()) == Layout((h, w), -1 if last else -3)


def test_a_pooled_value_has_no_places() -> None:
    for shape in [(2, 512, 1, 1), (2, 1, 1, 512), (2, 2, 1, 1)]:
        assert ImageInput(2, (64, 32)).layout(shape, "AdaptiveAvgPool2d", LayerClues()) is None


def test_a_grid_that_the_user_names_decides() -> None:
    assert ImageInput(2, (64, 64), grid=(4, 8)).layout((2, 4, 8, 16), "ReLU", LayerClues()) == Layout((4, 8), -1)
    assert ImageInput(2, (64, 64), grid=(5, 5)).layout((2, 4, 8, 16), "ReLU", LayerClues()) is None


@pytest.mark.parametrize(
    ("tokens", "grid", "prefix"), [(24, (4, 6), 0), (25, (4, 6), 1), (26, (4, 6), 2), (29, (4, 6), 5), (33, (4, 6), 9)]
)
def test_tokens_lie_on_the_patches_grid_after_a_prefix(tokens: int, grid: tuple[int, ...], prefix: int) -> None:
    layout = WIDE.layout((2, tokens, 16), "LayerNorm", LayerClues(((4, 6),)))
    assert layout == Layout(grid, -1, prefix)


def test_merged_patches_halve_the_grid_and_round_up() -> None:
    assert ImageInput(2, (28, 52)).layout((2, 7 * 13, 8), "LayerNorm", LayerClues(((7, 13),))) == Layout((7, 13), -1, 0)
    assert ImageInput(2, (28, 52)).layout((2, 4 * 7, 8), "LayerNorm", LayerClues(((7, 13),))) == Layout((4, 7), -1, 0)
    assert ImageInput(2, (28, 52)).layout((2, 2 * 4, 8), "LayerNorm", LayerClues(((7, 13),))) == Layout((2, 4), -1, 0)


@pytest.mark.parametrize("tokens", [196, 197, 198, 201])
def test_without_a_convolution_the_picture_is_divided(tokens: int) -> None:
    assert SQUARE.layout((2, tokens, 192), "LayerNorm", LayerClues()) == Layout((14, 14), -1, tokens - 196)


def test_ambiguous_tokens_are_an_error_that_shows_the_choices() -> None:
    with pytest.raises(MethodError, match=r"grid=\(4, 4\), prefix=0 or grid=\(2, 4\), prefix=8"):
        SQUARE.layout(
            (2, 16, 8),
            "LayerNorm",
            LayerClues(
                (
                    (4, 4),
                    (2, 4),
                )
            ),
        )
    assert ImageInput(2, (224, 224), prefix=8).layout(
        (2, 16, 8),
        "LayerNorm",
        LayerClues(
            (
                (4, 4),
                (2, 4),
            )
        ),
    ) == Layout((2, 4), -1, 8)
    assert ImageInput(2, (224, 224), grid=(4, 4)).layout(
        (2, 16, 8),
        "LayerNorm",
        LayerClues(
            (
                (4, 4),
                (2, 4),
            )
        ),
    ) == Layout((4, 4), -1, 0)


def test_a_long_prefix_has_to_be_named() -> None:
    assert WIDE.layout((2, 24 + 16, 8), "LayerNorm", LayerClues(((4, 6),))) is None
    assert ImageInput(2, (32, 48), prefix=16).layout((2, 24 + 16, 8), "LayerNorm", LayerClues(((4, 6),))) == Layout((4, 6), -1, 16)
    assert ImageInput(2, (32, 48), grid=(4, 6)).layout((2, 24 + 16, 8), "LayerNorm", LayerClues(((4, 6),))) == Layout((4, 6), -1, 16)


def test_values_of_other_rows_than_the_records_are_not_spatial() -> None:
    assert SQUARE.layout((32, 49, 96), "Linear", LayerClues(((7, 7),))) is None  # windows of Swin


@pytest.mark.parametrize("lead", [(), (3,)])
def test_maps_puts_every_layout_channels_first(lead: tuple[int, ...]) -> None:
    want = np.arange(math.prod((*lead, 2, 5, 4, 6))).reshape(*lead, 2, 5, 4, 6)
    last = np.moveaxis(want, -3, -1)
    tokens = np.concatenate([np.full((*lead, 2, 1, 5), -1), last.reshape(*lead, 2, 24, 5)], -2)
    ahead = np.moveaxis(tokens, -2, -3)
    layouts = [Layout((4, 6), -3), Layout((4, 6), -1), Layout((4, 6), -1, 1), Layout((4, 6), -1, 1, records=1)]
    for value, layout in zip([want, last, tokens, ahead], layouts, strict=True):
        np.testing.assert_array_equal(layout.maps(value), want)


# Pictures


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 3, 32, 48), (32, 48)), ((2, 32, 48, 3), (32, 48)), ((2, 1, 8, 9, 10), (8, 9, 10)), ((2, 6, 100), (100,)), ((2, 7), ())],
)
def test_the_picture_is_found_among_the_arguments(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    ids = np.zeros((2, 9), dtype=np.int64)
    expected = ImageInput(2, size, texts=frozenset({9}) if size else frozenset(), last=shape[-1] == 3)
    assert image_input(Call(np.zeros(shape), ids=ids), None, None) == expected
    assert image_input(Call(ids, pixel_values=np.zeros(shape)), None, None) == expected


# Layers


def test_the_last_map_before_pooling_is_read_and_the_outermost_layer_named() -> None:
    places = listed(
        ("conv1", "Conv2d", (2, 8, 112, 112)),
        ("layer4.0.conv", "Conv2d", (2, 64, 7, 7)),
        ("layer4.0", "Block", (2, 64, 7, 7)),
        ("layer4", "Sequential", (2, 64, 7, 7)),
        ("avgpool", "AdaptiveAvgPool2d", (2, 64, 1, 1)),
        ("fc", "Linear", (2, 10)),
    )
    assert best(places, SQUARE) == (Cut("layer4"), Layout((7, 7), -3))
    assert [spots[0][0].layer for spots in spatial_cuts(places, SQUARE)] == ["layer4", "conv1"]


def test_a_pooling_at_the_end_costs_resolution_and_is_passed_over() -> None:
    places = listed(
        ("features.0", "Conv2d", (2, 8, 14, 14)),
        ("features.1", "ReLU", (2, 8, 14, 14)),
        ("features.2", "MaxPool2d", (2, 8, 7, 7)),
        ("features", "Sequential", (2, 8, 7, 7)),
        ("fc", "Linear", (2, 10)),
    )
    assert best(places, SQUARE) == (Cut("features.1"), Layout((14, 14), -3))


def vit(*blocks: str) -> list[Place]:
    """Class token, two blocks, a norm behind them: the names differ between libraries."""
    rows: list[tuple[str, str, tuple[int, ...]]] = [("patch", "Conv2d", (2, 16, 4, 6)), ("embed", "Embed", (2, 25, 16))]
    for block in blocks:
        rows += [(f"{block}.norm1", "LayerNorm", (2, 25, 16)), (f"{block}.attn", "Attention", (2, 25, 16))]
        rows += [(f"{block}.attn.drop", "Dropout", (2, 4, 25, 25)), (f"{block}.mlp.fc2", "Linear", (2, 25, 16))]
        rows += [(block, "Block", (2, 25, 16))]
    return listed(*rows, ("norm", "LayerNorm", (2, 25, 16)), ("head", "Linear", (2, 10)))


@pytest.mark.parametrize("blocks", [("blocks.0", "blocks.1"), ("encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1")])
def test_behind_a_class_token_the_entrance_of_the_last_block_is_read_with_the_last_place(blocks: tuple[str, str]) -> None:
    places = vit(*blocks)
    first = next(spatial_cuts(places, WIDE))
    assert first == [(Cut("norm"), Layout((4, 6), -1, 1)), (Cut(f"{blocks[1]}.norm1"), Layout((4, 6), -1, 1))]
    assert ways_in(places, WIDE)[:2] == [Cut(f"{block}.norm1") for block in reversed(blocks)]


def test_a_block_that_does_not_begin_with_a_norm_is_read_where_it_is_entered() -> None:
    rows = [("patch", "Conv2d", (2, 16, 4, 6)), ("blocks.0.attn", "Attention", (2, 25, 16)), ("blocks.0.norm1", "LayerNorm", (2, 25, 16))]
    places = listed(*rows, ("blocks.0", "Block", (2, 25, 16)), ("head", "Linear", (2, 10)))
    assert ways_in(places, WIDE)[0] == Cut("blocks.0", "in")


def test_windows_and_heads_inside_attention_are_not_taken() -> None:
    places = listed(
        ("patch", "Conv2d", (2, 8, 8, 8)),
        ("stage", "Stage", (2, 16, 8)),
        ("down.attention", "WindowAttention", (2, 1, 8)),
        ("down.attention.keys", "Linear", (2, 16, 8)),
        ("head", "Linear", (2, 10)),
    )
    assert best(places, ImageInput(2, (32, 32)))[0] == Cut("stage")


def test_a_model_of_one_attention_class_is_still_looked_into() -> None:
    places = listed(("net", "AttentionNet", (2, 10)), ("net.conv", "Conv2d", (2, 8, 7, 7)))
    assert best(places, SQUARE)[0] == Cut("net.conv")


def test_a_layer_that_returns_several_arrays_is_read_where_one_is_spatial() -> None:
    places = [Place(Cut("stage"), "Stage", ((2, 10), (2, 8, 7, 7)))]
    assert best(places, SQUARE) == (Cut("stage"), Layout((7, 7), -3))


def test_the_last_use_of_a_shared_layer_is_read() -> None:
    shared = [Place(Cut("block"), "Block", ((2, 8, 7, 7),), calls=3)]
    assert best(shared, SQUARE)[0] == Cut("block", call=2)
    looped = [*vit()[:2], Place(Cut("block1"), "Block", ((2, 25, 16),), calls=4)]
    assert best(looped, WIDE)[0] == Cut("block1", call=3)
    assert ways_in(looped, WIDE)[0] == Cut("block1", "in", call=3)


def test_tokens_may_come_before_the_records() -> None:
    places = listed(("patch", "Conv2d", (2, 16, 4, 6)), ("blocks.0", "Block", (25, 2, 16)), ("head", "Linear", (2, 10)))
    assert best(places, WIDE) == (Cut("blocks.0"), Layout((4, 6), -1, 1, records=1))


def test_under_a_map_of_classes_the_coarsest_grid_is_read() -> None:
    places = listed(
        ("down", "Conv2d", (2, 8, 28, 28)),
        ("middle", "Conv2d", (2, 16, 14, 14)),
        ("small_head", "Conv2d", (2, 3, 14, 14)),
        ("up", "ConvTranspose2d", (2, 8, 28, 28)),
        ("", "Net", (2, 3, 224, 224)),
    )
    assert best(places, SQUARE) == (Cut("middle"), Layout((14, 14), -3))


def test_series_are_recognised_by_their_convolutions() -> None:
    series = ImageInput(2, (100,))
    convolved: Any = listed(("conv", "Conv1d", (2, 8, 50)), ("relu", "ReLU", (2, 8, 50)), ("head", "Linear", (2, 10)))
    assert best(convolved, series) == (Cut("relu"), Layout((50,), -2))
    recurrent = [*convolved[:2], *listed(("lstm", "LSTM", (2, 50, 6)))]
    assert best(recurrent, series) == (Cut("lstm"), Layout((50,), -1))
    embedded = listed(("encoder.0", "TransformerEncoderLayer", (2, 12, 64)), ("head", "Linear", (2, 10)))
    assert list(spatial_cuts(embedded, ImageInput(2, (64,)))) == []


def test_a_table_has_no_places() -> None:
    places = listed(("0", "Linear", (2, 8)), ("1", "ReLU", (2, 8)), ("2", "Linear", (2, 3)))
    assert list(spatial_cuts(places, ImageInput(2, ()))) == []


def test_layers_that_fix_the_axis_of_the_channels_outweigh_the_aspect_ratio() -> None:
    shape = (1, 6, 8, 12)  # 6x8 with channels last would fit the picture exactly
    picture = ImageInput(1, (12, 16))
    assert picture.layout(shape, "ReLU", LayerClues()) == Layout((6, 8), -1)
    for kind in ("Conv2d", "BatchNorm2d", "Conv2dNormActivation", "LayerNorm2d"):
        assert picture.layout(shape, kind, LayerClues()) == Layout((8, 12), -3)
    convolved = collect_clues(listed(("conv", "Conv2d", shape), ("norm", "LayerNorm", (1, 7, 8, 12))), picture)
    assert convolved == LayerClues(((8, 12),), frozenset({shape[1:]}), frozenset({(7, 8, 12)}))
    assert picture.layout(shape, "ReLU", convolved) == Layout((8, 12), -3)
    assert picture.layout((1, 7, 8, 12), "ReLU", convolved) == Layout((7, 8), -1)


def test_grids_are_those_of_convolutions_in_order() -> None:
    places = [*vit("blocks.0"), *listed(("neck", "Conv2d", (2, 8, 2, 3)))]
    assert collect_clues(places, WIDE).grids == ((4, 6), (2, 3))
