"""A picture explained in captum's words: gradients, paths, layers, superpixels, and how well they hold.

python image.py                                     with captum
python -m ascribe.compat captum image.py            with ascribe in its place
"""

import torch
from captum.attr import (
    DeepLift,
    GuidedGradCam,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    ShapleyValueSampling,
    visualization,
)
from captum.metrics import infidelity, infidelity_perturb_func_decorator, sensitivity_max
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 5),
).eval()  # fmt: skip
pictures = torch.rand(2, 3, 16, 16)
classes = model(pictures).argmax(1)

ig = IntegratedGradients(model)
paths, delta = ig.attribute(pictures, target=classes, n_steps=40, return_convergence_delta=True)
print("integrated gradients", tuple(paths.shape), "delta", float(delta.abs().max()) < 0.05)

smooth = NoiseTunnel(ig).attribute(pictures, nt_type="smoothgrad", nt_samples=4, stdevs=0.05, target=classes, n_steps=10)
print("smoothed", tuple(smooth.shape))

lifted = DeepLift(model).attribute(pictures, torch.zeros_like(pictures), target=classes)
print("DeepLIFT", tuple(lifted.shape))

cam = LayerGradCam(model, model[3]).attribute(pictures, target=classes, relu_attributions=True)
print("Grad-CAM", tuple(LayerAttribution.interpolate(cam, (16, 16)).shape))
print("guided", tuple(GuidedGradCam(model, model[3]).attribute(pictures, target=classes).shape))

covered = Occlusion(model).attribute(pictures, sliding_window_shapes=(3, 4, 4), strides=(3, 2, 2), target=classes, baselines=0.5)
print("occlusion", tuple(covered.shape))

side = torch.arange(16) // 4
grid = (side[:, None] * 4 + side).expand(1, 3, 16, 16).contiguous()
shares = ShapleyValueSampling(model).attribute(pictures, target=classes, feature_mask=grid, n_samples=6)
print("Shapley values", tuple(shares.shape), torch.unique(shares[0]).numel() <= 16)


@infidelity_perturb_func_decorator(False)
def shaken(inputs):
    return inputs - 0.01 * torch.randn_like(inputs)


print("infidelity", tuple(infidelity(model, shaken, pictures, paths, target=classes).shape))
print("sensitivity", tuple(sensitivity_max(ig.attribute, pictures, target=classes, n_perturb_samples=2, n_steps=5).shape))

figure, _ = visualization.visualize_image_attr_multiple(
    paths[0].permute(1, 2, 0).numpy(),
    pictures[0].permute(1, 2, 0).numpy(),
    ["original_image", "heat_map"],
    ["all", "absolute_value"],
    use_pyplot=False,
)
print("axes", len(figure.axes))
