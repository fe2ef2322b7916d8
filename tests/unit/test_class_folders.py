"""Folders of pictures as people have them: mixed sizes, broken files, empty classes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from models.data.class_folders import read_class_folders


def fill(folder: Path, name: str, *shapes: tuple[int, int]) -> None:
    (folder / name).mkdir(parents=True)
    for place, (height, width) in enumerate(shapes):
        cv2.imwrite(str(folder / name / f"{place}.png"), np.full((height, width, 3), (0, 0, 200), np.uint8))


def test_mixed_sizes_are_fitted_and_broken_files_named(tmp_path: Path) -> None:
    fill(tmp_path, "cat", (20, 40), (64, 64))
    fill(tmp_path, "dog", (9, 3))
    (tmp_path / "dog" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "dog" / "empty.jpg").write_bytes(b"")
    (tmp_path / "dog" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = read_class_folders(tmp_path, 16, "rgb")
    assert found.fitted.images.shape == (3, 16, 16, 3)
    assert found.labels == ("cat", "dog")
    assert found.truth.tolist() == [0, 0, 1]
    assert {path.name for path in found.fitted.unreadable} == {"broken.jpg", "empty.jpg", "gone.jpg"}
    assert "3 left out, cannot be decoded: dog/broken.jpg" in found.words
    assert found.fitted.images[1, 8, 8].tolist() == [200, 0, 0]
    assert found.fitted.images[0, 0].tolist() == [[200, 0, 0]] * 16, "at the top, as the device's letterbox has it"
    assert found.fitted.images[0, 15].tolist() == [[114, 114, 114]] * 16
    assert read_class_folders(tmp_path, 16, "gray").fitted.images.shape == (3, 16, 16, 1)


def test_empty_class_one_class_and_unknown_labels_are_named(tmp_path: Path) -> None:
    fill(tmp_path, "cat", (8, 8))
    with pytest.raises(ConfigError, match="two or more classes, got 1"):
        read_class_folders(tmp_path, 16, "gray")
    (tmp_path / "dog").mkdir()
    with pytest.raises(ConfigError, match="got none in dog"):
        read_class_folders(tmp_path, 16, "gray")
    with pytest.raises(ConfigError, match="got others: dog, horse"):
        read_class_folders(tmp_path, 16, "gray", ("cat", "horse"))
    with pytest.raises(ConfigError, match="got 0"):
        read_class_folders(tmp_path / "nowhere", 16, "gray")
