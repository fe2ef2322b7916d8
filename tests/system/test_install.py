"""The device half in a fresh virtual environment: what it brings, and what it says when a runtime is missing."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.bundle import Bundle
from tests.conftest import seal

ROOT = Path(__file__).parents[2]
HEAVY = {"tensorflow", "tensorflow-cpu", "keras", "torch", "scipy", "onnx", "tf2onnx", "pandas", "matplotlib"}


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=cwd, timeout=600)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a virtual environment with the wheel of this checkout and no runtime; return its folder."""
    folder = tmp_path_factory.mktemp("fresh")
    built = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    if built.returncode and "No matching distribution" in built.stderr:
        pytest.skip("no package registry can be reached, so nothing can be installed")
    assert built.returncode == 0, built.stderr
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    done = run(folder / "venv/bin/pip", "install", "-q", next(folder.glob("*.whl")), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_holds_edge_only(fresh: Path) -> None:
    with zipfile.ZipFile(next(fresh.glob("*.whl"))) as wheel:
        assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"edge", "edge_run"}


def test_without_a_runtime_edge_imports_and_the_error_names_the_extra(
    fresh: Path, detector: Bundle, embedder: Bundle
) -> None:
    for runtime, package in (("tflite", "ai-edge-litert"), ("onnx", "onnxruntime")):
        manifest = detector.path / "bundle.json"
        original = manifest.read_bytes()
        suffixed = original.replace(b"model.json", f"model.{runtime}".encode())
        manifest.write_bytes(suffixed.replace(b'"runtime": "fake"', f'"runtime": "{runtime}"'.encode()))
        model = detector.model_path.rename(detector.path / f"model.{runtime}")
        seal(detector.path)
        done = run(
            fresh / "venv/bin/edge-run", "--source", "x", "--detector", detector.path, "--embedder", embedder.path,
            cwd=fresh,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert f"pip install {package}" in done.stderr
        model.rename(detector.model_path)
        manifest.write_bytes(original)
        seal(detector.path)


def test_with_a_runtime_nothing_heavy_comes_along(fresh: Path) -> None:
    wheel = next(fresh.glob("*.whl"))
    done = run(fresh / "venv/bin/pip", "install", "-q", f"{wheel}[tflite,onnx]", cwd=fresh)
    assert done.returncode == 0, done.stderr
    installed = run(fresh / "venv/bin/pip", "list", "--format=freeze", cwd=fresh).stdout.lower()
    names = {line.partition("==")[0] for line in installed.splitlines()}
    assert {"edge-run", "ai-edge-litert", "onnxruntime"} <= names
    assert not names & HEAVY
    here = run(fresh / "venv/bin/edge", "doctor", cwd=fresh)
    assert "ok       runtime tflite: ai-edge-litert" in here.stdout
