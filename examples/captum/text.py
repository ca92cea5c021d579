"""A sentence explained in captum's words: paths through embeddings, one layer at a time, and tokens taken out.

python text.py                                      with captum
python -m ascribe.compat captum text.py             with ascribe in its place
"""

import torch
from captum.attr import (
    FeatureAblation,
    LayerConductance,
    LayerIntegratedGradients,
    TokenReferenceBase,
    configure_interpretable_embedding_layer,
    remove_interpretable_embedding_layer,
    visualization,
)
from captum.attr._core.integrated_gradients import IntegratedGradients
from torch import nn

WORDS = ["<pad>", "the", "film", "was", "not", "good", "bad", "at", "all"]


class Classifier(nn.Module):
    """Embeddings, a recurrent layer, two classes."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 8)
        self.mix = nn.Linear(8, 12)
        self.head = nn.Linear(12, 2)

    def forward(self, ids, mask):
        h = torch.tanh(self.mix(self.embedding(ids))) * mask[..., None]
        return self.head(h.sum(1))


torch.manual_seed(1)
model = Classifier().eval()
ids = torch.tensor([[1, 2, 3, 4, 5, 0], [1, 2, 3, 6, 7, 8]])
mask = (ids > 0).float()
reference = TokenReferenceBase(reference_token_idx=0).generate_reference(6, device=torch.device("cpu")).unsqueeze(0).expand_as(ids)

lig = LayerIntegratedGradients(model, model.embedding)
values, delta = lig.attribute(ids, reference, target=1, additional_forward_args=(mask,), n_steps=40, return_convergence_delta=True)
scores = values.sum(-1)
print("by token", tuple(scores.shape), "delta", float(delta.abs().max()) < 0.05)
print("without a token", tuple(FeatureAblation(model).attribute(ids, reference, target=1, additional_forward_args=(mask,)).shape))

words = configure_interpretable_embedding_layer(model, "embedding")
embedded, start = words.indices_to_embeddings(ids), words.indices_to_embeddings(reference)
direct = IntegratedGradients(model).attribute(embedded, start, target=1, additional_forward_args=(mask,), n_steps=40)
inner = LayerConductance(model, model.mix).attribute(embedded, start, target=1, additional_forward_args=(mask,), n_steps=40)
remove_interpretable_embedding_layer(model, words)
print("through embeddings", torch.allclose(direct, values, atol=1e-4), tuple(inner.shape))

record = visualization.VisualizationDataRecord(
    scores[0] / scores[0].norm(), 0.7, 1, 1, 1, float(scores[0].sum()), [WORDS[i] for i in ids[0]], float(delta[0])
)
page = visualization.format_word_importances(record.raw_input_ids, record.word_attributions)
print("a mark for each word", page.count("<mark"))
