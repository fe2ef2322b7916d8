"""How far a device's answer may be from the stored one, measured: the same file by a second set of kernels.

A device has other kernels than the workstation: they add in another order, and round an activation one integer step
away. How far that carries depends on the model: over the int8 files here from 3e-6 (MobileNetV2, whose activations stay
float) to 0.18 (NanoDet, whose errors add up over 40 layers). So each file is run once more here, by LiteRT without
XNNPACK or by ONNX Runtime without graph optimisation, and may differ half as much again.

What the tolerance must still catch, measured with MobileNetV2 97 and NanoDet 416, int8 and dynamic range: the output
channels of one layer in another order give 0.42 or more, and 1 % of the weights' bytes changed gives 0.8 or more.
`edge.bundle.MOST_ERROR` lies between. (MobileNetV2's ONNX file has a layer that gives 0.15; its own tolerance is 0.05.)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.load import Tensor
from converters.recipe import Kind
from edge.bundle import MOST_ERROR, Bundle
from edge.golden import relative_rms

LEAST: Mapping[Kind, tuple[float, str]] = {
    "fp32": (0.01, "float32 kernels that sum in another order, or in TF32 on a GPU; a wrong colour order gives > 0.1"),
    "fp16": (0.02, "as float32, and kernels that compute in float16 where the processor has it"),
    "dynamic": (0.05, "activations are rounded to int8 anew in each layer; a last-bit difference moves some by a step"),
    "int8": (0.05, "another processor rounds some activations one int8 step away, and the steps add up over layers"),
    "u8s8": (0.05, "another processor rounds some activations one uint8 step away, and the steps add up over layers"),
    "int16x8": (0.02, "activations have 256 times finer steps than int8"),
}
"""Tolerance of a file whose two answers are the same, and why it is not 0: the device's kernels are a third set."""

FACTOR = 1.5
"""Of what was measured: two sets of kernels are a sample, and a third may be further away."""


def tolerance(kind: Kind, measured: float | None) -> tuple[float, str]:
    """Return the largest relative RMS error of a stored answer on a device, and why.

    Args:
        kind: of the variant.
        measured: what two sets of kernels differ by here; None = there is no second set that runs the file.
    """
    least, why = LEAST[kind]
    if measured is None:
        return least, f"{why}; no second set of kernels here runs the file"
    allowed = min(MOST_ERROR, max(least, FACTOR * measured))
    digits = 1 - math.floor(math.log10(allowed))
    words = f"{why}; two sets of kernels of the workstation differ by {measured:.2g}"
    return min(MOST_ERROR, math.ceil(allowed * 10**digits - 1e-9) / 10**digits), words


def measure(bundle: Bundle, tensors: Sequence[Tensor], outputs: Sequence[Tensor]) -> float | None:
    """Run a file by a second set of kernels and return the largest relative RMS difference of an output.

    Args:
        bundle: whose file.
        tensors: inputs.
        outputs: what the device's own backend answered to them here.

    Returns:
        The difference; None where the second set does not run the file.
    """
    run = _by_plain_tflite if bundle.manifest.runtime == "tflite" else _by_plain_onnx
    second = run(bundle, tensors)
    if second is None:
        return None
    return max(relative_rms(got, want) for got, want in zip(second, outputs, strict=True))


def _by_plain_tflite(bundle: Bundle, tensors: Sequence[Tensor]) -> list[Tensor] | None:
    """Run LiteRT's own kernels, those of devices without XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter: Any = Interpreter(
            model_path=str(bundle.model_path),
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner("serving_default")
        places = [
            {name: int(detail["index"]) for name, detail in details.items()}
            for details in (runner.get_input_details(), runner.get_output_details())
        ]
        del runner  # it holds references, and the interpreter refuses to run while there are any
        for spec, tensor in zip(bundle.manifest.inputs, tensors, strict=True):
            interpreter.set_tensor(places[0][spec.name], tensor)
        interpreter.invoke()
        return [np.array(interpreter.get_tensor(places[1][spec.name])) for spec in bundle.manifest.outputs]
    except (RuntimeError, ValueError):
        return None


def _by_plain_onnx(bundle: Bundle, tensors: Sequence[Tensor]) -> list[Tensor] | None:
    """Run the graph as it is written, node by node; quantised operators become float ones between two roundings."""
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    names = [spec.name for spec in bundle.manifest.outputs]
    fed = {spec.name: tensor for spec, tensor in zip(bundle.manifest.inputs, tensors, strict=True)}
    try:
        session: Any = ort.InferenceSession(str(bundle.model_path), options, providers=["CPUExecutionProvider"])
        answers: list[Tensor] = session.run(names, fed)
    except (state.Fail, state.NotImplemented, state.RuntimeException, state.InvalidGraph, RuntimeError):
        return None
    return answers
