"""Frame -> Detections: fit the picture, run the model, decode its heads, suppress doubles."""

from collections.abc import Sequence

import numpy as np

from edge import boxes
from edge.decode import DECODERS, check_decoder
from edge.errors import ConfigError
from edge.model import Model
from edge.profiler import StageClock
from edge.settings import did_you_mean
from edge.types import I32, Detections, Frame

MAX_CANDIDATES = 1000
"""Boxes that go into suppression, best first: it costs the square of their number."""


class Detect:
    """Runs one detector."""

    def __init__(self, model: Model, classes: Sequence[str] = (), threshold: float | None = None) -> None:
        """Prepare the stage.

        Args:
            model: an open bundle of task `detect`.
            classes: labels that are wanted; none = all.
            threshold: scores must be above it; None = the bundle's.

        Raises:
            ConfigError: a class that the bundle's labels lack.
            BundleError: the model's outputs are not what its decoder reads; see `check_decoder`.
        """
        labels = model.bundle.manifest.labels
        self._model = model
        self._how = check_decoder(model.bundle)
        self._decode = DECODERS[self._how.name]
        self._threshold = self._how.threshold if threshold is None else threshold
        self._classes = _columns(labels, classes)

    def __call__(self, frame: Frame, clock: StageClock) -> Detections:
        """Find the wanted objects of a frame."""
        preprocessor = self._model.preprocessor
        tensor, (scale_x, scale_y) = preprocessor.fit(frame.image)
        clock.lap("preprocess")
        outputs = self._model.backend.invoke([tensor])
        clock.lap("detect", "detect_invoke")
        specs = self._model.bundle.manifest.outputs
        named = {spec.name: (output, spec) for spec, output in zip(specs, outputs, strict=True)}
        found, scores, classes = self._decode(named, self._how, preprocessor.width, self._threshold, self._classes)
        if len(scores) > MAX_CANDIDATES:
            best = np.argpartition(-scores, MAX_CANDIDATES)[:MAX_CANDIDATES]
            found, scores, classes = found[best], scores[best], classes[best]
        keep = boxes.nms(found, scores, classes, self._how.nms_iou)
        rows, columns = frame.image.shape[:2]
        found, scores, classes = found.take(keep, axis=0), scores.take(keep), classes.take(keep)
        placed = boxes.clip(boxes.scale(found, 1 / scale_x, 1 / scale_y), columns, rows)
        inside = boxes.area(placed) > 0
        if np.count_nonzero(inside) < len(inside):
            placed, scores, classes = placed[inside], scores[inside], classes[inside]
        detections = Detections(placed, scores, classes)
        clock.lap("detect")
        return detections


def check_classes(labels: Sequence[str], classes: Sequence[str], what: str = "classes") -> None:
    """Make sure that the detector knows the wanted classes.

    Args:
        labels: of the detector.
        classes: that are wanted.
        what: begins the sentence of an error: the flag, or the file and its key.

    Raises:
        ConfigError: it does not know one.
    """
    unknown = [name for name in classes if name not in labels]
    if unknown:
        todo = did_you_mean(unknown[0], labels)
        more = "" if todo.endswith("?") else "; 'edge bundle show BUNDLE' lists them all"
        raise ConfigError(f"{what}: want labels of the detector, got '{unknown[0][:60]}'; {todo}{more}")


def _columns(labels: Sequence[str], classes: Sequence[str]) -> I32:
    """Return the columns of the wanted classes, ascending."""
    check_classes(labels, classes)
    wanted = [labels.index(name) for name in classes] if classes else range(len(labels))
    return np.asarray(sorted(set(wanted)), np.int32)
