"""Every kind of model the converter promises to take: saved by the real package, opened, packed, run, compared."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")
onnxruntime = pytest.importorskip("onnxruntime")

from converters.load import ConversionError, Loaded, Origin, check_weights, load_model  # noqa: E402
from converters.to_onnx import to_onnx  # noqa: E402
from converters.to_tflite import to_tflite  # noqa: E402
from converters.trace import Input, reference, trace  # noqa: E402
from converters.traced import Traced, read_traced  # noqa: E402

TESTS = Path(__file__).parents[1]

TOLERANCE = 1e-4
"""Of the largest value of an output. float32 has 6e-8; kernels add in another order, sixty layers in a
row, and 3e-6 was measured. A wrong operator, layout or order of inputs is off by 1e-2 and more."""


def _models() -> Any:
    name = "models_of_others"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


MODELS = _models()


def _open(path: Path, folder: Path, **origin: Any) -> tuple[Loaded, Traced]:
    loaded = load_model(Origin(str(path), **origin))
    check_weights(loaded)
    traced, _ = trace(loaded, Input())
    traced.save(folder)
    return loaded, read_traced(folder)


def _inputs(traced: Traced, seed: int) -> list[Any]:
    """Make noise: 0..255 for pictures, 0..1 for vectors, of which GELU's tail would otherwise leave only rounding."""
    rng = np.random.default_rng(seed)
    return [(rng.random(s.shape) * (255 if len(s.shape) == 4 else 1)).astype(s.dtype) for s in traced.inputs]


def _run_tflite(traced: Traced) -> Callable[[list[Any]], list[Any]]:
    runner = interpreter.Interpreter(model_content=to_tflite(traced, "fp32")).get_signature_runner("serving_default")
    names = [spec.name for spec in traced.inputs]

    def run(inputs: list[Any]) -> list[Any]:
        answers = runner(**dict(zip(names, inputs, strict=True)))
        return [np.array(answers[spec.name]) for spec in traced.outputs]

    return run


def _run_onnx(traced: Traced) -> Callable[[list[Any]], list[Any]]:
    session = onnxruntime.InferenceSession(to_onnx(traced), providers=["CPUExecutionProvider"])
    names, outputs = [spec.name for spec in traced.inputs], [spec.name for spec in traced.outputs]
    return lambda inputs: list(session.run(outputs, dict(zip(names, inputs, strict=True))))


def _agree(loaded: Loaded, traced: Traced, run: Callable[[list[Any]], list[Any]]) -> None:
    """Compare with Keras on two inputs, which Keras must answer differently for the comparison to mean anything."""
    answers = []
    for seed in (1, 2):
        inputs = _inputs(traced, seed)
        wanted = reference(loaded, traced, inputs)
        answers.append(wanted)
        for spec, got, want in zip(traced.outputs, run(inputs), wanted, strict=True):
            assert got.shape == want.shape == spec.shape, spec.name
            assert str(got.dtype) == spec.dtype, spec.name
            scale = max(1e-6, float(np.abs(want).max()))
            error = float(np.abs(got.astype(np.float64) - want).max()) / scale
            assert error <= TOLERANCE, f"{spec.name}: {error:.2g} of the largest value"
    assert any(not np.array_equal(a, b) for a, b in zip(*answers, strict=True))


@pytest.mark.parametrize("name", sorted(MODELS.KERAS_3))
def test_keras_3(name: str, tmp_path: Path) -> None:
    path = MODELS.saved(MODELS.KERAS_3[name], tmp_path / f"{name}.keras")
    imports = (TESTS / "models_of_others.py",) if name == "ssd" else ()
    loaded, traced = _open(path, tmp_path, imports=imports)
    assert loaded.library == "keras"
    assert not loaded.notes
    _agree(loaded, traced, _run_tflite(traced))
    _agree(loaded, traced, _run_onnx(traced))


def test_inputs_go_by_name(tmp_path: Path) -> None:
    path = MODELS.saved(MODELS.siamese_concat, tmp_path / "pair.keras")
    _, traced = _open(path, tmp_path)
    assert [spec.name for spec in traced.inputs] == ["left", "right"]
    a, b = _inputs(traced, 1)[0], _inputs(traced, 2)[1] / 9
    for run in (_run_tflite(traced), _run_onnx(traced)):
        assert not np.array_equal(run([a, b])[0], run([b, a])[0])


def test_combined_suppression_goes_to_onnx_only(tmp_path: Path) -> None:
    path = MODELS.saved(MODELS.ssd_combined, tmp_path / "ssd.keras")
    loaded, traced = _open(path, tmp_path, imports=(TESTS / "models_of_others.py",))
    _agree(loaded, traced, _run_onnx(traced))
    with pytest.raises(ConversionError, match="CombinedNonMaxSuppression"):
        to_tflite(traced, "fp32")


def test_lambda_needs_trust(tmp_path: Path) -> None:
    path = MODELS.saved(MODELS.with_lambda, tmp_path / "lambda.keras")
    with pytest.raises(ConversionError, match=r"'scale_pixels'.*--trust"):
        load_model(Origin(str(path)))
    loaded, traced = _open(path, tmp_path, trust=True)
    _agree(loaded, traced, _run_tflite(traced))
    _agree(loaded, traced, _run_onnx(traced))


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_custom_layer_needs_its_file(ending: str, tmp_path: Path) -> None:
    from converters.load import run_imports

    source = tmp_path / "my_layers.py"
    source.write_text(MODELS.CUSTOM_LAYER)
    module = run_imports((source,))
    path = MODELS.saved(lambda: MODELS.with_custom_layer(sys.modules["my_layers"]), tmp_path / f"own.{ending}")
    assert {"Mish", "Scale", "cube"} <= set(module)
    with pytest.raises(ConversionError, match=r"'(Mish|Scale|cube)'.*--import"):
        load_model(Origin(str(path)))
    loaded, traced = _open(path, tmp_path, imports=(source,))
    _agree(loaded, traced, _run_tflite(traced))
    _agree(loaded, traced, _run_onnx(traced))


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("depthwise", ".h5"), ("flip", ".h5"), ("flip", ".keras"), ("lstm", ".h5"), ("depthwise", ""), ("flip", "")],
)
def test_keras_2(kind: str, ending: str, tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    path = tmp_path / f"old{ending}"
    MODELS.keras_2(kind).save(path, **({"save_format": "tf"} if not ending else {}))
    loaded, traced = _open(path, tmp_path)
    assert loaded.library == "tf_keras"
    assert loaded.version.startswith("2.")
    _agree(loaded, traced, _run_tflite(traced))
    _agree(loaded, traced, _run_onnx(traced))


@pytest.mark.parametrize("ending", [".h5", ".keras", ""])
def test_keras_2_runs_no_lambda_without_trust(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    path = tmp_path / f"old{ending}"
    MODELS.keras_2("lambda").save(path, **({"save_format": "tf"} if not ending else {}))
    with pytest.raises(ConversionError, match=r"'twice'.*--trust"):
        load_model(Origin(str(path)))
    assert load_model(Origin(str(path), trust=True)).library == "tf_keras"


def test_saved_model_without_keras_notes(tmp_path: Path) -> None:
    MODELS.localizer().export(str(tmp_path / "exported"), verbose=False)
    loaded, traced = _open(tmp_path / "exported", tmp_path)
    assert loaded.library == "tensorflow"
    _agree(loaded, traced, _run_tflite(traced))
    _agree(loaded, traced, _run_onnx(traced))


def test_augmentation_left_on_in_a_saved_model_is_refused(tmp_path: Path) -> None:
    MODELS.augmented_cnn().export(str(tmp_path / "exported"), verbose=False)
    with pytest.raises(ConversionError, match="random operator"):
        _open(tmp_path / "exported", tmp_path)
