"""What lies in folders and files becomes the tensors the device would make; what is wrong with it is named."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import square_positions

from converters.examples import NoiseExamples, sha256_all
from converters.readers import read_examples, spread, take_examples
from converters.recipe import Pictures, Recipe
from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError
from edge.preprocess import Preprocessor

SPEC = (TensorSpec(name="image", dtype="uint8", shape=(1, 16, 16, 3)),)
PAIR = (
    TensorSpec(name="a", dtype="uint8", shape=(1, 16, 16, 3)),
    TensorSpec(name="b", dtype="uint8", shape=(1, 16, 16, 3)),
)


def recipe(task: str = "classify") -> Recipe:
    return Recipe(name="x", task=task, model="", variants={}, preprocess=Preprocess(fit="stretch"))


def draw(path: Path, seed: int, size: tuple[int, int] = (24, 30)) -> np.ndarray:
    """Write a picture of coarse noise and return it as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(path), pixels[..., ::-1])
    return pixels


def test_a_picture_becomes_what_the_device_makes_of_it(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png", 1)
    examples = read_examples(tmp_path, SPEC, recipe(), ())
    want, _ = Preprocessor(SPEC[0], Preprocess(fit="stretch")).fit(picture)
    np.testing.assert_array_equal(examples.inputs(0)[0], want)
    again = pickle.loads(pickle.dumps(examples))
    np.testing.assert_array_equal(again.inputs(0)[0], want)
    assert again.name(0) == "a.png"
    assert str(tmp_path) not in again.words


def test_a_video_is_read_frame_by_frame_in_any_order(squares_video) -> None:  # type: ignore[no-untyped-def]
    film = squares_video(12)
    examples = read_examples(film, SPEC, recipe("embed"), ())
    assert len(examples) == 12
    for number in (7, 3, 11):
        picture = examples.picture(number)
        assert picture is not None
        x, y = square_positions(number)[0]
        assert picture[y + 20, x + 20, 0] > 120, f"frame {number} shows another moment"


def test_the_seed_chooses_and_nothing_is_taken_twice(tmp_path: Path) -> None:
    for number in range(20):
        draw(tmp_path / f"{number:02}.png", number % 15)  # five are copies
    place = Pictures(source="here", count=8, seed=4)
    first = take_examples([(tmp_path, place)], SPEC, recipe())
    again = take_examples([(tmp_path, place)], SPEC, recipe())
    assert sha256_all(first) == sha256_all(again)
    used = {first.sha256(number) for number in range(8)}
    assert len(used) == 8
    rest = take_examples([(tmp_path, Pictures(source="here", count=7))], SPEC, recipe(), used)
    assert not used & {rest.sha256(number) for number in range(7)}
    with pytest.raises(ConfigError, match="want 8 different ones"):
        take_examples([(tmp_path, place)], SPEC, recipe(), used)


def test_classes_are_folders_in_the_order_of_the_labels(tmp_path: Path) -> None:
    draw(tmp_path / "cat" / "a.png", 1)
    draw(tmp_path / "dog" / "b.png", 2)
    examples = read_examples(tmp_path, SPEC, recipe(), ("dog", "cat"))
    assert examples.truth is not None
    assert examples.truth.classes is not None
    assert examples.truth.classes.tolist() == [1, 0]


def test_pairs_lie_in_yes_and_no(tmp_path: Path) -> None:
    for answer in ("YES", "NO"):
        for letter in "ab":
            draw(tmp_path / answer / "pair1" / f"{letter}.png", ord(letter))
    examples = read_examples(tmp_path, PAIR, recipe("pair"), ())
    assert examples.truth is not None
    assert examples.truth.classes is not None
    assert examples.truth.classes.tolist() == [1, 0]
    assert len(examples.inputs(0)) == 2


VOC = """<annotation><size><width>30</width><height>24</height></size>
<object><name>{name}</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>{right}</xmax><ymax>20</ymax></bndbox></object>
</annotation>"""


def voc(folder: Path, name: str = "cat", right: int = 25) -> None:
    draw(folder / "images" / "one.jpg", 1)
    xml = folder / "annotations" / "xmls" / "one.xml"
    xml.parent.mkdir(parents=True)
    xml.write_text(VOC.format(name=name, right=right))


def test_a_voc_box_is_read(tmp_path: Path) -> None:
    voc(tmp_path)
    examples = read_examples(tmp_path, SPEC, recipe("localize"), ("cat", "dog"))
    assert examples.truth is not None
    assert examples.truth.boxes[0].tolist() == [[2, 3, 25, 20]]


def test_a_table_of_boxes_is_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    voc(tmp_path)
    table = tmp_path / "held-out.csv"
    table.write_text("images/one.jpg,2,3,25,20,cat\nimages/none.jpg,1,1,5,5,dog\n")
    examples = read_examples(table, SPEC, recipe("localize"), ("cat", "dog"))
    assert len(examples) == 1
    assert "1 left out" in examples.words


def test_mot_rows_of_confidence_0_are_not_judged(tmp_path: Path) -> None:
    draw(tmp_path / "img1" / "000001.png", 1)
    (tmp_path / "gt.txt").write_text("1,7,2,3,10,12,1,-1,-1,-1\n1,8,4,4,5,5,0,-1,-1,-1\n")
    examples = read_examples(tmp_path, SPEC, recipe("detect"), ("car", "person"))
    assert examples.truth is not None
    assert examples.truth.box_classes[0].tolist() == [1, -1]
    assert examples.truth.boxes[0][0].tolist() == [2, 3, 12, 15]


@pytest.mark.parametrize(
    ("name", "right", "want"), [("cat", 40, "inside the picture"), ("horse", 25, "of class .horse.")]
)
def test_a_bad_annotation_is_named(tmp_path: Path, name: str, right: int, want: str) -> None:
    voc(tmp_path, name, right)
    with pytest.raises(ConfigError, match=want):
        read_examples(tmp_path, SPEC, recipe("localize"), ("cat", "dog"))


def test_bad_folders_are_named(tmp_path: Path) -> None:
    draw(tmp_path / "one" / "cat" / "a.png", 1)
    with pytest.raises(ConfigError, match="at least two classes"):
        read_examples(tmp_path / "one", SPEC, recipe(), ())
    (tmp_path / "one" / "dog").mkdir()
    with pytest.raises(ConfigError, match="got none; add some"):
        read_examples(tmp_path / "one", SPEC, recipe(), ())
    with pytest.raises(ConfigError, match="named after the model's classes"):
        read_examples(tmp_path / "one", SPEC, recipe(), ("horse", "cow"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").write_text("no picture")
    with pytest.raises(ConfigError, match=r"x\.jpg"):
        read_examples(tmp_path / "bad", SPEC, recipe(), ()).inputs(0)
    with pytest.raises(ConfigError, match="no such file"):
        read_examples(tmp_path / "nowhere", SPEC, recipe(), ())


def test_arrays_are_found_by_name(tmp_path: Path) -> None:
    a, b = (np.full((3, 16, 16, 3), value, np.uint8) for value in (10, 20))
    np.savez(tmp_path / "x.npz", b=b, a=a, y=[1, 0, 1])
    examples = read_examples(tmp_path / "x.npz", PAIR, recipe("pair"), ())
    assert [int(tensor.max()) for tensor in examples.inputs(1)] == [10, 20]
    assert examples.truth is not None


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (np.zeros((3, 16, 16, 3), np.float32) + 0.5, "wrong scale"),
        (np.zeros((3, 16, 16, 3), np.float32) - 1, "wrong scale"),
        (np.full((3, 16, 16, 3), np.nan, np.float32), "NaN"),
        (np.zeros((3, 8, 8, 3), np.uint8), "shape"),
        (np.array(["a", "b", "c"]), "shape|numbers"),
    ],
)
def test_arrays_that_cannot_be_the_input_are_named(tmp_path: Path, values: np.ndarray, want: str) -> None:
    np.savez(tmp_path / "x.npz", image=values)
    with pytest.raises(ConfigError, match=want):
        read_examples(tmp_path / "x.npz", SPEC, recipe(), ())


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.array(3), "want 2 labels, got 0"),
        (np.array([1]), "want 2 labels, got 1"),
        (np.array(["cat", "dog"]), "want a class number for each example"),
        (np.array([0.0, np.nan]), "want a class number for each example"),
        (np.zeros((2, 1, 3)), "want a class number for each example"),
    ],
)
def test_labels_that_are_no_class_numbers(tmp_path: Path, y: np.ndarray, says: str) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((2, *SPEC[0].shape[1:]), np.uint8), y=y)
    with pytest.raises(ConfigError, match=says):
        read_examples(tmp_path / "x.npz", SPEC, recipe(), ())


def test_an_input_that_is_a_single_number_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.array(7))
    with pytest.raises(ConfigError, match="want 'image' as N examples"):
        read_examples(tmp_path / "x.npz", SPEC, recipe(), ())


def test_spread_leaves_out_what_was_used() -> None:
    noise = NoiseExamples(SPEC, Preprocess(fit="stretch"), count=10)
    assert len(spread(noise, 4, seed=1)) == 4
