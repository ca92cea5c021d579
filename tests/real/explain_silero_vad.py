"""silero-vad: one network as TorchScript and as ONNX. Which part of 32 ms of sound says that someone speaks?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import ascribe as asc

found = importlib.util.find_spec("silero_vad")
assert found is not None
assert found.origin is not None
DATA = Path(found.origin).parent / "data"


def main() -> None:
    scripted = torch.jit.load(str(DATA / "silero_vad.jit")).eval()
    session = onnxruntime.InferenceSession(str(DATA / "silero_vad.onnx"))
    t = np.arange(512) / 16000
    x = (0.3 * np.sin(2 * np.pi * 140 * t) * (1 + np.sin(2 * np.pi * 700 * t)) + 0.1 * np.sin(2 * np.pi * 1200 * t)).astype(np.float32)[
        None
    ]

    def speech(x: torch.Tensor) -> Any:
        scripted.reset_states()
        return scripted(x, 16000)

    context, state, rate = np.zeros((1, 64), np.float32), np.zeros((2, 1, 128), np.float32), np.array(16000)
    full = np.concatenate([context, x], 1)
    windows = asc.FeatureAblation(by=asc.Replace(0.0), features=asc.features.Windows((64,)))
    one = windows(speech, torch.tensor(x), of=0)
    other = windows(session, asc.Call(full, state, rate, records={1: 1}).only(0), of=0)
    np.testing.assert_allclose(np.asarray(one.features.values)[0], other.features.values[0, 1:], atol=1e-5)
    np.testing.assert_allclose(np.asarray(one.explained), np.asarray(other.explained), atol=1e-5)

    line = asc.IntegratedGradients(0.0, steps=64)(speech, torch.tensor(x), of=0)
    assert np.abs(line.gap.relative).max() < 0.01
    shapley = asc.ShapleyExact(by=asc.Replace(0.0), features=asc.features.Windows((64,)))(speech, torch.tensor(x), of=0)
    assert np.abs(shapley.gap.absolute).max() < 1e-5


if __name__ == "__main__":
    main()
