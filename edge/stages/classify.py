"""Frame -> how sure one model is of each class, and for a localizer, where the object is."""

import numpy as np

from edge import boxes
from edge.decode import class_scores, dequantize, localizer_outputs
from edge.errors import BundleError
from edge.model import Model
from edge.profiler import StageClock
from edge.types import F32, Detections, Frame

Answer = tuple[Detections, F32]
"""The box of a localizer, one row or none, and the scores of all classes, float32 (C,)."""


class Classify:
    """Runs one classifier: the picture as a whole, no box."""

    def __init__(self, model: Model) -> None:
        """Prepare the stage.

        Args:
            model: an open bundle of task `classify`.

        Raises:
            BundleError: labels that do not fit the model's columns, or no picture as input.
        """
        self._model = model
        self._spec = model.bundle.manifest.outputs[0]
        self._fit = model.preprocessor.fit
        _check_labels(model, int(np.prod(self._spec.shape)))

    def __call__(self, frame: Frame, clock: StageClock) -> Answer:
        """Ask the model about one frame."""
        tensor, _ = self._fit(frame.image)
        clock.lap("preprocess")
        output = self._model.backend.invoke([tensor])[0]
        scores = class_scores(dequantize(output, self._spec))
        clock.lap("model")
        return Detections.none(), scores


class Localize:
    """Runs one localizer: one box, and its class."""

    def __init__(self, model: Model) -> None:
        """Prepare the stage.

        Args:
            model: an open bundle of task `localize`.

        Raises:
            BundleError: not a box and a class as outputs, labels that do not fit, or no picture as input.
        """
        specs = model.bundle.manifest.outputs
        self._model = model
        self._box, self._class = localizer_outputs(specs)
        if self._box == self._class or int(np.prod(specs[self._box].shape)) != 4:
            shapes = ", ".join(f"{spec.name} {spec.shape}" for spec in specs)
            raise BundleError(
                f"bundle {model.bundle.path}: want a box of 4 numbers and a class as outputs, got {shapes}; convert "
                "a localizer"
            )
        self._fit = model.preprocessor.fit
        self._size = np.array([model.preprocessor.width, model.preprocessor.height] * 2, np.float32)
        _check_labels(model, int(np.prod(specs[self._class].shape)))

    def __call__(self, frame: Frame, clock: StageClock) -> Answer:
        """Ask the model about one frame; the box is cut off at the picture's edges."""
        tensor, (scale_x, scale_y) = self._fit(frame.image)
        clock.lap("preprocess")
        outputs = self._model.backend.invoke([tensor])
        specs = self._model.bundle.manifest.outputs
        scores = class_scores(dequantize(outputs[self._class], specs[self._class]))
        box = dequantize(outputs[self._box], specs[self._box]).reshape(1, 4) * self._size
        rows, columns = frame.image.shape[:2]
        placed = boxes.clip(boxes.scale(box, 1 / scale_x, 1 / scale_y), columns, rows)
        best = int(scores.argmax())
        found = Detections(placed, scores[best : best + 1], np.array([best], np.int32))
        clock.lap("model")
        return found, scores


def _check_labels(model: Model, columns: int) -> None:
    labels, classes = model.bundle.manifest.labels, max(2, columns)
    if labels and len(labels) != classes:
        raise BundleError(
            f"bundle {model.bundle.path}: want {classes} labels for its {columns} output values, got {len(labels)}; "
            "convert it again with --labels"
        )
