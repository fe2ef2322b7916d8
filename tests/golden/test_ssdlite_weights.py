"""The Keras people detector against the frozen graph that it was published as, run by TensorFlow."""
# ruff: noqa: E402, the skip comes before the imports that would fail

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra [convert]")
tf = pytest.importorskip("tensorflow", reason="needs the extra [convert]")

import cv2

from models.ssdlite import SIZE, anchors, pedestrian_ssdlite
from models.weights import FetchError, fetch

SCORE_TOLERANCE = 1e-5
BOX_TOLERANCE_PX = 1e-3
"""Both sides add the same float32 numbers in another order, through 60 layers of which ours takes the pixels' range
into its first kernel, and boxes are an exponential at the end. Measured 1.3e-6 and 1.6e-4 pixels at most."""

OUTPUTS = ("Postprocessor/Reshape_2:0", "Postprocessor/convert_scores:0", "Concatenate/concat:0")


@pytest.fixture(scope="module")
def graph() -> Path:
    try:
        return fetch("pedestrian-ssdlite")
    except FetchError as error:
        pytest.skip(f"no weights: {error}")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray[Any, Any]]:
    """Frames of a real film, 300 x 300 RGB."""
    try:
        film = fetch("vtest")
    except FetchError:
        try:
            film = fetch("bikes")
        except FetchError as error:
            pytest.skip(f"no film: {error}")
    capture = cv2.VideoCapture(str(film))
    frames = [capture.read()[1] for _ in range(120)][::40]
    return [cv2.cvtColor(cv2.resize(frame, (SIZE, SIZE)), cv2.COLOR_BGR2RGB) for frame in frames]


def test_boxes_scores_and_anchors_equal_the_published_graph(graph: Path, pictures: list[np.ndarray[Any, Any]]) -> None:
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.read_bytes())
    model = pedestrian_ssdlite(graph)
    answers = [model(picture[None], training=False) for picture in pictures]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        for picture, heads in zip(pictures, answers, strict=True):
            yxyx, scores, around = session.run(OUTPUTS, {"image_tensor:0": picture[None]})
            answer = {name: np.asarray(value) for name, value in heads.items()}
            assert answer["boxes"].shape == (1, 1917, 4)
            assert np.abs(answer["scores"][..., 0] - scores[..., 1]).max() <= SCORE_TOLERANCE
            wanted = yxyx.reshape(1, 1917, 4)[..., [1, 0, 3, 2]] * SIZE
            assert np.abs(answer["boxes"] - wanted).max() <= BOX_TOLERANCE_PX
    corners = np.concatenate([anchors()[:, :2] - anchors()[:, 2:] / 2, anchors()[:, :2] + anchors()[:, 2:] / 2], axis=1)
    assert np.abs(corners - around[:, [1, 0, 3, 2]] * SIZE).max() <= 1e-3
