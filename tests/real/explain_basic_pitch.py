"""basic-pitch: one network as SavedModel and as ONNX. Which part of a sound makes it hear an A?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf

import ascribe as asc

found = importlib.util.find_spec("basic_pitch")
assert found is not None
assert found.origin is not None
MODELS = Path(found.origin).parent / "saved_models" / "icassp_2022"
PLACE = 40, 48  # the frame, and A4 among 88 keys


def sound() -> np.ndarray:
    """Two seconds of an A of 440 Hz, struck twice a second."""
    t = np.arange(43844) / 22050
    noise = np.random.default_rng(0).normal(size=t.shape)
    return (0.4 * np.sin(2 * np.pi * 440 * t) * np.exp(-3 * (t % 0.5)) + 0.01 * noise).astype(np.float32)[None, :, None]


def main() -> None:
    model, x = tf.saved_model.load(str(MODELS / "nmp")), sound()
    session = onnxruntime.InferenceSession(str(MODELS / "nmp.onnx"))
    live = {name: np.asarray(y) for name, y in model.signatures["serving_default"](tf.constant(x)).items()}
    names = {name: one for name in live for one, y in run(session, x).items() if y.shape == live[name].shape and close(y, live[name])}
    assert set(names) == set(live), names
    assert live["note"][0].mean(0).argmax() == PLACE[1]

    windows = asc.features.Windows((4384, 1))
    by_windows = asc.FeatureAblation(by=asc.Replace(0.0), features=windows)
    one = by_windows(model, x, of=asc.Unit(*PLACE, on=asc.OUTPUT.at("note")))
    other = by_windows(session, x, of=asc.Unit(*PLACE, on=asc.OUTPUT.at(names["note"])))
    np.testing.assert_allclose(one.features.values, other.features.values, atol=2e-4)

    line = asc.IntegratedGradients(0.0, steps=32)(model, x, of=asc.Unit(*PLACE, on=asc.OUTPUT.at("note")))
    assert np.abs(line.gap.relative).max() < 0.02
    parts = np.asarray(line.values)[0, :43840, 0].reshape(10, 4384).sum(1)
    removed = np.asarray(one.features.values)[0, :10]
    assert np.corrcoef(np.abs(parts), np.abs(removed))[0, 1] > 0.5, (parts, removed)  # the same windows matter


def run(session: onnxruntime.InferenceSession, x: np.ndarray) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() < 1e-3)


if __name__ == "__main__":
    main()
