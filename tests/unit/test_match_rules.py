"""Every rule and constant of `edge.stages.match`, each from both sides: just inside it, and just outside."""

from collections.abc import Sequence

import numpy as np
import pytest

from edge.config import Track
from edge.stages.match import Match, Plan, Scale
from edge.types import Detections, Frame, Tracks

WIDTH, HEIGHT = 640, 480
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
PERIOD_NS = 100_000_000
SIDE = 60.0
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
Look = tuple[float, float, float]


class World:
    """Boxes with looks, given by hand, ten frames a second; any of score, class and size may be told apart."""

    def __init__(self, **settings: object) -> None:
        self.match = Match(Track(**settings), "manhattan", 3)  # type: ignore[arg-type]
        self.index = 0
        self.plan = Plan(np.zeros(0, np.int32), 0)

    def step(
        self,
        boxes: Sequence[tuple[float, float, float, float]],
        looks: Sequence[Look] = (),
        scores: float | Sequence[float] = 0.9,
        classes: int | Sequence[int] = 0,
        embed: int = 99,
        after_ns: int = 0,
    ) -> Tracks:
        """Show one frame: boxes x, y, width, height."""
        count = len(boxes)
        xywh = np.array(boxes, np.float32).reshape(count, 4)
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        detections = Detections(
            xyxy,
            np.broadcast_to(np.float32(scores), count).astype(np.float32),
            np.broadcast_to(np.int32(classes), count).astype(np.int32),
        )
        t_ns = self.index * PERIOD_NS + after_ns
        self.plan = self.match.plan(detections, Frame(self.index, 0, PICTURE, t_source_ns=t_ns))
        rows = self.plan.rows[: min(embed, len(self.plan.rows) if looks else 0)]
        shown = np.array([looks[row] for row in rows], np.float32).reshape(-1, 3)
        self.index += 1
        return self.match.update(detections, rows, shown)

    def stand(self, frames: int, *places: tuple[float, float], looks: Sequence[Look] = (), **more: object) -> Tracks:
        """Show squares that stand still for so many frames."""
        for _ in range(frames):
            tracks = self.step([square(*place) for place in places], looks, **more)  # type: ignore[arg-type]
        return tracks

    def wait(self, frames: int) -> Tracks:
        """Show nothing for so many frames."""
        for _ in range(frames):
            tracks = self.step([])
        return tracks


def square(x: float, y: float) -> tuple[float, float, float, float]:
    return x, y, SIDE, SIDE


def shift_for(overlap: float) -> float:
    """Return how far two squares are apart whose IoU is this."""
    return SIDE * (1 - overlap) / (1 + overlap)


def continued(tracks: Tracks) -> bool:
    """Tell whether the one track there was has this frame's detection, row 0."""
    return tracks.ids[tracks.detection == 0].tolist() == [1]


# Place


@pytest.mark.parametrize(("overlap", "same"), [(0.33, True), (0.27, False)])
def test_a_track_just_seen_may_change_its_shape_if_it_overlaps_enough(overlap: float, same: bool) -> None:
    world = World(confirm=1)
    world.stand(10, (100, 100))
    assert continued(world.step([(100, 100, SIDE, SIDE * overlap)])) is same


def test_a_track_that_was_missed_may_not() -> None:
    world = World(confirm=1)
    world.stand(10, (100, 100))
    world.wait(1)
    assert not continued(world.step([(100, 100, SIDE, SIDE * 0.4)]))


@pytest.mark.parametrize(("overlap", "same"), [(0.55, True), (0.45, False)])
def test_a_weak_detection_continues_only_what_it_overlaps_well(overlap: float, same: bool) -> None:
    world = World(confirm=1, start_score=0.5)
    world.stand(3, (100, 100))
    assert continued(world.step([square(100 + shift_for(overlap), 100)], scores=0.3)) is same
    assert continued(World(confirm=1).stand(3, (100, 100)))


def test_a_strong_detection_needs_no_such_overlap() -> None:
    world = World(confirm=1, start_score=0.5)
    world.stand(3, (100, 100))
    assert continued(world.step([square(100 + shift_for(0.45), 100)], scores=0.9))


@pytest.mark.parametrize(("score", "begun"), [(0.3, [1]), (0.2999, [])])
def test_a_score_of_exactly_start_score_starts_a_track(score: float, begun: list[int]) -> None:
    assert World(confirm=1, start_score=0.3).step([square(100, 100)], scores=score).ids.tolist() == begun


@pytest.mark.parametrize(("seconds", "same"), [(3.1, True), (3.6, False)])
def test_place_alone_takes_up_a_track_after_three_seconds_without_frames(seconds: float, same: bool) -> None:
    world = World(confirm=1, keep_ms=10_000)
    world.stand(20, (100, 100))
    world.wait(1)
    assert continued(world.step([square(100, 100)], after_ns=int((seconds - 0.2) * 1e9))) is same


@pytest.mark.parametrize(
    ("velocity", "start"),
    [((20, 0), (400, 200)), ((-20, 0), (180, 200)), ((0, 20), (300, 240)), ((0, -20), (300, 180))],
)
def test_who_walks_out_of_the_picture_is_forgotten(velocity: tuple[int, int], start: tuple[int, int]) -> None:
    world = World(confirm=1, keep_ms=10_000)
    for t in range(10):
        at = (start[0] + velocity[0] * t, start[1] + velocity[1] * t)
        world.step([square(*at)])
    world.wait(4)  # its centre is now beyond the border by expectation
    assert world.step([square(at[0] + 2 * velocity[0], at[1] + 2 * velocity[1])]).ids.tolist() == [2]


def test_who_stops_inside_the_picture_is_not_forgotten() -> None:
    world = World(confirm=1, keep_ms=10_000)
    world.stand(10, (-29, -29))  # its centre is in the first pixel
    world.wait(4)
    assert continued(world.step([square(-29, -29)]))


# Time


@pytest.mark.parametrize(("missed", "reported"), [(3, [1]), (4, [])])
def test_an_unseen_track_is_reported_up_to_coast_ms(missed: int, reported: list[int]) -> None:
    world = World(confirm=1, coast_ms=300)
    world.stand(5, (100, 100))
    assert world.wait(missed).ids.tolist() == reported


@pytest.mark.parametrize(("missed", "same"), [(4, True), (5, False)])
def test_an_unseen_track_can_be_found_up_to_keep_ms(missed: int, same: bool) -> None:
    world = World(confirm=1, coast_ms=100, keep_ms=500)
    world.stand(5, (100, 100))
    world.wait(missed)
    assert continued(world.step([square(100, 100)])) is same


def test_a_clock_that_goes_back_stands_still() -> None:
    world = World(confirm=1, coast_ms=300)
    for t in range(10):
        world.step([square(100 + 5 * t, 100)])
    earlier = -100 * PERIOD_NS  # a camera that was started again counts from 0
    assert continued(world.step([square(150, 100)], after_ns=earlier))
    assert world.step([], after_ns=earlier).ids.tolist() == [1]


# Looks


def seen_long(world: World, frames: int = 25, apart: float = 200, **more: object) -> None:
    """Show RED at 100 and BLUE beside it, until the matcher knows what the same and strangers look like."""
    world.stand(frames, (100, 100), (100 + apart, 100), looks=[RED, BLUE], **more)


def looks_decide(world: World, apart: float) -> bool:
    """Have RED and BLUE vanish and come back crossed, each a little nearer to the other's place: who is followed?"""
    world.wait(4)
    middle = 100 + apart / 2
    tracks = world.step([square(middle + 2, 100), square(middle - 2, 100)], [RED, BLUE])
    return tracks.ids[np.argsort(tracks.detection)].tolist() == [1, 2]


@pytest.mark.parametrize(("frames", "decide"), [(19, False), (20, True)])
def test_looks_decide_after_twenty_measured_distances(frames: int, decide: bool) -> None:
    world = World(confirm=1)
    seen_long(world, frames, apart=75)
    assert looks_decide(world, 75) is decide


@pytest.mark.parametrize(("overlap", "decide"), [(0.05, True), (0.15, False)])
def test_strangers_are_learned_from_boxes_that_hardly_overlap(overlap: float, decide: bool) -> None:
    apart = shift_for(overlap)
    world = World(confirm=1)
    seen_long(world, apart=apart)
    assert looks_decide(world, apart) is decide


def test_strangers_are_learned_within_a_class() -> None:
    """Of two classes in one picture it is known that they differ, and not how two of one class do."""
    world = World(confirm=1)
    seen_long(world, classes=[0, 1])
    world.wait(2)
    # Were strangers known, a look half way between RED and BLUE, and more, would be turned away: STRANGE.
    world.wait(4)
    assert continued(world.step([square(100, 100)], [BLUE]))


def between(share: float) -> Look:
    """Return the look that is so far from RED as this share of BLUE's distance."""
    return (1 - share, 0.0, share)


@pytest.mark.parametrize(("share", "same"), [(0.72, True), (0.78, False)])
def test_what_looks_strange_is_not_believed_to_have_come_back(share: float, same: bool) -> None:
    world = World(confirm=1, coast_ms=500)
    seen_long(world)
    world.wait(6)
    assert continued(world.step([square(100, 100)], [between(share)])) is same


def test_but_it_is_where_it_is_only_just_out_of_sight() -> None:
    world = World(confirm=1, coast_ms=500)
    seen_long(world)
    world.wait(4)
    assert continued(world.step([square(100, 100)], [between(0.95)]))


def test_who_comes_back_must_be_looked_at() -> None:
    world = World(confirm=1, coast_ms=500)
    seen_long(world)
    world.wait(6)
    assert not continued(world.step([square(100, 100)]))


@pytest.mark.parametrize(("share", "chosen"), [(0.4, 0), (0.6, 1)])
def test_looks_that_were_not_measured_count_as_half_way(share: float, chosen: int) -> None:
    world = World(confirm=1)
    seen_long(world)
    tracks = world.step([square(90, 100), square(110, 100)], [between(share), RED], embed=1)
    assert tracks.detection[tracks.ids == 1].tolist() == [chosen]


@pytest.mark.parametrize(("appearance", "chosen"), [(0.0, 0), (1.0, 1)])
def test_appearance_weighs_looks_against_place(appearance: float, chosen: int) -> None:
    world = World(confirm=1, appearance=appearance)
    seen_long(world)
    tracks = world.step([square(101, 100), square(110, 100)], [between(0.4), RED])
    assert tracks.detection[tracks.ids == 1].tolist() == [chosen]


def test_who_looks_even_more_alike_than_usual_is_no_better_than_alike() -> None:
    """Below the usual distance to itself all looks cost nothing, so place decides."""
    world = World(confirm=1)
    for t in range(40):  # RED's own looks waver, so that its usual distance to itself is not 0
        world.step([square(100, 100), square(300, 100)], [between(0.3 * (t % 2)), BLUE])
    remembered = between(0.15)
    tracks = world.step([square(101, 100), square(103, 100)], [between(0.2), remembered])
    assert tracks.detection[tracks.ids == 1].tolist() == [0]


def test_remembered_looks_are_nine_parts_old_and_one_part_new() -> None:
    world = World(confirm=1)
    world.stand(1, (100, 100), looks=[RED])
    assert world.stand(1, (100, 100), looks=[BLUE]).distance.tolist() == pytest.approx([2.0])
    assert world.stand(1, (100, 100), looks=[RED]).distance.tolist() == pytest.approx([0.2])


def test_the_first_looks_are_remembered_whole() -> None:
    world = World(confirm=1)
    world.stand(1, (100, 100))  # begins without being embedded
    assert np.isnan(world.stand(1, (100, 100), looks=[BLUE]).distance).all()
    assert world.stand(1, (100, 100), looks=[BLUE]).distance.tolist() == [0.0]


def test_the_scale_is_the_mean_until_200_and_forgets_slowly_after() -> None:
    scale = Scale()
    scale.learn([1.0, 2.0, 6.0])
    assert (scale.count, scale.mean) == (3, pytest.approx(3.0))
    scale.learn([3.0] * 400)
    scale.learn([203.0])
    assert (scale.count, scale.mean) == (200, pytest.approx(4.0, abs=0.01))


def test_what_may_be_either_of_two_teaches_nothing_of_the_same() -> None:
    """Two who stand close could be mistaken; what they look like then must not count as one individual's wavering."""
    world = World(confirm=1)
    seen_long(world, apart=75)
    near = shift_for(0.35)  # too much overlap to be strangers, and each in the other's gate
    close = square(137.5 - near / 2, 100), square(137.5 + near / 2, 100)
    for t in range(300):
        sway = 0.0 if t < 10 else 2.5 if t % 2 else -2.5
        world.step(close, [(1.0, sway, 0.0), (0.0, sway, 1.0)])
    assert looks_decide(world, 75)


def test_who_was_missed_teaches_nothing_of_the_same() -> None:
    world = World(confirm=1, coast_ms=10_000, keep_ms=10_000)
    seen_long(world)
    for t in range(200):  # each second frame it is missed, and looks other after that
        world.step([square(300, 100)], [BLUE])
        sway = 3.0 if t % 2 else -3.0
        world.step([square(100, 100), square(300, 100)], [(1.0, sway, 0.0), BLUE])
    tracks = world.step([square(101, 100), square(110, 100)], [between(0.6), RED])
    assert tracks.detection[tracks.ids == 1].tolist() == [1]


# What to embed


def test_whose_turn_was_longest_ago_comes_first_among_the_settled() -> None:
    world = World(confirm=1)
    places = [(100, 100), (300, 100), (500, 100)]
    world.stand(3, *places, looks=[RED, BLUE, RED])
    order = []
    for _ in range(4):
        world.stand(1, *places, looks=[RED, BLUE, RED], embed=1)
        order.append(int(world.plan.rows[0]))
    assert order == [0, 1, 2, 0]
    assert world.plan.urgent == 0


def test_a_track_is_settled_once_confirmed_embedded_and_just_seen() -> None:
    world = World(confirm=3)
    urgent = []
    for _ in range(5):
        world.stand(1, (100, 100), looks=[RED])
        urgent.append(world.plan.urgent)
    assert urgent == [1, 1, 1, 0, 0], "not before it is confirmed"
    world.wait(1)
    world.stand(1, (100, 100), looks=[RED])
    assert world.plan.urgent == 1, "not in the frame after it was missed"
    world.stand(1, (100, 100), looks=[RED])
    assert world.plan.urgent == 0

    never = World(confirm=1)
    never.stand(4, (100, 100))
    assert never.plan.urgent == 1, "not before it was embedded"


def test_two_that_could_be_mistaken_are_urgent() -> None:
    world = World(confirm=1)
    world.stand(4, (100, 100), (300, 100), looks=[RED, BLUE])
    assert world.plan.urgent == 0
    near = World(confirm=1)
    near.stand(4, (100, 100), (130, 100), looks=[RED, BLUE])
    assert near.plan.urgent == 2


def test_a_weak_detection_is_not_embedded() -> None:
    world = World(confirm=1, start_score=0.5)
    world.stand(4, (100, 100), looks=[RED])
    world.step([square(100, 100)], [RED], scores=0.4)
    assert len(world.plan.rows) == 0
