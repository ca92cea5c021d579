"""A row of a table explained in captum's words: backgrounds, surrogates, neurons, and a metric over a whole data set.

python table.py                                     with captum
python -m ascribe.compat captum table.py            with ascribe in its place
"""

import torch
from captum.attr import (
    ClassSummarizer,
    CommonStats,
    DataLoaderAttribution,
    DeepLiftShap,
    FeatureAblation,
    FeaturePermutation,
    GradientShap,
    KernelShap,
    Lime,
    NeuronConductance,
    NeuronDeepLift,
    ShapleyValues,
)
from captum.attr._core.lime import get_exp_kernel_similarity_function
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(2)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
rows, background = torch.randn(8, 6), torch.randn(20, 6)
classes = model(rows).argmax(1)

shap = DeepLiftShap(model).attribute(rows, background, target=classes)
print("DeepLIFT-SHAP", tuple(shap.shape))
print("GradientSHAP", tuple(GradientShap(model).attribute(rows, background, n_samples=20, stdevs=0.1, target=classes).shape))

columns = torch.tensor([[0, 0, 1, 1, 2, 2]])
exact = ShapleyValues(model).attribute(rows, target=classes, feature_mask=columns)
change = (model(rows) - model(torch.zeros_like(rows))).gather(1, classes[:, None])[:, 0]
print("Shapley values add up", torch.allclose(exact[:, ::2].sum(1), change, atol=1e-4))
print("kernel", tuple(KernelShap(model).attribute(rows[:2], target=classes[:2], n_samples=60, return_input_shape=True).shape))
lime = Lime(model, similarity_func=get_exp_kernel_similarity_function("euclidean", 1000.0))
print("LIME", tuple(lime.attribute(rows[:2], target=classes[:2], n_samples=60, return_input_shape=False).shape))

print("neuron", tuple(NeuronDeepLift(model, model[1]).attribute(rows, 3, torch.zeros_like(rows)).shape))
print("through a neuron", tuple(NeuronConductance(model, model[1]).attribute(rows, (3,), target=classes, n_steps=20).shape))
print("permuted", tuple(FeaturePermutation(model).attribute(rows, target=classes).shape))


def hits(held, output, batch):
    return (held or 0) + float((output.argmax(1) == batch[1]).sum())


loader = DataLoader(TensorDataset(rows, classes), batch_size=3)
lost = DataLoaderAttribution(FeatureAblation(model)).attribute(loader, input_roles=(0, 2), reduce=hits, to_metric=torch.tensor)
print("hits lost", [tuple(part.shape) for part in lost])

summary = ClassSummarizer(CommonStats())
summary.update(shap, classes.tolist())
print("classes", sorted(summary.class_summaries) == sorted(set(classes.tolist())))
