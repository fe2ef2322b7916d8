"""Boxes of a frame -> embeddings: one vector for each crop."""

import numpy as np

from edge.decode import dequantize
from edge.errors import BundleError
from edge.model import Model
from edge.profiler import StageClock
from edge.types import F32, Frame

AT_ONCE = 16
"""Crops that are cut in a row. Their tensors are kept: 0.5 MB at 97 x 97 in uint8, 10 MB at 224 x 224 in float32."""


class Embed:
    """Runs one embedder, crop by crop: a fixed batch of 1 is within 10 % of any batching and wastes no padding.

    Attributes:
        metric: distance that suits the vectors, from the bundle.
        dim: length D of a vector.
        crop_ns: what one crop cost when the model was checked.
    """

    def __init__(self, model: Model) -> None:
        """Prepare the stage.

        Args:
            model: an open bundle of task `embed`.

        Raises:
            BundleError: the bundle does not say what its vectors are.
        """
        manifest = model.bundle.manifest
        if manifest.embedding is None:
            raise BundleError(f"bundle {model.bundle.path}: want an embedding section, got none; convert it again")
        self._model = model
        self._spec = manifest.outputs[0]
        image = manifest.inputs[0]
        self._tensors = list(np.empty((AT_ONCE, *image.shape), image.dtype))
        self.dim = manifest.embedding.dim
        self.metric = manifest.embedding.metric
        self.crop_ns = model.invoke_ns

    def __call__(self, frame: Frame, boxes: F32, clock: StageClock) -> F32:
        """Embed what is inside each box.

        Args:
            frame: the picture.
            boxes: float32 (K, 4) xyxy pixels.
            clock: takes the time.

        Returns:
            float32 (K, D), owned by the caller.
        """
        stored = np.empty((len(boxes), self.dim), self._spec.dtype)
        for start in range(0, len(boxes), AT_ONCE):
            # All crops are cut before the model runs: it would push the picture and the code out of the caches.
            some = boxes[start : start + AT_ONCE]
            for tensor, box in zip(self._tensors, some, strict=False):
                np.copyto(tensor, self._model.preprocessor.crop(frame.image, box))
            clock.lap("embed")
            for row, tensor in enumerate(self._tensors[: len(some)], start):
                output = self._model.backend.invoke([tensor])[0]
                clock.lap("embed", "embed_invoke")
                stored[row] = output.reshape(-1)
                del output  # a view into the runtime must not outlive the next invoke
        embeddings = stored if self._spec.quantization is None else dequantize(stored, self._spec)
        clock.lap("embed")
        return embeddings
