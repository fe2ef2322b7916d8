"""TFLite models by LiteRT (ai-edge-litert), or by its predecessor tflite-runtime where only that is installed."""

import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.backends import Tensor, in_words
from edge.backends.tflite_file import check_tflite_file
from edge.bundle import Bundle, TensorSpec
from edge.errors import BundleError, LimitError
from edge.quiet import quietly

log = logging.getLogger(__name__)

_PACKAGES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
_SIGNATURE = "serving_default"
_REFUSALS = (ValueError, RuntimeError, SystemError, TypeError, MemoryError, OverflowError, LookupError)
"""What pybind11 makes of the errors of C++; the runtime has none of its own."""


def installed() -> bool:
    """Tell whether a TFLite runtime is here."""
    return _package() is not None


def open(bundle: Bundle, threads: int) -> "TFLiteBackend":  # the module is the namespace: tflite.open
    """Load the bundle's model.

    Raises:
        BundleError: the runtime refuses the model, or its tensors are not those of the manifest.
    """
    return TFLiteBackend(bundle, threads)


class TFLiteBackend:
    """One interpreter with XNNPACK, as `edge.backends.Backend` describes it."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        package = _package()
        assert package is not None, "open_backend asks installed() first"
        version = importlib.metadata.version(package)
        if package == "tflite-runtime":
            _warn_of_legacy_runtime(version)
        self.description = f"{package} {version}"
        self._path = bundle.path
        try:
            check_tflite_file(bundle.model_path)
        except LimitError as error:
            raise BundleError(
                f"bundle {bundle.path}: {bundle.manifest.model_file}: {error}; convert it again"
            ) from error
        interpreter_class = importlib.import_module(f"{_PACKAGES[package]}.interpreter").Interpreter
        try:
            with quietly():  # LiteRT tells of its delegate, and has no switch for that
                self._interpreter: Any = interpreter_class(model_path=str(bundle.model_path), num_threads=threads)
                self._interpreter.allocate_tensors()
                runner = self._interpreter.get_signature_runner(_SIGNATURE)
        except _REFUSALS as error:
            raise BundleError(
                f"bundle {bundle.path}: want a model that {self.description} can load, got '{in_words(error)}'; "
                "convert it for this runtime or install a newer one"
            ) from error
        self._inputs = _places(bundle, "input", bundle.manifest.inputs, runner.get_input_details())
        self._outputs = _places(bundle, "output", bundle.manifest.outputs, runner.get_output_details())

    def invoke(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the model once; the arrays returned are views into the interpreter.

        Raises:
            BundleError: the runtime refuses to run it.
        """
        try:
            for place, tensor in zip(self._inputs, inputs, strict=True):
                self._interpreter.set_tensor(place, tensor)
            self._interpreter.invoke()
            return [self._interpreter.tensor(place)() for place in self._outputs]
        except _REFUSALS as error:
            raise BundleError(
                f"bundle {self._path}: want a model that {self.description} can run, got '{in_words(error)}'; "
                "convert it for this runtime or install a newer one"
            ) from error

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None


def _package() -> str | None:
    for package, module in _PACKAGES.items():
        if importlib.util.find_spec(module) is not None:
            return package
    return None


def _warn_of_legacy_runtime(version: str) -> None:
    if int(np.__version__.split(".")[0]) >= 2:
        raise BundleError(
            f"tflite-runtime {version}: want numpy below 2, got {np.__version__}; "
            "do: pip install 'numpy<2' 'opencv-python<4.12', or better: pip install ai-edge-litert"
        )
    log.warning(
        "tflite-runtime %s is 2 times slower than ai-edge-litert with float models and 6 to 10 times with int8 "
        "ones (measured on x86); where your Python allows: pip install ai-edge-litert",
        version,
    )


def _places(bundle: Bundle, kind: str, specs: Sequence[TensorSpec], details: dict[str, dict[str, Any]]) -> list[int]:
    """Find the interpreter's index of every tensor of the manifest, by name, and check dtype and shape."""
    places = []
    for spec in specs:
        detail = details.get(spec.name)
        if detail is None:
            raise BundleError(
                f"bundle {bundle.path}: want an {kind} named '{spec.name}', got {sorted(details)}; convert it again"
            )
        got = (np.dtype(detail["dtype"]).name, tuple(int(n) for n in detail["shape"]))
        if got != (spec.dtype, spec.shape):
            raise BundleError(
                f"bundle {bundle.path}: want {kind} '{spec.name}' {spec.dtype} {spec.shape}, got {got[0]} {got[1]}; "
                "convert it again"
            )
        places.append(int(detail["index"]))
    return places
