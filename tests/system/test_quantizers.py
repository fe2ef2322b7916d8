"""Small models through the real quantisers and runtimes. Slow: minutes."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

from converters.layers import onnx_layer_errors, tflite_layer_errors
from converters.load import ConversionError, Loaded, Origin
from converters.quantize_onnx import quantize, to_float16
from converters.recipe import DECODING, Settings
from converters.rounding import LEVELS, fit_rows
from converters.to_onnx import to_onnx
from converters.to_tflite import to_tflite
from converters.trace import Input, reference, trace


def loaded(model):
    return Loaded(model, Origin("test"), "test", "keras", "")


def two_inputs():
    """Return a model whose inputs, of one shape, do not commute, and do not come in the order of their names."""
    import keras

    keras.utils.set_random_seed(1)
    left, right = keras.Input((12, 12, 3), name="zebra"), keras.Input((12, 12, 3), name="ant")
    branch = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3, activation="relu6"),
            keras.layers.DepthwiseConv2D(3, strides=2, padding="same"),
            keras.layers.Conv2D(24, 1, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    joined = keras.layers.Concatenate()([branch(left), 3 * branch(right)])
    return keras.Model([left, right], keras.layers.Dense(5, name="answer")(joined))


@pytest.fixture(scope="module")
def pair():
    model = loaded(two_inputs())
    traced, _ = trace(model, Input())
    rng = np.random.default_rng(0)
    samples = [[rng.normal(size=(1, 12, 12, 3)).astype(np.float32) * s for s in (1, 5)] for _ in range(24)]
    return traced, samples, [reference(model, traced, sample)[0] for sample in samples]


def run_tflite(content, traced, samples):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    names = [spec.name for spec in traced.inputs]
    return [runner(**dict(zip(names, s, strict=True)))[traced.outputs[0].name].copy() for s in samples]


def run_onnx(content, traced, samples):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [spec.name for spec in traced.inputs]
    return [session.run(None, dict(zip(names, sample, strict=True)))[0] for sample in samples]


def error(got, want):
    got, want = np.stack(got).astype(float), np.stack(want).astype(float)
    return np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2))


# An 8-bit step over a range of some 6 standard deviations is 0.02 of one, a rounding error 0.007; a handful of layers
# add up to a few of these. Swapped inputs, a wrong range or lost bias are above 0.3.
LIMIT_8_BITS = 0.05


@pytest.mark.parametrize(
    ("kind", "settings", "limit"),
    [
        ("fp32", Settings(), 1e-5),
        ("fp16", Settings(), 2e-3),
        ("dynamic", Settings(), LIMIT_8_BITS),
        ("int8", Settings(), LIMIT_8_BITS),
        ("int8", Settings("percentile"), LIMIT_8_BITS),
        ("int8", Settings("average"), 0.1),  # it clips the samples that reach beyond the mean of all
        ("int16x8", Settings(), 0.02),  # weights of 8 bits
        ("int8", Settings(wide=True), 0.02),
    ],
)
def test_tflite_stays_close_to_keras_whatever_the_order_of_inputs(pair, kind, settings, limit):
    traced, samples, want = pair
    content = to_tflite(traced, kind, samples, settings)
    assert error(run_tflite(content, traced, samples), want) < limit


def test_a_layer_without_bias_is_not_given_that_of_another():
    """TFLite writes a missing bias as input -1; read as a place from the end, it was another layer's bias."""
    import keras

    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3), name="image")
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(64, 3, activation="relu6")(image))
    hidden = keras.layers.ReLU()(keras.layers.Dense(96, use_bias=False)(hidden))
    last = keras.layers.Dense(32, name="answer")(hidden)
    model = loaded(keras.Model(image, last))
    traced, _ = trace(model, Input())
    random = np.random.default_rng(0)
    samples = [[random.normal(size=(1, 12, 12, 3)).astype(np.float32)] for _ in range(8)]
    content = to_tflite(traced, "dynamic", samples, Settings())
    want = [reference(model, traced, sample)[0] for sample in samples]
    assert error(run_tflite(content, traced, samples), want) < LIMIT_8_BITS


@pytest.mark.parametrize(
    ("kind", "settings", "limit"),
    [
        ("int8", Settings(), LIMIT_8_BITS),
        ("u8s8", Settings(), LIMIT_8_BITS),
        ("int8", Settings("percentile"), LIMIT_8_BITS),
        ("int8", Settings("average"), 0.1),
    ],
)
def test_onnx_int8_stays_close_to_keras(pair, kind, settings, limit):
    traced, samples, want = pair
    model = to_onnx(traced)
    content = quantize(model, kind, [spec.name for spec in traced.inputs], samples, settings)
    assert error(run_onnx(content, traced, samples), want) < limit
    assert b"QuantizeLinear" in content


def boxes_decoded_inside():
    """Return a model that makes of its raw head one box in hundreds of pixels and one score in 0..1, side by side."""
    import keras

    keras.utils.set_random_seed(2)
    image = keras.Input((12, 12, 3), name="image")
    raw = keras.layers.Conv2D(16, 3, activation="relu6")(image)
    raw = keras.layers.Dense(5, name="head")(keras.layers.GlobalAveragePooling2D()(raw))
    box = keras.layers.Rescaling(300, offset=300)(raw[:, :4])
    return keras.Model(image, keras.layers.Concatenate(name="found")([box, keras.ops.sigmoid(raw[:, 4:])]))


@pytest.mark.parametrize("runtime", ["tflite", "onnx"])
def test_decoding_in_float_saves_the_scores_beside_boxes(runtime):
    model = loaded(boxes_decoded_inside())
    traced, _ = trace(model, Input())
    rng = np.random.default_rng(0)
    samples = [[rng.normal(size=(1, 12, 12, 3)).astype(np.float32)] for _ in range(24)]
    want = np.stack([reference(model, traced, sample)[0] for sample in samples])[..., 4]
    off = []
    for settings in (Settings(), Settings(float_layers=(DECODING,))):
        if runtime == "tflite":
            got = run_tflite(to_tflite(traced, "int8", samples, settings), traced, samples)
        else:
            got = run_onnx(quantize(to_onnx(traced), "int8", ["image"], samples, settings), traced, samples)
        off.append(np.abs(np.stack(got)[..., 4] - want).max())
    assert off[0] > 0.2, "one step of a range of hundreds of pixels is more than a score"
    assert off[1] < 0.02


def test_float16_onnx_is_half_as_large_and_close(pair):
    traced, samples, want = pair
    model = to_onnx(traced)
    content = to_float16(model)
    assert error(run_onnx(content, traced, samples), want) < 5e-3
    assert content == to_float16(model)


def test_the_same_samples_give_the_same_bytes(pair):
    traced, samples, _ = pair
    model, names = to_onnx(traced), [spec.name for spec in traced.inputs]
    assert to_tflite(traced, "int8", samples) == to_tflite(traced, "int8", samples)
    assert quantize(model, "int8", names, samples) == quantize(model, "int8", names, samples)


def test_the_layers_that_cost_most_are_named_and_can_be_left_in_float(pair):
    traced, samples, want = pair
    layers = tflite_layer_errors(traced, samples)
    assert [layer.error for layer in layers] == sorted((layer.error for layer in layers), reverse=True)
    every = Settings(float_layers=tuple(layer.layer for layer in layers))
    content = to_tflite(traced, "int8", samples, every)
    whole = error(run_tflite(to_tflite(traced, "int8", samples), traced, samples), want)
    assert error(run_tflite(content, traced, samples), want) < 1e-3 < whole, "its few weights stay exact"

    model, names = to_onnx(traced), [spec.name for spec in traced.inputs]
    found = onnx_layer_errors(model, traced.inputs, samples)
    assert found
    assert {"Conv"} <= {layer.op for layer in found}
    every = Settings(float_layers=tuple(layer.layer for layer in found))
    assert error(run_onnx(quantize(model, "int8", names, samples, every), traced, samples), want) < 1e-3


def test_large_layers_in_float_keep_weights_of_8_bits():
    import keras

    keras.utils.set_random_seed(2)
    image = keras.Input((6, 6, 64), name="image")
    model = loaded(keras.Model(image, keras.layers.Conv2D(128, 3, name="large")(image)))
    traced, _ = trace(model, Input())
    rng = np.random.default_rng(0)
    samples = [[rng.normal(size=(1, 6, 6, 64)).astype(np.float32)] for _ in range(8)]
    want = [reference(model, traced, sample)[0] for sample in samples]
    layers = tflite_layer_errors(traced, samples)
    content = to_tflite(traced, "int8", samples, Settings(float_layers=tuple(layer.layer for layer in layers)))
    weights = 3 * 3 * 64 * 128
    assert weights < len(content) < 1.2 * weights, "a byte for each weight"
    assert 0 < error(run_tflite(content, traced, samples), want) < 0.01

    onnx_model = to_onnx(traced)
    every = Settings(float_layers=tuple(layer.layer for layer in onnx_layer_errors(onnx_model, traced.inputs, samples)))
    content = quantize(onnx_model, "int8", ["image"], samples, every)
    assert weights < len(content) < 1.2 * weights
    assert 0 < error(run_onnx(content, traced, samples), want) < 0.02


def test_what_cannot_be_quantised_is_refused_with_the_reason(pair):
    import keras

    traced, samples, _ = pair
    with pytest.raises(ConversionError, match="opset"):
        quantize(to_onnx(traced), "int8", ["zebra", "ant"], samples, Settings(wide=True))
    with pytest.raises(ConversionError, match="names of this model's layers, got 'nowhere'"):
        to_tflite(traced, "int8", samples, Settings(float_layers=("nowhere",)))
    with pytest.raises(ConversionError, match="want samples"):
        to_tflite(traced, "int8")
    steps = keras.Input((7, 4), name="steps")
    recurrent, _ = trace(loaded(keras.Model(steps, keras.layers.LSTM(5)(steps))), Input())
    with pytest.raises(ConversionError, match="crashes TensorFlow"):
        to_tflite(recurrent, "int8", [[np.zeros((1, 7, 4), np.float32)]])


def test_bytes_do_not_depend_on_the_process():
    code = (
        "import sys, hashlib, numpy as np; sys.path.insert(0, 'tests/system');"
        "from test_quantizers import *;"
        "traced, _ = trace(loaded(two_inputs()), Input());"
        "rng = np.random.default_rng(3);"
        "s = [[rng.normal(size=(1, 12, 12, 3)).astype(np.float32) for _ in range(2)] for _ in range(6)];"
        "q = quantize(to_onnx(traced), 'int8', ['zebra', 'ant'], s);"
        "print(hashlib.sha256(to_tflite(traced, 'int8', s)).hexdigest(), hashlib.sha256(q).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout.split()[-2:] == runs[1].stdout.split()[-2:]


def test_rounding_with_errors_passed_on_beats_rounding_alone():
    rng = np.random.default_rng(0)
    inputs = np.maximum(rng.normal(size=(2000, 8)) @ rng.normal(size=(8, 40)), 0)  # as features are: of low rank
    rows = rng.normal(size=(16, 40))
    second, mean = inputs.T @ inputs / len(inputs), inputs.mean(axis=0)
    loss = []
    for known in (None, second):
        rounded, shift = fit_rows(rows, known, mean)
        scale = np.abs(rows).max(axis=1, keepdims=True) / LEVELS
        assert np.allclose(rounded / scale, np.rint(rounded / scale), atol=1e-9), "whole steps of the row's own scale"
        assert np.allclose(np.abs(rounded).max(axis=1), np.abs(rows).max(axis=1)), "so a quantiser finds that scale"
        change = inputs @ (rows - rounded).T - shift
        assert np.allclose(change.mean(axis=0), 0, atol=1e-9), "the bias takes what the rounding shifted"
        loss.append(np.mean(change**2))
    assert loss[1] < 0.5 * loss[0]
