"""A folder of pictures, or a single picture, as a source."""

import logging
import re
import time
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edge.errors import LimitError, SourceError
from edge.limits import check_picture, plain_name, read_file
from edge.quiet import quietly
from edge.redact import hide_password, printable
from edge.sources.source import quiet_opencv
from edge.types import U8, Frame

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
NOMINAL_FPS = 10.0
"""Pictures carry no time; motion is measured as if one were taken every 100 ms."""

_DAMAGE = re.compile("Corrupt JPEG|Premature end")
"""How libjpeg tells of a picture that it decodes all the same."""
_log = logging.getLogger(__name__)


class Pictures:
    """The pictures of a folder, in the order in which a person would number them (2 before 10).

    A picture that cannot be decoded is skipped with one line of warning, which names it, and leaves a gap
    in `Frame.index`, so the n-th file stays frame n. A folder in which none could be decoded is an error.
    Folders inside the folder are not entered.
    """

    live = False

    def __init__(self, path: Path) -> None:
        """List the pictures of a folder; a path to one picture is a folder of one.

        Raises:
            SourceError: no such folder, no picture in it, or the single picture cannot be decoded.
        """
        self.name = f"pictures {printable(hide_password(str(path)))}"
        self.size: tuple[int, int] | None = None  # each has its own
        self.fps: float | None = NOMINAL_FPS
        self.dropped = 0
        self._paths = _list_pictures(path, self.name)
        self.frames: int | None = len(self._paths)
        self._next = 0
        self._given = 0
        if self.frames == 1:
            read_picture(self._paths[0])

    def read(self) -> Frame | None:
        """Decode the next picture; None after the last.

        Raises:
            SourceError: after the last, if no picture could be decoded.
        """
        while self._next < len(self._paths):
            index, self._next = self._next, self._next + 1
            begin_ns = time.monotonic_ns()
            try:
                image = read_picture(self._paths[index])
            except SourceError as error:
                _log.warning("%s; it is skipped", error)
                self.dropped += 1
                continue
            now_ns = time.monotonic_ns()
            self._given += 1
            return Frame(
                index, now_ns, image, round(index * 1e9 / NOMINAL_FPS), now_ns - begin_ns, self._paths[index].name
            )
        if self._paths and not self._given:
            raise SourceError(
                f"{self.name}: want pictures, got {len(self._paths)} files, none of which could be decoded; check them"
            )
        return None

    def close(self) -> None:
        """Forget the pictures that were not read yet."""
        self._paths = []

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _list_pictures(path: Path, name: str) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        found = [p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{name}: want a folder of pictures, got '{error.strerror}'; check the path") from error
    if not found:
        raise SourceError(
            f"{name}: want a folder with pictures (jpg, png, bmp, webp...), got none in it; check the path"
        )
    return sorted(found, key=lambda p: [(int(s), "") if s.isdecimal() else (-1, s) for s in re.split(r"(\d+)", p.name)])


def read_picture(path: Path) -> U8:
    """Read one picture, uint8 (H, W, 3) RGB, turned upright as its EXIF says.

    PNG, JPEG, BMP, WebP, TIFF or PNM, told by content; its size is known from its header before it is decoded.

    Raises:
        SourceError: missing, no regular file, a name that is not plain, empty, cut short, too large or no picture.
    """
    name = f"picture {printable(hide_password(str(path)))}"
    try:
        plain_name(path.name)
        data = read_file(path)
        if data:
            check_picture(data)
    except OSError as error:
        raise SourceError(f"{name}: want a readable file, got '{error.strerror}'; check the path") from error
    except LimitError as error:
        raise SourceError(f"{name}: {error}; replace, rename or remove it") from error
    quiet_opencv()
    whole = not data.startswith(b"\xff\xd8\xff") or data.rfind(b"\xff\xd9", len(data) // 2) >= 0
    try:  # half a JPEG would be decoded with a grey lower half, so it is refused by its missing end mark
        with quietly() as said:  # libpng and libjpeg speak for themselves
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data and whole else None
    except cv2.error:
        bgr = None
    if bgr is None:
        got = "an empty file" if not data else "something that cannot be decoded" if whole else "the first part of one"
        raise SourceError(f"{name}: want a whole picture, got {got}; replace or remove it")
    damage = next(filter(_DAMAGE.match, said), None)
    if damage is not None:
        _log.warning("%s: damaged, and used as far as it could be decoded: '%s'", name, printable(damage))
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
