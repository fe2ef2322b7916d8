"""Localizers: the loss, the nets of the brief, training on kept answers, the report; and composites to train on."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

import keras
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import boxes
from edge.errors import ConfigError
from models.data import composites
from models.data.localized import Located
from models.localizer.data import read_data
from models.localizer.loss import BoxLoss, iou_and_giou
from models.localizer.nets import Net, dense_heads, own_base, own_classifier, spatial_heads, vgg16_base, vgg16_weights
from models.localizer.recipe import LocalizerRecipe
from models.localizer.report import GREEN, RED, TILE_PX, draw_tile, summary
from models.localizer.training import train_localizer
from models.training.recipe import changed as with_values
from models.training.recipe import find_recipes, read_recipe
from models.training.run import train
from models.weights import ASSETS
from tests.unit.test_localized import annotate, put
from tests.unit.tiny_training import tiny_job

SIDES = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4)


def box_of(sides: list[float]) -> np.ndarray:
    x0, x1 = sorted(sides[:2])
    y0, y1 = sorted(sides[2:])
    return np.array([[x0, y0, x1 + 0.1, y1 + 0.1]], np.float32)


@settings(deadline=None, max_examples=50)
@given(SIDES, SIDES)
def test_iou_is_that_of_the_device_and_giou_never_above_it(a: list[float], b: list[float]) -> None:
    true, guess = box_of(a), box_of(b)
    iou, giou = (float(keras.ops.convert_to_numpy(value)[0]) for value in iou_and_giou(true, guess))
    assert iou == pytest.approx(float(boxes.iou(true, guess)[0, 0]), abs=1e-4)
    hull = np.concatenate([np.minimum(true[:, :2], guess[:, :2]), np.maximum(true[:, 2:], guess[:, 2:])], axis=1)
    areas = [float(boxes.area(box)[0]) for box in (true, guess, hull)]
    union = (areas[0] + areas[1]) / (1 + iou)
    assert giou == pytest.approx(iou - (areas[2] - union) / areas[2], abs=1e-3)


@pytest.mark.parametrize("guess", [[0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.8, 0.8], [0.0, 0.0, 0.1, 0.1]])
def test_the_loss_has_a_slope_wherever_the_box_is(guess: list[float]) -> None:
    """Also where it has no area, is inside out, or does not touch the true one: there GIoU or IoU alone have none."""
    import tensorflow as tf

    true, answer = tf.constant([[0.3, 0.3, 0.7, 0.7]]), tf.Variable([guess])
    with tf.GradientTape() as tape:
        loss = BoxLoss()(true, answer)
    slope = tape.gradient(loss, answer).numpy()[0]
    assert np.abs(slope).min() > 0.1
    assert float(loss) > float(BoxLoss()(true, true)) == pytest.approx(0, abs=1e-5)
    nearer = tf.Variable([guess - 0.05 * np.sign(slope)], dtype=tf.float32)
    assert float(BoxLoss()(true, nearer)) < float(loss)


def test_the_small_net_and_the_heads_are_those_of_the_brief() -> None:
    base = own_base(32)
    assert [layer.filters for layer in base.layers if isinstance(layer, keras.layers.Conv2D)] == [32, 32, 64, 64]
    classifier = own_classifier(32, 2)
    assert [layer.units for layer in classifier.layers if isinstance(layer, keras.layers.Dense)] == [64, 2]
    assert [layer.rate for layer in classifier.layers if isinstance(layer, keras.layers.Dropout)] == [0.4]
    heads = dense_heads(base, 2)
    units = {layer.name: (layer.units, layer.activation.__name__) for layer in heads.layers if hasattr(layer, "units")}
    assert [units[name] for name in ("box_128", "box_64", "box_32", "box")] == [
        (128, "relu"), (64, "relu"), (32, "relu"), (4, "sigmoid"),
    ]  # fmt: skip
    assert [units[name] for name in ("class_0", "class_1", "class")] == [(512, "relu"), (512, "relu"), (2, "softmax")]
    whole = Net(base, heads).whole()
    answer = whole.predict(np.zeros((1, 32, 32, 3), np.uint8), verbose=0)
    assert answer["box"].shape == (1, 4)
    assert answer["class"].sum() == pytest.approx(1, abs=1e-5)


def test_spatial_heads_find_the_sides_of_a_rectangle_anywhere() -> None:
    """A few hundred maps with one bright rectangle are enough: the heads know places from the start."""
    keras.utils.set_random_seed(0)
    features = keras.Input((16, 16, 8))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(features)
    tail = keras.Model(features, [x, keras.layers.Conv2D(8, 3, strides=2, padding="same")(x)])
    heads = spatial_heads(tail, 2)
    random = np.random.default_rng(0)
    low, size = random.integers(0, 9, (600, 2)), random.integers(3, 8, (600, 2))
    high, kinds = np.minimum(low + size, 16), random.integers(0, 2, 600)
    maps = random.normal(0, 0.2, (600, 16, 16, 8)).astype(np.float32)
    for row, ((x0, y0), (x1, y1), kind) in enumerate(zip(low, high, kinds, strict=True)):
        maps[row, y0:y1, x0:x1, kind] += 1
    truth = np.concatenate([low, high], axis=1).astype(np.float32) / 16
    heads.compile(
        keras.optimizers.Adam(2e-3), loss={"box": BoxLoss(), "class": "sparse_categorical_crossentropy"},
        loss_weights={"box": 2.0, "class": 1.0},
    )  # fmt: skip
    heads.fit(maps[:500], {"box": truth[:500], "class": kinds[:500]}, epochs=12, batch_size=50, verbose=0)
    answer = heads.predict(maps[500:], verbose=0)
    ious = [float(boxes.iou(a[None], b[None])[0, 0]) for a, b in zip(answer["box"], truth[500:], strict=True)]
    assert np.mean(ious) > 0.75
    assert (answer["class"].argmax(axis=1) == kinds[500:]).mean() > 0.95


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Forty pictures in Oxford-IIIT Pet layout: a red or a blue rectangle on gray noise, one picture torn."""
    folder, random = tmp_path / "shapes", np.random.default_rng(0)
    for number in range(40):
        picture = random.integers(90, 130, (48, 64, 3)).astype(np.uint8)
        x, y = int(random.integers(0, 36)), int(random.integers(0, 24))
        picture[y : y + 20, x : x + 24] = ((220, 20, 20), (20, 20, 220))[number % 2]
        put(folder, f"{number}.png", picture)
        annotate(folder, str(number), ("blue", "red")[number % 2], (x, y, x + 24, y + 20), (48, 64))
    (folder / "images" / "7.png").write_bytes(b"torn")
    return folder


def tiny(folder: Path, **changed: Any) -> LocalizerRecipe:
    values: dict[str, Any] = {
        "net": "own-cnn", "data": str(folder), "size": 32, "pretrain_epochs": 2, "box_loss": "mse", "epochs": 3,
        "batch": 8, "valid_share": 0.25,
    }  # fmt: skip
    return LocalizerRecipe(**(values | changed))


def test_a_recipe_becomes_a_model_with_its_report_and_a_finished_one_is_left_alone(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train_localizer("tiny", tiny(shapes), "# text", tmp_path / "models")
    said = capsys.readouterr().out
    assert "1 left out, cannot be decoded: 7.png" in said
    assert result.trained
    names = set(zipfile.ZipFile(tmp_path / "models" / "tiny.zip").namelist())
    assert {"model.keras", "history.json", "figures.json", "recipe.toml", "curves.png", "report.html"} < names
    assert {"high.png", "middling.png", "low.png"} < names
    figures = json.loads((result.path / "figures.json").read_text())
    line = f"mIoU {figures['miou']:.0%}, classification accuracy {figures['accuracy']:.0%}, "
    assert figures["summary"].startswith(line)
    assert figures["summary"].endswith("29 train, 10 valid")
    assert not (tmp_path / "models" / "answers").exists() or not any((tmp_path / "models" / "answers").iterdir())
    model = keras.models.load_model(result.path / "model.keras")
    data = read_data(tiny(shapes))
    answer = model.predict(data.valid.images, verbose=0)
    ious = [float(boxes.iou(a[None], b[None])[0, 0]) for a, b in zip(answer["box"], data.valid.boxes, strict=True)]
    assert np.mean(ious) == pytest.approx(figures["miou"], abs=1e-4)  # what was saved is what was judged
    assert not train_localizer("tiny", tiny(shapes), "# text", tmp_path / "models").trained


def test_a_run_that_was_begun_can_be_ended_with_its_best_epoch(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, 6)

    def interrupted(epoch: int) -> Any:
        if epoch == 3:
            raise KeyboardInterrupt
        return job.train(epoch)

    with pytest.raises(KeyboardInterrupt):
        train(dataclasses.replace(job, train=interrupted))
    result = train(job, finish=True)
    assert len(result.history["loss"]) == result.figures["epochs"] == 3
    assert result.figures["val_loss"] == min(result.history["val_loss"])
    assert not train(job).trained  # it is finished now


def test_pictures_of_the_training_part_are_left_out_of_validation(shapes: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    for number in (0, 1):  # two that are new, and two that are not
        put(held, f"new{number}.png", np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8))
        annotate(held, f"new{number}", ("blue", "red")[number], (5, 5, 30, 30), (48, 64))
        put(held, f"old{number}.png", cv2.imread(str(shapes / "images" / f"{number}.png")))
        annotate(held, f"old{number}", ("blue", "red")[number], (5, 5, 30, 30), (48, 64))
    data = read_data(tiny(shapes, valid=str(held)))
    assert len(data.valid.classes) == 2
    assert len(data.train.classes) == 39
    assert "2 left out of validation, also in training: old0.png, old1.png" in data.words


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": ("blue", "red", "green")}, "want pictures of 'green'"),
        ({"labels": ("blue",)}, "want at least two different ones"),
        ({"pretrain_epochs": 0}, "want pretrain_epochs above 0"),
        ({"net": "mobilenetv2", "pretrain_epochs": 0}, "want weights = 'imagenet'"),
        ({"epochs": 0}, "epochs: want a whole number"),
        ({"data": "no/such/place"}, "want a folder or a .csv file"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence(shapes: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_data(with_values(tiny(shapes), "localizer", **changed))


def test_a_typo_in_a_recipe_is_an_error(tmp_path: Path) -> None:
    for path in find_recipes("localizer").values():
        read_recipe(path, LocalizerRecipe)
    text = find_recipes("localizer")["localizer-own-cnn"].read_text()
    (tmp_path / "typo.toml").write_text(text.replace("box_weight", "boxweight"))
    with pytest.raises(ConfigError, match="boxweight"):
        read_recipe(tmp_path / "typo.toml", LocalizerRecipe)


def test_weights_of_vgg16_that_are_not_here_are_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert vgg16_weights("random") is None
    assert vgg16_weights("imagenet") is None
    with pytest.raises(ConfigError, match="which is not there"):
        vgg16_weights(str(tmp_path / "mine.h5"))


def test_vgg16_sees_what_keras_would_give_it() -> None:
    base = vgg16_base(32, None)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    inner = next(layer for layer in base.layers if layer.name.startswith("vgg16"))
    wanted = inner(keras.applications.vgg16.preprocess_input(image.astype(np.float32)))
    np.testing.assert_allclose(base(image), wanted, atol=1e-4)
    assert base.output_shape == (None, 1, 1, 512)


def test_the_line_is_that_of_the_brief() -> None:
    assert summary(0.571, 0.908, 0.131, 2708, 676) == (
        "mIoU 57%, classification accuracy 91%, 0.13 ms, 2708 train, 676 valid"
    )


@pytest.mark.parametrize(("right", "color"), [(True, GREEN), (False, RED)])
def test_a_tile_shows_both_boxes_and_whether_the_label_is_right(right: bool, color: tuple[int, int, int]) -> None:
    picture = Located(Path("a.png"), (10, 10, 50, 40), "cat", (0, 0))
    black = np.zeros((60, 80, 3), np.uint8)
    tile = draw_tile(black, picture, np.array([20, 15, 60, 45], np.float32), "cat", right, 0.5)
    zoom = TILE_PX / 80
    assert tuple(tile[round(10 * zoom), round(25 * zoom)]) == GREEN
    assert tuple(tile[round(45 * zoom), round(40 * zoom)]) == (255, 110, 30)
    text = tile[TILE_PX - 25 :, :40].reshape(-1, 3).astype(int)
    assert (np.abs(text - color).max(axis=1) < 40).sum() > 5


def test_the_box_of_a_composite_is_what_is_visible_of_it() -> None:
    """A bright disc on black: where the picture is bright, whatever the light."""
    disc = np.zeros((28, 28), np.uint8)
    cv2.ellipse(disc, (14, 14), (11, 6), 0, 0, 360, 255, cv2.FILLED)
    for seed in range(20):
        made = composites.compose(np.zeros((300, 400, 3), np.uint8), disc, "Bag", np.random.default_rng(seed))
        level = made.image.max(axis=2).astype(int)
        bright = level > (np.percentile(level, 20) + level.max()) / 2
        rows, columns = np.flatnonzero(bright.sum(axis=1) > 1), np.flatnonzero(bright.sum(axis=0) > 1)
        seen = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
        assert boxes.iou(seen, np.array([made.box], np.float32))[0, 0] > 0.7, seed
        again = composites.compose(np.zeros((300, 400, 3), np.uint8), disc, "Bag", np.random.default_rng(seed))
        np.testing.assert_array_equal(made.image, again.image)


def test_every_photograph_serves_one_side_alone() -> None:
    names = {part: [name for scene in scenes for name in scene] for part, scenes in composites.SCENES.items()}
    assert not set(names["train"]) & set(names["valid"])
    offered = [Path(member).name for member in ASSETS["opencv-doc-pictures"].members]
    assert sorted(names["train"] + names["valid"]) == sorted(offered)


def test_composites_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="at least 2 pictures"):
        composites.write_composites(tmp_path / "made", 1, 2, 0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(composites, "_write_part", full)
    monkeypatch.setattr(composites, "fetch", lambda _: tmp_path)
    with pytest.raises(ConfigError, match="No space left on device"):
        composites.write_composites(tmp_path / "made", 2, 2, 0)
    assert not list(tmp_path.iterdir())
