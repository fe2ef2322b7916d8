"""Boxes of a frame -> embeddings: one vector for each crop."""

import numpy as np

from edge.decode import dequantize
from edge.errors import BundleError
from edge.model import Model
from edge.profiler import StageClock
from edge.types import F32, Frame


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
        embeddings = np.empty((len(boxes), self.dim), np.float32)
        for row, box in enumerate(boxes):
            tensor = self._model.preprocessor.crop(frame.image, box)
            clock.lap("embed")
            output = self._model.backend.invoke([tensor])[0]
            clock.lap("embed", "embed_invoke")
            embeddings[row] = dequantize(output.reshape(-1), self._model.bundle.manifest.outputs[0])
            del output  # a view into the runtime must not outlive the next invoke
        clock.lap("embed")
        return embeddings
