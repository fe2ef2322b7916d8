"""Association alone: no pictures, no models. Ours beside ByteTrack of `supervision`, same boxes, same process.

Objects walk at constant speed over a 1920 x 1080 picture with 1 px of noise; 3 % of the sights are missing.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import supervision as sv

from edge.config import Track
from edge.stages.match import Match
from edge.types import Detections, Frame

LIMIT_MS = 0.3
"""What 20 objects may cost."""

PICTURE = np.zeros((1080, 1920, 3), np.uint8)
Step = Callable[[int, np.ndarray, np.ndarray], None]


def walk(objects: int, frames: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Make the detections of every frame: boxes float32 (N, 4) and scores float32 (N,)."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform((50, 50), (1850, 900), (objects, 2)), rng.uniform(-3, 3, (objects, 2))
    scenes = []
    for _ in range(frames):
        place = place + speed
        speed = np.where((place < 20) | (place > (1850, 950)), -speed, speed)
        seen = rng.random(objects) > 0.03
        corner = (place + rng.normal(0, 1, place.shape))[seen]
        boxes = np.concatenate([corner, corner + np.array((45, 110))], axis=1).astype(np.float32)
        scenes.append((boxes, rng.uniform(0.6, 0.95, len(boxes)).astype(np.float32)))
    return scenes


def ours() -> Step:
    """Return a step of `edge.stages.match`, embeddings left out."""
    match = Match(Track(), "manhattan", 1280)
    nothing, none = np.zeros(0, np.int32), np.zeros((0, 1280), np.float32)

    def step(number: int, boxes: np.ndarray, scores: np.ndarray) -> None:
        detections = Detections(boxes, scores, np.zeros(len(boxes), np.int32))
        match.plan(detections, Frame(number, 0, PICTURE, t_source_ns=number * 33_333_333))
        match.update(detections, nothing, none)

    return step


def bytetrack() -> Step:
    """Return a step of supervision's ByteTrack."""
    tracker = sv.ByteTrack()

    def step(number: int, boxes: np.ndarray, scores: np.ndarray) -> None:
        del number
        tracker.update_with_detections(sv.Detections(boxes, confidence=scores, class_id=np.zeros(len(boxes), int)))

    return step


def main() -> None:
    """Print the table."""
    print(f"\nassociation, ms a frame (median of 5 rounds of 200 frames); limit {LIMIT_MS} ms at 20 objects")
    print(f"{'objects':>8}{'edge-run':>10}{'ByteTrack':>11}{'ratio':>8}{'of limit':>10}")
    for objects in (5, 20, 50, 100):
        rounds: dict[str, list[float]] = {"ours": [], "peer": []}
        for seed in range(5):
            scenes = walk(objects, 200, seed)
            for name, make in (("ours", ours), ("peer", bytetrack)):  # turn and turn about: the machine may be noisy
                step, spent = make(), []
                for number, (boxes, scores) in enumerate(scenes):
                    before = time.perf_counter()
                    step(number, boxes, scores)
                    spent.append(time.perf_counter() - before)
                rounds[name].append(1e3 * statistics.median(spent))
        mine, theirs = statistics.median(rounds["ours"]), statistics.median(rounds["peer"])
        of_limit = f"{mine / LIMIT_MS:.2f}" if objects == 20 else ""
        print(f"{objects:>8}{mine:>10.3f}{theirs:>11.3f}{theirs / mine:>7.1f}x{of_limit:>10}")


if __name__ == "__main__":
    main()
