"""Pairs of vectors -> how unlike they are, by a learned head: a distance as those of `edge.distance` are."""

import numpy as np
from numpy.typing import NDArray

from edge.bundle import TensorSpec
from edge.decode import dequantize
from edge.distance import Pairs
from edge.errors import BundleError
from edge.model import Model
from edge.types import F32


class Compare:
    """Runs a bundle of task `pair` over all pairs of a frame at once.

    The model takes two inputs of the same shape (1, 1, P, D), P pairs of vectors, and answers with P probabilities
    that the two are the same individual. P is fixed in the file; what is left over is not looked at.
    """

    def __init__(self, model: Model, dim: int) -> None:
        """Prepare the head.

        Args:
            model: an open bundle of task `pair` that takes vectors.
            dim: length of the embedder's vectors.

        Raises:
            BundleError: the head takes something else than two batches of such vectors.
        """
        manifest = model.bundle.manifest
        shapes = [spec.shape for spec in manifest.inputs]
        fits = len(shapes) == 2 and shapes[0] == shapes[1] and len(shapes[0]) == 4
        if not fits or shapes[0][3] != dim or int(np.prod(manifest.outputs[0].shape)) != shapes[0][2]:
            raise BundleError(
                f"bundle {model.bundle.path}: want a head over two inputs (1, 1, pairs, {dim}), got "
                f"{' and '.join(map(str, shapes))}; train it on vectors of the embedder that runs here"
            )
        self._model, self._output = model, manifest.outputs[0]
        self._specs = manifest.inputs
        self._pairs = shapes[0][2]
        self._tensors: list[NDArray[np.generic]] = [np.zeros(spec.shape, spec.dtype) for spec in manifest.inputs]

    def __call__(self, queries: F32, gallery: F32, pairs: Pairs) -> F32:
        """Return 1 - the probability that the two of each pair are the same, float32 (P,).

        Args:
            queries: float32 (Q, D).
            gallery: float32 (G, D).
            pairs: rows of `queries` and rows of `gallery`, both (P,).
        """
        count = len(pairs[0])
        result = np.empty(count, np.float32)
        for start in range(0, count, self._pairs):
            some = slice(start, min(start + self._pairs, count))
            for tensor, spec, rows, side in zip(self._tensors, self._specs, pairs, (queries, gallery), strict=True):
                tensor[0, 0, : some.stop - start] = _stored(side.take(rows[some], axis=0), spec)
            output = self._model.backend.invoke(self._tensors)[0]
            result[some] = 1 - dequantize(output, self._output).reshape(-1)[: some.stop - start]
        return result


def _stored(values: F32, spec: TensorSpec) -> NDArray[np.generic]:
    """Return real numbers as the input stores them."""
    how = spec.quantization
    if how is None:
        return values
    limits = np.iinfo(spec.dtype)
    stored: NDArray[np.generic] = np.clip(np.round(values / how.scale) + how.zero_point, limits.min, limits.max)
    return stored.astype(spec.dtype)
