"""The stage around the detector: what is wanted, what is kept, and where it lies in the picture."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.decode import DECODERS
from edge.errors import ConfigError
from edge.model import open_model
from edge.profiler import StageClock
from edge.stages.detect import MAX_CANDIDATES, Detect
from edge.types import F32, Detections, Frame

# A picture of 192 x 144 is fitted into the detector's 96 x 96 by half; below it lie 24 lines of border.
PICTURE = np.zeros((144, 192, 3), np.uint8)


class Decoded:
    """Stands in the place of a decoder: gives candidates chosen here, keeps what it was asked."""

    def __init__(self, boxes: F32, scores: F32, classes: list[int] | None = None) -> None:
        self.candidates = boxes.astype(np.float32), scores.astype(np.float32), np.array(classes or [0] * len(boxes))
        self.threshold = 0.0
        self.classes: list[int] = []

    def __call__(self, outputs: object, how: object, width: int, threshold: float, classes: np.ndarray) -> object:
        self.threshold, self.classes = threshold, classes.tolist()
        boxes, scores, found = self.candidates
        return boxes, scores, found.astype(np.int32)


@contextmanager
def stage(bundle: Bundle, decoded: Decoded, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Iterator[Detect]:
    monkeypatch.setitem(DECODERS, "boxes", decoded)
    with open_model(bundle.path, "detect", threads=1) as model:
        yield Detect(model, **settings)  # type: ignore[arg-type]


def found(
    bundle: Bundle, decoded: Decoded, monkeypatch: pytest.MonkeyPatch, picture: np.ndarray = PICTURE
) -> Detections:
    with stage(bundle, decoded, monkeypatch) as detect:
        return detect(Frame(0, 0, picture), StageClock())


def grid(count: int) -> F32:
    """Return boxes of 1 px that do not overlap."""
    x, y = np.arange(count) % 45 * 2, np.arange(count) // 45 * 2
    return np.stack([x, y, x + 1, y + 1], axis=1).astype(np.float32)


def test_boxes_are_told_in_pixels_of_the_picture_best_first(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.array([[10, 20, 30, 40], [50, 20, 60, 40]])
    detections = found(detector, Decoded(boxes, np.array([0.6, 0.9]), [1, 0]), monkeypatch)
    np.testing.assert_allclose(detections.boxes, [[100, 40, 120, 80], [20, 40, 60, 80]], atol=0.51)
    assert detections.scores.tolist() == pytest.approx([0.9, 0.6])
    assert detections.classes.tolist() == [0, 1]


def test_boxes_end_at_the_border_of_the_picture(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    detections = found(detector, Decoded(np.array([[-5, -5, 200, 200]]), np.array([0.9])), monkeypatch)
    assert detections.boxes.tolist() == [[0, 0, 192, 144]]


def test_what_lies_in_the_border_around_the_picture_is_nothing(
    detector: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = np.array([[10, 20, 30, 40], [10, 80, 20, 90], [40, 30, 40, 50]])  # beside it; and without any width
    detections = found(detector, Decoded(boxes, np.array([0.7, 0.9, 0.8]), [0, 1, 1]), monkeypatch)
    assert (len(detections), detections.classes.tolist()) == (1, [0])


def test_of_too_many_candidates_the_best_are_kept(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CANDIDATES == 1000
    scores = np.random.default_rng(1).permutation(np.linspace(0.5, 1, 1200))
    detections = found(detector, Decoded(grid(1200), scores), monkeypatch)
    np.testing.assert_allclose(detections.scores, np.sort(scores)[::-1][:1000], rtol=1e-6)


def test_a_thousand_candidates_are_all_kept(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(found(detector, Decoded(grid(1000), np.linspace(0.5, 1, 1000)), monkeypatch)) == 1000


@pytest.mark.parametrize(("shift", "left"), [(4.0, 1), (6.0, 2)])
def test_doubles_are_suppressed_by_the_overlap_that_the_bundle_names(
    detector: Bundle, monkeypatch: pytest.MonkeyPatch, shift: float, left: int
) -> None:
    assert detector.manifest.decoder is not None
    overlap = detector.manifest.decoder.nms_iou
    assert overlap == 0.6
    # Boxes of 20 px that lie so far apart overlap by 16 / 24 = .67, or by 14 / 26 = .54.
    boxes = np.array([[10, 20, 30, 40], [10 + shift, 20, 30 + shift, 40]])
    assert len(found(detector, Decoded(boxes, np.array([0.9, 0.8])), monkeypatch)) == left


def test_the_threshold_is_the_bundles_unless_one_is_given(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detector.manifest.decoder is not None
    decoded = Decoded(grid(1), np.ones(1))
    for settings, want in (({}, detector.manifest.decoder.threshold), ({"threshold": 0.0}, 0.0)):
        with stage(detector, decoded, monkeypatch, **settings) as detect:
            detect(Frame(0, 0, PICTURE), StageClock())
        assert decoded.threshold == want


@pytest.mark.parametrize(
    ("classes", "columns"), [((), [0, 1]), (("tall",), [1]), (("tall", "blob"), [0, 1]), (("tall", "tall"), [1])]
)
def test_classes_become_ascending_columns(
    detector: Bundle, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...], columns: list[int]
) -> None:
    decoded = Decoded(grid(1), np.ones(1))
    with stage(detector, decoded, monkeypatch, classes=classes) as detect:
        detect(Frame(0, 0, PICTURE), StageClock())
    assert decoded.classes == columns


def test_a_class_that_the_detector_does_not_know_is_refused(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(ConfigError, match="got 'zebra'"),
        stage(detector, Decoded(grid(1), np.ones(1)), monkeypatch, classes=("blob", "zebra")),
    ):
        pass


def test_the_time_is_given_to_its_stages(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StageClock()
    with stage(detector, Decoded(grid(1), np.ones(1)), monkeypatch) as detect:
        detect(Frame(0, 0, PICTURE), clock)
    spent = clock.stage_ns
    assert spent["preprocess"] > 0
    assert spent["detect"] > spent["detect_invoke"] > 0


def test_each_side_has_its_own_scale(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 x 33 becomes 96 x 32: whole pixels, so .960 of the width and .970 of the height."""
    picture = np.zeros((33, 100, 3), np.uint8)
    detections = found(detector, Decoded(np.array([[48, 8, 96, 16]]), np.array([0.9])), monkeypatch, picture)
    np.testing.assert_allclose(detections.boxes, [[50, 8.25, 100, 16.5]], atol=0.01)
