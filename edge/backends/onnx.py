"""ONNX models by ONNX Runtime: TensorRT, CUDA or CPU, in this order, as the installed build offers them."""

import importlib.util
import os
from collections.abc import Sequence
from typing import Any

from edge.backends import Tensor, in_words
from edge.backends.onnx_file import check_onnx_file
from edge.bundle import Bundle
from edge.errors import BundleError, LimitError

PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
"""Execution providers in order of preference."""

_LOG_FATAL_ONLY = 4
"""Severity: what is an error comes as an exception, too, and is said in our own words."""
_INTEGER = ("int8", "u8s8")
_TYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8", "tensor(int64)": "int64"}


def installed() -> bool:
    """Tell whether ONNX Runtime is here."""
    return importlib.util.find_spec("onnxruntime") is not None


def no_telemetry() -> None:
    """Keep ONNX Runtime from reporting to its maker; to be called before it is imported.

    Release 1.32 opens a connection when it is imported, and keeps a number of its own for this machine in the user's
    cache folder.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open(bundle: Bundle, threads: int) -> "ONNXBackend":  # the module is the namespace: onnx.open
    """Load the bundle's model.

    Raises:
        BundleError: the runtime refuses the model, or its tensors are not those of the manifest.
    """
    return ONNXBackend(bundle, threads)


class ONNXBackend:
    """One session, as `edge.backends.Backend` describes it."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        no_telemetry()
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        # Its own exceptions have no common base: all that it defines, and what pybind11 makes of those of C++.
        named = [kind for kind in vars(state).values() if isinstance(kind, type)]
        own = [kind for kind in named if issubclass(kind, Exception)]
        self._refusals: tuple[type[Exception], ...] = (
            *own,
            RuntimeError,
            ValueError,
            TypeError,
            MemoryError,
            OverflowError,
            IndexError,
        )
        self._path = bundle.path
        try:
            check_onnx_file(bundle.model_path)
        except LimitError as error:
            raise BundleError(
                f"bundle {bundle.path}: {bundle.manifest.model_file}: {error}; convert it again"
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _LOG_FATAL_ONLY
        if bundle.manifest.variant in _INTEGER:
            # x86 without VNNI adds u8 x s8 products in 16 bits and saturates; this takes the exact kernels there.
            # Processors with VNNI or Arm's dot product ignore it.
            options.add_session_config_entry("session.x64quantprecision", "1")
        offered = ort.get_available_providers()
        wanted = [provider for provider in PROVIDERS if provider in offered]
        try:
            self._session: Any = ort.InferenceSession(str(bundle.model_path), options, providers=wanted)
        except self._refusals as error:
            raise BundleError(
                f"bundle {bundle.path}: want a model that onnxruntime {ort.__version__} can load, got "
                f"'{in_words(error)}'; convert it again or install a newer runtime"
            ) from error
        used = [name.removesuffix("ExecutionProvider") for name in self._session.get_providers()]
        self.description = f"onnxruntime {ort.__version__}, {' > '.join(used)}"
        _check(bundle, "input", self._session.get_inputs())
        _check(bundle, "output", self._session.get_outputs())
        self._inputs = [spec.name for spec in bundle.manifest.inputs]
        self._outputs = [spec.name for spec in bundle.manifest.outputs]

    def invoke(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the model once.

        Raises:
            BundleError: the runtime refuses to run it.
        """
        try:
            outputs: list[Tensor] = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        except self._refusals as error:
            raise BundleError(
                f"bundle {self._path}: want a model that {self.description} can run, got '{in_words(error)}'; "
                "convert it again or install a newer runtime"
            ) from error
        return outputs

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _check(bundle: Bundle, kind: str, tensors: Sequence[Any]) -> None:
    """Compare the session's tensors with the manifest's, by name."""
    specs = bundle.manifest.inputs if kind == "input" else bundle.manifest.outputs
    got = {t.name: (_TYPES.get(t.type, t.type), tuple(t.shape)) for t in tensors}
    want = {spec.name: (spec.dtype, spec.shape) for spec in specs}
    if any(got.get(name) != value for name, value in want.items()) or (kind == "input" and len(got) != len(want)):
        raise BundleError(f"bundle {bundle.path}: want {kind}s {want}, got {got}; convert it again")
