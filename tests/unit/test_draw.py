"""Labels, clock and count on pictures: what is written where."""

import time

import cv2
import numpy as np
import pytest

from edge.config import make_config
from edge.errors import ConfigError
from edge.sinks import labels as labels_module
from edge.sinks.draw import annotate
from edge.sinks.labels import FARTHEST, Labels, drawable
from edge.types import Detections, Frame, FrameResult, Tracks

NAMES = ("person", "dog")


def crowd(size: tuple[int, int], count: int, wall_s: float | None = None, seed: int = 0) -> FrameResult:
    """Tracks that overlap in the middle of a picture; every fifth coasts."""
    random = np.random.default_rng(seed)
    width, height = size
    middle = np.stack([random.normal(width / 2, width / 5, count), random.normal(height / 2, height / 5, count)], 1)
    half = np.stack([random.uniform(0.02, 0.06, count) * width, random.uniform(0.05, 0.15, count) * height], 1)
    boxes = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
    scores = random.uniform(0.3, 1, count).astype(np.float32)
    rows = np.arange(count, dtype=np.int32)
    rows[4::5] = -1
    classes = (np.arange(count) % 3 == 0).astype(np.int32)
    tracks = Tracks(
        np.arange(1, count + 1), boxes, scores, classes, rows, np.full(count, -1), np.full(count, np.nan, np.float32)
    )
    frame = Frame(0, 0, np.zeros((height, width, 3), np.uint8))
    return FrameResult(frame, Detections(boxes, scores, classes), tracks, wall_s=wall_s)


@pytest.fixture
def written(monkeypatch):
    """Texts and places (left, top, width, height) in the order in which they were written."""
    seen: list[tuple[str, tuple[int, int, int, int]]] = []
    real = Labels._write

    def write(self, text, place, color):
        seen.append((text, place))
        real(self, text, place, color)

    monkeypatch.setattr(Labels, "_write", write)
    return seen


@pytest.mark.parametrize("count", [1, 25, 80])
@pytest.mark.parametrize("size", [(768, 576), (160, 120), (48, 36), (8, 6), (90, 700)])
def test_no_label_covers_another_or_hangs_over_the_edge(written, size, count):
    picture = annotate(crowd(size, count), NAMES, ("clock", "count"))
    assert picture.shape == (size[1], size[0], 3)
    covered = np.zeros((size[1], size[0]), int)
    for _, (left, top, width, height) in written:
        assert 0 <= left <= left + width <= size[0]
        assert 0 <= top <= top + height <= size[1]
        covered[top : top + height, left : left + width] += 1
    assert covered.max(initial=0) <= 1
    if min(size) > 500:
        named = [text for text, _ in written if text.startswith("#")]
        assert len(named) == count or count == 80, "25 people in a large picture all have a label"
        assert len(named) >= 60 * (count == 80)


def test_the_ground_of_a_label_is_where_it_is_said_to_be(written):
    picture = annotate(crowd((768, 576), 25), NAMES)
    blank = annotate(crowd((768, 576), 0), NAMES)
    assert not blank.any()
    for text, (left, top, width, height) in written:
        corners = picture[
            [top, top, top + height - 1, top + height - 1], [left, left + width - 1, left, left + width - 1]
        ]
        assert (corners == corners[0]).all(), f"{text}: another label or a line is over its corner"


def places_at(box: tuple[int, int, int, int], count: int) -> list[tuple[int, int]]:
    """Left and top of labels of one size that are all wanted at one box."""
    labels, places = Labels(np.zeros((300, 400, 3), np.uint8), 10, 1), []
    real = labels._write
    labels._write = lambda text, place, color: (places.append(place[:2]), real(text, place, color))  # type: ignore[method-assign]
    for _ in range(count):
        labels.put(("#1 dog",), box, (0, 0, 255))
    return places


def test_the_places_in_their_order():
    labels = Labels(np.zeros((300, 400, 3), np.uint8), 10, 1)
    width, height = labels.size("#1 dog")
    x0, y0, x1, y1 = box = (150, 100, 160 + width, 220)
    near = [(x0, y0 - height), (x0, y1), (x0, y0), (x0, y1 - height), (x1, y0), (x0 - width, y0)]
    far = [(x0, y0 + height), (x0, y0 - 2 * height), (x0, y0 + 2 * height), (x0, y0 - 3 * height)]
    far += [(x0, y0 + 3 * height), (x0, y0 - 4 * height)]
    assert FARTHEST == 3
    assert [p for p in places_at(box, 20) if p in near] == near
    assert set(places_at(box, 20)) <= {*near, *far}, "farther away nobody sees whose it is"
    assert places_at((390, 0, 420, 40), 1) == [(400 - width, 0)], "in the corner: pushed into the picture"


def test_words_become_fewer_where_there_is_no_room(written):
    annotate(crowd((120, 90), 12), NAMES)
    texts = [text for text, _ in written]
    kinds = {len(text.split()) for text in texts}
    assert kinds == {1, 2, 3} or kinds == {1, 3}, texts
    seen = [int(text.split()[0][1:]) for text in texts]
    coasting = [number for number in seen if number % 5 == 0]
    assert seen == [*sorted(set(seen) - set(coasting)), *coasting], "who is in sight comes first, then the oldest"


def test_the_clock(written, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        annotate(crowd((768, 576), 0, wall_s=1_790_000_000.9), NAMES, ("clock",))
        annotate(crowd((768, 576), 0), NAMES, ("clock",))
        annotate(crowd((70, 400), 0, wall_s=1_790_000_000.9), NAMES, ("clock",))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [text for text, _ in written] == ["2026-09-21 19:58:20", "--:--:--", "19:58:20"]
    left, top, width, _ = written[0][1]
    assert (left + width, top) == (768, 0)


def test_the_count_is_of_what_is_in_sight(written):
    annotate(crowd((768, 576), 10), NAMES, ("count",))
    annotate(crowd((768, 576), 0), NAMES, ("count",))
    annotate(crowd((768, 576), 10), (), ("count",))
    counts = [(text, place[:2]) for text, place in written if not text.startswith("#")]
    assert counts == [("5 person, 3 dog", (0, 0)), ("nothing", (0, 0)), ("5 0, 3 1", (0, 0))]


def test_the_clock_goes_below_where_the_count_is_wide_and_small_pictures_have_neither(written):
    annotate(crowd((180, 200), 10, wall_s=0.0), ("p" * 20, "dog"), ("clock", "count"))
    (_, count), (_, clock) = [(text, place) for text, place in written if not text.startswith("#")]
    assert clock[1] == count[3]
    written.clear()
    annotate(crowd((48, 36), 0), NAMES, ("clock", "count"))
    assert written == []
    annotate(crowd((60, 200), 3), ("person of a long name", "dog"), ("count",))
    assert any(text.endswith("...") for text, _ in written)


def test_an_answer_has_a_clock_too(written):
    scores = np.array([0.1, 0.9], np.float32)
    result = FrameResult(Frame(0, 0, np.zeros((28, 28, 3), np.uint8)), Detections.none(), Tracks.none(), scores=scores)
    assert annotate(result, NAMES, ("clock",)).shape == (252, 252, 3)
    assert [text for text, _ in written] == ["--:--:--", "dog 0.90"]
    written.clear()
    annotate(result, ("a", "the name of this class is longer than the picture is wide"))
    assert written[0][0] == "the name of this class is lon... 0.90"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("person", "person", "person"),
        ("Fußgänger", "Fussganger", "Fußgänger"),
        ("пешеход", "class 7", "пешеход"),
        ("two\n words\t", "two words", "two words"),
        ("x" * 40, "x" * 29 + "...", "x" * 29 + "..."),
    ],
)
def test_names_are_drawn_as_opencv_can(monkeypatch, name, old, new):
    monkeypatch.setattr(labels_module, "_UNICODE", False)
    assert drawable(name, 7) == old
    monkeypatch.setattr(labels_module, "_UNICODE", True)
    assert drawable(name, 7) == new


def test_opencv_draws_the_letters_we_say_it_draws():
    def ink(text: str) -> np.ndarray:
        picture = np.zeros((40, 200), np.uint8)
        cv2.putText(picture, text, (5, 30), labels_module.FONT, 0.8, 255, 1)
        return picture

    text = "пешеход" if labels_module._UNICODE else "Fussganger"
    assert (ink(text) != ink("?" * len(text))).any()
    assert (ink(text) != ink("?" * len(text.encode()))).any()


@pytest.mark.parametrize(
    ("words", "says"),
    [(["clok"], "config: draw: unknown word 'clok'; did you mean 'clock'?"), (["x"], "there are clock, count")],
)
def test_unknown_wishes(words, says):
    with pytest.raises(ConfigError) as caught:
        make_config({"draw": words})
    assert says in str(caught.value)
    assert make_config({"draw": ["count", "clock"]}).draw == ("count", "clock")
