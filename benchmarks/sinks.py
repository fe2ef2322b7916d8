"""What the sinks that draw cost beside the loop's own work: the same frames of a film, with boxes, into each."""

import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from edge.recording import new_run
from edge.sinks import Output, open_sink
from edge.sources import open_source
from edge.types import Detections, Frame, FrameResult, Tracks

FRAMES = 100
TRACKS = 10
SINKS = ("video:{}/film.webm", "folder:{}/jpg", "folder:{}/png?format=png", "jsonl:{}/lines.jsonl")


def main(own_ms: float) -> None:
    """Print the figures.

    Args:
        own_ms: what the loop costs in a frame beside its models and the decoding.
    """
    from models.weights import fetch

    cv2.setNumThreads(1)
    with open_source(str(fetch("vtest"))) as film:
        results = [_with_boxes(frame) for _ in range(FRAMES) if (frame := film.read()) is not None]
    print(f"\nsinks: {FRAMES} frames of 768 x 576 with {TRACKS} tracks; the loop's own work is {own_ms:.2f} ms a frame")
    with tempfile.TemporaryDirectory() as folder:
        output = Output(("person",), 10.0, new_run("film", "", {}, {}))
        for uri in SINKS:
            spent, before = [], time.process_time()
            with open_sink(uri.format(folder), output) as sink:
                for result in results:
                    began = time.perf_counter()
                    sink.write(result)
                    spent.append((time.perf_counter() - began) * 1e3)
            busy = (time.process_time() - before) * 1e3 / FRAMES
            bytes_each = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / FRAMES
            name = uri.format("").replace(":/", ":")
            print(f"  {name:<24} {statistics.median(spent):6.2f} ms, {busy:6.2f} ms of processor: "
                  f"{busy / own_ms:5.2f} x the loop's own work; {bytes_each / 1e3:5.1f} kB")  # fmt: skip
            for path in sorted(Path(folder).rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()


def _with_boxes(frame: Frame) -> FrameResult:
    middle = np.random.default_rng(frame.index // 25).uniform((60, 80), (700, 500), (TRACKS, 2)) + frame.index % 25
    half = np.array((20, 50))
    boxes = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    scores, classes = np.full(TRACKS, 0.8, np.float32), np.zeros(TRACKS, np.int32)
    rows, nobody = np.arange(TRACKS, dtype=np.int32), np.full(TRACKS, -1)
    tracks = Tracks(np.arange(1, TRACKS + 1), boxes, scores, classes, rows, nobody, np.full(TRACKS, np.nan, np.float32))
    return FrameResult(frame, Detections(boxes, scores, classes), tracks)
