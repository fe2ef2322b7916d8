"""Pictures with one object: both layouts are read, what is wrong is named and counted, and nothing leaks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import Preprocess
from edge.errors import ConfigError
from models.data.duplicates import NEAR, groups_of_same, look
from models.data.localized import classes_of, read_located, to_arrays
from models.data.split import split_rows

LETTERBOX, STRETCH = Preprocess(fit="letterbox"), Preprocess(fit="stretch")


def photograph(seed: int, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Smooth noise: like a photograph, it survives JPEG and another size."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def annotate(folder: Path, stem: str, label: str, box: tuple[int, ...], size: tuple[int, int] = (60, 80)) -> None:
    corners = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    xmls = folder / "annotations" / "xmls"
    xmls.mkdir(parents=True, exist_ok=True)
    (xmls / f"{stem}.xml").write_text(
        f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size><object><name>{label}</name>"
        f"<bndbox>{corners}</bndbox></object></annotation>"
    )


def put(folder: Path, name: str, picture: np.ndarray) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / name), picture)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Ten cats and ten dogs in Oxford-IIIT Pet layout, in several shapes."""
    folder = tmp_path / "pets"
    for number in range(20):
        label = ("cat", "dog")[number % 2]
        size = ((60, 80), (90, 60))[number % 3 == 0]
        put(folder, f"{label}_{number}.jpg", photograph(number, size))
        annotate(folder, f"{label}_{number}", label, (10, 20, 40, 55), size)
    return folder


def test_the_oxford_layout_is_read(pets: Path) -> None:
    found = read_located(pets)
    assert len(found.pictures) == 20
    assert not found.refused
    assert classes_of(found.pictures) == ("cat", "dog")
    assert {picture.box for picture in found.pictures} == {(10, 20, 40, 55)}


def test_what_cannot_be_used_is_left_out_named_and_counted(pets: Path) -> None:
    (pets / "images" / "cat_0.jpg").write_bytes(b"")
    whole = (pets / "images" / "cat_2.jpg").read_bytes()
    (pets / "images" / "cat_2.jpg").write_bytes(whole[: len(whole) // 2])
    (pets / "images" / "dog_1.jpg").unlink()
    annotate(pets, "dog_3", "dog", (10, 20, 400, 55))
    annotate(pets, "cat_4", "cat", (10, 20, 79, 59), (60, 80))
    put(pets, "cat_4.jpg", photograph(4, (40, 50)))  # smaller than its xml says
    annotate(pets, "dog_5", "hamster", (10, 20, 40, 55))
    (pets / "annotations" / "xmls" / "cat_6.xml").write_text("<annotation><object>")
    found = read_located(pets, ("cat", "dog"))
    assert len(found.pictures) == 13
    words = "\n".join(found.words())
    assert "2 left out, cannot be decoded: cat_0.jpg, cat_2.jpg" in words
    assert "2 left out, its box is not inside the picture: cat_4.jpg, dog_3.xml" in words
    assert "1 left out, without a picture: dog_1.xml" in words
    assert "1 left out, of class 'hamster', which the recipe lacks: dog_5.jpg" in words
    assert "1 left out, no Pascal VOC annotation: cat_6.xml" in words


def test_the_table_is_read_with_and_without_a_line_of_names(tmp_path: Path) -> None:
    put(tmp_path, "a.png", photograph(1))
    lines = [
        "images/a.png,1,2,30,40,cat",
        "images/missing.png,1,2,3,4,dog",
        "images/a.png,1,2,3",
        "images/a.png,5,5,5,9,cat",
    ]
    for head in ([], ["file,x0,y0,x1,y1,label"]):
        table = tmp_path / "boxes.csv"
        table.write_text("\n".join([*head, *lines]) + "\n")
        found = read_located(table)
        assert [(p.path.name, p.box, p.label) for p in found.pictures] == [("a.png", (1, 2, 30, 40), "cat")]
        assert sorted(r.reason.split(",")[0] for r in found.refused) == [
            "cannot be decoded", "its box is not inside the picture", "not of the form file",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "want a folder or a .csv file"),
        (lambda folder: folder.mkdir(), "want images/ and annotations/xmls"),
        (lambda folder: (folder.mkdir(), (folder / "boxes.csv").write_text("")), "want images/"),
    ],
)
def test_a_place_without_pictures_is_one_sentence(tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "place")
    with pytest.raises(ConfigError, match=words):
        read_located(tmp_path / "place")


def test_one_class_alone_is_refused(pets: Path) -> None:
    cats = [picture for picture in read_located(pets).pictures if picture.label == "cat"]
    with pytest.raises(ConfigError, match="want at least two to tell apart, got cat"):
        classes_of(cats)


@pytest.mark.parametrize("how", [LETTERBOX, STRETCH])
@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_follow_their_pictures_into_the_square(tmp_path: Path, how: Preprocess, mirror: bool) -> None:
    """A white rectangle is where its box says, whatever happens to the picture."""
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:50, 8:40] = 255
    put(tmp_path, "a.png", picture)
    annotate(tmp_path, "a", "x", (8, 20, 40, 50))
    found = read_located(tmp_path).pictures
    arrays = to_arrays(found, ("x", "y"), 64, how, mirror)
    bright = arrays.images[0].min(axis=2) > 200
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    seen = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / 64
    np.testing.assert_allclose(arrays.boxes[0], seen, atol=1.5 / 64)


def test_duplicates_are_known_by_their_looks() -> None:
    pictures = [photograph(seed, (120, 160)) for seed in range(30)]
    smaller = cv2.resize(pictures[3], (80, 60), interpolation=cv2.INTER_AREA)
    squeezed = cv2.imdecode(cv2.imencode(".jpg", pictures[7], [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    brighter = np.clip(pictures[9] * 0.8 + 20, 0, 255).astype(np.uint8)
    groups = groups_of_same([look(picture) for picture in (*pictures, smaller, squeezed, brighter)])
    assert groups[30:].tolist() == [3, 7, 9]
    assert groups[:30].tolist() == list(range(30))


def test_likeness_is_passed_on() -> None:
    """A is like b and b like c, so all three are one group although a and c differ by more."""
    a, b, c = 0, (1 << NEAR) - 1, (1 << (2 * NEAR)) - 1
    assert groups_of_same([(a, 0), (b, 0), (c, 0), ((1 << 60) - 1, 5)]).tolist() == [0, 0, 0, 3]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.2, 0.25, 0.5]))
def test_a_split_keeps_groups_together_and_classes_balanced(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(150), random.integers(1, 4, 150))
    classes = (groups % 3 == 0).astype(np.int64)
    larger, smaller = split_rows(classes, groups, share, seed % 1000)
    assert sorted([*larger.tolist(), *smaller.tolist()]) == list(range(len(groups)))
    assert not set(groups[larger].tolist()) & set(groups[smaller].tolist())
    assert abs(len(smaller) / len(groups) - share) < 0.05
    assert abs(classes[smaller].mean() - classes.mean()) < 0.12
    again = split_rows(classes, groups, share, seed % 1000)
    np.testing.assert_array_equal(again[1], smaller)


def test_a_class_too_small_for_both_parts_is_named() -> None:
    with pytest.raises(ConfigError, match=r"want at least 5 different examples of each class .* got 2 of class 1"):
        split_rows(np.array([0] * 20 + [1, 1]), np.arange(22), 0.2, 0)
