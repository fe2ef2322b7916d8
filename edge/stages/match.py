"""Detections and embeddings -> Tracks: who of the last frames is who in this one.

One optimal assignment a frame, over arrays. A detection can belong to a track if it lies where the track's motion
allows (a gate on the squared Mahalanobis distance, or plain overlap for a track just seen) and has its class. What
it costs is a blend of place and looks. Looks are judged on a scale that the stage learns by itself, for any
embedder: the distance of a track to its own next embedding is "the same", the distance of two objects in one
picture, who cannot be the same individual, is "a stranger".
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from edge import boxes, motion
from edge.assignment import assign
from edge.config import Track
from edge.distance import METRICS
from edge.types import F32, I32, I64, NO_DETECTION, UNKNOWN, Detections, Frame, Tracks

Bool = NDArray[np.bool_]

NEAR_IOU = 0.3
"""Overlap from which a box may be a track just seen even if its shape jumped, half hidden, out of the gate."""
WEAK_IOU = 0.5
"""Overlap that a detection too weak to start a track must have with one it continues (ByteTrack's second
association, arXiv:2110.06864, and its code)."""
CLEAR_IOU = 0.1
"""Two detections that overlap by less show two individuals, each unmixed with the other."""
LAST_CHANCE = 35.0
"""What `motion.surprise` comes to in the very middle of the gate of a track unseen for 3 s. From there on place alone
takes no detection; looks may."""
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
class _Table:
    """All tracks, one row each.

    Attributes:
        ids: int64 (M,).
        state: float32 (5, 4, M), see `edge.motion`; the only field with the tracks along its last axis.
        scores: float32 (M,) of the last detection.
        classes: int32 (M,).
        hits: int32 (M,) frames in which it was seen.
        missed: int32 (M,) frames since it was last seen.
        unseen_s: float32 (M,) since it was last seen.
        looks: float32 (M, D) remembered embedding.
        unlooked_s: float32 (M,) since it was last embedded; inf = never, `looks` is meaningless.
    """

    ids: I64
    state: F32
    scores: F32
    classes: I32
    hits: I32
    missed: I32
    unseen_s: F32
    looks: F32
    unlooked_s: F32

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, mask: Bool) -> None:
        """Drop the rows that the mask (M,) does not choose."""
        if not mask.all():
            for field in fields(self):
                values = getattr(self, field.name)
                setattr(self, field.name, values[..., mask] if field.name == "state" else values[mask])

    def extend(self, other: "_Table") -> None:
        """Add the rows of another table."""
        if len(other):
            for field in fields(self):
                both = (getattr(self, field.name), getattr(other, field.name))
                setattr(self, field.name, np.concatenate(both, axis=-1 if field.name == "state" else 0))

    def see(self, rows: I64, places: F32, scores: F32) -> None:
        """Move the tracks in `rows` (S,) to these places (4, S), seen with these scores; the others missed a frame."""
        self.missed += 1
        self.state[..., rows] = motion.update(self.state[..., rows], places)
        self.scores[rows] = scores
        self.hits[rows] += 1
        self.missed[rows] = 0
        self.unseen_s[rows] = 0

    def remember(self, rows: I64, looks: F32, looked: Bool) -> None:
        """Blend the looks (S, D) of the tracks in `rows` (S,) into what is known of them, where they were taken."""
        rows, looks = rows[looked], looks[looked]
        keep = np.where(np.isfinite(self.unlooked_s[rows]), np.float32(MEMORY), np.float32(0))[:, None]
        self.looks[rows] = keep * self.looks[rows] + (1 - keep) * looks
        self.unlooked_s[rows] = 0


class _Scale:
    """Running mean of one kind of distance."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0

    def learn(self, distances: F32) -> None:
        """Take measured distances (N,) in."""
        for distance in distances.tolist():
            self.count = min(self.count + 1, WINDOW)
            self.mean += (distance - self.mean) / self.count


class Match:
    """Follows individuals. Call `plan`, then `update`, once a frame."""

    def __init__(self, how: Track, metric: str, dim: int) -> None:
        """Start with nobody.

        Args:
            how: the `[track]` settings.
            metric: key of `edge.distance.METRICS`, used where `how.metric` says `bundle`.
            dim: length D of an embedding.
        """
        self._how = how
        self._measure = METRICS[metric if how.metric == "bundle" else how.metric]
        self._next_id = 1
        self._last_ns: int | None = None
        none = Detections.none()
        empty = np.zeros(0, np.int64)
        self._tracks = _begin(empty, none, np.zeros((0, dim), np.float32), np.zeros(0, bool), empty)
        self._same, self._stranger = _Scale(), _Scale()
        # What `plan` found out about the frame, for `update`: detections as places (4, N), and for each track and
        # detection whether they can belong together and what the place costs, (M, N).
        self._places = np.zeros((4, 0), np.float32)
        self._possible = np.zeros((0, 0), bool)
        self._place = np.zeros((0, 0), np.float32)

    def plan(self, detections: Detections, frame: Frame) -> Plan:
        """Move all tracks to the frame's time and say which detections are worth an embedding."""
        self._move(frame)
        self._gate(detections)
        tracks = self._tracks
        strong = detections.scores >= self._how.start_score
        if len(tracks) and len(strong):
            suitors = self._possible.sum(axis=0)
            track = self._possible.argmax(axis=0)
            known = (tracks.missed == 0) & (tracks.hits >= self._how.confirm) & (tracks.unlooked_s < np.inf)
            alone = known & (self._possible.sum(axis=1) == 1)
            settled = strong & (suitors == 1) & alone[track]
            calm = settled.nonzero()[0]
            calm = calm[np.argsort(-tracks.unlooked_s[track[calm]], kind="stable")]
            urgent = (strong & ~settled).nonzero()[0]
            urgent = urgent[np.argsort(suitors[urgent] > 0, kind="stable")]  # the new ones first
            return Plan(np.concatenate([urgent, calm]).astype(np.int32), len(urgent))
        rows = strong.nonzero()[0].astype(np.int32)
        return Plan(rows, len(rows))

    def update(self, detections: Detections, rows: I32, embeddings: F32) -> Tracks:
        """Give the detections of the frame that `plan` saw to tracks, and begin new tracks.

        Args:
            detections: the same as given to `plan`.
            rows: int32 (K,) rows of the detections that were embedded.
            embeddings: float32 (K, D).
        """
        tracks = self._tracks
        looks = np.zeros((len(detections), tracks.looks.shape[1]), np.float32)
        looked = np.zeros(len(detections), bool)
        looks[rows], looked[rows] = embeddings, True
        distance = self._distances(looks, looked)
        column_of = assign(self._cost(distance), CEILING)
        found = column_of != NO_DETECTION
        seen = found.nonzero()[0]
        chosen = column_of[seen]
        measured = np.full(len(tracks), np.nan, np.float32)
        measured[seen] = distance[seen, chosen]
        if len(rows):
            self._learn(detections, looks, looked, measured)
            tracks.remember(seen, looks[chosen], looked[chosen])
        tracks.see(seen, self._places[:, chosen], detections.scores[chosen])
        alive = found | (tracks.hits >= self._how.confirm)  # an unconfirmed one dies at once
        tracks.keep(alive)
        detection, measured = column_of[alive].astype(np.int32), measured[alive]
        free = detections.scores >= self._how.start_score
        free[chosen] = False
        if free.any():
            fresh = free.nonzero()[0]
            ids = np.arange(self._next_id, self._next_id + len(fresh))
            tracks.extend(_begin(ids, detections, looks, looked, fresh))
            self._next_id += len(fresh)
            detection = np.concatenate([detection, fresh.astype(np.int32)])
            measured = np.concatenate([measured, np.full(len(fresh), np.nan, np.float32)])
        return self._report(detection, measured)

    def _move(self, frame: Frame) -> None:
        """Predict all tracks to the frame's time; forget the unseen that left the picture or whose time is up."""
        seconds = 0.0 if self._last_ns is None else max(0.0, (frame.t_source_ns - self._last_ns) / 1e9)
        self._last_ns = frame.t_source_ns
        tracks = self._tracks
        if not len(tracks):
            return
        tracks.state = motion.predict(tracks.state, seconds)
        tracks.unseen_s += np.float32(seconds)
        tracks.unlooked_s += np.float32(seconds)
        if tracks.missed.any():
            rows, columns = frame.image.shape[:2]
            x, y = tracks.state[motion.POSITION, :2]
            inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
            tracks.keep((tracks.missed == 0) | (inside & (tracks.unseen_s <= self._how.keep_ms / 1e3)))

    def _gate(self, detections: Detections) -> None:
        """Find which detection may belong to which track, and what its place costs."""
        tracks = self._tracks
        self._places = boxes.xyxy_to_cxcywh(detections.boxes)
        overlap = boxes.iou(boxes.cxcywh_to_xyxy(tracks.state[motion.POSITION]), detections.boxes)
        squared, widened = motion.surprise(tracks.state, self._places)
        near = (overlap >= NEAR_IOU) & (tracks.missed == 0)[:, None]
        self._possible = (squared <= motion.GATE) | near
        self._possible &= tracks.classes[:, None] == detections.classes
        strong = detections.scores >= self._how.start_score
        if not strong.all():
            self._possible &= strong | (overlap >= WEAK_IOU)
        place = (squared + widened) * np.float32(1 / LAST_CHANCE)
        self._place = np.where(near, np.minimum(place, 1 - overlap), place)

    def _distances(self, looks: F32, looked: Bool) -> F32:
        """Measure (M, N) distances of looks where a pair is possible and both are known; NaN elsewhere."""
        distance = np.full(self._possible.shape, np.nan, np.float32)
        if not looked.any():
            return distance
        known = self._tracks.unlooked_s < np.inf
        pairs = (self._possible & known[:, None] & looked).nonzero()
        if len(pairs[0]):
            distance[pairs] = self._measure(self._tracks.looks, looks, pairs)
        return distance

    def _cost(self, distance: F32) -> NDArray[np.float64]:
        """Blend place and looks to a cost (M, N), inf where a pair is impossible."""
        possible = self._possible
        cost = self._place.astype(np.float64)
        gap = self._stranger.mean - self._same.mean
        if min(self._same.count, self._stranger.count) >= ENOUGH and gap > 0:
            lost = (self._tracks.unseen_s > self._how.coast_ms / 1e3)[:, None]
            unknown = np.isnan(distance)
            looks = np.where(unknown, UNMEASURED, (distance - self._same.mean) / gap)
            cost = (1 - self._how.appearance) * cost + self._how.appearance * np.maximum(looks, 0)
            possible = possible & ~(lost & (unknown | (looks >= STRANGE)))
        return np.where(possible, cost, np.inf)

    def _learn(self, detections: Detections, looks: F32, looked: Bool, measured: F32) -> None:
        """Take in what the same and what strangers look like: pairs that place alone makes sure of."""
        alone = (self._possible.sum(axis=1) == 1) & (self._tracks.missed == 0)
        self._same.learn(measured[alone & (measured == measured)])  # NaN = not measured
        rows = looked.nonzero()[0]
        apart = np.triu(boxes.iou(detections.boxes[rows], detections.boxes[rows]) < CLEAR_IOU, 1)
        apart &= detections.classes[rows][:, None] == detections.classes[rows][None]
        first, second = np.nonzero(apart)
        few = slice(None, None, max(1, len(first) // 8))
        if len(first):
            self._stranger.learn(self._measure(looks, looks, (rows[first[few]], rows[second[few]])))

    def _report(self, detection: I32, measured: F32) -> Tracks:
        """Make the frame's value: confirmed tracks, seen or coasting."""
        tracks = self._tracks
        shown = ((tracks.hits >= self._how.confirm) & (tracks.unseen_s <= self._how.coast_ms / 1e3)).nonzero()[0]
        return Tracks(
            ids=tracks.ids[shown],
            boxes=boxes.cxcywh_to_xyxy(tracks.state[motion.POSITION][:, shown]),
            scores=tracks.scores[shown],
            classes=tracks.classes[shown],
            detection=detection[shown],
            identity=np.full(len(shown), UNKNOWN),
            distance=measured[shown],
        )


def _begin(ids: I64, detections: Detections, looks: F32, looked: Bool, rows: I64) -> _Table:
    """Make the table of new tracks from these rows of the detections."""
    n = len(rows)
    return _Table(
        ids=ids,
        state=motion.start(boxes.xyxy_to_cxcywh(detections.boxes[rows])),
        scores=detections.scores[rows],
        classes=detections.classes[rows],
        hits=np.ones(n, np.int32),
        missed=np.zeros(n, np.int32),
        unseen_s=np.zeros(n, np.float32),
        looks=looks[rows],
        unlooked_s=np.where(looked[rows], 0, np.inf).astype(np.float32),
    )
