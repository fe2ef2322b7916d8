"""What each track looked like, as a folder of pictures: the raw material of `models pairs mine`.

    DIR/run-0001/crops.jsonl         one `Crop` a line, written after its picture
    DIR/run-0001/<track>/<frame>.jpg what was inside the detection's box
    DIR/run-0002/...                 the next run, with tracks of its own

All tracks seen in a frame are recorded together, so that the file also tells who was in sight at the same time.
"""

import errno
import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import cv2
import msgspec
import numpy as np

from edge import boxes
from edge.preprocess import cut_out
from edge.redact import hide_password
from edge.sinks.options import number, split_options
from edge.sinks.place import MARK, begin_run, claim_runs, drop_empty_run, marked_runs
from edge.sinks.sink import Output, class_name, named_folder, unwritable
from edge.types import U8, FrameResult

INDEX_FILE = "crops.jsonl"
EVERY_MS = 200.0
"""Source time between two recorded frames: someone who walks has moved on, and someone who stands costs little."""
MAX_MB = 500.0
RESERVE_BYTES = 64 << 20
"""Recording stops while this much disk is free: a board without room cannot even be logged in to."""
JPEG_QUALITY = 95
OPTIONS = {"every_ms": number(0, 1e9), "max_mb": number(0, 1e9)}
SHARPNESS_SIDE = 64
"""Height in pixels at which sharpness is measured, so that far and near individuals can be compared."""

_log = logging.getLogger(__name__)


class Crop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of `crops.jsonl`.

    Attributes:
        file: path of the picture, from the folder that holds the index.
        frame: number of the source's frame, from 0.
        t_ms: the source's own time.
        track: id, never used twice in a recording.
        klass: name of the class.
        box: xyxy pixels of the frame.
        score: of the detection, 0..1.
        sharpness: variance of the Laplacian of the gray crop, scaled to a height of `SHARPNESS_SIDE`.
        covered: share of the box inside the one other detection that covers most of it, 0..1.
        cut: True where the box touches the border of the picture.
    """

    file: str
    frame: int
    t_ms: float
    track: int
    klass: str
    box: tuple[float, float, float, float]
    score: float
    sharpness: float
    covered: float
    cut: bool


class CropsSink:
    """Records crops until its share of the disk is used up, then goes on without; a loop never ends for that."""

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Make the folder of this run in that of "crops:DIR?every_ms=200&max_mb=500".

        `max_mb` bounds all runs in DIR together. With `output.overwrite`, older runs are removed.

        Raises:
            ConfigError: no path, an unknown option, or another process that records there.
            OutputError: no right to write, a full disk.
        """
        self.wants_stop = False
        self._uri, self._labels = uri, output.labels
        place, given = split_options(uri, rest, OPTIONS)
        options = {"every_ms": EVERY_MS, "max_mb": MAX_MB, **given}
        self._every_ns = int(float(options["every_ms"]) * 1e6)
        folder = named_folder(uri, place)
        self._due_ns = -1
        self._encoder, self._count = msgspec.json.Encoder(), 0
        try:
            folder.mkdir(exist_ok=True)
            _check_room(folder)
            self._claim = claim_runs(folder, uri)
            try:
                older = marked_runs(folder, "crops")
                used = _tidy(older)
                self._emptied = older if output.overwrite else []  # with the first recorded frame
                self._left = max(0, int(float(options["max_mb"]) * 1e6) - (0 if output.overwrite else used))
                self._folder = begin_run(folder, "crops")
                self._index = (self._folder / INDEX_FILE).open("ab", buffering=0)
            except OSError:
                self._claim.close()
                raise
        except OSError as error:
            raise unwritable(uri, error) from error
        self.place = hide_password(f"crops:{self._folder}")
        if not self._left:
            _log.warning("sink %s: its share of the disk is used up by older runs; nothing is recorded", uri)

    def write(self, result: FrameResult) -> None:
        """Record the tracks seen in this frame, if it is time for one.

        Raises:
            OutputError: the disk is full or gone; what was recorded before stays whole.
        """
        now_ns = result.frame.t_source_ns
        rows = [row for row, sight in enumerate(result.tracks.detection.tolist()) if sight >= 0]
        if not rows or not self._left or now_ns < self._due_ns:
            return
        self._due_ns = now_ns + self._every_ns
        try:
            _check_room(self._folder)
            while self._emptied:
                shutil.rmtree(self._emptied.pop())
            self._record(result, rows)
        except OSError as error:
            raise unwritable(self._uri, error) from error

    def close(self) -> None:
        """Close the index; a run that recorded nothing leaves nothing."""
        if self._index.closed:
            return
        self._index.close()
        if not self._count:
            with suppress(OSError):
                (self._folder / INDEX_FILE).unlink()
            drop_empty_run(self._folder)
        self._claim.close()

    def __enter__(self) -> "CropsSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, result: FrameResult, rows: list[int]) -> None:
        """Write pictures, then the lines that speak of them."""
        frame, tracks, found = result.frame, result.tracks, result.detections
        covered = boxes.covered(found.boxes)
        height, width = frame.image.shape[:2]
        lines, pictures = [], []
        for row in rows:
            sight, track = int(tracks.detection[row]), int(tracks.ids[row])
            box = found.boxes[sight]
            crop = cut_out(frame.image, box)
            data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            name = f"{track:06d}/{frame.index:08d}.jpg"
            line = Crop(
                file=name, frame=frame.index, t_ms=round(frame.t_source_ns * 1e-6, 3), track=track,
                klass=class_name(self._labels, int(tracks.classes[row])),
                box=tuple(round(value, 2) for value in box.tolist()),
                score=round(float(found.scores[sight]), 4), sharpness=round(sharpness(crop), 2),
                covered=round(float(covered[sight]), 4),
                cut=bool((box[:2] < 1).any() or box[2] > width - 1 or box[3] > height - 1),
            )  # fmt: skip
            lines.append(self._encoder.encode(line) + b"\n")
            pictures.append((name, data[1].tobytes()))
        if not (self._folder / INDEX_FILE).exists():  # a line without a place would be lost unseen
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        size = sum(map(len, lines)) + sum(len(data) for _, data in pictures)
        if size > self._left:
            self._left = 0
            _log.warning("sink %s: its share of the disk is used up; %d crops recorded", self._uri, self._count)
            return
        for name, picture in pictures:
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            part = path.with_suffix(".part")
            part.write_bytes(picture)
            part.replace(path)
        os.write(self._index.fileno(), b"".join(lines))
        self._left -= size
        self._count += len(lines)


def _check_room(folder: Path) -> None:
    """See that the disk keeps its reserve.

    Raises:
        OSError: it does not, or is gone.
    """
    free = shutil.disk_usage(folder).free
    if free < RESERVE_BYTES:
        room = f"{free >> 20} MB free of the {RESERVE_BYTES >> 20} MB that are left to the system"
        raise OSError(errno.ENOSPC, room)


def sharpness(crop: U8) -> float:
    """Return the variance of the Laplacian of the gray crop at a height of `SHARPNESS_SIDE` (Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", ICPR 2000); levels squared."""
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    width = max(3, round(crop.shape[1] * SHARPNESS_SIDE / crop.shape[0]))
    return float(np.var(cv2.Laplacian(cv2.resize(gray, (width, SHARPNESS_SIDE)), cv2.CV_32F)))


def _tidy(runs: Sequence[Path]) -> int:
    """Remove what killed runs left half-way.

    Returns:
        Bytes of the files that stay.

    Raises:
        OSError: a folder cannot be read or written.
    """
    size = 0
    for run in runs:
        for inside, _, names in os.walk(run):
            for path in map(Path(inside).joinpath, names):
                if path.suffix == ".part":
                    path.unlink(missing_ok=True)
                else:
                    size += path.lstat().st_size
        if {entry.name for entry in run.iterdir()} == {MARK, INDEX_FILE} and not (run / INDEX_FILE).stat().st_size:
            (run / INDEX_FILE).unlink()
            drop_empty_run(run)
    return size
