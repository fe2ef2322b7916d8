"""The progress bar on terminals with and without a size, and where there is none."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

CODE = """
import time
from models.bar import bar
for _ in bar(range(4), desc="at work", unit="step"):
    time.sleep(0.15)
"""


@pytest.mark.parametrize("size", [(0, 0), (24, 80), (0, 80), (24, 0)])
def test_a_terminal_shows_the_bar_whatever_size_it_tells(size: tuple[int, int]) -> None:
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    bare = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen([sys.executable, "-c", CODE], stderr=terminal, env=bare) as process:
        os.close(terminal)
        seen = b""
        while True:
            try:
                part = os.read(reader, 4096)
            except OSError:  # the other end was closed
                break
            if not part:
                break
            seen += part
    os.close(reader)
    assert process.returncode == 0
    assert b"at work" in seen
    assert b"2/4" in seen


def test_no_terminal_sees_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True)
    assert done.stderr == b""
