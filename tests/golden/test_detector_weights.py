"""The Keras detector against the graph that the weights were published with, run by TensorFlow."""
# ruff: noqa: E402, the skip comes before the imports that would fail

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra [convert]")
tf = pytest.importorskip("tensorflow", reason="needs the extra [convert]")

import cv2
from google.protobuf import json_format

from models.detector import MEAN_BGR, STD_BGR, STRIDES, Pixels, nanodet_g
from models.labels import COCO_80
from models.tfjs import read_tfjs
from models.weights import FetchError, fetch

SCORE_TOLERANCE = 2e-6
LOGIT_TOLERANCE = 5e-5
"""Scores lie in 0..1, logits in about -10..11. Both sides add the same float32 numbers, in another order and, for
the forms that normalise inside, with the standard deviation multiplied into the first kernel. Measured:
scores 4e-7, logits 8e-6 at most; `normalised` 1e-6, at stride 8 exactly zero. A picture flipped in its colours, or
padding on the wrong side, shows as 0.1 and more."""

KINDS = {"DT_FLOAT": tf.float32, "DT_INT32": tf.int32, "DT_INT64": tf.int64}
Oracle = Callable[[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]


@pytest.fixture(scope="module")
def topology() -> Path:
    try:
        return fetch("nanodet-g") / "nanodet.json"
    except FetchError as error:
        pytest.skip(f"no weights: {error}")


@pytest.fixture(scope="module")
def oracle(topology: Path) -> Oracle:
    """The published graph as it is: every node from the JSON file, every constant from the .bin file."""
    arrays = read_tfjs(topology)
    graph = tf.compat.v1.GraphDef()
    for node in json.loads(topology.read_text())["modelTopology"]["node"]:
        if node["op"] == "Const":
            kind = KINDS[node["attr"]["dtype"]["type"]]
            added = graph.node.add(name=node["name"], op="Const")
            added.attr["dtype"].type = kind.as_datatype_enum
            added.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(arrays[node["name"]], kind))
        else:
            json_format.ParseDict(node, graph.node.add())
    outputs = [f"Identity_{n}:0" if n else "Identity:0" for n in range(6)]
    run = tf.compat.v1.wrap_function(
        lambda x: tf.import_graph_def(graph, {"input_1": x}, outputs), [tf.TensorSpec((1, 3, 416, 416))]
    )
    return lambda picture: [tensor.numpy() for tensor in run(tf.constant(picture.transpose(0, 3, 1, 2)))]


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray[Any, Any]]:
    """Real pictures 416 x 416 BGR where Debian's package can be had, else frames of the small film."""
    try:
        folder = fetch("opencv-doc-pictures")
        found = {path.name: cv2.imread(str(path)) for path in sorted(folder.glob("[cbms]*.[jp][pn]g"))[:6]}
        film = fetch("vtest")
    except FetchError:
        found = {}
        try:
            film = fetch("bikes")
        except FetchError as error:
            pytest.skip(f"no pictures: {error}")
    capture = cv2.VideoCapture(str(film))
    found |= {f"frame {n}": capture.read()[1] for n in range(2)}
    return {name: cv2.resize(picture, (416, 416)) for name, picture in found.items()}


@pytest.mark.parametrize("pixels", ["normalised", "uint8", "float32"])
def test_heads_equal_the_published_graph(
    topology: Path, oracle: Oracle, pictures: dict[str, np.ndarray[Any, Any]], pixels: Pixels
) -> None:
    model = nanodet_g(pixels=pixels, weights=topology)
    for name, bgr in pictures.items():
        normalised = ((bgr - np.asarray(MEAN_BGR)) / np.asarray(STD_BGR)).astype(np.float32)[None]
        answers = oracle(normalised)
        rgb = np.ascontiguousarray(bgr[None, ..., ::-1])
        image = {"normalised": normalised, "uint8": rgb, "float32": rgb.astype(np.float32)}[pixels]
        heads = {key: np.asarray(value) for key, value in model(image, training=False).items()}
        for stride, scores, logits in zip(STRIDES, answers[:3], answers[3:], strict=True):
            assert heads[f"cls_{stride}"].shape == scores.shape
            assert np.abs(heads[f"cls_{stride}"] - scores).max() <= SCORE_TOLERANCE, name
            assert np.abs(heads[f"reg_{stride}"] - logits).max() <= LOGIT_TOLERANCE, name


def test_fewer_labels_are_columns_of_all(topology: Path, pictures: dict[str, np.ndarray[Any, Any]]) -> None:
    image = next(iter(pictures.values()))[None]
    every = nanodet_g(weights=topology)(image, training=False)
    some = nanodet_g(labels=("horse", "person"), weights=topology)(image, training=False)
    columns = [COCO_80.index("horse"), COCO_80.index("person")]
    for stride in STRIDES:
        wanted = np.asarray(every[f"cls_{stride}"])[..., columns]
        assert np.abs(np.asarray(some[f"cls_{stride}"]) - wanted).max() <= SCORE_TOLERANCE


def test_a_frame_with_people_has_sure_people(topology: Path) -> None:
    try:
        capture = cv2.VideoCapture(str(fetch("vtest")))
    except FetchError as error:
        pytest.skip(f"no film: {error}")
    image = cv2.cvtColor(cv2.resize(capture.read()[1], (416, 416)), cv2.COLOR_BGR2RGB)
    scores = np.asarray(nanodet_g(weights=topology)(image[None], training=False)["cls_8"])
    assert scores.argmax() % len(COCO_80) == COCO_80.index("person")
    assert scores.max() > 0.7


def test_another_size_has_as_many_cells_as_it_should(topology: Path) -> None:
    model = nanodet_g((320, 256), weights=topology)
    shapes = {name: tensor.shape[1:] for name, tensor in model.output.items()}
    assert shapes["cls_8"] == (40 * 32, 80)
    assert shapes["reg_32"] == (10 * 8, 44)
