import numpy as np
import pytest

from edge.config import Track
from edge.stages.match import ENOUGH, NEAR_IOU, Match
from edge.types import Detections, Frame, Tracks

PICTURE = np.zeros((480, 640, 3), np.uint8)
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
PERIOD_NS = 100_000_000


class World:
    """People as squares of 60 px with looks; steps a matcher through what a perfect detector and embedder see."""

    def __init__(self, **settings: object) -> None:
        self.match = Match(Track(**settings), "manhattan", 3)
        self.index = 0

    def step(self, people: list[tuple[float, float, tuple[float, ...]]], score: float = 0.9, embed: int = 99) -> Tracks:
        boxes = np.array([[x, y, x + 60, y + 60] for x, y, _ in people], np.float32).reshape(-1, 4)
        detections = Detections(boxes, np.full(len(people), score, np.float32), np.zeros(len(people), np.int32))
        self.plan = self.match.plan(detections, Frame(self.index, 0, PICTURE, t_source_ns=self.index * PERIOD_NS))
        rows = self.plan.rows[:embed]
        looks = np.array([people[row][2] for row in rows], np.float32).reshape(-1, 3)
        self.index += 1
        return self.match.update(detections, rows, looks)


def test_a_track_is_reported_once_confirmed_and_keeps_its_id() -> None:
    world = World(confirm=3)
    reported = [world.step([(100 + 5 * t, 100, RED)]).ids.tolist() for t in range(6)]
    assert reported == [[], [], [1], [1], [1], [1]]


def test_a_single_false_detection_never_becomes_a_track() -> None:
    world = World(confirm=2)
    assert len(world.step([(100, 100, RED)])) == 0
    assert len(world.step([])) == 0
    assert len(world.step([(100, 100, RED)])) == 0


def test_an_unseen_track_coasts_along_its_path_then_vanishes_then_returns_with_its_id() -> None:
    world = World(confirm=2, coast_ms=300, keep_ms=2000)
    for t in range(10):
        world.step([(100 + 10 * t, 100, RED)])
    coasting = world.step([])
    assert coasting.detection.tolist() == [-1]
    assert np.isnan(coasting.distance[0])
    assert coasting.boxes[0, 0] == pytest.approx(200, abs=6)
    for _ in range(5):
        gone = world.step([])
    assert len(gone) == 0
    back = world.step([(100 + 10 * 16, 100, RED)])
    assert back.ids.tolist() == [1]


def test_a_track_unseen_for_too_long_is_forgotten() -> None:
    world = World(confirm=1, coast_ms=100, keep_ms=500)
    world.step([(100, 100, RED)])
    for _ in range(7):
        world.step([])
    assert world.step([(100, 100, RED)]).ids.tolist() == [2]


def test_a_weak_detection_continues_a_track_but_starts_none() -> None:
    world = World(confirm=1, start_score=0.5)
    assert len(world.step([(300, 300, BLUE)], score=0.3)) == 0
    world.step([(100, 100, RED)], score=0.9)
    assert world.step([(102, 100, RED)], score=0.3).ids.tolist() == [1]
    assert len(world.plan.rows) == 0, "a weak detection is not worth an embedding"


def test_looks_decide_where_place_cannot() -> None:
    world = World(confirm=1)
    for _ in range(ENOUGH + 5):  # learn what the same and a stranger look like
        tracks = world.step([(100, 100, RED), (175, 100, BLUE)])
    red, blue = tracks.ids.tolist()
    for _ in range(4):
        world.step([])
    # Both come back to the middle, each a little nearer to where the other one stood.
    tracks = world.step([(140, 100, RED), (135, 100, BLUE)])
    who = dict(zip(tracks.detection.tolist(), tracks.ids.tolist(), strict=True))
    assert who == {0: red, 1: blue}


def test_new_and_ambiguous_objects_come_first_in_the_plan() -> None:
    world = World(confirm=2)
    for t in range(4):
        world.step([(100 + t, 100, RED)])
    world.step([(104, 100, RED), (400, 300, BLUE)])
    assert world.plan.rows.tolist() == [1, 0]
    assert world.plan.urgent == 1


def test_tracking_goes_on_when_nothing_is_embedded() -> None:
    world = World(confirm=1)
    for t in range(6):
        tracks = world.step([(100 + 5 * t, 100, RED), (400 - 5 * t, 200, BLUE)], embed=0)
    assert sorted(tracks.ids.tolist()) == [1, 2]
    assert np.isnan(tracks.distance).all()


def test_distance_is_the_metric_between_the_new_look_and_the_remembered_one() -> None:
    world = World(confirm=1)
    world.step([(100, 100, (1.0, 1.0, 1.0))])
    assert world.step([(101, 100, (1.0, 1.5, 0.75))]).distance.tolist() == pytest.approx([0.75])


def test_a_class_is_never_continued_by_another() -> None:
    match = Match(Track(confirm=1), "manhattan", 3)
    for klass in (0, 1):
        detections = Detections(
            np.array([[100, 100, 160, 160]], np.float32), np.ones(1, np.float32), np.array([klass], np.int32)
        )
        match.plan(detections, Frame(klass, 0, PICTURE, t_source_ns=klass * PERIOD_NS))
        tracks = match.update(detections, np.zeros(0, np.int32), np.zeros((0, 3), np.float32))
    assert 2 in tracks.ids.tolist()


def test_a_pair_that_overlaps_enough_is_never_too_far_to_be_looked_at() -> None:
    """The quick choice of near pairs must let every overlap of NEAR_IOU through: the widest is a box in another."""
    for inner in (1.0, 0.7, np.sqrt(NEAR_IOU) + 1e-3):
        for side_x, side_y in ((60 * inner, 60.0), (60.0, 60 * inner), (60 * inner, 60 * inner)):
            for big, small in (((60.0, 60.0), (side_x, side_y)), ((side_x, side_y), (60.0, 60.0))):
                match = Match(Track(confirm=1), "manhattan", 3)
                for number, (wide, high) in enumerate((big, small)):
                    box = np.array([[100, 100, 100 + wide, 100 + high]], np.float32)
                    detections = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int32))
                    match.plan(detections, Frame(number, 0, PICTURE, t_source_ns=number * PERIOD_NS))
                    tracks = match.update(detections, np.zeros(0, np.int32), np.zeros((0, 3), np.float32))
                assert tracks.ids.tolist() == [1]


def test_the_same_input_gives_the_same_tracks() -> None:
    def run() -> list[list[float]]:
        world, rng = World(), np.random.default_rng(5)
        return [
            world.step([(float(x), float(y), RED) for x, y in rng.integers(0, 400, (8, 2))]).boxes.ravel().tolist()
            for _ in range(30)
        ]

    assert run() == run()
