"""One archive for each finished model: `NAME.zip`, whole or not at all, and the folder `NAME/` unpacked from it.

The zip is the truth: it is replaced first, and a folder that does not agree with it is unpacked again.
"""

import errno
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import refusal
from edge.whole import recover, replace_folder, staging, write_file

DAMAGE = (
    OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, NotImplementedError, RuntimeError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What Keras, h5py and zipfile raise for a file that ends too early or was changed: they name no class of their own."""

STAMP_FILE = "stamp.txt"
MODEL_FILE = "model.keras"


def finished(folder: Path, stamp: str) -> bool:
    """Tell whether `folder` holds the model of this stamp; mend it where a kill left it, from its archive if need be.

    Args:
        folder: of the model, `build/models/NAME`.
        stamp: says what the model was made from, see `run.Job.stamp`.
    """
    archive = archive_of(folder)
    try:
        recover(folder)
        with zipfile.ZipFile(archive) as packed:
            if packed.read(STAMP_FILE).decode() != stamp:
                return False
            if not _unpacked(folder, packed):
                _unpack(packed, folder)
    except DAMAGE:
        return False
    return True


def archive_of(folder: Path) -> Path:
    """Return the archive that belongs to a model's folder."""
    return folder.with_name(f"{folder.name}.zip")


@contextmanager
def writing(folder: Path, stamp: str) -> Iterator[Path]:
    """Give a temporary folder to fill; on leaving, archive it as `NAME.zip` and put it in the place of `folder`.

    Args:
        folder: of the model; an older one is replaced.
        stamp: written beside the model, see `finished`.

    Yields:
        An empty folder on the same disk.

    Raises:
        OutputError: the disk is full or the place cannot be written; nothing half-written is left behind.
        ConfigError: another name would mend it.
    """
    archive = archive_of(folder)
    with writable(folder), staging(folder.parent) as work:
        inside = work / folder.name
        inside.mkdir()
        yield inside
        (inside / STAMP_FILE).write_text(stamp)
        packed = work / archive.name
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
            for path in sorted(inside.rglob("*")):
                if path.is_file():
                    target.write(path, path.relative_to(inside))
        with packed.open("rb") as file:
            os.fsync(file.fileno())
        packed.replace(archive)
        replace_folder(inside, folder)


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as a compressed `.npz`, whole or not at all; none of them may be of objects.

    Raises:
        OSError: the disk is full or the place cannot be written.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    write_file(path, packed.getvalue())


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one sentence.

    Raises:
        OutputError: an OSError came out of the block: disk full, read-only, no right to write.
        ConfigError: one that another name would mend.
    """
    try:
        yield
    except OSError as error:
        todo = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another folder"
        raise refusal(error, f"{path}: want a place to write, got '{error.strerror or error}'; {todo}") from error


def _unpacked(folder: Path, packed: zipfile.ZipFile) -> bool:
    """Tell whether every file of the archive is in the folder at its size, and of the same model."""
    stamp = folder / STAMP_FILE
    return (
        stamp.is_file()
        and stamp.read_bytes() == packed.read(STAMP_FILE)
        and all(
            (folder / entry.filename).is_file() and (folder / entry.filename).stat().st_size == entry.file_size
            for entry in packed.infolist()
        )
    )


def _unpack(packed: zipfile.ZipFile, folder: Path) -> None:
    with staging(folder.parent) as work:
        packed.extractall(work / folder.name)
        replace_folder(work / folder.name, folder)
