from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import fake_bundle

from edge.backends.fake import PROGRAMS
from edge.bundle import Bundle, find_bundles, install_bundle, read_bundle
from edge.cli import main_edge
from edge.errors import BundleError
from edge.model import open_model


def test_what_is_written_is_read_again(detector: Bundle) -> None:
    assert read_bundle(detector.path, "detect") == detector
    with open_model(detector.path, "detect", 1) as model:
        assert "fake" in model.backend.description


def test_the_same_input_gives_the_same_zip(tmp_path: Path) -> None:
    zips = [fake_bundle(tmp_path / name, "embed").path.with_name("fake-embed.zip") for name in ("a", "b")]
    assert zips[0].read_bytes() == zips[1].read_bytes()


@pytest.mark.parametrize("name", ["model.json", "golden.npz"])
def test_one_changed_byte_is_found(detector: Bundle, name: str) -> None:
    data = bytearray((detector.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (detector.path / name).write_bytes(bytes(data))
    with pytest.raises(BundleError, match="sha256"):
        read_bundle(detector.path)


@pytest.mark.parametrize(
    ("mistake", "cause"),
    [
        (lambda image: image[..., ::-1], "BGR"),
        (lambda image: (image / 255).astype(np.uint8), "try another variant"),  # no scale brings the pixels back
    ],
)
def test_a_refused_model_is_told_the_likely_cause(tmp_path: Path, mistake: Callable, cause: str) -> None:
    bundle = fake_bundle(tmp_path, "embed")
    original = PROGRAMS["mean_colors"]
    PROGRAMS["mean_colors"] = lambda image: original(np.ascontiguousarray(mistake(image)))
    try:
        with pytest.raises(BundleError, match=cause):
            open_model(bundle.path, "embed", 1)
    finally:
        PROGRAMS["mean_colors"] = original


def test_another_resize_filter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = fake_bundle(tmp_path, "embed")
    resize = cv2.resize

    def nearest(image: np.ndarray, size: tuple[int, int], dst: np.ndarray, interpolation: int) -> np.ndarray:
        return resize(image, size, dst=dst, interpolation=cv2.INTER_NEAREST)

    monkeypatch.setattr(cv2, "resize", nearest)
    with pytest.raises(BundleError, match="filter"):
        open_model(bundle.path, "embed", 1)


def test_a_model_that_answers_otherwise_is_not_trusted(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path, "embed")
    original = PROGRAMS["mean_colors"]
    PROGRAMS["mean_colors"] = lambda image: [original(image)[0][:, ::-1]]  # a runtime that swaps the colours
    try:
        with pytest.raises(BundleError, match="stored answer"):
            open_model(bundle.path, "embed", 1)
    finally:
        PROGRAMS["mean_colors"] = original


def test_a_zip_is_installed_whole_or_not_at_all(detector: Bundle, tmp_path: Path) -> None:
    archive, home = detector.path.with_name("fake-detect.zip"), tmp_path / "home"
    assert install_bundle(archive, home).path == home / "fake-detect"
    assert [b.path.name for b in find_bundles(home)] == ["fake-detect"]
    broken = tmp_path / "broken.zip"
    broken.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(BundleError, match=r"want a \.zip"):
        install_bundle(broken, home)
    assert sorted(p.name for p in home.iterdir()) == ["fake-detect"]


def test_the_command_installs_lists_shows_and_verifies(
    detector: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    assert main_edge(["bundle", "install", str(detector.path.with_name("fake-detect.zip"))]) == 0
    assert main_edge(["bundle", "list"]) == 0
    assert main_edge(["bundle", "verify", str(detector.path)]) == 0
    assert main_edge(["bundle", "show", str(detector.path)]) == 0
    said = capsys.readouterr().out
    assert "its answer is right" in said
    assert '"decoder"' in said
    assert main_edge(["bundle", "install", str(tmp_path / "absent.zip")]) == 3


def test_golden_values_are_a_sample_of_the_answer(embedder: Bundle) -> None:
    with np.load(embedder.golden_path) as golden:
        assert golden["values_0"].shape == golden["places_0"].shape == (48,)
