"""ONNX Runtime reports nothing to anybody: importing it leaves nothing in the user's folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_OPEN = """
import sys, time
from pathlib import Path
from tests.conftest import fake_bundle
from edge.backends import onnx
from edge.errors import BundleError
bundle = fake_bundle(Path(sys.argv[1]), "classify")
try:
    onnx.open(bundle, 1)
except BundleError:
    time.sleep(0.3)  # it writes and connects from a thread
"""


def test_opening_a_model_leaves_nothing_in_the_users_cache(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    command = [sys.executable, "-c", _OPEN, str(tmp_path / "bundles")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
