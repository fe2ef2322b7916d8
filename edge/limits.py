"""Limits on what comes in from outside, checked from headers before any memory is taken.

A small file can declare a large picture, array or archive. Each function here reads the few bytes that say how large
the content is, and refuses it in words before anything of that size exists.
"""

import io
import math
import os
import stat
import struct
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.errors import LimitError
from edge.picture_header import MOST_PIXELS, check_picture

__all__ = [
    "FREE_BYTES",
    "MOST_FILE_BYTES",
    "MOST_PIXELS",
    "MOST_TABLE_BYTES",
    "UNFOLDING",
    "LimitError",
    "check_picture",
    "check_unfolding",
    "check_zip",
    "open_file",
    "open_zip",
    "plain_name",
    "read_file",
    "read_npz",
    "read_table",
]

MEGA = 1_000_000

MOST_FILE_BYTES = 512 * MEGA
"""The largest file that is read whole: above an uncompressed picture of `MOST_PIXELS` with 16 bits a channel, and above
any model that a board with 1 GB of memory could run."""
MOST_TABLE_BYTES = 64 * MEGA
"""The largest table of text (.csv, ground truth): a million rows. Python needs up to forty times as much for it."""
FREE_BYTES = 64 * MEGA
"""What any archive may unfold to, however small it is: less than OpenCV and numpy need to be imported."""
UNFOLDING = 20
"""How many times its size an archive may unfold to beyond `FREE_BYTES`. Deflate gives 1.1 on trained weights,
about 2 on photographs and vectors, 5 to 15 on drawings; on zeros 1030."""
MOST_MEMBERS = 10_000
"""Files in one archive. The largest zoo model has under 1,000 arrays, a data set as .npz fewer than ten."""
MOST_DIRECTORY_BYTES = 4 * MEGA
"""The list of files at an archive's end, which Python reads whole when it opens one: 10,000 names of 300 bytes.
Each entry of 50 bytes becomes about 1 kB of memory."""
MOST_NAME_BYTES = 200
"""File systems allow 255 bytes; this leaves room for the suffixes of temporary files."""

_END_BYTES, _LOCATOR_BYTES, _END64_BYTES = 22, 20, 56
"""Records at the end of a zip archive: the end itself, and for 64-bit sizes a second one and where it stands."""
_CHUNK_BYTES = 1_000_000

_KINDS = {
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a zip version or method that Python does not know
    RuntimeError,
    ValueError,
    TypeError,
    SyntaxError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,  # Python's own parser raises it for a header that nests too deeply
    tokenize.TokenError,
    struct.error,
)


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading, and nothing else: a fifo, socket or device never blocks and is never touched.

    Raises:
        OSError: missing, or no right to read it.
        LimitError: not a regular file.
    """
    try:
        _check_regular(path.stat())  # before the open: opening a device can already do something
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        handle = os.open(path, flags)
    except ValueError as error:
        raise error if isinstance(error, LimitError) else LimitError("want a path, got one with a zero byte") from error
    try:
        _check_regular(os.fstat(handle))
    except LimitError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_file(path: Path, most_bytes: int = MOST_FILE_BYTES) -> bytes:
    """Read a whole regular file whose size is known before a byte is read.

    Raises:
        OSError: missing, or not readable.
        LimitError: not a regular file, or larger than `most_bytes`.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise LimitError(f"want at most {_size(most_bytes)}, got a file of {_size(size)}")
        return file.read(size)


def read_table(path: Path) -> io.StringIO:
    """Read a whole table of UTF-8 text, with or without a byte order mark, as a file of lines.

    Raises:
        OSError: missing, or not readable.
        LimitError: not a regular file, larger than `MOST_TABLE_BYTES`, or not UTF-8.
    """
    try:
        return io.StringIO(read_file(path, MOST_TABLE_BYTES).decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise LimitError(f"want a table of UTF-8 text, got other bytes ({error.reason})") from error


def plain_name(name: str) -> str:
    """Return a file name that may be shown on a terminal and written to a disk.

    Raises:
        LimitError: it has a slash, backslash, control, format, bidirectional or undecodable character, a leading dot,
            or not 1 to 200 bytes of UTF-8.
    """
    if not name or name.startswith("."):
        raise LimitError(f"want a file name without a dot in front, got {name[:MOST_NAME_BYTES]!r}")
    if "/" in name or "\\" in name or any(unicodedata.category(c) in _UNPLAIN for c in name):
        raise LimitError(f"want a file name of plain characters, got {name[:MOST_NAME_BYTES]!r}")
    length = len(name.encode())
    if length > MOST_NAME_BYTES:
        raise LimitError(f"want a file name of at most {MOST_NAME_BYTES} bytes, got {length} bytes")
    return name


_UNPLAIN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
"""Unicode's control, format (bidirectional ones included), surrogate, unassigned, line and paragraph separator."""


def check_unfolding(stored: int, unfolded: int, what: str) -> None:
    """Refuse something small that declares to become large.

    Args:
        stored: bytes that it has on disk.
        unfolded: bytes that it says to have when it is read.
        what: words for the message, such as "an archive".

    Raises:
        LimitError: more than `FREE_BYTES` and more than `UNFOLDING` times what is stored.
    """
    most = max(FREE_BYTES, UNFOLDING * stored)
    if unfolded > most:
        raise LimitError(f"want {what} of {_size(stored)} to unfold to {_size(most)} at most, got {_size(unfolded)}")


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open an archive whose directory is small enough to be read, and check it with `check_zip`.

    Raises:
        OSError: the file cannot be read.
        LimitError: not a whole zip archive, or one that `check_zip` refuses.
    """
    try:
        _check_directory(file)
        archive = zipfile.ZipFile(file)
    except LimitError:
        raise
    except _DAMAGE as error:
        raise LimitError(f"want a whole zip archive, got one that cannot be read ({error})") from error
    check_zip(archive)
    return archive


def check_zip(archive: zipfile.ZipFile) -> None:
    """Check an archive's members before one is read.

    Raises:
        LimitError: a name that is not plain or stands there twice, a link or other special file, an encrypted member,
            a compression other than deflate, too many members, or more bytes than `check_unfolding` allows.
    """
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise LimitError(f"want at most {MOST_MEMBERS} files in an archive, got {len(members)}")
    seen: set[str] = set()
    for member in members:
        path = member.orig_filename.removesuffix("/")
        for part in path.split("/"):
            plain_name(part)
        if path in seen:
            raise LimitError(f"want each file once in an archive, got {path!r} twice")
        seen.add(path)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise LimitError(f"want files and folders in an archive, got a link or device at {path!r}")
        if member.flag_bits & 0x41:
            raise LimitError(f"want an archive without a password, got {path!r} encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise LimitError(f"want files stored or deflated, got another compression of {path!r}")
    stored = sum(member.compress_size for member in members)
    if archive.fp is not None:  # members may overlap: what is stored is no more than the file has
        place = archive.fp.tell()
        stored = min(stored, archive.fp.seek(0, os.SEEK_END))
        archive.fp.seek(place)
    check_unfolding(stored, sum(member.file_size for member in members), "an archive")


def read_npz(source: Path | bytes) -> dict[str, NDArray[Any]]:
    """Read a numpy archive; each array's header is read before memory for the array is taken.

    Args:
        source: the file, or its content.

    Returns:
        The arrays by name: numbers, truth values, text or times; never Python objects.

    Raises:
        OSError: the file cannot be read.
        LimitError: not a regular file, not a whole archive of arrays, objects, or too large when unfolded.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open_file(source) as file, open_zip(file) as archive:
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in archive.infolist()}


def _size(count: int) -> str:
    return f"{count / MEGA:.1f} MB" if count >= MEGA else f"{count} bytes"


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LimitError(f"want a file, got {_KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}")


def _check_directory(file: BinaryIO) -> None:
    """Find the size of a zip archive's directory as Python's zipfile does, and compare it with the limit."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_BYTES - 65_535 - _LOCATOR_BYTES - _END64_BYTES))  # 65,535: the longest comment
    tail = file.read()
    end = len(tail) - _END_BYTES
    if not (tail[max(0, end) :].startswith(b"PK\5\6") and tail.endswith(b"\0\0")):
        end = tail.rfind(b"PK\5\6")
    if end < 0:
        raise LimitError("want a zip archive, got something else")
    sizes = struct.unpack_from("<I", tail, end + 12)
    if end >= _LOCATOR_BYTES and tail[end - _LOCATOR_BYTES :].startswith(b"PK\6\7"):
        (place,) = struct.unpack_from("<Q", tail, end - _LOCATOR_BYTES + 8)
        file.seek(min(place, size))  # newer Pythons look there, older ones just before the locator
        records = [file.read(_END64_BYTES), tail[max(0, end - _LOCATOR_BYTES - _END64_BYTES) :]]
        if not records[1].startswith(b"PK\6\6"):
            raise LimitError("want a zip archive, got one whose end is damaged")
        sizes = tuple(struct.unpack_from("<Q", r, 40)[0] for r in records if r.startswith(b"PK\6\6"))
    file.seek(0)
    if max(sizes) > MOST_DIRECTORY_BYTES:
        raise LimitError(f"want a list of files of at most {_size(MOST_DIRECTORY_BYTES)}, got {_size(max(sizes))}")


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array of an archive, whose size must be what its header declares."""
    name = member.filename
    try:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read_header = _HEADERS[version]
            shape, columns_first, kind = read_header(file)
            if kind.kind not in "biufcSUmM" or not kind.itemsize:
                raise LimitError(f"want arrays of numbers or text, got {str(kind)!r} in {name!r}")
            declared, here = math.prod(shape) * kind.itemsize, member.file_size - file.tell()
            if min(shape, default=0) < 0 or declared != here:
                raise LimitError(f"want {declared} bytes in {name!r} as its header says, got {here}")
            data = memoryview(bytearray(declared))
            for start in range(0, declared, _CHUNK_BYTES):
                chunk = data[start : start + _CHUNK_BYTES]
                piece = file.read(len(chunk))
                if len(piece) != len(chunk):
                    raise LimitError(f"want {declared} bytes in {name!r}, got fewer")
                chunk[:] = piece
        flat = np.frombuffer(data, kind)
        return flat.reshape(shape[::-1]).T if columns_first else flat.reshape(shape)
    except LimitError:
        raise
    except _DAMAGE as error:
        raise LimitError(f"want a whole numpy array in {name!r}, got a damaged one ({error})") from error


_HEADERS: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
