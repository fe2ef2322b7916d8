"""Runtimes that execute a bundle's model. A backend moves tensors and knows nothing of their meaning.

A new one is a file here, a line in `BACKENDS` and an extra in pyproject.toml.
"""

import importlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import BundleError

Tensor = NDArray[np.generic]


class Backend(Protocol):
    """A loaded model.

    Attributes:
        description: runtime, version and what executes the model, for the log: "ai-edge-litert 2.3.0, XNNPACK".
    """

    description: str

    def invoke(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the model once.

        Args:
            inputs: one C-contiguous array for each of the manifest's inputs, same order, dtype and shape.

        Returns:
            One array for each of the manifest's outputs, in its order. They belong to the backend and are
            valid until the next call: copy what must live longer, and drop every reference before it.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...


BACKENDS = {"tflite": "edge.backends.tflite", "onnx": "edge.backends.onnx", "fake": "edge.backends.fake"}
"""Runtime -> module. Each has `installed() -> bool` and `open(bundle, threads) -> Backend`."""


_PACKAGES = {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}
"""Runtime -> the package on PyPI that brings it. edge-run itself is not there, so no extra of it can be named."""
_SHOWN = 300


def open_backend(bundle: Bundle, threads: int) -> Backend:
    """Load the bundle's model into its runtime.

    Args:
        bundle: a bundle as `read_bundle` gave it.
        threads: cores that the runtime may use.

    Raises:
        BundleError: the runtime is not installed, refuses the model, or finds other tensors in it than the
            manifest says.
    """
    module = importlib.import_module(BACKENDS[bundle.manifest.runtime])
    if not module.installed():
        raise BundleError(
            f"bundle {bundle.path}: want the runtime '{bundle.manifest.runtime}', which is not installed; "
            f"do: {how_to_install(bundle.manifest.runtime)}"
        )
    backend: Backend = module.open(bundle, threads)
    return backend


def how_to_install(runtime: str) -> str:
    """Return the command that installs a runtime."""
    return f"pip install {_PACKAGES.get(runtime, runtime)}"


def in_words(error: BaseException) -> str:
    """Return what an error says as one short line that a terminal may show: its first line, or its kind."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return "".join(sign if sign.isprintable() else "?" for sign in line[:_SHOWN])


def runtime_installed(runtime: str) -> bool:
    """Tell whether bundles of this runtime can be opened here."""
    return bool(importlib.import_module(BACKENDS[runtime]).installed())
