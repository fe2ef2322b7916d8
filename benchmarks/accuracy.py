"""Judge a run's JSONL against a MOTChallenge ground truth: AP50 of the detections, IDF1, MOTA and HOTA of the tracks.

    python -m benchmarks.accuracy RESULT.jsonl GT.txt [--class person]

Rows of the ground truth with confidence 0 count as neither wanted nor wrong. Tracking metrics are TrackEval's
(`pip install trackeval`), the code behind MOTChallenge's own tables. Coasting tracks are left out, as are the
detections that no track took: what is judged is what a track says it sees.
"""

import argparse
import gzip
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from converters.average_precision import IGNORED, IOU_LIMIT, Boxes, average_precision
from edge.boxes import iou
from edge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of one frame: boxes float32 (N, 4) xyxy, ids int64 (N,), counted bool (N,)."""

    boxes: NDArray[np.float32]
    ids: NDArray[np.int64]
    counted: NDArray[np.bool_]


NOBODY = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))


def read_truth(path: Path) -> dict[int, Truth]:
    """Read a MOTChallenge gt.txt; frames are counted from 0 here."""
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    truth = {}
    for frame in np.unique(rows[:, 0]).astype(int):
        here = rows[rows[:, 0] == frame]
        boxes = np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1).astype(np.float32)
        truth[int(frame) - 1] = Truth(boxes, here[:, 1].astype(np.int64), here[:, 6] != 0)
    return truth


def read_result(path: Path) -> list[dict[str, Any]]:
    """Read the frames of the last run in a file of JSON lines and its closed parts, or in a single closed part.

    Raises:
        ConfigError: no frames, or a run whose beginning is not there: its figures would be those of its tail.
    """
    frames: list[dict[str, Any]] = []
    for part in [*_closed_parts(path), path]:
        data = gzip.decompress(part.read_bytes()) if part.suffix == ".gz" else part.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]  # a kill or a power cut may leave half a line
        frames += [line for line in map(msgspec.json.decode, whole.splitlines()) if line["kind"] == "frame"]
    if not frames:
        raise ConfigError(f"{path}: want lines of frames, got none; give the file of a run")
    last = [frame for frame in frames if frame["run"] == frames[-1]["run"]]
    if last[0]["frame"] != 0:
        raise ConfigError(
            f"{path}: want a whole run, got one from frame {last[0]['frame']} on; run again with a larger keep="
        )
    return last


def _closed_parts(path: Path) -> list[Path]:
    """Return the closed parts of a file, oldest first; of two with one number the packed one."""
    name = re.compile(rf"{re.escape(path.stem)}\.part-([0-9]+){re.escape(path.suffix)}(\.gz)?")
    found = [(int(match[1]), entry) for entry in path.parent.iterdir() if (match := name.fullmatch(entry.name))]
    return [entry for _, entry in sorted(dict(sorted(found)).items())]


def detection(frames: list[dict[str, Any]], truth: dict[int, Truth], label: str) -> float:
    """Return AP50 of one class."""
    found, wanted = [], []
    for frame in frames:
        here = truth.get(frame["frame"], NOBODY)
        mine = sorted((d for d in frame["detections"] if d["class"] == label), key=lambda d: -d["score"])
        boxes = np.array([d["box"] for d in mine], np.float32).reshape(-1, 4)
        found.append((boxes, np.array([d["score"] for d in mine]), np.zeros(len(mine), np.int64)))
        wanted.append(Boxes(here.boxes, np.where(here.counted, 0, IGNORED)))
    return average_precision(found, wanted)


def tracking(frames: list[dict[str, Any]], truth: dict[int, Truth], label: str) -> dict[str, float]:
    """Return HOTA, IDF1, MOTA (percent) and id switches as TrackEval counts them."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    data: dict[str, Any] = defaultdict(list)
    for frame in frames:
        here = truth.get(frame["frame"], NOBODY)
        shown = [t for t in frame["tracks"] if t["class"] == label and not t["coasting"]]
        boxes = np.array([t["box"] for t in shown], np.float32).reshape(-1, 4)
        ids = np.array([t["id"] for t in shown], np.int64)
        overlap = iou(here.boxes, boxes)
        keep = _not_ignored(overlap, here.counted)
        data["gt_ids"].append(here.ids[here.counted])
        data["tracker_ids"].append(ids[keep])
        data["similarity_scores"].append(overlap[here.counted][:, keep])
    for kind in ("gt_ids", "tracker_ids"):  # TrackEval wants numbers from 0 without gaps
        every = np.unique(np.concatenate(data[kind]))
        data[kind] = [np.searchsorted(every, ids) for ids in data[kind]]
        data[f"num_{kind}"] = len(every)
        data[f"num_{kind[:-4]}_dets"] = sum(map(len, data[kind]))
    data["num_timesteps"] = len(frames)
    quiet = {"PRINT_CONFIG": False}
    clear = CLEAR(quiet).eval_sequence(data)
    return {
        "HOTA": 100 * float(np.mean(HOTA().eval_sequence(data)["HOTA"])),
        "IDF1": 100 * float(Identity(quiet).eval_sequence(data)["IDF1"]),
        "MOTA": 100 * float(clear["MOTA"]),
        "switches": float(clear["IDSW"]),
    }


def _not_ignored(overlap: NDArray[np.float32], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose the boxes (M,) that do not belong to an uncounted person, given overlaps (N, M): MOTChallenge's rule."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-np.where(overlap >= IOU_LIMIT, overlap, 0))
    taken = (overlap[rows, columns] >= IOU_LIMIT) & ~counted[rows]
    keep = np.ones(overlap.shape[1], bool)
    keep[columns[taken]] = False
    return keep


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser("benchmarks.accuracy", description="Judge a run against a MOTChallenge gt.txt.")
    parser.add_argument("result", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--class", dest="label", default="person")
    flags = parser.parse_args()
    try:
        frames, truth = read_result(flags.result), read_truth(flags.truth)
    except ConfigError as error:
        sys.exit(str(error))
    print(f"AP50 {detection(frames, truth, flags.label):.4f} over {len(frames)} frames")
    print("  ".join(f"{name} {value:.1f}" for name, value in tracking(frames, truth, flags.label).items()))


if __name__ == "__main__":
    main()
