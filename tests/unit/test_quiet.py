"""What libraries write to file descriptor 2 is dropped; all else comes out."""

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import SourceError
from edge.quiet import quietly
from edge.sources.pictures import read_picture


def write(*lines: str) -> None:
    for line in lines:
        os.write(2, f"{line}\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "ERROR: tensorflow/lite/core/model_builder.cc: no model",
        "libpng error: IDAT: CRC error",
        "libpng warning: iCCP: known incorrect sRGB profile",
        "Corrupt JPEG data: premature end of data segment",
        "Unexpected element. Expected: LIST. Got: x.",
        "TIFFReadDirectory: Warning, unknown field",
    ],
)
def test_a_librarys_line_is_dropped_and_told(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    with quietly() as dropped:
        write(line, "WARNING: ours")
    assert capfd.readouterr().err == "WARNING: ours\n"
    assert dropped == [line]


def test_what_is_ours_comes_out(capfd: pytest.CaptureFixture[str]) -> None:
    with quietly():
        write("Traceback (most recent call last):", "edge: want x, got y; do z", "half", "")
        os.write(2, b"no end")
    assert capfd.readouterr().err == "Traceback (most recent call last):\nedge: want x, got y; do z\nhalf\n\nno end"


def test_an_error_passes_and_standard_error_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    @quietly()
    def fail() -> None:
        write("WARNING: before")
        raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    write("after")
    assert capfd.readouterr().err == "WARNING: before\nafter\n"


def test_it_may_be_nested_and_used_by_threads(capfd: pytest.CaptureFixture[str]) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            with quietly(), quietly():
                write("INFO: x", f"WARNING: {number}")
                time.sleep(0.0001)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == sorted(f"WARNING: {number}" for number in range(4) for _ in range(20))


def test_no_descriptor_is_left_open() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the list itself opens one, in the same way each time

    with quietly():
        pass
    before = count()
    for _ in range(20):
        with quietly():
            pass
    assert count() == before


def test_a_closed_standard_error_stops_nothing() -> None:
    code = "import os; os.close(2)\nfrom edge.quiet import quietly\nwith quietly(): pass\nprint('done')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"


def noise_png() -> bytearray:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    return bytearray(cv2.imencode(".png", noise)[1].tobytes())


def test_a_bad_png_is_one_sentence_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = noise_png()
    data[3000:3050] = b"x" * 50
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(SourceError, match="want a whole picture, got something that cannot be decoded"):
        read_picture(tmp_path / "x.png")
    assert capfd.readouterr().err == ""


def test_a_damaged_jpeg_that_can_be_shown_is_spoken_of_in_our_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    data = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    data[3000:3100] = b"\xff\xd9" * 50
    (tmp_path / "x.jpg").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert read_picture(tmp_path / "x.jpg").shape == (90, 90, 3)
    assert "x.jpg: damaged, and used as far as it could be decoded: 'Corrupt JPEG data" in caplog.text
    assert capfd.readouterr().err == ""
