"""Output tensors -> boxes, scores and classes. One function for each kind of detection head.

All of them look at the wanted classes' columns only, compare in the stored number format, and turn nothing but
the survivors into real numbers: a head has thousands of cells and a frame a dozen objects.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Decoder, TensorSpec, decoder_complaints
from edge.bundle import localizer_outputs as localizer_outputs
from edge.errors import BundleError
from edge.types import F32, I32

Output = tuple[NDArray[Any], TensorSpec]
Candidates = tuple[F32, F32, I32]
"""Boxes (N, 4) xyxy pixels of the input tensor, scores (N,), classes (N,); in no order, before suppression."""


def nanodet(outputs: Mapping[str, Output], how: Decoder, width: int, threshold: float, classes: I32) -> Candidates:
    """Decode the raw heads of a NanoDet: `cls_<stride>` (1, cells, classes) and `reg_<stride>` (1, cells, 4 * bins).

    A side's distance from the cell's centre is the mean of a softmax over `bins`, in strides ("Generalized Focal
    Loss", arXiv:2006.04388, section 3.2). Centres lie at (i + 0.5) * stride. Scores come with the sigmoid applied.

    Args:
        outputs: name -> tensor and its specification.
        how: the bundle's decoder; `strides` and `bins` are used.
        width: of the input tensor, pixels.
        threshold: scores must be above it.
        classes: int32 columns that are wanted.
    """
    parts = []
    for stride in how.strides:
        scores, score_spec = outputs[f"cls_{stride}"]
        sides, side_spec = outputs[f"reg_{stride}"]
        cells, found, best = _survivors(scores[0], score_spec, threshold, classes)
        rows, columns = np.divmod(cells, np.int32(width // stride))
        logits = dequantize(sides[0].take(cells, axis=0), side_spec)
        parts.append((logits, columns, rows, np.full(len(cells), stride, np.float32), best, found))
    logits, columns, rows, strides, best, found = (np.concatenate(part) for part in zip(*parts, strict=True))
    distribution = logits.reshape(-1, how.bins).T.copy()  # bins first: numpy is slow along short last axes
    distribution -= np.maximum.reduce(distribution, axis=0)
    np.exp(distribution, out=distribution)
    mean, total = np.dot(_mean_and_total(how.bins), distribution)
    distance = (mean / total).reshape(-1, 4).T
    corners = np.empty((4, len(best)), np.float32)
    for low, high, cell in ((0, 2, columns), (1, 3, rows)):
        centre = cell + np.float32(0.5)
        np.subtract(centre, distance[low], out=corners[low])
        np.add(centre, distance[high], out=corners[high])
    corners *= strides
    return np.ascontiguousarray(corners.T), best, found


@lru_cache(maxsize=4)
def _mean_and_total(bins: int) -> F32:
    """Return what multiplies a distribution (bins, N) to its unnormalised mean and its total, (2, bins)."""
    return np.stack([np.arange(bins), np.ones(bins)]).astype(np.float32)


def boxes(outputs: Mapping[str, Output], how: Decoder, width: int, threshold: float, classes: I32) -> Candidates:
    """Decode heads that were decoded inside the graph: `boxes` (1, N, 4) xyxy pixels, `scores` (1, N, classes).

    Args:
        outputs: name -> tensor and its specification.
        how: the bundle's decoder.
        width: of the input tensor, pixels.
        threshold: scores must be above it.
        classes: int32 columns that are wanted.
    """
    del how, width  # nothing is left to do for them
    scores, score_spec = outputs["scores"]
    corners, corner_spec = outputs["boxes"]
    rows, found, best = _survivors(scores[0], score_spec, threshold, classes)
    return dequantize(corners[0][rows], corner_spec), best, found


DECODERS: dict[str, Callable[[Mapping[str, Output], Decoder, int, float, I32], Candidates]] = {
    "nanodet": nanodet,
    "boxes": boxes,
}
"""Value of `Decoder.name` in a bundle -> function."""


def check_decoder(bundle: Bundle) -> Decoder:
    """Make sure that a detector's outputs are what its decoder reads, and return the decoder.

    Raises:
        BundleError: see `edge.bundle.decoder_complaints`.
    """
    for complaint in decoder_complaints(bundle.manifest):
        raise BundleError(f"bundle {bundle.path}: {complaint}; convert it again")
    assert bundle.manifest.decoder is not None, "a missing decoder is a complaint"
    return bundle.manifest.decoder


def class_scores(values: F32) -> F32:
    """Return how sure a classifier is of each class, float32 (C,), from its output of any shape.

    One number is the probability of the second of two classes. Numbers outside 0..1 are logits: softmax, or sigmoid.
    """
    flat: F32 = values.reshape(-1)
    if flat.min() < 0 or flat.max() > 1:
        if flat.size == 1:
            flat = np.concatenate([np.zeros(1, np.float32), flat])  # softmax of (0, x) is the sigmoid of x
        powers: F32 = np.exp(flat - flat.max())
        powers /= powers.sum()
        return powers
    return np.concatenate([1 - flat, flat]) if flat.size == 1 else flat


def _survivors(scores: NDArray[Any], spec: TensorSpec, threshold: float, classes: I32) -> tuple[I32, I32, F32]:
    """Find scores (cells, classes) above the threshold: their rows, classes and real values."""
    wanted = scores
    if len(classes) < scores.shape[1]:
        first, last = int(classes[0]), int(classes[-1])
        together = last - first + 1 == len(classes)  # then a view will do
        wanted = scores[:, first : last + 1] if together else scores.take(classes, axis=1)
    cells = (wanted > _stored(threshold, spec)).ravel().nonzero()[0]  # on one axis: several times faster than on two
    rows, columns = (cells, np.zeros_like(cells)) if len(classes) == 1 else np.divmod(cells, len(classes))
    return rows.astype(np.int32), classes.take(columns), dequantize(wanted[rows, columns], spec)


def _stored(value: float, spec: TensorSpec) -> float:
    """Return what a real number is in the tensor's own format, unrounded."""
    if spec.quantization is None:
        return value
    return value / spec.quantization.scale + spec.quantization.zero_point


def dequantize(stored: NDArray[Any], spec: TensorSpec) -> F32:
    """Return stored values as real float32 numbers; always a copy, never a view into the runtime."""
    values: F32 = stored.astype(np.float32)
    if spec.quantization is None:
        return values
    return (values - np.float32(spec.quantization.zero_point)) * np.float32(spec.quantization.scale)
