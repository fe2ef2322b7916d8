"""A short form of `make kill`: a few installs, runs and trainings killed at random moments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("part", "kills"), [("install", 6), ("sinks", 10), ("training", 2)])
def test_a_few_kills_lose_nothing_and_leave_nothing(part: str, kills: int) -> None:
    if part == "training":
        pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
    words = [sys.executable, "-m", "tests.kill", "--parts", part, "--kills", str(kills)]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{part:<11} kills {kills:>3}   lost   0   left   0"), done.stdout
