"""`edge-run` with every sink that writes files, killed and started again into the same places."""

import gzip
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

import edge.sinks.png
import edge.sinks.profile
from edge.cli import main_run
from edge.sinks.place import MARK
from models.siamese.crops import read_index
from tests.conftest import fake_bundle, square_positions
from tests.kill.part import Process, names_in
from tests.kill.video import films_lost

FRAMES = 150
FILM = "film.avi"
TASKS = ("detect", "embed")
OFTEN_S = 0.05
"""Between two pictures of `png:` and two profiles: so short that kills meet them being written."""
NUMBER = re.compile(r"out\.part-(\d{6})\.jsonl(\.gz)?")


class Sinks:
    """Runs one after the other; what each run wrote stays, and is whole."""

    name = "sinks"

    def __init__(self, home: Path) -> None:
        self._home = home
        self.results = home / "results"
        self.results.mkdir()
        made = Process(lambda: _make(home), home / "output")  # OpenCV's threads do not survive the fork of a run
        if not made.ended_within(60) or made.code:
            made.kill()
            raise SystemExit(f"sinks: want a film and two bundles within 60 s, got none; {made.words()}")
        bundles = [home / "bundles" / f"fake-{task}" for task in TASKS]
        # `jsonl:` comes first: what the others have may be a frame less. A sink that is added here is looked at in
        # `lost`, by a function such as `_pictures_lost` that says what of it is not whole.
        self._uris = ["jsonl:out.jsonl?rotate_mb=0.02&keep=100000", "folder:frames", "crops:crops?every_ms=0",
                      "png:last.png", "video:film.webm"]  # fmt: skip
        self._words = [
            *("--source", str(home / FILM), "--detector", str(bundles[0]), "--embedder", str(bundles[1])),
            *("--profile", "profile.json", "--budget-ms", "1000"),
            *(word for uri in self._uris for word in ("--sink", uri)),
        ]
        self._seen: dict[str, int] = {}
        self._films: dict[str, int] = {}

    def start(self) -> Process:
        def work() -> int:
            os.chdir(self.results)
            edge.sinks.png.EVERY_S = edge.sinks.profile.EVERY_S = OFTEN_S
            return main_run(self._words)

        return Process(work, self._home / "output")

    def listing(self) -> set[Path]:
        """Return what a run that ends well must not leave: locks, parts, rooms."""
        every = {path for path in self.results.rglob("*") if path.name.startswith(".") or path.suffix == ".part"}
        every -= {path for path in every if path.name == MARK}  # part of a run
        return every | names_in(self._home / "tmp")

    def lost(self) -> list[str]:
        try:
            runs = _frames_of_runs(self.results)
            words = [f"run {run}: {self._seen[run]} frames were there, now {len(runs.get(run, []))}"
                     for run in self._seen if self._seen[run] > len(runs.get(run, []))]  # fmt: skip
            self._seen = {run: len(frames) for run, frames in runs.items()}
            for run, frames in runs.items():
                if frames != list(range(len(frames))):
                    words.append(f"run {run}: frames are missing among {len(frames)}")
            last = list(runs.values())[-1] if runs else []
            return [*words, *_pictures_lost(self.results, len(last)), *_crops_lost(self.results / "crops"),
                    *_whole_files_lost(self.results),
                    *films_lost(self.results, [len(frames) for frames in runs.values()], self._films)]  # fmt: skip
        except (ValueError, OSError, EOFError) as error:
            return [f"{type(error).__name__}: {error}"]


def _make(home: Path) -> int:
    """Make the film and the bundles."""
    for task in TASKS:
        fake_bundle(home / "bundles", task)
    path = home / FILM
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (320, 240))
    for frame in range(FRAMES):
        image = np.zeros((240, 320, 3), np.uint8)
        for (x, y), color in zip(square_positions(frame % 60), ((40, 40, 230), (230, 40, 40)), strict=True):
            image[y : y + 40, max(x, 0) : x + 40] = color
        writer.write(image)
    writer.release()
    return 0


def _frames_of_runs(folder: Path) -> dict[str, list[int]]:
    """Return the numbers of the frames that stand in the lines of each run, the oldest run first.

    Raises:
        ValueError: a line is not whole.
    """
    parts: dict[int, Path] = {}
    for path in folder.iterdir():
        match = NUMBER.fullmatch(path.name)
        if match and (match[2] or int(match[1]) not in parts):
            parts[int(match[1])] = path
    runs: dict[str, list[int]] = defaultdict(list)
    active = [path for path in [folder / "out.jsonl"] if path.exists()]
    for path in [*(parts[number] for number in sorted(parts)), *active]:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data and not data.endswith(b"\n"):
            raise ValueError(f"{path.name}: its last line is not whole")
        for line in map(json.loads, data.splitlines()):
            if line["kind"] == "frame":
                runs[line["run"]].append(line["frame"])
    return dict(runs)


def _pictures_lost(folder: Path, frames: int) -> list[str]:
    """Say which picture of the last run is missing or not whole; the one of the frame in hand may be missing.

    Args:
        folder: of the results.
        frames: of the last run that has lines.
    """
    runs = sorted((folder / "frames").glob("run-*"))
    filled = [run for run in runs if any(run.glob("frame-*.jpg"))]
    if not filled:
        return ["no picture of the last run"] if frames > 1 else []
    pictures = sorted(filled[-1].glob("frame-*.jpg"))
    words = [f"{path.name}: not whole" for path in pictures if not path.read_bytes().endswith(b"\xff\xd9")]
    if frames > 1 and not frames - 1 <= len(pictures) <= frames:  # of one frame it may be an older run's folder
        words.append(f"{len(pictures)} pictures of {frames} frames")
    return words


def _crops_lost(folder: Path) -> list[str]:
    """Say which line of a recording has no whole picture."""
    if not any(index.stat().st_size for index in folder.glob("run-*/crops.jsonl")):
        return []
    crops = read_index(folder)
    files = [folder / crop.file for crop in crops]
    words = [f"{path}: missing" for path in files if not path.is_file()]
    last = files[-1].parents[1].name
    return words + [
        f"{path.name}: not whole"
        for path in files
        if last in path.parts and path.is_file() and not path.read_bytes().endswith(b"\xff\xd9")
    ]


def _whole_files_lost(folder: Path) -> list[str]:
    """Say whether the last picture or the profile is there and not whole, or was there and is gone."""
    words = []
    picture, profile = folder / "last.png", folder / "profile.json"
    if not picture.exists() or cv2.imread(str(picture)) is None:
        words.append("last.png: missing or not whole")
    if not profile.exists() or json.loads(profile.read_bytes())["frames"] < 1:
        words.append("profile.json: missing or empty")
    return words
