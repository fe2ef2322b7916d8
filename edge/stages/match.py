"""Detections and embeddings -> Tracks: who of the last frames is who in this one.

One optimal assignment a frame, over arrays. A detection can belong to a track if it lies where the track's motion
allows (a gate on the squared Mahalanobis distance, or plain overlap for a track just seen) and has its class. What
it costs is a blend of place and looks. Looks are judged on a scale that the stage learns by itself, for any
embedder: the distance of a track to its own next embedding is "the same", the distance of two objects in one
picture, who cannot be the same individual, is "a stranger".

Arithmetic runs over arrays, decisions over plain numbers: a frame has a dozen objects, and of all pairs only about
as many are possible, fewer than an array operation takes to get going.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf, isnan, nan

import numpy as np

from edge import boxes, motion
from edge.assignment import choose
from edge.config import Track
from edge.distance import METRICS, Measure
from edge.types import F32, I32, I64, NO_DETECTION, UNKNOWN, Detections, Frame, Tracks

NEAR_IOU = 0.3
"""Overlap from which a box may be a track just seen even if its shape jumped, half hidden, out of the gate."""
NEAR_REACH = np.array((1 / NEAR_IOU - 1) / 2, np.float32)
"""Two boxes that overlap by NEAR_IOU have centres no farther apart than so many sides of either, in x and in y."""
WEAK_IOU = 0.5
"""Overlap that a detection too weak to start a track must have with one it continues (ByteTrack's second
association, arXiv:2110.06864, and its code)."""
CLEAR_IOU = 0.1
"""Two detections that overlap by less show two individuals, each unmixed with the other."""
LAST_CHANCE = 35.0
"""What the squared distance and the widening of `motion` come to in the very middle of the gate of a track that a
source without frames left unseen for 3.3 s. From there on place alone takes no detection; looks may."""
CEILING = 1.0
"""Price of leaving a track without a detection."""
UNMEASURED = 0.5
"""Looks of a pair that was not measured count as half way between the same and a stranger."""
STRANGE = 0.75
"""Looks from which a track that is out of sight is not believed to have come back."""
MEMORY = 0.9
"""Share of the old in a track's remembered looks at each new sight (BoT-SORT, arXiv:2206.14651, section 3.3)."""
ENOUGH = 20
"""Measured distances of each kind before looks are judged at all."""
WINDOW = 200
"""Measured distances that the learned scale averages over."""

_SQUARED_GATE = np.array(motion.GATE, np.float32)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which detections should be embedded.

    Attributes:
        rows: int32 (K,) rows of the detections, most urgent first.
        urgent: how many of them are new or ambiguous; motion alone follows the others safely.
    """

    rows: I32
    urgent: int


@dataclass(slots=True)
class _Track:
    """One individual; its place and its looks are columns and rows of the arrays in `Match`.

    Attributes:
        id: never reused.
        klass: index into the labels.
        score: of the last detection.
        seen_frame: number of the frame in which it was last seen.
        seen_ns: `Match`'s clock then.
        looked_ns: that clock when it was last embedded; None = never.
        hits: frames in which it was seen.
    """

    id: int
    klass: int
    score: float
    seen_frame: int
    seen_ns: int
    looked_ns: int | None
    hits: int = 1


@dataclass(slots=True)
class _Gate:
    """What `plan` finds out about a frame, for `update`.

    Attributes:
        places: float32 (4, N) of the detections, see `edge.motion`.
        variance: float32 (4, M) with which the tracks were expected.
        strong: of each detection, whether it may start a track.
        choices: of each track, how many detections may belong to it.
        suitors: of each detection, how many tracks it may belong to.
        tracks, sights, costs: of each possible pair: row of the track, ascending, row of the detection, ascending
            within a track, and what the place costs.
    """

    places: F32
    variance: F32
    strong: list[bool]
    choices: list[int]
    suitors: list[int]
    tracks: list[int] = field(default_factory=list)
    sights: list[int] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


class Scale:
    """Running mean of one kind of distance."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0

    def learn(self, distances: Iterable[float]) -> None:
        """Take measured distances in."""
        for distance in distances:
            self.count = min(self.count + 1, WINDOW)
            self.mean += (distance - self.mean) / self.count


class Match:
    """Follows individuals. Call `plan`, then `update`, once a frame."""

    def __init__(self, how: Track, metric: str, dim: int, measure: Measure | None = None) -> None:
        """Start with nobody.

        Args:
            how: the `[track]` settings.
            metric: key of `edge.distance.METRICS`, used where `how.metric` says `bundle`.
            dim: length D of an embedding.
            measure: a learned distance that takes the metric's place; see `edge.stages.compare`.
        """
        self._how = how
        self._measure = measure or METRICS[metric if how.metric == "bundle" else how.metric]
        self._coast_ns, self._keep_ns = int(how.coast_ms * 1e6), int(how.keep_ms * 1e6)
        self._start_score = float(np.float32(how.start_score))  # as precise as the scores it is compared with
        self._next_id = 1
        self._frame = 0  # frames planned so far
        self._clock_ns = 0  # the source's time since the first of them; never goes back
        self._last_ns: int | None = None
        # All tracks, in one order: who they are, (5, 4, M) where they are (see `edge.motion`), (M, D) how they look.
        self._tracks: list[_Track] = []
        self._state = np.zeros((5, 4, 0), np.float32)
        self._looks = np.zeros((0, dim), np.float32)
        self._same, self._stranger = Scale(), Scale()
        self._gate: _Gate | None = None

    def plan(self, detections: Detections, frame: Frame) -> Plan:
        """Move all tracks to the frame's time and say which detections are worth an embedding."""
        self._move(frame)
        gate = self._gate = self._find_possible(detections)
        looked_ns = self._settled(gate)
        new: list[int] = []
        ambiguous: list[int] = []
        for row, strong in enumerate(gate.strong):
            if strong and row not in looked_ns:
                (ambiguous if gate.suitors[row] else new).append(row)
        settled = sorted(looked_ns, key=looked_ns.__getitem__)
        return Plan(np.array(new + ambiguous + settled, np.int32), len(new) + len(ambiguous))

    def update(self, detections: Detections, rows: I32, embeddings: F32) -> Tracks:
        """Give the detections of the frame that `plan` saw to tracks, and begin new tracks.

        Args:
            detections: the same as given to `plan`.
            rows: int32 (K,) rows of the detections that were embedded.
            embeddings: float32 (K, D).
        """
        gate = self._gate
        assert gate is not None, "plan comes first"
        look = {row: number for number, row in enumerate(rows.tolist())}  # row of a detection -> row of `embeddings`
        distances = self._distances(gate, look, embeddings)
        chosen = choose(gate.tracks, gate.sights, self._costs(gate, distances), CEILING)
        seen, taken = [gate.tracks[pair] for pair in chosen], [gate.sights[pair] for pair in chosen]
        detection, measured = [NO_DETECTION] * len(self._tracks), [nan] * len(self._tracks)
        for pair, track, sight in zip(chosen, seen, taken, strict=True):
            detection[track], measured[track] = sight, distances[pair]
        if look:
            self._learn(gate, detections, look, embeddings, measured)
            self._remember([(t, look[s]) for t, s in zip(seen, taken, strict=True) if s in look], embeddings)
        self._see(gate, detection, detections)
        # An unconfirmed track dies at once.
        alive = [row for row, one in enumerate(self._tracks) if detection[row] >= 0 or one.hits >= self._how.confirm]
        if len(alive) < len(self._tracks):
            self._keep(alive)
            detection, measured = [detection[row] for row in alive], [measured[row] for row in alive]
        given = set(taken)
        fresh = [row for row, strong in enumerate(gate.strong) if strong and row not in given]
        if fresh:
            self._begin(gate, fresh, detections, look, embeddings)
        return self._report(detection + fresh, measured + [nan] * len(fresh))

    def _move(self, frame: Frame) -> None:
        """Predict all tracks to the frame's time; forget the unseen that left the picture or whose time is up."""
        passed = 0 if self._last_ns is None else max(0, frame.t_source_ns - self._last_ns)
        self._last_ns = frame.t_source_ns
        self._clock_ns += passed
        self._frame += 1
        if not self._tracks:
            return
        self._state = motion.predict(self._state, passed / 1e9)
        before = self._frame - 1
        lost = [row for row, one in enumerate(self._tracks) if one.seen_frame != before]
        if lost:
            height, width = frame.image.shape[:2]
            xs, ys = self._state[motion.POSITION, :2].tolist()
            oldest = self._clock_ns - self._keep_ns
            gone = set()
            for row in lost:
                inside = 0 <= xs[row] < width and 0 <= ys[row] < height
                if not inside or self._tracks[row].seen_ns < oldest:
                    gone.add(row)
            if gone:
                self._keep([row for row in range(len(self._tracks)) if row not in gone])

    def _find_possible(self, detections: Detections) -> _Gate:
        """Find which detection may belong to which track, and what its place costs."""
        places, position = boxes.xyxy_to_cxcywh(detections.boxes), self._state[motion.POSITION]
        variance, widened = motion.expect(self._state)
        # Whatever is possible has its centre this near, in x and in y; only those pairs are looked at closely.
        reach = np.sqrt(variance[:2] * _SQUARED_GATE)
        np.maximum(reach, position[2:] * NEAR_REACH, out=reach)
        off: F32 = places[:2, None] - position[:2, :, None]
        close = np.abs(off, out=off) <= reach[:, :, None]
        rows, sights = (close[0] & close[1]).nonzero()
        ours, theirs = position.take(rows, axis=1), places.take(sights, axis=1)
        squared = motion.squared_distance(theirs - ours, variance.take(rows, axis=1)).tolist()
        overlaps = boxes.iou_of_places(ours, theirs).tolist()
        strong = [score >= self._start_score for score in detections.scores.tolist()]
        gate = _Gate(places, variance, strong, [0] * len(self._tracks), [0] * len(strong))
        klass_of, wider, tracks, before = detections.classes.tolist(), widened.tolist(), self._tracks, self._frame - 1
        for row, sight, distance, overlap in zip(rows.tolist(), sights.tolist(), squared, overlaps, strict=True):
            one = tracks[row]
            near = overlap >= NEAR_IOU and one.seen_frame == before
            if not near and distance > motion.GATE:
                continue
            if one.klass != klass_of[sight] or (overlap < WEAK_IOU and not strong[sight]):
                continue
            cost = (distance + wider[row]) / LAST_CHANCE
            gate.tracks.append(row)
            gate.sights.append(sight)
            gate.costs.append(min(cost, 1 - overlap) if near else cost)
            gate.choices[row] += 1
            gate.suitors[sight] += 1
        return gate

    def _distances(self, gate: _Gate, look: dict[int, int], embeddings: F32) -> list[float]:
        """Measure the distance of looks of each possible pair where both are known; NaN elsewhere."""
        distances = [nan] * len(gate.tracks)
        if look:
            pairs = [
                (pair, row, look[sight])
                for pair, (row, sight) in enumerate(zip(gate.tracks, gate.sights, strict=True))
                if sight in look and self._tracks[row].looked_ns is not None
            ]
            if pairs:
                numbers, ours, theirs = np.array(pairs, np.intp).T
                measured = self._measure(self._looks, embeddings, (ours, theirs)).tolist()
                for pair, distance in zip(numbers.tolist(), measured, strict=True):
                    distances[pair] = distance
        return distances

    def _costs(self, gate: _Gate, distances: list[float]) -> list[float]:
        """Blend place and looks to the cost of each possible pair, inf where looks forbid it."""
        gap = self._stranger.mean - self._same.mean
        if min(self._same.count, self._stranger.count) < ENOUGH or gap <= 0:
            return gate.costs
        weight, costs = self._how.appearance, []
        coasting = self._clock_ns - self._coast_ns
        for row, place, distance in zip(gate.tracks, gate.costs, distances, strict=True):
            looks = UNMEASURED if isnan(distance) else (distance - self._same.mean) / gap
            lost = self._tracks[row].seen_ns < coasting
            forbidden = lost and (isnan(distance) or looks >= STRANGE)
            costs.append(inf if forbidden else (1 - weight) * place + weight * max(looks, 0.0))
        return costs

    def _learn(
        self, gate: _Gate, detections: Detections, look: dict[int, int], embeddings: F32, measured: list[float]
    ) -> None:
        """Take in what the same and what strangers look like: pairs that place alone makes sure of."""
        self._same.learn(
            distance
            for one, choices, distance in zip(self._tracks, gate.choices, measured, strict=True)
            if choices == 1 and one.seen_frame == self._frame - 1 and not isnan(distance)
        )
        rows = np.array(sorted(look), np.intp)
        first, second = (rows.take(half) for half in _couples(len(look)))
        overlap = boxes.iou_of_places(gate.places.take(first, axis=1), gate.places.take(second, axis=1))
        apart = overlap < CLEAR_IOU
        apart &= detections.classes.take(first) == detections.classes.take(second)
        few = apart.nonzero()[0]
        if len(few):
            few = few[:: max(1, len(few) // 8)]
            pairs = [np.array([look[row] for row in half.take(few).tolist()], np.intp) for half in (first, second)]
            self._stranger.learn(self._measure(embeddings, embeddings, (pairs[0], pairs[1])).tolist())

    def _remember(self, pairs: list[tuple[int, int]], embeddings: F32) -> None:
        """Blend the looks of seen tracks into what is known of them; pairs are rows of tracks and of embeddings."""
        if not pairs:
            return
        rows, looks = np.array(pairs, np.intp).T
        keep = np.array([[0.0 if self._tracks[row].looked_ns is None else MEMORY] for row, _ in pairs], np.float32)
        blend = self._looks.take(rows, axis=0)
        blend *= keep
        news = embeddings.take(looks, axis=0)
        news *= 1 - keep
        blend += news
        self._looks[rows] = blend
        for row, _ in pairs:
            self._tracks[row].looked_ns = self._clock_ns

    def _see(self, gate: _Gate, detection: list[int], detections: Detections) -> None:
        """Move each track to the row of its detection, if it has one."""
        if not len(detections) or not detection:
            return
        scores, unseen = detections.scores.tolist(), []
        for row, (one, sight) in enumerate(zip(self._tracks, detection, strict=True)):
            if sight == NO_DETECTION:
                unseen.append(row)
            else:
                one.score, one.seen_frame, one.seen_ns = scores[sight], self._frame, self._clock_ns
                one.hits += 1
        if unseen:
            gate.variance[:, unseen] = inf  # whatever place is taken for theirs (the last one) moves them by nothing
        motion.update(self._state, gate.variance, gate.places.take(detection, axis=1))

    def _keep(self, rows: list[int]) -> None:
        """Forget all tracks but those in these rows."""
        self._tracks = [self._tracks[row] for row in rows]
        self._state, self._looks = self._state.take(rows, axis=2), self._looks.take(rows, axis=0)

    def _begin(
        self, gate: _Gate, rows: list[int], detections: Detections, look: dict[int, int], embeddings: F32
    ) -> None:
        """Begin a track at each of these rows of the detections."""
        looks = np.zeros((len(rows), self._looks.shape[1]), np.float32)
        for number, row in enumerate(rows):
            looked_ns = self._clock_ns if row in look else None
            if row in look:
                looks[number] = embeddings[look[row]]
            klass, score = int(detections.classes[row]), float(detections.scores[row])
            self._tracks.append(_Track(self._next_id, klass, score, self._frame, self._clock_ns, looked_ns))
            self._next_id += 1
        begun = motion.start(gate.places.take(rows, axis=1))
        self._state = np.concatenate([self._state, begun], axis=2)
        self._looks = np.concatenate([self._looks, looks])

    def _settled(self, gate: _Gate) -> dict[int, int]:
        """Return the rows of detections that motion follows safely, ascending, and when their track was embedded."""
        looked_ns = {}
        before, confirm = self._frame - 1, self._how.confirm
        for row, sight in zip(gate.tracks, gate.sights, strict=True):
            if gate.choices[row] == gate.suitors[sight] == 1 and gate.strong[sight]:
                one = self._tracks[row]
                if one.looked_ns is not None and one.seen_frame == before and one.hits >= confirm:
                    looked_ns[sight] = one.looked_ns
        return dict(sorted(looked_ns.items()))

    def _report(self, detection: list[int], measured: list[float]) -> Tracks:
        """Make the frame's value: confirmed tracks, seen or coasting."""
        oldest, confirm = self._clock_ns - self._coast_ns, self._how.confirm
        rows = [row for row, one in enumerate(self._tracks) if one.hits >= confirm and one.seen_ns >= oldest]
        shown = [self._tracks[row] for row in rows]
        return Tracks(
            ids=np.array([one.id for one in shown], np.int64),
            boxes=boxes.cxcywh_to_xyxy(self._state[motion.POSITION].take(rows, axis=1)),
            scores=np.array([one.score for one in shown], np.float32),
            classes=np.array([one.klass for one in shown], np.int32),
            detection=np.array([detection[row] for row in rows], np.int32),
            identity=np.full(len(rows), UNKNOWN),
            distance=np.array([measured[row] for row in rows], np.float32),
        )


@lru_cache(maxsize=32)
def _couples(n: int) -> tuple[I64, I64]:
    """Return all pairs of two out of `n`: the first and the second of each, in order."""
    first, second = np.triu_indices(n, 1)
    return first, second
