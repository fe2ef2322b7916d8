"""The stored answer of a bundle: before a model is trusted, it must give it again on this machine.

`golden.npz` holds inputs and, for every output, some of its values and their places:

    input_<n>                  for each input: a uint8 (H, W, 3) RGB picture of the model's own size, or the tensor
    places_<n>, values_<n>     of each output
    photo, fitted              a picture of another size, and some values of the tensor that it becomes

It catches a runtime that computes something else (a kernel bug, a delegate that rounds), a wrong colour order or
scale, and a resize that filters in another way, before the first frame meets it.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends import Backend
from edge.bundle import Bundle, Manifest
from edge.errors import BundleError, LimitError
from edge.limits import read_npz
from edge.preprocess import Preprocessor, is_picture
from edge.types import U8

SAMPLES = 4096
"""Values kept of each output, evenly spread: enough to see any damage, small enough to ship."""

PHOTO_SHAPE = (96, 128)
"""Height and width of the picture that proves the resize."""

_MOST_PHOTO_SIDE = 4096

RESIZE_LEVELS = 1.0
"""How far the mean resized pixel may be from the stored one, in the 256 levels of a pixel. OpenCV's releases and
processors round differently by one level here and there; another filter differs by several on average."""

_GUESSES: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "red and blue are swapped (BGR)": lambda tensor: tensor[..., ::-1],
    "the input is scaled to 0..1 where the model wants 0..255, or the other way round": lambda tensor: tensor * 255,
    "the input is scaled to 0..255 where the model wants 0..1, or the other way round": lambda tensor: tensor / 255,
    "the input is scaled to 0..255 where the model wants -1..1": lambda tensor: tensor / 127.5 - 1,
    "the input is scaled to -1..1 where the model wants 0..255": lambda tensor: (tensor + 1) * 127.5,
}
"""What may be wrong with an input, and what would put it right."""


def make_golden(
    manifest: Manifest, inputs: Sequence[NDArray[Any]], photo: U8 | None, outputs: Sequence[NDArray[Any]]
) -> bytes:
    """Pack inputs and the model's answer to them, as the content of golden.npz.

    Args:
        manifest: names and shapes of the tensors.
        inputs: for each input, uint8 (H, W, 3) RGB of exactly the model's size, so that no resize can differ, where
            it is a picture; else the tensor itself.
        photo: uint8 (96, 128, 3) RGB to prove the resize with, or None where no input is a picture.
        outputs: what the packed model answered on the workstation, in the manifest's order.
    """
    arrays: dict[str, NDArray[Any]] = {f"input_{number}": value for number, value in enumerate(inputs)}
    for number, output in enumerate(outputs):
        places = _places(output.size)
        arrays[f"places_{number}"] = places
        arrays[f"values_{number}"] = output.reshape(-1)[places]
    if photo is not None:
        arrays["photo"], arrays["fitted"] = photo, _fit(manifest, photo)
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def read_golden(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """Read the stored answer and make sure that it speaks of this bundle's tensors.

    Raises:
        BundleError: it cannot be read, or an array is missing, foreign, or not as the manifest wants it.
    """
    try:
        arrays = read_npz(bundle.golden_path)
        _check_arrays(bundle.manifest, arrays)
    except OSError as error:
        raise BundleError(
            f"bundle {bundle.path}: want a stored answer, got '{error.strerror}'; copy it again"
        ) from error
    except LimitError as error:
        raise BundleError(f"bundle {bundle.path}: {bundle.golden_path.name}: {error}; convert it again") from error
    return arrays


def golden_inputs(manifest: Manifest, golden: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Make the input tensors of the stored answer, pictures by way of this machine's preprocessing."""
    tensors = []
    for number, spec in enumerate(manifest.inputs):
        value = golden[f"input_{number}"]
        if manifest.preprocess is not None and is_picture(spec, manifest.preprocess):
            value = Preprocessor(spec, manifest.preprocess).fit(value)[0]
        tensors.append(value)
    return tensors


def relative_rms(got: NDArray[np.generic], want: NDArray[np.generic]) -> float:
    """Return the root-mean-square difference over the root-mean-square of `want`; inf where `got` is not finite."""
    g, w = got.astype(np.float64), want.astype(np.float64)
    if not np.isfinite(g).all():
        return float("inf")
    return float(np.sqrt(np.mean((g - w) ** 2)) / max(np.sqrt(np.mean(w**2)), 1e-12))


def check_golden(bundle: Bundle, backend: Backend) -> float:
    """Run the stored inputs through the model and compare.

    Returns:
        The largest relative error of an output.

    Raises:
        BundleError: an output is further from the stored answer than the bundle allows, or pictures are resized
            in another way here; the message names the likely cause.
    """
    manifest = bundle.manifest
    golden = read_golden(bundle)
    with np.errstate(all="ignore"):  # numbers that are not finite are found by their error, no warning is needed
        if "photo" in golden:
            _check_resize(bundle, golden)
        tensors = golden_inputs(manifest, golden)
        errors = _errors(bundle, golden, backend, tensors)
        worst = int(np.argmax(errors))
        if not errors[worst] <= manifest.golden.max_error:
            raise BundleError(
                f"bundle {bundle.path}: want output '{manifest.outputs[worst].name}' within "
                f"{manifest.golden.max_error:.3g} of the stored answer, got {errors[worst]:.3g} with "
                f"{backend.description}; {_likely_cause(bundle, golden, backend, tensors)}"
            )
    return errors[worst]


def _check_arrays(manifest: Manifest, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Hold every array of a stored answer against the manifest.

    Raises:
        LimitError: the first that is missing, foreign, or of another type, shape or range.
    """
    how = manifest.preprocess
    pictures = [how is not None and is_picture(spec, how) for spec in manifest.inputs]
    want: dict[str, tuple[str, tuple[int, ...]]] = {}
    for number, (spec, picture) in enumerate(zip(manifest.inputs, pictures, strict=True)):
        size = (*spec.shape[1:3], 3)
        want[f"input_{number}"] = ("uint8", size) if picture else (spec.dtype, spec.shape)
    for number, spec in enumerate(manifest.outputs):
        kept = (min(SAMPLES, math.prod(spec.shape)),)
        want |= {f"places_{number}": ("int64", kept), f"values_{number}": (spec.dtype, kept)}
    if any(pictures) and "photo" in arrays:
        first = manifest.inputs[pictures.index(True)]
        shape = arrays["photo"].shape
        if len(shape) != 3 or not all(1 <= side <= _MOST_PHOTO_SIDE for side in shape[:2]):
            raise LimitError(f"want a photo of (height, width, 3), got {shape}")
        fitted = (min(SAMPLES, math.prod(first.shape)),)
        want |= {"photo": ("uint8", (*shape[:2], 3)), "fitted": (first.dtype, fitted)}
    for name in sorted(want.keys() ^ arrays.keys()):
        raise LimitError(f"want '{name}', got no array of that name" if name in want else f"want no '{name}', got one")
    for name, (dtype, shape) in want.items():
        got = arrays[name]
        if (got.dtype.name, got.shape) != (dtype, shape):
            raise LimitError(f"want '{name}' {dtype} {shape}, got {got.dtype.name} {got.shape}")
        if got.dtype.kind == "f" and not np.isfinite(got).all():
            raise LimitError(f"want finite numbers in '{name}', got others")
    for number, spec in enumerate(manifest.outputs):
        places = arrays[f"places_{number}"]
        if places[0] < 0 or places[-1] >= math.prod(spec.shape) or not (np.diff(places) > 0).all():
            raise LimitError(f"want ascending places of output '{spec.name}', got others")


def _errors(
    bundle: Bundle, golden: Mapping[str, NDArray[Any]], backend: Backend, tensors: Sequence[NDArray[Any]]
) -> list[float]:
    """Return the relative error of each output.

    Raises:
        BundleError: the model gave other tensors than the manifest says.
    """
    outputs = backend.invoke(tensors)
    want = [(spec.dtype, spec.shape) for spec in bundle.manifest.outputs]
    got = [(output.dtype.name, output.shape) for output in outputs]
    if got != want:
        raise BundleError(f"bundle {bundle.path}: want outputs {want}, got {got}; convert it again")
    pairs = [(output.reshape(-1)[golden[f"places_{n}"]], golden[f"values_{n}"]) for n, output in enumerate(outputs)]
    return [relative_rms(answer, stored) for answer, stored in pairs]


def _likely_cause(
    bundle: Bundle, golden: Mapping[str, NDArray[Any]], backend: Backend, tensors: Sequence[NDArray[Any]]
) -> str:
    """Try the usual mistakes backwards: what makes the answer right again is the likely cause."""
    for words, repair in _GUESSES.items():
        repaired = [repair(tensor.astype(np.float32)) for tensor in tensors]
        limits = [np.iinfo(tensor.dtype) if tensor.dtype.kind in "iu" else None for tensor in tensors]
        if any(x and (v.min() < x.min or v.max() > x.max) for v, x in zip(repaired, limits, strict=True)):
            continue
        again = [
            np.ascontiguousarray(value.astype(tensor.dtype)) for value, tensor in zip(repaired, tensors, strict=True)
        ]
        if max(_errors(bundle, golden, backend, again)) <= bundle.manifest.golden.max_error:
            return f"likely cause: {words}; convert the bundle again with the right preprocessing"
    return "do not use this model here, try another variant or runtime of it"


def _check_resize(bundle: Bundle, golden: Mapping[str, NDArray[Any]]) -> None:
    """Compare how a picture is resized here and was on the workstation."""
    got, want = _fit(bundle.manifest, golden["photo"]).astype(np.float64), golden["fitted"].astype(np.float64)
    span = float(want.max() - want.min()) or 1.0
    levels = float(np.mean(np.abs(got - want))) / span * (float(np.ptp(golden["photo"])) or 1.0)
    if not levels <= RESIZE_LEVELS:
        raise BundleError(
            f"bundle {bundle.path}: want a resized picture within {RESIZE_LEVELS:g} of 256 levels of the stored one, "
            f"got {levels:.3g}; likely cause: this machine's OpenCV resizes with another filter, or the manifest's "
            "preprocess was changed; install opencv-python 4.8 or newer, or convert the bundle again"
        )


def _fit(manifest: Manifest, photo: U8) -> NDArray[Any]:
    """Return some values of the tensor that a picture becomes in the first input that is one."""
    assert manifest.preprocess is not None, "only a bundle with pictures has a photo"
    spec = next(spec for spec in manifest.inputs if is_picture(spec, manifest.preprocess))
    tensor = Preprocessor(spec, manifest.preprocess).fit(photo)[0].reshape(-1)
    return tensor[_places(tensor.size)].copy()


def _places(size: int) -> NDArray[np.int64]:
    return np.linspace(0, size - 1, min(SAMPLES, size)).round().astype(np.int64)
