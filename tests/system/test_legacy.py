"""Bundles in tflite-runtime 2.14 with numpy below 2, in an environment of its own, as for target pi5-legacy."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.gates import check_file, minimum_runtime
from converters.load import ConversionError
from converters.targets import TARGETS, legacy_python, run_legacy
from edge.backends import open_backend
from edge.bundle import FORMAT, Bundle, Golden, Manifest, Provenance, TensorSpec, read_bundle, write_bundle
from edge.errors import ConfigError
from edge.golden import make_golden
from edge.model import open_model

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime 2.14 has no wheel for this Python")

IMAGE = TensorSpec(name="image", dtype="float32", shape=(1, 16, 16, 3))
ANSWER = TensorSpec(name="answer", dtype="float32", shape=(1, 24))


@pytest.fixture(scope="module")
def function() -> tuple[Any, Any]:
    """Trace a convolution and two Dense layers whose channels differ in scale, as trained ones do."""
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(1)

    def weights(*shape: int) -> Any:
        return tf.constant((rng.normal(size=shape) * np.geomspace(0.02, 1, shape[-1])).astype(np.float32))

    kernel, first, second = weights(3, 3, 3, 32), weights(32, 64), weights(64, 24)

    @tf.function(input_signature=[tf.TensorSpec(IMAGE.shape, tf.float32, name="image")])
    def serve(image: Any) -> dict[str, Any]:
        hidden = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, kernel, 2, "SAME")), axis=(1, 2))
        return {"answer": tf.nn.relu(hidden @ first) @ second}

    return tf, serve.get_concrete_function()


def tflite(function: tuple[Any, Any], *, small: bool = False, old: bool = True) -> bytes:
    tf, concrete = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if small:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = old
    return bytes(converter.convert())


def bundle(folder: Path, model: bytes) -> Bundle:
    """Write a bundle whose stored answer is that of today's runtime."""
    manifest = Manifest(
        format=FORMAT,
        name="dense",
        task="other",
        runtime="tflite",
        variant="dynamic",
        model_file="model.tflite",
        inputs=(IMAGE,),
        outputs=(ANSWER,),
        golden=Golden(max_error=0.05, why="activations are rounded to int8 anew in each layer"),
        provenance=Provenance(keras="none", weights=(), recipe_sha256=""),
    )
    image = np.random.default_rng(2).random(IMAGE.shape).astype(np.float32)
    backend = open_backend(write_bundle(folder / "dense", manifest, model, b""), 1)
    golden = make_golden(manifest, [image], None, [output.copy() for output in backend.invoke([image])])
    backend.close()
    made = write_bundle(folder / "dense", manifest, model, golden)
    open_model(made.path, None, 1).backend.close()
    return made


def test_the_environment_holds_the_old_runtime_and_is_made_once() -> None:
    python = legacy_python()
    before = python.parent.parent.joinpath("installed").stat().st_mtime_ns
    assert legacy_python() == python
    assert python.parent.parent.joinpath("installed").stat().st_mtime_ns == before


def test_a_float_file_gives_its_answer_there(tmp_path: Path, function: tuple[Any, Any]) -> None:
    run_legacy(bundle(tmp_path, tflite(function)).path)


def test_dynamic_range_runs_there_when_it_is_converted_for_it(tmp_path: Path, function: tuple[Any, Any]) -> None:
    model = tflite(function, small=True, old=True)
    check_file(model, "tflite", [IMAGE], [ANSWER], TARGETS["pi5-legacy"])
    run_legacy(bundle(tmp_path, model).path)


def test_dynamic_range_as_tensorflow_makes_it_is_refused_with_the_reason(
    tmp_path: Path, function: tuple[Any, Any]
) -> None:
    model = tflite(function, small=True, old=False)
    with pytest.raises(ConversionError, match=r"2\.17\.0"):
        check_file(model, "tflite", [IMAGE], [ANSWER], TARGETS["pi5-legacy"])
    made = bundle(tmp_path, model)
    with pytest.raises(ConversionError, match="scale for each channel") as caught:
        run_legacy(made.path)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_loads_there_and_computes_something_else_is_caught(
    tmp_path: Path, function: tuple[Any, Any]
) -> None:
    quantizer = pytest.importorskip("ai_edge_quantizer.quantizer")
    recipe = pytest.importorskip("ai_edge_quantizer.recipe")
    floating = tmp_path / "float.tflite"
    floating.write_bytes(tflite(function))
    tool = quantizer.Quantizer(str(floating), recipe.dynamic_wi8_afp32())
    model = bytes(tool.quantize().quantized_model)
    assert minimum_runtime(model) == "2.17.0"
    with pytest.raises(ConversionError, match="computes something else"):
        run_legacy(bundle(tmp_path, model).path)


def test_a_changed_answer_is_caught_there(tmp_path: Path, function: tuple[Any, Any]) -> None:
    made = bundle(tmp_path, tflite(function))
    with np.load(made.golden_path) as golden:
        arrays = {name: golden[name] for name in golden.files}
    arrays["values_0"] = arrays["values_0"] * 1.2
    np.savez(made.golden_path, **arrays)
    manifest = made.manifest
    data = made.golden_path.read_bytes()
    write_bundle(made.path, manifest, made.model_path.read_bytes(), data)
    assert read_bundle(made.path)
    with pytest.raises(ConversionError, match="stored answer"):
        run_legacy(made.path)


def test_a_python_too_new_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("converters.targets.sys.version_info", (3, 13, 1))
    with pytest.raises(ConfigError, match=r"want Python 3\.11 or older"):
        legacy_python(tmp_path / "venv")
    assert not list(tmp_path.iterdir())
