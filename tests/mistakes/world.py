"""The folder in which mistakes are made: a film, pictures, bundles, and a file system object of every odd kind."""

import contextlib
import ctypes
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.sources.source import quiet_opencv
from tests.conftest import fake_bundle

_OVER_RIGHTS = (1 << 1) | (1 << 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of Linux: with them root reads what nobody may."""
_VERSION_3 = 0x20080522


@dataclass(frozen=True)
class World:
    """What is there.

    Attributes:
        folder: holds it all; commands run in it.
        film: of 12 frames.
        picture: one PNG.
        pictures: a folder of three.
        detector: bundle of the fake runtime; so are the next ones.
        embedder: a bundle.
        classifier: a bundle.
        archive: the classifier as a zip.
        odd: name of an oddity -> what a person may have typed.
    """

    folder: Path
    film: Path
    picture: Path
    pictures: Path
    detector: Path
    embedder: Path
    classifier: Path
    archive: Path
    odd: dict[str, str]


def make_world(folder: Path) -> World:
    """Fill an empty folder."""
    quiet_opencv()  # FFmpeg reads its level when the first film is opened, here for writing
    folder.mkdir(parents=True, exist_ok=True)
    film, pictures = folder / "film.avi", folder / "pictures"
    pictures.mkdir()
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (160, 120))
    image = np.zeros((120, 160, 3), np.uint8)
    for number in range(12):
        image[40:80, 10 * number : 10 * number + 40] = (40, 40, 230)
        writer.write(image)
    writer.release()
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    for number in range(3):
        cv2.imwrite(str(pictures / f"{number}.png"), noise)
    shutil.copy(pictures / "0.png", folder / "picture.png")
    bundles = {task: fake_bundle(folder / task, task).path for task in ("detect", "embed", "classify")}
    archive = shutil.make_archive(
        str(folder / "classifier"), "zip", bundles["classify"].parent, bundles["classify"].name
    )
    return World(
        folder, film, folder / "picture.png", pictures, bundles["detect"], bundles["embed"], bundles["classify"],
        Path(archive), _oddities(folder),
    )  # fmt: skip


def _oddities(folder: Path) -> dict[str, str]:
    """Make one object of each kind; return what names them, and names of nothing."""
    odd = folder / "odd"
    odd.mkdir()
    (odd / "file").write_text("hello")
    (odd / "empty").touch()
    (odd / "folder").mkdir()
    (odd / "loop").symlink_to("loop")
    (odd / "dangling").symlink_to("nowhere")
    (odd / "locked").mkdir()
    (odd / "locked" / "x.mp4").touch()
    (odd / "secret").write_text("hello")
    os.mkfifo(odd / "fifo")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        handle = os.open(odd, os.O_RDONLY)  # by its number, for a socket's path may have 107 bytes at most
        server.bind(f"/proc/self/fd/{handle}/socket")
        os.close(handle)
    (odd / "locked").chmod(0)
    (odd / "secret").chmod(0)
    here = {path.name: str(path) for path in sorted(odd.iterdir())}
    return here | {
        "empty text": "",
        "blank": " ",
        "home of nobody": "~nobody-of-this-name/x",
        "user alone": "~nobody-of-this-name",
        "NUL": "a\0b",
        "long name": "n" * 300,
        "long path": "p/" * 3000,
        "very long": "v" * 100_000,
        "bytes": "\udcff\udcfe",
        "bytes.mp4": f"{odd}/\udcff/x.mp4",
        "surrogate": "\ud800",
        "newline": "a\nb",
        "escape": "\x1b[2Jx",
        "turned": "\u202egnp.x",
        "in a file": f"{odd}/file/x",
        "in a locked folder": f"{odd}/locked/x.mp4",
        "in a loop": f"{odd}/loop/x",
        "nowhere": f"{odd}/nowhere/x.mp4",
        "scheme": "foo://x",
        "no scheme": "://x",
        "windows": "C:\\films\\yard.mp4",
        "many digits": "9" * 5000,
        "options": "0?size=abc",
        "option of many digits": f"0?fps={'9' * 5000}",
        "percent": "%s%n%x",
        "star": "*.mp4",
    }


@contextlib.contextmanager
def without_privilege() -> Iterator[None]:
    """Let the rights of files bind root as well: its two capabilities to pass over them are laid down meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    before, now = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    known = libc.capget(header, before) == 0
    if known:
        now[:] = before[:]
        now[0] &= ~_OVER_RIGHTS
        libc.capset(header, now)
    try:
        yield
    finally:
        if known:
            libc.capset(header, before)
