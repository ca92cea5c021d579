"""deepcut: where Thai words begin, by a Keras model of characters. Which characters decide?"""

from __future__ import annotations

import deepcut
import numpy as np
import pytest
from deepcut.utils import create_feature_array

import ascribe as asc
from ascribe.errors import CutError

TEXT = "ตัดคำได้ดีมาก"


def main() -> None:
    model = deepcut.DeepcutTokenizer().model
    characters, kinds = (np.asarray(a)[[3, 5]] for a in create_feature_array(TEXT))  # ids as floating numbers, as deepcut has them
    with pytest.raises(CutError, match="EMBEDDINGS"):
        asc.Saliency()(model, [characters, kinds])
    line = asc.IntegratedGradients(0.0, steps=64)(model, [characters, kinds], of=asc.Unit(0, on=asc.LOGITS), at="embedding")
    assert np.asarray(line.values).shape == (2, 21, 32)
    assert np.abs(line.gap.relative).max() < 0.05
    removal = asc.FeatureAblation(by=asc.Replace(0.0))(model, [characters, kinds], of=0)
    truth = model.predict([characters, kinds], verbose=0)[:, 0]
    np.testing.assert_allclose(np.asarray(removal.explained), truth, rtol=1e-4)


if __name__ == "__main__":
    main()
