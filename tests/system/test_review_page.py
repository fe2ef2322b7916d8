"""The review page in a real browser: headless Chromium, driven through its own WebDriver."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browser import Browser, browser, needs_chromium

__all__ = ["browser"]

ROOT = Path(__file__).parents[2]

pytestmark = needs_chromium


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
