"""The whole loop beside bare invokes of the same models, frame by frame in one process.

Every frame is first run by the loop, then its models alone are run again on the tensors that are already there: once
the detector, and once the embedder for each crop. What the loop costs beyond that is what Python adds.
"""

import statistics
import threading
import time

import cv2
import numpy as np

from edge.budget import Budget
from edge.bundle import Task
from edge.config import Track
from edge.folders import BUILD_FOLDER, data_folder
from edge.loop import run
from edge.model import Model, default_bundle, open_model
from edge.profiler import Profiler
from edge.sources import open_source
from edge.stages.detect import Detect
from edge.stages.embed import Embed
from edge.stages.match import Match
from edge.types import FrameResult

LIMIT_MS = 3.0
"""What everything but invokes and video decoding may cost in a frame with 10 detections at 768 x 576."""
DETECTIONS = range(9, 12)
"""Frames that count as having 10 detections."""
SCORE = 0.2
"""Low enough that many frames of the film have 10 detections; all of them are embedded."""


FRAMES = 250
"""Length of the run; enough for a median, short enough for a slow machine."""


class Watch:
    """A sink that runs the models of each frame alone and notes both times."""

    wants_stop = False

    def __init__(self, detector: Model, embedder: Model) -> None:
        self._models = detector, embedder
        self._tensors = [[model.preprocessor.fit(np.full((64, 64, 3), 114, np.uint8))[0]] for model in self._models]
        self.rows: list[tuple[float, float, float]] = []

    def write(self, result: FrameResult) -> None:
        """Take one frame: loop without decoding, overhead, and bare invokes, all in milliseconds."""
        crops = len(result.detections)
        if crops not in DETECTIONS or result.shed:
            return
        before = time.perf_counter_ns()
        self._models[0].backend.invoke(self._tensors[0])
        for _ in range(crops):
            self._models[1].backend.invoke(self._tensors[1])
        bare = time.perf_counter_ns() - before
        stages = result.stage_ns
        spent = sum(stages[name] for name in ("preprocess", "detect", "embed", "match"))
        inside = stages["detect_invoke"] + stages["embed_invoke"]
        self.rows.append((spent / 1e6, (spent - inside) / 1e6, bare / 1e6))

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def main() -> float:
    """Print the figures; returns what the loop costs beside invokes and decoding, milliseconds a frame."""
    from models.weights import fetch

    cv2.setNumThreads(1)
    tasks: tuple[Task, Task] = ("detect", "embed")
    paths = [default_bundle(task, (BUILD_FOLDER, data_folder())) for task in tasks]
    with (
        open_model(paths[0], "detect", 2) as detector,
        open_model(paths[1], "embed", 2) as embedder,
        open_source(str(fetch("vtest"))) as film,
        Watch(detector, embedder) as watch,
    ):
        detect, embed = Detect(detector, ("person",), SCORE), Embed(embedder)
        match = Match(Track(start_score=SCORE), embed.metric, embed.dim)
        profiler = Profiler(10**12)
        run(film, detect, embed, match, [watch], Budget(10**12, embed.crop_ns), profiler, threading.Event(), FRAMES)
    spent, extra, bare = (statistics.median(column) for column in zip(*watch.rows, strict=True))
    names = f"{paths[0].name} + 10 x {paths[1].name}"
    print(f"\nloop beside bare invokes: {names}, 2 threads, {len(watch.rows)} frames")
    print(f"  bare invokes {bare:.2f} ms, the loop without video decoding {spent:.2f} ms: {spent / bare:.3f} x bare")
    print(f"  all but invoke and decode {extra:.2f} ms: {extra / LIMIT_MS:.2f} of the limit {LIMIT_MS} ms")
    return extra


if __name__ == "__main__":
    main()
