"""The named methods on real networks: the layer they choose, the maps they give, and what they refuse."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from captum.attr import LayerGradCam
from torch import nn
from torch.nn import functional

import ascribe as asc
from ascribe.errors import AscribeWarning, CutError, MethodError
from ascribe.methods.cam import formulas as cam_maps
from ascribe.methods.cam.methods import Cam, EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam

METHODS = [GradCam, GradCamPlusPlus, XGradCam, HiResCam, LayerCam, EigenCam]
Module = nn.Module


class Residual(Module):
    """Two residual blocks, pooled and classified without modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)) for _ in range(2)])
        self.last = nn.Conv2d(4, 6, 3, stride=2)
        self.head = nn.Linear(6, 5)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(x))
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(functional.relu(self.features(x)).mean((2, 3)))


def sequential() -> nn.Sequential:
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(features, nn.Flatten(), nn.Linear(6 * 4 * 6, 5))


def ready(model: Module) -> Module:
    """In double precision and evaluation mode, all parameters drawn, so that nothing is accidentally zero."""
    generator = torch.Generator().manual_seed(0)
    model = model.double().eval()
    for parameter in model.parameters():
        with torch.no_grad():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.double)
            parameter.copy_(draw * (0.5 / parameter[0].numel()) ** 0.5)
    return model


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def status(a: Any, name: str) -> str:
    return next(check.status for check in a.checks if check.name == name)


def layer_of(a: Any) -> str:
    return str(next(check.detail for check in a.checks if check.name == "layer"))


# CNNs


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("method", METHODS)
def test_the_map_is_the_formula_on_the_last_convolutional_features(method: type[Cam], memory: torch.memory_format) -> None:
    model = ready(Residual()).to(memory_format=memory)
    x = pictures(3, 3, 9, 13).to(memory_format=memory)
    classes = [0, 4, 2]
    a = method(relu=False)(model, x, of=classes)
    features = model.features(x).detach().requires_grad_()
    scores = model.head(functional.relu(features).mean((2, 3)))
    (gradient,) = torch.autograd.grad(scores[range(3), classes].sum(), features)
    want = cam_maps.compute_map(method.formula, features.detach(), gradient)
    assert layer_of(a) == "Cut('last'): 4x6, channels first"
    assert a.values.shape == (3, 1, 4, 6)
    torch.testing.assert_close(a.values, want, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(method(relu=True)(model, x, of=classes).values, want.clip(min=0), rtol=1e-9, atol=1e-12)


def test_a_sequential_network_is_read_before_its_last_pooling() -> None:
    a = GradCam()(ready(sequential()), pictures(2, 3, 12, 16))
    assert layer_of(a) == "Cut('0.4'): 8x12, channels first"
    assert a.values.shape == (2, 1, 8, 12)


@pytest.mark.parametrize(("layer", "anchor"), [("stem", "out"), ("blocks.1", "out"), ("last", "out"), ("last", "in")])
@pytest.mark.parametrize("relu", [False, True])
def test_grad_cam_is_captums(layer: str, anchor: Any, relu: bool) -> None:
    model = ready(Residual())
    x, classes = pictures(4, 3, 9, 13), torch.tensor([1, 0, 3, 3])
    reference = LayerGradCam(model, model.get_submodule(layer))
    want = reference.attribute(x, target=classes, relu_attributions=relu, attribute_to_layer_input=anchor == "in")
    got = GradCam(layer=asc.Cut(layer, anchor), relu=relu)(model, x, of=classes)
    torch.testing.assert_close(got.values, want.detach(), rtol=1e-6, atol=1e-12)


def test_on_a_pooled_linear_network_the_maps_are_exact() -> None:
    """Convolution, global average pooling, linear layer: the network that CAM (Zhou et al. 2016) was made for."""
    model = ready(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)))
    x, c = pictures(3, 3, 6, 9), 3
    features, head = model[:2](x).detach(), model[4]
    logit, bias = model(x)[:, c].detach(), head.bias[c].detach()
    cam = torch.einsum("k,nkij->nij", head.weight[c].detach(), features)
    torch.testing.assert_close(GradCam(relu=False)(model, x, of=c).values[:, 0] * 4 * 7, cam)
    torch.testing.assert_close(HiResCam(relu=False)(model, x, of=c).values.sum((1, 2, 3)), logit - bias)
    torch.testing.assert_close(XGradCam(relu=False)(model, x, of=c).values.sum((1, 2, 3)), logit - bias)


def test_x_grad_cam_tells_what_the_score_loses_without_a_channel() -> None:
    model = ready(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)))
    x = pictures(3, 3, 6, 9)
    features = model[:2](x).detach()
    whole = XGradCam(relu=False)(model, x, of=1).values.sum((1, 2, 3))
    lost = torch.zeros(3, dtype=torch.double)
    for k in range(6):
        without = features.clone()
        without[:, k] = 0
        lost += (model[2:](features) - model[2:](without))[:, 1].detach()
    torch.testing.assert_close(whole, lost)


# Places: one bright patch has to show at its own row and column


class Patches(Module):
    """Patches as tokens (after ``prefix`` others), averaged; or as a grid, channels first or last. No biases anywhere."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.prefix = kind, {"class": 1, "registers": 5}.get(kind, 0)
        self.patch = nn.Conv2d(3, 4, 4, stride=4, bias=False)
        self.block1 = nn.Identity()
        self.head = nn.Linear(4, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x)
        if self.kind == "first":
            return self.head(self.block1(x).mean((2, 3)))
        if self.kind == "last":
            return self.head(self.block1(x.permute(0, 2, 3, 1)).mean((1, 2)))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([torch.ones(len(x), self.prefix, 4, dtype=x.dtype), tokens], 1)
        if self.kind == "ahead":
            return self.head(self.block1(tokens.transpose(0, 1)).mean(0))
        return self.head(self.block1(tokens).mean(1))


@pytest.mark.parametrize("kind", ["first", "last", "tokens", "class", "registers", "ahead"])
def test_a_bright_patch_shows_in_its_place(kind: str) -> None:
    model = ready(Patches(kind))
    x = torch.zeros(2, 3, 12, 20, dtype=torch.double)
    x[0, :, 4:8, 12:16] = 1
    x[1, :, 8:12, 0:4] = 1
    a = HiResCam(relu=False)(model, x, of=1)
    assert "block1" in layer_of(a)
    expected = torch.zeros(2, 1, 3, 5, dtype=torch.bool)
    expected[0, 0, 1, 3] = expected[1, 0, 2, 0] = True
    torch.testing.assert_close(a.values != 0, expected)


# Transformers: tiny random ones of the real classes

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 5}


def vit() -> Module:
    return transformers.ViTForImageClassification(transformers.ViTConfig(**TINY, image_size=(32, 48), patch_size=8))


def deit() -> Module:
    return transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**TINY, image_size=(32, 48), patch_size=8))


def beit() -> Module:
    return transformers.BeitForImageClassification(transformers.BeitConfig(**TINY, image_size=(32, 48), patch_size=8))


def dinov2() -> Module:
    config = transformers.Dinov2WithRegistersConfig(**TINY, mlp_ratio=2, image_size=32, patch_size=8, num_register_tokens=4)
    return transformers.Dinov2WithRegistersForImageClassification(config)


def swin() -> Module:
    sizes: dict[str, Any] = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
    return transformers.SwinForImageClassification(transformers.SwinConfig(**sizes, image_size=(32, 64), patch_size=4, num_labels=5))


def convnext() -> Module:
    config = transformers.ConvNextConfig(hidden_sizes=[4, 8, 8, 8], depths=[1, 1, 1, 1], num_labels=5)
    return transformers.ConvNextForImageClassification(config)


def resnet() -> Module:
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=5)
    return transformers.ResNetForImageClassification(config)


def segformer() -> Module:
    sizes: dict[str, Any] = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
    return transformers.SegformerForImageClassification(transformers.SegformerConfig(**sizes, num_labels=5))


CHOICES: list[tuple[Callable[[], Module], tuple[int, int], str]] = [
    (vit, (32, 48), "Cut('vit.layers.1.layernorm_before'): 4x6 tokens after 1 without a position"),
    (deit, (32, 48), "Cut('deit.layers.1.layernorm_before'): 4x6 tokens after 2 without a position"),
    (dinov2, (32, 48), "Cut('dinov2_with_registers.layernorm'): 4x6 tokens after 5 without a position"),
    (beit, (32, 48), "Cut('beit.layernorm'): 4x6 tokens after 1 without a position"),
    (swin, (32, 64), "Cut('swin.layernorm'): 4x8 tokens"),
    (convnext, (64, 96), "Cut('convnext.encoder'): 2x3, channels first"),
    (resnet, (32, 48), "Cut('resnet.encoder'): 4x6, channels first"),
    (segformer, (64, 96), "Cut('segformer'): 2x3, channels first"),
]


@pytest.mark.parametrize(("make", "size", "layer"), CHOICES, ids=[make.__name__ for make, _, _ in CHOICES])
def test_transformers_models_need_no_reshaping(make: Callable[[], Module], size: tuple[int, int], layer: str) -> None:
    torch.manual_seed(0)
    model = ready(make())
    x = pictures(2, 3, *size)
    grid = tuple(map(int, layer.partition(": ")[2].split(",")[0].split(" ")[0].split("x")))
    for method in METHODS:
        a = method(relu=False)(model, pixel_values=x, of=2)
        assert a.values.shape == (2, 1, *grid)
        assert bool(torch.isfinite(a.values).all())
        assert method is EigenCam or (layer_of(a), status(a, "gradient"), status(a, "cancelling")) == (layer, "ok", "ok")
        assert float(a.values.abs().max()) > 0


def test_a_vision_transformers_map_is_that_of_its_patch_tokens() -> None:
    model = ready(vit())
    x = pictures(3, 3, 32, 48)
    held = {}

    def keep(module: Module, args: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        held["tokens"] = output

    handle = model.vit.layers[1].layernorm_before.register_forward_hook(keep)
    model(x).logits[:, 4].sum().backward()
    handle.remove()
    tokens, gradient = held["tokens"][:, 1:].detach(), held["tokens"].grad[:, 1:]
    model.zero_grad()
    want = torch.einsum("ntd,nd->nt", tokens, gradient.mean(1)).reshape(3, 1, 4, 6)
    torch.testing.assert_close(GradCam(relu=False)(model, x, of=4).values, want)


def test_eigen_cam_reads_tokens_that_are_still_looked_at() -> None:
    assert "layers.1.layernorm_before" in layer_of(EigenCam()(ready(vit()), pictures(1, 3, 32, 48)))


class Pairs(Module):
    """A vision transformer whose layers are pairs in lists: no module is a whole block."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.layers = nn.ModuleList([nn.ModuleList([Mixing(), self.feed_forward()]) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    @staticmethod
    def feed_forward() -> nn.Sequential:
        return nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        for mix, feed in self.layers:
            x = x + mix(x)
            x = x + feed(x)
        return self.head(self.norm(x)[:, 0])


class Mixing(Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        return self.attend(x, x, x)[0]


@pytest.mark.parametrize("depth", [1, 2])
def test_where_the_last_layers_are_never_read_an_earlier_one_is_found(depth: int) -> None:
    a = GradCam()(ready(Pairs(depth)), pictures(2, 3, 24, 40), of=1)
    assert layer_of(a) == f"Cut('layers.{depth - 1}.0.norm'): 3x5 tokens after 1 without a position"
    assert status(a, "gradient") == "ok"
    assert a.cost.backward == 2  # the last place and the last numbered layer in one pass, then the one before


def test_torch_encoder_layers_are_blocks_too() -> None:
    class Encoder(Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 8, 8, stride=8)
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.patch(x).flatten(2).transpose(1, 2)
            return self.head(self.encoder(functional.pad(tokens, (0, 0, 1, 0)))[:, 0])

    a = GradCam()(ready(Encoder()), pictures(2, 3, 24, 40), of=1)
    assert layer_of(a) == "Cut('encoder.layers.1', 'in'): 3x5 tokens after 1 without a position"
    assert status(a, "gradient") == "ok"


# Other inputs and outputs


def test_series_and_volumes_have_maps_of_their_own_rank() -> None:
    series = ready(nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)))
    assert GradCam()(series, pictures(2, 2, 20)).values.shape == (2, 1, 18)
    volumes = ready(nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)))
    assert GradCam()(volumes, pictures(2, 1, 5, 6, 7)).values.shape == (2, 1, 3, 4, 5)


def test_a_segmentation_network_is_read_at_its_narrowest() -> None:
    class Segments(Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU())
            self.middle = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU())
            self.up = nn.ConvTranspose2d(8, 4, 4, stride=4)
            self.classes = nn.Conv2d(4, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classes(functional.relu(self.up(self.middle(self.down(x)))))

    a = GradCam()(ready(Segments()), pictures(2, 3, 16, 24), of=asc.Channel(1))
    assert layer_of(a) == "Cut('middle'): 4x6, channels first"


def test_numpy_in_numpy_out_and_half_precision_stays() -> None:
    model = ready(Residual())
    x = pictures(2, 3, 9, 13)
    want = GradCam()(model, x, of=1).values
    got = GradCam()(model, x.numpy(), of=1).values
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, want.numpy())
    half = GradCam()(copy.deepcopy(model).bfloat16(), x.bfloat16(), of=1).values
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), want, rtol=0.1, atol=0.05 * float(want.max()))


def test_several_quantities_and_chunks_give_the_same_maps() -> None:
    model, x = ready(Residual()), pictures(5, 3, 9, 13)
    both = GradCam(relu=False)(model, x, of=[asc.Unit(1), asc.Unit(4)])
    assert both.values.shape == (2, 5, 1, 4, 6)
    for i, c in enumerate((1, 4)):
        alone = GradCam(relu=False)(model, x, of=c, chunk=2)
        torch.testing.assert_close(both.values[i], alone.values)


def test_a_neuron_is_explained_by_the_layers_before_it() -> None:
    a = GradCam(relu=False)(ready(Residual()), pictures(2, 3, 9, 13), of=asc.Channel(2, on=asc.Cut("last")))
    assert layer_of(a).startswith("Cut('blocks.1")
    assert status(a, "gradient") == "ok"


def test_the_result_carries_the_pictures_and_can_be_brought_to_their_size() -> None:
    x = pictures(2, 3, 9, 13)
    a = GradCam()(ready(Residual()), x, of=[0, 3])
    assert a.record is not x  # written to later, the result stays
    assert torch.equal(a.record, x)
    assert a.resize(9, 13).values.shape == (2, 1, 9, 13)
    assert (a.target == [0, 3]).all()
    assert a.gap is None
    assert a.cost.forward == 2
    assert a.cost.backward == 1


# What the user says


def test_a_named_layer_is_honoured() -> None:
    model, x = ready(Residual()), pictures(2, 3, 9, 13)
    want = HiResCam(layer="stem")(model, x, of=1)
    assert layer_of(want) == "Cut('stem'): 9x13, channels first"
    for same in (HiResCam(layer=asc.Cut("stem"))(model, x, of=1), HiResCam(layer="last")(model, x, of=1, at="stem")):
        torch.testing.assert_close(same.values, want.values)


def test_of_a_shared_layer_the_last_use_is_read_unless_another_is_named() -> None:
    class Shared(Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 3, 3), nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(functional.relu(self.conv(functional.relu(self.conv(x)))).mean((2, 3)))

    model, x = ready(Shared()), pictures(2, 3, 9, 13)
    for found in (GradCam()(model, x), GradCam(layer="conv")(model, x)):
        assert layer_of(found) == "Cut('conv', call=1): 5x9, channels first"
    assert GradCam(layer=asc.Cut("conv", call=0))(model, x).values.shape == (2, 1, 7, 11)


def test_the_grid_and_prefix_named_are_used() -> None:
    model, x = ready(Patches("registers")), pictures(2, 3, 12, 20)
    assert GradCam(layer="block1", grid=(3, 5))(model, x).values.shape == (2, 1, 3, 5)
    assert GradCam(grid=(5, 3), prefix=5)(model, x).values.shape == (2, 1, 5, 3)
    assert GradCam(layer="block1", grid=(2, 5))(model, x).values.shape == (2, 1, 2, 5)
    with pytest.raises(MethodError, match="grid="):
        GradCam(layer="block1", grid=(5, 5))(model, x)


def test_ambiguous_tokens_are_an_error_with_the_choices() -> None:
    class Unfolded(Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Linear(3, 4), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.flatten(2).transpose(1, 2)[:, :10]
            return self.head(self.embed(tokens)[:, 1:].mean(1))

    model, x = ready(Unfolded()), pictures(1, 3, 6, 6)
    with pytest.raises(MethodError, match=r"grid=\(3, 3\), prefix=1 or grid=\(2, 2\), prefix=6"):
        GradCam()(model, x)
    assert GradCam(prefix=1)(model, x).values.shape == (1, 1, 3, 3)


def test_models_without_places_are_refused() -> None:
    table = ready(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    with pytest.raises(MethodError, match="`GradCam` needs a layer with spatial positions"):
        GradCam()(table, pictures(2, 4))
    with pytest.raises(MethodError, match=r"value at Cut\('0'\) has no spatial positions"):
        GradCam(layer="0")(table, pictures(2, 4))
    with pytest.raises(MethodError, match=r"value at Cut\('head'\) has no spatial positions"):
        GradCam(layer="head")(ready(Residual()), pictures(2, 3, 9, 13))
    with pytest.raises(CutError, match="lasst"):
        GradCam(layer="lasst")(ready(Residual()), pictures(2, 3, 9, 13))
    words = transformers.BertForSequenceClassification(transformers.BertConfig(**TINY, vocab_size=20, max_position_embeddings=16))
    with pytest.raises(MethodError, match="no image, volume or series"):
        GradCam()(words.eval(), torch.randint(0, 20, (2, 9)))


# Checks


def test_reading_behind_the_class_token_is_noticed() -> None:
    a = GradCam(layer="vit.layernorm")(ready(vit()), pictures(2, 3, 32, 48), of=1)
    assert not a.values.any()
    assert status(a, "gradient") == "warn"


def test_reading_before_a_norm_is_noticed_where_channels_cancel() -> None:
    model, x = ready(vit()), pictures(2, 3, 32, 48)
    before = asc.Cut("vit.layers.1", "in")
    assert status(HiResCam(layer=before)(model, x, of=1), "cancelling") == "warn"
    assert status(HiResCam()(model, x, of=1), "cancelling") == "ok"
    assert status(GradCam(layer=before)(model, x, of=1), "cancelling") == "ok"


def test_maps_left_empty_by_relu_are_noticed_record_by_record() -> None:
    model = ready(nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, -1.0])[:, None, None, None])
        model[4].weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
    x = torch.ones(3, 1, 2, 2, dtype=torch.double) * torch.tensor([1.0, -1.0, 1.0])[:, None, None, None]
    a = GradCam()(model, x, of=0)
    assert next(check.records for check in a.checks if check.name == "positive") == (1,)
    assert all(check.name != "positive" for check in GradCam(relu=False)(model, x, of=0).checks)


def test_formulas_that_divide_by_sums_say_so_on_signed_activations() -> None:
    model, x = ready(Residual()), pictures(2, 3, 9, 13)
    for method in (XGradCam, GradCamPlusPlus):
        assert status(method(layer="last")(model, x), "activations") == "warn"
        assert status(method(layer="blocks.0.1")(model, x), "activations") == "ok"


def test_eigen_cam_looks_at_no_class_and_needs_no_gradient() -> None:
    model, x = ready(Residual()), pictures(2, 3, 9, 13)
    first, second = EigenCam()(model, x, of=0), EigenCam()(model, x, of=4)
    torch.testing.assert_close(first.values, second.values)
    assert first.cost.backward == 0


@pytest.mark.parametrize("method", METHODS)
def test_broken_records_are_named_and_spoil_no_other(method: type[Cam]) -> None:
    model, x = ready(Residual()), pictures(3, 3, 9, 13)
    want = method()(model, x, of=1)
    x[1, 0, 0, 0] = np.nan
    with pytest.warns(AscribeWarning, match="NaN"):
        a = method()(model, x, of=1)
    assert status(a, "finite") == "fail"
    assert not a.ok
    torch.testing.assert_close(a.values[[0, 2]], want.values[[0, 2]])


# Values


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_values(method: type[Cam]) -> None:
    made = method(layer=asc.Cut("layer4", "in"), grid=(7, 7), prefix=1)
    names = {cls.__name__: cls for cls in METHODS} | {"Cut": asc.Cut, "PredictedClass": asc.PredictedClass}
    assert eval(repr(made), names) == made
    assert repr(method()) == f"{method.__name__}()"
    assert pickle.loads(pickle.dumps(made)) == made
    assert hash(made) == hash(method(layer=asc.Cut("layer4", "in"), grid=(7, 7), prefix=1))
    assert made != method()
    assert len({cls() for cls in METHODS}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_the_methods_of_results_can_be_pasted(method: type[Cam]) -> None:
    model, x = ready(Residual()), pictures(2, 3, 9, 13)
    a = method()(model, x)
    names = {cls.__name__: cls for cls in METHODS} | {"Cut": asc.Cut, "PredictedClass": asc.PredictedClass, "model": model, "inputs": (x,)}
    torch.testing.assert_close(eval(a.method, names).values, a.values)


def test_the_finite_differences_of_the_score_agree_with_hires_cam() -> None:
    """Scaling the features at one place by 1 + h changes the score by h times the map there."""
    model, x, c, h = ready(Residual()), pictures(1, 3, 9, 13), 2, 1e-6
    values = HiResCam(relu=False)(model, x, of=c).values[0, 0]
    features = model.features(x).detach()

    def score(f: torch.Tensor) -> float:
        return float(model.head(functional.relu(f).mean((2, 3)))[0, c].detach())

    for i, j in [(0, 0), (1, 5), (3, 2)]:
        nudged = [features.clone(), features.clone()]
        nudged[0][..., i, j] *= 1 + h
        nudged[1][..., i, j] *= 1 - h
        assert math.isclose((score(nudged[0]) - score(nudged[1])) / (2 * h), float(values[i, j]), rel_tol=1e-5, abs_tol=1e-9)


def test_places_are_looked_for_again_where_the_model_takes_another_way() -> None:
    """Places are remembered for a kind of call; what the numbers decide is not part of it."""

    class TwoWays(Module):
        def __init__(self) -> None:
            super().__init__()
            self.bright, self.dark, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.bright(x) if x.mean() > 0 else self.dark(x)
            return self.head(functional.relu(y).mean((2, 3)))

    model = ready(TwoWays())
    x = torch.rand(1, 3, 12, 12, dtype=torch.double)
    first = GradCam()(model, x, of=1)
    again = GradCam()(model, x, of=1)
    other = GradCam()(model, -x, of=1)
    assert "bright" in first.cut
    assert "dark" in other.cut
    assert torch.equal(other.values, GradCam(layer=asc.Cut("dark"))(copy.deepcopy(model), -x, of=1).values)
    assert first.cost is not None
    assert again.cost is not None
    assert (first.cost.forward, again.cost.forward) == (2, 1)


@pytest.mark.parametrize("method", METHODS)
def test_pictures_of_bytes_are_pictures(method: type[Cam]) -> None:
    net = ready(Residual())
    x = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    of_bytes = method()(lambda x: net(x.double() / 255), x)
    torch.testing.assert_close(of_bytes.values, method()(lambda x: net(x / 255), x.double()).values)
