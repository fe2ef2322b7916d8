"""What a manifest may say, on both sides of each limit: the value that is allowed, and the one that is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.bundle import (
    DECODER_OUTPUTS,
    FORMAT,
    MANIFEST_FILE,
    MOST_ERROR,
    Decoder,
    Golden,
    Manifest,
    Preprocess,
    Provenance,
    TensorSpec,
    complaints,
    decode_manifest,
)
from edge.decode import DECODERS
from edge.errors import BundleError
from tests.conftest import fake_bundle
from tests.unit.test_compare import pair_bundle

COSINES = {"output": "class", "max_abs": 0.1, "cosine_min": 0.9, "cosine_limit": 0.9, "inputs": 3}
METRIC = {"name": "accuracy", "value": 0.8, "examples": 9, "keras": 0.9, "limit": 0.8}
SCALE = {"scale": 0.5, "zero_point": 3}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bundles")
    paths = {task: fake_bundle(folder, task).path for task in ("detect", "embed", "classify", "localize")}
    paths["pair"] = pair_bundle(folder, 6).path
    return {task: (path / MANIFEST_FILE).read_text() for task, path in paths.items()}


def changed(text: str, changes: dict[str, Any]) -> bytes:
    """Set values by dotted paths: "decoder.nms_iou", "inputs.0.shape"."""
    manifest = json.loads(text)
    for path, value in changes.items():
        inside: Any = manifest
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        for key in parents:
            inside = inside[key]
        inside[last] = value
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("task", "path", "good", "bad", "says"),
    [
        ("detect", "name", "a" * 200, "a" * 201, "name"),
        ("detect", "name", "stall 7", "stall/7", "plain characters"),
        ("detect", "name", "x", ".x", "without a dot"),
        ("detect", "name", "Prüfstand", "a\u202eb", r"U\+202E"),
        ("detect", "model_file", "m.json", "../m.json", "model_file"),
        ("detect", "model_file", "m.json", "m.onnx", r"\.json for fake"),
        ("detect", "model_file", "m.json", "bundle.json", "a file of its own"),
        ("detect", "labels.0", "horse", "ho\x1brse", r"U\+001B"),
        ("detect", "labels", ["a", "b"], [], "a name for each class"),
        ("detect", "labels", ["a", "b"], ["a", "b", "c"], "shape"),
        ("detect", "labels", ["a", "b"], ["a", ""], "length"),
        ("detect", "variant", "int8", "int8\n", r"U\+000A"),
        ("detect", "inputs.0.shape", [1, 96, 96, 3], [1, 96, 96, 4], "one picture"),
        ("detect", "inputs.0.shape", [1, 4096, 4096, 3], [1, 4096, 8192, 3], "values"),
        ("detect", "inputs.0.shape", [1, 1, 1, 3], [1, 0, 1, 3], ">= 1"),
        ("detect", "inputs.0.dtype", "uint8", "int32", "float32, or uint8"),
        ("detect", "inputs.0.dtype", "float32", "int8", "without scale"),
        ("detect", "outputs.0.name", "boxes", "scores", "name of its own"),
        ("detect", "outputs.0.name", "boxes", "box", "'boxes' for decoder"),
        ("detect", "outputs.0.shape", [1, 64, 4], [1, 64, 5], "shape"),
        ("detect", "outputs.0.shape", [1, 64, 4], [1, 65, 4], "as many boxes as scores"),
        ("detect", "outputs.0.shape", [1, 64, 4], [64, 4], "shape"),
        ("detect", "preprocess.pad_value", 255, 256, "255"),
        ("detect", "preprocess.pad_value", 0, -1, "0"),
        ("detect", "preprocess.mean", [0, 0, 0], [0, 0], "1 or 3"),
        ("detect", "preprocess.mean", [0], [], "1 or 3"),
        ("detect", "preprocess.std", [1, 1, 1], [1, 1, 0], "1e-06"),
        ("detect", "preprocess.std", [1], [-1], "1e-06"),
        ("detect", "preprocess.std", [1], [2], "without scale"),
        ("detect", "preprocess", {"fit": "stretch"}, None, "preprocessing"),
        ("detect", "decoder.name", "boxes", "yolo", "boxes, nanodet"),
        ("detect", "decoder", {"name": "boxes"}, None, "got none"),
        ("detect", "decoder.threshold", 1, 1.01, "<= 1"),
        ("detect", "decoder.threshold", 0, -0.01, ">= 0"),
        ("detect", "decoder.nms_iou", 1, 1.01, "<= 1"),
        ("detect", "decoder.nms_iou", 0.01, 0, "> 0"),
        ("detect", "decoder.nms_iou", 0.6, -5, "> 0"),
        ("detect", "decoder.strides", [], [8], "no strides"),
        ("detect", "decoder.bins", 0, 8, "no strides and bins"),
        ("detect", "embedding", None, {"dim": 3, "unit_length": True}, "embedding: want none"),
        ("detect", "threshold", None, 0.5, "threshold: want none"),
        ("embed", "embedding.dim", 48, 7, "want dim 48"),
        ("embed", "embedding", {"dim": 48, "unit_length": True}, None, "got no embedding"),
        ("embed", "embedding.metric", "cosine", "euclid", "metric"),
        ("embed", "decoder", None, {"name": "boxes"}, "decoder: want none"),
        ("embed", "labels", [], ["a"], "labels: want none"),
        ("classify", "labels", [], ["a", "b"], "want 3 for 3"),
        ("classify", "outputs.0.shape", [3], [4], "want 4 for 4"),
        ("classify", "parity", [COSINES], [COSINES | {"output": "other"}], "figures of the outputs"),
        ("classify", "parity", [COSINES], [COSINES | {"cosine_min": 0.8}], "want cosine 0.9"),
        ("classify", "parity", [COSINES], [COSINES | {"cosine_min": 1.1}], "<= 1.0"),
        ("classify", "parity", [COSINES], [COSINES | {"max_abs": -1}], ">= 0"),
        ("classify", "parity", [COSINES], [COSINES | {"inputs": 0}], ">= 1"),
        ("classify", "metrics", [METRIC], [METRIC | {"value": 0.7}], "want 0.8 or more"),
        ("classify", "metrics", [METRIC], [METRIC | {"value": 1.1}], "<= 1"),
        ("classify", "metrics", [METRIC], [METRIC | {"keras": -0.1}], ">= 0"),
        ("classify", "metrics", [METRIC], [METRIC | {"examples": -1}], ">= 0"),
        ("localize", "outputs.0.shape", [1, 4], [1, 5], "box of 4 numbers"),
        ("localize", "labels", ["a", "b", "c"], ["a", "b"], "want 3 for 3"),
        ("pair", "threshold", 1, 2, "<= 1"),
        ("pair", "threshold", 0, None, "threshold: want one"),
        ("pair", "golden.max_error", MOST_ERROR, MOST_ERROR + 0.01, "max_error"),
        ("pair", "golden.max_error", 1e-9, 0, "max_error"),
        ("pair", "golden.max_error", 0.01, 1e300, "max_error"),
        ("pair", "format", FORMAT, FORMAT + 1, "install a newer edge-run"),
        ("pair", "format", FORMAT, FORMAT - 1, "convert the bundle again"),
        ("pair", "provenance.recipe_sha256", "0" * 64, "0" * 63, "recipe_sha256"),
        ("pair", "task", "pair", "guess", "task"),
        ("pair", "preprocess", None, {"fit": "stretch", "color": "cmyk"}, "color"),
    ],
)
def test_the_value_that_is_allowed_and_the_one_that_is_not(
    texts: dict[str, str], task: str, path: str, good: Any, bad: Any, says: str
) -> None:
    decode_manifest(changed(texts[task], {path: good}), "bundle x")
    with pytest.raises(BundleError, match=says) as caught:
        decode_manifest(changed(texts[task], {path: bad}), "bundle x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "quantization", "says"),
    [
        ("int8", {"scale": 0.5, "zero_point": 127}, ""),
        ("int8", {"scale": 0.5, "zero_point": 128}, "zero point of -128 to 127"),
        ("uint8", {"scale": 0.5, "zero_point": 0}, ""),
        ("uint8", {"scale": 0.5, "zero_point": -1}, "zero point of 0 to 255"),
        ("int8", {"scale": 0, "zero_point": 0}, "scale"),
        ("int8", {"scale": -1, "zero_point": 0}, "scale"),
        ("float32", {"scale": 0.5, "zero_point": 0}, "no scale for float32"),
    ],
)
def test_scales(texts: dict[str, str], dtype: str, quantization: dict[str, float], says: str) -> None:
    text = changed(texts["pair"], {"outputs.0.dtype": dtype, "outputs.0.quantization": quantization})
    if not says:
        decode_manifest(text, "bundle x")
        return
    with pytest.raises(BundleError, match=says):
        decode_manifest(text, "bundle x")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "9" * 400])
def test_numbers_that_no_float_holds(texts: dict[str, str], number: str) -> None:
    text = changed(texts["detect"], {"decoder.threshold": 12345}).replace(b"12345", number.encode())
    with pytest.raises(BundleError, match="bundle x"):
        decode_manifest(text, "bundle x")


def test_a_pair_has_two_inputs(texts: dict[str, str]) -> None:
    manifest = json.loads(texts["pair"])
    del manifest["inputs"][1]
    with pytest.raises(BundleError, match="inputs: want 2"):
        decode_manifest(json.dumps(manifest).encode(), "bundle x")


def nanodet(**changes: Any) -> Manifest:
    decoder = Decoder(**({"name": "nanodet", "strides": (8, 16), "bins": 8} | changes))
    cells = {8: 16, 16: 4}
    outputs = [
        TensorSpec(name=f"{head}_{stride}", dtype="float32", shape=(1, cells[stride], width))
        for stride in (8, 16)
        for head, width in (("cls", 2), ("reg", 32))
    ]
    return Manifest(
        format=FORMAT, name="n", task="detect", runtime="fake", variant="fp32", model_file="m.json",
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(1, 32, 32, 3)),), outputs=tuple(outputs),
        golden=Golden(max_error=0.01, why=""), provenance=Provenance(keras="", weights=(), recipe_sha256=""),
        preprocess=Preprocess(fit="letterbox"), labels=("a", "b"), decoder=decoder,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"strides": (16, 8)}, "ascending"),
        ({"strides": (8, 8)}, "ascending"),
        ({"strides": ()}, "ascending"),
        ({"strides": (8, 24)}, "divide 32 x 32"),
        ({"strides": (8, 32)}, "want 'cls_32'"),
        ({"bins": 7}, "shape"),
        ({"bins": 1}, "at least 2"),
    ],
)
def test_strides_and_bins_of_nanodet(changes: dict[str, Any], says: str) -> None:
    found = complaints(nanodet(**changes))
    assert (says in " ".join(found) and bool(found)) if says else not found, found


def test_every_decoder_has_the_outputs_it_reads() -> None:
    assert DECODERS.keys() == DECODER_OUTPUTS.keys()


def test_what_is_written_for_a_device_is_what_a_device_accepts(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="embedding: want dim"):
        fake_bundle(tmp_path, "embed", dim=7)
    assert not list(tmp_path.iterdir())
