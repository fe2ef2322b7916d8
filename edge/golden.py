"""The stored answer of a bundle: before a model is trusted, it must give it again on this machine.

`golden.npz` holds one picture of the model's own input size and, for every output, some of its values and their
places. It catches a runtime that computes something else (a kernel bug, a wrong colour order, a wrong scale,
a delegate that rounds) before the first frame does.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.backends import Backend
from edge.bundle import Bundle
from edge.errors import BundleError
from edge.preprocess import Preprocessor
from edge.types import U8

SAMPLES = 4096
"""Values kept of each output, evenly spread: enough to see any damage, small enough to ship."""


def make_golden(image: U8, outputs: Sequence[NDArray[np.generic]]) -> bytes:
    """Pack a picture and the model's answer to it, as the content of golden.npz.

    Args:
        image: uint8 (H, W, 3) RGB of exactly the model's input size, so that no resize can differ.
        outputs: what the packed model answered on the workstation, in the manifest's order.
    """
    arrays: dict[str, NDArray[np.generic]] = {"image": image}
    for number, output in enumerate(outputs):
        places = np.linspace(0, output.size - 1, min(SAMPLES, output.size)).round().astype(np.int64)
        arrays[f"places_{number}"] = places
        arrays[f"values_{number}"] = output.reshape(-1)[places]
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def relative_rms(got: NDArray[np.generic], want: NDArray[np.generic]) -> float:
    """Return the root-mean-square difference over the root-mean-square of `want`; inf where `got` is not finite."""
    g, w = got.astype(np.float64), want.astype(np.float64)
    if not np.isfinite(g).all():
        return float("inf")
    return float(np.sqrt(np.mean((g - w) ** 2)) / max(np.sqrt(np.mean(w**2)), 1e-12))


def check_golden(bundle: Bundle, backend: Backend, preprocessor: Preprocessor) -> float:
    """Run the stored picture through the model and compare.

    Returns:
        The largest relative error of an output.

    Raises:
        BundleError: an output is further from the stored answer than the bundle allows.
    """
    manifest = bundle.manifest
    with np.load(bundle.golden_path, allow_pickle=False) as golden:
        tensor, _ = preprocessor.fit(golden["image"])
        worst = 0.0
        for number, (spec, output) in enumerate(zip(manifest.outputs, backend.invoke([tensor]), strict=True)):
            got = output.reshape(-1)[golden[f"places_{number}"]]
            error = relative_rms(got, golden[f"values_{number}"])
            if not error <= manifest.golden.max_error:
                raise BundleError(
                    f"bundle {bundle.path}: want output '{spec.name}' within {manifest.golden.max_error:.3g} of the "
                    f"stored answer, got {error:.3g} with {backend.description}; do not use this model here, "
                    "try another variant or runtime of it"
                )
            worst = max(worst, error)
    return worst
