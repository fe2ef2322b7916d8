"""WebM files that can be played at any moment of their making: every picture is on its way to the disk at once.

WebM is the part of Matroska (RFC 9559) that browsers play. What is not known before the end, the length and where the
table of contents is, has a place at the front: the length is filled in with every picture, the rest at `close`.
"""

import os
import struct
from pathlib import Path

CLUSTER_MS = 30_000
"""A cluster ends after this at the latest: its blocks count milliseconds in 16 bits with a sign."""
_UNKNOWN = (1 << 56) - 1
_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER, _CUES = (
    0x1A45DFA3,
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0x1F43B675,
    0x1C53BB6B,
)
_VOID, _DURATION, _SEEK_HEAD, _SEEK = 0xEC, 0x4489, 0x114D9B74, 0x4DBB
_SEEK_ROOM = 64
"""Bytes kept free for the pointer to the table of contents, which has 27."""


class WebmFile:
    """One VP8 track, written picture by picture."""

    def __init__(self, path: Path, size: tuple[int, int], codec: str = "V_VP8", fresh: bool = False) -> None:
        """Make the file, or empty the one that is there, and write its beginning.

        Args:
            path: of the file.
            size: (width, height) of all pictures.
            codec: Matroska's name of it.
            fresh: True to refuse a file that is there.

        Raises:
            OSError: it cannot be written.
        """
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if fresh else os.O_TRUNC)
        self._file = os.open(path, flags, 0o666)
        self._cluster = -1  # where the open cluster begins, -1 = none is open
        self._cluster_ms = self._end_ms = 0
        self._cues: list[tuple[int, int]] = []  # time, where its cluster begins
        kind = b"webm" if path.suffix.lower() == ".webm" else b"matroska"
        versions = b"".join(_number(key, value) for key, value in ((0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8)))
        head = _element(_EBML, versions + _element(0x4282, kind) + _number(0x4287, 2) + _number(0x4285, 2))
        head += _key(_SEGMENT) + _size(_UNKNOWN)
        self._start = len(head)  # positions inside the file count from here
        head += _void(_SEEK_ROOM)
        names = _element(0x4D80, b"edge-run") + _element(0x5741, b"edge-run")
        info = _number(0x2AD7B1, 1_000_000) + names + _void(11)
        head += _element(_INFO, info)
        self._duration_at = len(head) - 11
        video = _element(0xE0, _number(0xB0, size[0]) + _number(0xBA, size[1]))
        track = b"".join(_number(key, value) for key, value in ((0xD7, 1), (0x73C5, 1), (0x83, 1), (0x9C, 0)))
        head += _element(_TRACKS, _element(0xAE, track + _element(0x86, codec.encode()) + video))
        self._end = 0
        try:
            self._append(head)
        except OSError:
            self.close()
            raise

    def add(self, data: bytes, time_ms: int, end_ms: int, key: bool) -> None:
        """Write one picture; after a return it survives the death of the process.

        Args:
            data: the coded picture.
            time_ms: since the beginning, not before the last one.
            end_ms: until when it is shown.
            key: True for a key frame.

        Raises:
            OSError: the disk is full or gone. The file ends with the picture before and plays.
        """
        block = b""
        fresh = self._cluster < 0 or key or time_ms - self._cluster_ms > CLUSTER_MS
        if fresh:
            block = _key(_CLUSTER) + _size(_UNKNOWN) + _number(0xE7, time_ms)
        relative = 0 if fresh else time_ms - self._cluster_ms
        payload = b"\x81" + struct.pack(">hB", relative, 0x80 if key else 0) + data
        before = self._end
        self._append(block + _element(0xA3, payload))
        self._end_ms = end_ms
        if fresh:
            self._close_cluster(before)
            self._cluster, self._cluster_ms = before, time_ms
            if key:
                self._cues.append((time_ms, before - self._start))
        self._write_duration()

    def close(self) -> None:
        """Write the table of contents and close; a file without a picture is removed. May be called twice.

        Raises:
            OSError: no room for the table. The file plays without it.
        """
        if self._file < 0:
            return
        try:
            if self._cluster < 0:
                self._path.unlink(missing_ok=True)
                return
            self._close_cluster(self._end)
            self._write_duration()
            points = b""
            for time_ms, position in self._cues:
                track = _number(0xF7, 1) + _number(0xF1, position)
                points += _element(0xBB, _number(0xB3, time_ms) + _element(0xB7, track))
            table_at = self._end
            if points:
                self._append(_element(_CUES, points))
                seek = _element(0x53AB, _key(_CUES)) + _number(0x53AC, table_at - self._start)
                head = _element(_SEEK_HEAD, _element(_SEEK, seek))
                os.pwrite(self._file, head + _void(_SEEK_ROOM - len(head)), self._start)
            os.pwrite(self._file, _size(self._end - self._start), self._start - 8)
        finally:
            os.close(self._file)
            self._file = -1

    def _append(self, data: bytes) -> None:
        """Write all of it, or nothing."""
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._end + done)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)

    def _close_cluster(self, end: int) -> None:
        if self._cluster >= 0:
            os.pwrite(self._file, _size(end - self._cluster - 12), self._cluster + 4)

    def _write_duration(self) -> None:
        os.pwrite(self._file, _element(_DURATION, struct.pack(">d", self._end_ms)), self._duration_at)


def _key(key: int) -> bytes:
    return key.to_bytes((key.bit_length() + 7) // 8, "big")


def _size(size: int) -> bytes:
    """Eight bytes, so that it can be filled in later."""
    return ((1 << 56) | size).to_bytes(8, "big")


def _element(key: int, payload: bytes) -> bytes:
    short = len(payload) < 127
    return _key(key) + (bytes([0x80 | len(payload)]) if short else _size(len(payload))) + payload


def _number(key: int, value: int) -> bytes:
    return _element(key, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _void(size: int) -> bytes:
    """Return an element of this many bytes, 2 to 128, that players skip."""
    return _element(_VOID, bytes(size - 2))
