"""Progress on terminals of every size, by a pseudo terminal."""

import fcntl
import os
import pty
import struct
import sys
import termios
import time

import pytest

from edge import bar
from edge.bar import COLUMNS, ROWS, waiting

BAR = "import time; from edge.bar import bar\nfor _ in bar(range(4), unit=' frames'): time.sleep(0.12)"
WAIT = "import edge.bar, time; edge.bar.SILENT_S = 0.0\nwith edge.bar.waiting('opening x'): time.sleep(0.7)"
SINK = "from edge.sinks.progress import ProgressSink\nwith ProgressSink({total}, {live}) as sink: sink.write(None)"


def seen(code: str, rows: int, columns: int) -> str:
    """Run Python on a terminal of a size; return all that it draws."""
    pid, terminal = pty.fork()
    if pid == 0:
        time.sleep(0.1)  # until the size is set
        os.execv(sys.executable, [sys.executable, "-c", code])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    drawn = b""
    try:
        while piece := os.read(terminal, 4096):
            drawn += piece
    except OSError:  # the other end is closed
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return drawn.decode()


@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (0, 0), (24, 0), (0, 80)])
def test_a_bar_is_drawn_whatever_size_the_terminal_tells(rows: int, columns: int) -> None:
    drawn = seen(BAR, rows, columns)
    assert "4/4" in drawn or "3/4" in drawn
    assert "frames/s" in drawn
    assert max(map(len, drawn.split("\r"))) <= (columns or COLUMNS)


def test_a_long_step_is_spoken_of_on_a_terminal() -> None:
    assert "opening x, 00:00" in seen(WAIT, 0, 0)
    assert "opening x" not in seen(WAIT.replace("0.0", "30.0"), 24, 80)


def test_the_loops_bar_is_drawn_without_a_size_and_only_for_what_ends() -> None:
    assert "0/5" in seen(SINK.format(total=5, live=False), 0, 0)
    assert seen(SINK.format(total=None, live=True), 0, 0).strip() == ""


def test_nothing_is_drawn_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("x"):
        time.sleep(0.01)
    for _ in bar.bar(range(2)):
        pass
    assert capfd.readouterr() == ("", "")


def test_what_is_assumed_is_the_usual_terminal() -> None:
    assert (COLUMNS, ROWS, bar.SILENT_S) == (80, 24, 2.0)
