"""Folders of pictures as people have them: mixed sizes, broken files, empty classes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from models.data.class_folders import class_names, read_class_folders


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
    with pytest.raises(ConfigError, match="got no folder horse and dog too many"):
        read_class_folders(tmp_path, 16, "gray", ("cat", "horse"))
    for place in (tmp_path / "nowhere", tmp_path / "cat" / "0.png"):
        with pytest.raises(ConfigError, match=r"want a folder .*, got no such folder"):
            read_class_folders(place, 16, "gray")


def test_broken_png_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, "cat", (64, 64), (64, 64))
    broken = bytearray((tmp_path / "cat" / "0.png").read_bytes())
    broken[60] ^= 255
    (tmp_path / "cat" / "0.png").write_bytes(broken)
    fill(tmp_path, "dog", (8, 8))
    assert len(read_class_folders(tmp_path, 16, "gray").truth) == 2
    assert "libpng" not in capfd.readouterr().err


def test_hidden_files_are_not_read_and_other_files_are_counted(tmp_path: Path) -> None:
    for name in ("cat", "dog", "cat/.thumbnails", "dog/more"):
        fill(tmp_path, name, (8, 8))
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "._a.png").write_bytes(b"what a Mac leaves")
    (tmp_path / "dog" / "note.txt").touch()
    found = read_class_folders(tmp_path, 16, "gray")
    assert found.truth.tolist() == [0, 1, 1]
    assert found.words == "3 pictures of 2 classes; 1 file that is no picture by its name: note.txt"
    for place in range(6):
        (tmp_path / "cat" / f"{place}.doc").touch()
    words = read_class_folders(tmp_path, 16, "gray").words
    assert words.endswith("7 files that are no pictures by their name: 0.doc, 1.doc, 2.doc, 3.doc, 4.doc, ...")
    assert class_names(tmp_path) == ("cat", "dog")
