"""The films of `video:` in a real browser: they play, with the right colours, also when their maker was killed."""

import functools
import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, browser, needs_chromium

__all__ = ["browser"]

ROOT = Path(__file__).parents[2]
pytestmark = needs_chromium

PAGE = """<!doctype html><video id=film muted></video><script>
const film = document.getElementById('film');
fetch(location.search.slice(1)).then(answer => answer.blob()).then(blob => { film.src = URL.createObjectURL(blob) });
function pixel(x, y) {
  const canvas = document.createElement('canvas');
  canvas.width = film.videoWidth; canvas.height = film.videoHeight;
  const pen = canvas.getContext('2d');
  pen.drawImage(film, 0, 0);
  return Array.from(pen.getImageData(x, y, 1, 1).data).slice(0, 3);
}
</script>"""
MAKER = """
import sys
import numpy as np
from edge.sinks import open_sink
from edge.types import Detections, Frame, FrameResult, Tracks
from tests.output import an_output
place, frames, fps, width, height = sys.argv[1], *map(int, sys.argv[2:])
with open_sink(f"video:{place}", an_output(fps=fps)) as sink:
    for index in range(frames):
        color = (220, 30, 40) if index * 2 < frames else (30, 40, 220)  # first half red, second half blue
        image = np.full((height, width, 3), color, np.uint8)
        frame = Frame(index, 0, image, index * 1_000_000_000 // fps)
        sink.write(FrameResult(frame, Detections.none(), Tracks.none()))
    print("written", flush=True)
    if "killed" in place:
        sys.stdin.read()
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "page.html").write_text(PAGE)
    serve = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()


def make_film(path: Path, *numbers: int) -> None:
    words = [sys.executable, "-c", MAKER, str(path), *map(str, numbers)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "written\n"
        if "killed" in path.name:
            maker.send_signal(signal.SIGKILL)


def colour_at(browser: Browser, seconds: float) -> str:
    browser.run(f"window.there = false; film.onseeked = () => {{ there = true }}; film.currentTime = {seconds}")
    browser.wait("return window.there", True)
    red, _, blue = browser.run("return pixel(film.videoWidth >> 1, film.videoHeight >> 1)")
    return {(True, False): "red", (False, True): "blue"}.get((red > 180 and blue < 80, blue > 180 and red < 80), "?")


FILMS = {
    "whole.webm": (60, 10, (160, 120)),
    "killed.webm": (60, 10, (160, 120)),
    "killed.mkv": (60, 10, (160, 120)),
    "killed-in-its-first-second.webm": (4, 10, (160, 120)),
    "killed-slow-and-tall.webm": (4, 1, (33, 201)),
}
"""Name -> frames, frames a second, (width, height)."""


def test_films_play_in_chromium_also_when_their_maker_was_killed(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    for name, (frames, fps, size) in FILMS.items():
        make_film(tmp_path / name, frames, fps, *size)
        browser.open(f"{address}?{name}")
        browser.wait("return film.error ? film.error.message : film.readyState >= 2", True)
        got: Any = browser.run("return [film.videoWidth, film.videoHeight, film.duration]")
        assert got[:2] == [side - side % 2 for side in size], name
        seconds = frames / fps
        assert seconds - 1 <= got[2] <= seconds + 0.1, f"{name}: at most the last second is lost"
        browser.run("film.play()")
        browser.wait("return film.currentTime > 0.3 || film.error", True)
        browser.run("film.pause()")
        assert colour_at(browser, 0.1 / fps) == "red", name
        assert colour_at(browser, seconds - 0.5 / fps) == "blue", f"{name}: the very last picture is there"
