"""Libraries that write to standard error by themselves, kept from standing before our own sentence.

OpenCV, FFmpeg and ONNX Runtime have switches, which are set where they are opened. LiteRT's line about its delegate,
libpng's, libjpeg's and those of OpenCV's own AVI reader have none: they go to file descriptor 2 from C. While such a
library is at work, that descriptor leads to memory; afterwards all that is not a line of a library is written on.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

_CHATTER = re.compile(
    rb"INFO: |ERROR: |libpng (warning|error): |Corrupt JPEG data: |Premature end of JPEG|Invalid SOS |"
    rb"Unsupported marker |Unexpected (element|list type|frame)|TIFF\w*: |Invalid JPEG "
)
"""How the lines begin that are dropped: of LiteRT, libpng, libjpeg, OpenCV's AVI reader, libtiff. Our own
warnings begin with WARNING, and we log no errors; tracebacks begin otherwise."""

_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def quietly() -> Iterator[list[str]]:
    """Drop what libraries write to standard error meanwhile; what else is written comes out a moment later.

    Threads may use it at the same time: each waits for the other, the same thread may nest it. It costs 30 us; a
    process that dies inside takes its last lines along.

    Returns:
        A list that holds, after the body, the lines that were dropped.
    """
    dropped: list[str] = []
    with _one_at_a_time:
        try:
            kept, memory = os.dup(2), os.memfd_create("standard error")
        except (OSError, AttributeError):  # no descriptor 2, none left, or no Linux: better noise than no work
            yield dropped
            return
        try:
            _flush()
            os.dup2(memory, 2)
            yield dropped
        finally:
            _flush()
            os.dup2(kept, 2)
            said = _content(memory)
            os.close(memory)
            os.close(kept)
            if said:
                dropped += [
                    line.decode("utf-8", "replace").strip() for line in said.splitlines() if _CHATTER.match(line)
                ]
                _write_on(said)


def _content(memory: int) -> bytes:
    size = os.lseek(memory, 0, os.SEEK_END)
    return os.pread(memory, size, 0) if size else b""


def _write_on(said: bytes) -> None:
    ours = b"".join(line for line in said.splitlines(keepends=True) if not _CHATTER.match(line))
    with contextlib.suppress(OSError):  # standard error is closed: there is nobody to tell
        while ours:
            ours = ours[os.write(2, ours) :]


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
