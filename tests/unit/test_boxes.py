import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge import boxes

coordinates = st.floats(-200, 900, width=32)
some_boxes = arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=coordinates)


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [max(0.0, float(c[2]) - float(c[0])) * max(0.0, float(c[3]) - float(c[1])) for c in (a, b)]
    union = area[0] + area[1] - width * height
    return width * height / union if union > 1e-6 else 0.0


@given(some_boxes, some_boxes)
def test_iou_is_that_of_the_plain_definition(a: np.ndarray, b: np.ndarray) -> None:
    got = boxes.iou(a, b)
    want = np.array([[slow_iou(p, q) for q in b] for p in a]).reshape(len(a), len(b))
    # Areas reach 1e6 square pixels, whose float32 rounding is 0.06: thin boxes lose some digits.
    tiny = (boxes.area(a)[:, None] < 1) | (boxes.area(b)[None] < 1)
    np.testing.assert_allclose(got[~tiny], want[~tiny], atol=2e-3)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_iou_of_places_is_that_of_their_boxes(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.uniform((0, 0, 1, 1), (60, 60, 90, 90), (n, 4)).astype(np.float32).T for _ in range(2))
    got = boxes.iou_of_places(a, b)
    np.testing.assert_allclose(got, boxes.iou(boxes.cxcywh_to_xyxy(a), boxes.cxcywh_to_xyxy(b)).diagonal(), atol=1e-5)


@given(some_boxes)
def test_centre_form_and_back_is_the_same_box(a: np.ndarray) -> None:
    np.testing.assert_allclose(boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(a)), a, atol=1e-3)


def test_clip_keeps_boxes_inside_the_picture() -> None:
    clipped = boxes.clip(np.array([[-5, -5, 700, 50], [10, 20, 30, 40]], np.float32), 640, 480)
    np.testing.assert_array_equal(clipped, [[0, 0, 640, 50], [10, 20, 30, 40]])


def test_nms_keeps_the_best_of_a_cluster_and_never_crosses_classes() -> None:
    cluster = np.array([[0, 0, 100, 100], [5, 5, 105, 105], [0, 0, 100, 100], [300, 300, 350, 350]], np.float32)
    scores = np.array([0.6, 0.9, 0.8, 0.3], np.float32)
    kept = boxes.nms(cluster, scores, np.array([0, 0, 1, 0], np.int32), 0.5)
    assert kept.tolist() == [1, 2, 3]


def test_nms_keeps_boxes_of_two_classes_apart_even_far_outside_the_picture() -> None:
    pair = np.array([[-400, -400, -300, -300], [-400, -400, -300, -300]], np.float32)
    kept = boxes.nms(pair, np.array([0.5, 0.6], np.float32), np.array([0, 79], np.int32), 0.5)
    assert sorted(kept.tolist()) == [0, 1]


def test_nms_of_nothing_is_nothing() -> None:
    none = boxes.nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), 0.5)
    assert none.shape == (0,)
