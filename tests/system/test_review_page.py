"""The review page in a real browser: headless Chromium, driven through its own WebDriver."""

import base64
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1200,800"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver")


class Browser:
    """As much of the W3C WebDriver protocol as a keyboard needs."""

    def __init__(self, port: int, profile: Path) -> None:
        self._root = f"http://127.0.0.1:{port}"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._session = f"/session/{self.call('POST', '/session', wanted)['sessionId']}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str) -> Any:
        return self.call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def press(self, keys: str) -> None:
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def picture(self) -> bytes:
        return base64.b64decode(self.call("GET", f"{self._session}/screenshot"))

    def wait(self, script: str, wanted: object) -> None:
        until = time.monotonic() + 20
        while (got := self.run(script)) != wanted:
            assert time.monotonic() < until, f"want {wanted!r}, got {got!r}"
            time.sleep(0.05)

    def close(self) -> None:
        self.call("DELETE", self._session)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with subprocess.Popen([str(DRIVER), "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        port = 0
        for line in driver.stdout:
            if "started successfully on port" in line:
                port = int(line.rstrip(".\n").rpartition(" ")[2])
                break
        browser = Browser(port, tmp_path / "profile")
        try:
            yield browser
        finally:
            browser.close()
            driver.terminate()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for kind in ("YES", "NO"):
        for number in range(3):
            place = tmp_path / "pairs" / kind / f"{number:05d}"
            place.mkdir(parents=True)
            for name in "ab":
                cv2.imwrite(str(place / f"{name}.png"), random.integers(0, 255, (80, 32, 3), np.uint8))
    return tmp_path / "pairs"


@pytest.fixture
def address(pairs: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "models", "pairs", "review", str(pairs), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[0]
        finally:
            server.terminate()


def names(pairs: Path, kind: str) -> set[str]:
    place = pairs / kind
    return {child.name for child in place.iterdir()} if place.is_dir() else set()


def test_a_person_reviews_by_keyboard_and_the_folders_follow(browser: Browser, pairs: Path, address: str) -> None:
    browser.open(address)
    browser.wait("return document.body.dataset.ready", "yes")
    assert browser.run("return document.getElementById('claim').textContent") == "the same"
    browser.wait("return ['a', 'b'].map(id => document.getElementById(id).naturalHeight)", [80, 80])
    browser.press("yfd")  # YES/00000 is right, NO/00000 is the same, YES/00001 is of no use
    browser.wait("return document.getElementById('count').textContent", "4 of 6, 3 decided")
    assert names(pairs, "YES") == {"00000", "00002", "from-NO-00000"}
    assert names(pairs, "NO") == {"00001", "00002"}
    assert names(pairs, "DELETED") == {"from-YES-00001"}

    browser.press("uu")  # the deletion and the flip are taken back
    browser.wait("return document.getElementById('count').textContent", "2 of 6, 1 decided")
    assert names(pairs, "YES") == names(pairs, "NO") == {"00000", "00001", "00002"}

    browser.press("fyyyy")
    browser.press("y")
    browser.wait("return document.getElementById('done').hidden", False)
    assert names(pairs, "NO") == {"00001", "00002"}

    browser.open(address)  # another day: nothing is left to decide, and what was decided is known
    browser.wait("return document.body.dataset.ready", "yes")
    assert browser.run("return document.getElementById('count').textContent") == "6 of 6, 6 decided"


def test_another_site_can_neither_read_nor_decide(pairs: Path, address: str) -> None:
    body = json.dumps({"pair": "YES/00000", "action": "delete"}).encode()
    for headers, path, data in (
        ({"Host": "evil.example"}, "pairs", None),
        ({"Origin": "http://evil.example", "Content-Type": "application/json"}, "decide", body),
        ({"Content-Type": "text/plain"}, "decide", body),
        ({}, "picture/YES/..%2f..%2f00000/0", None),
        ({}, "picture/YES/../0", None),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address + path, data, headers), timeout=20)
        assert refused.value.code in (400, 403, 404)
    assert names(pairs, "YES") == {"00000", "00001", "00002"}
