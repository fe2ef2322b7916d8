"""Recipes of classifiers, what is built from them, the split, the plan of an hour and the ablation."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

import cv2
import keras
import msgspec

from edge.errors import BundleError, ConfigError
from models.__main__ import main
from models.classify import nets
from models.classify.ablation import BASE, read_ablation, run_ablation
from models.classify.commands import next_command
from models.classify.data import Pictures, split
from models.classify.jobs import job_of
from models.classify.recipe import Recipe, Vgg16
from models.classify.table import read_packed
from models.classify.zoo import bundle_name, entries, finished_names, plan, train_all
from models.training.batchnorm import FusedBatchNormalization, plain_layer
from models.training.recipe import RECIPES, find_recipes, read_recipe
from models.training.run import train

NAMES = {
    "Model_1", "Model_2", "Model_2_s2", "Model_2_L2_0.001", "Model_2_L2_0.05_lr_0.025e", "Model_2_L1_0.001_B_256",
    "Model_3", "Model_4", "LeNet_5", "Model_5_VGG16", "Model_6_VGG16", "Model_7_VGG16", "Model_8_VGG16",
    "Model_9_VGG16", "Model_9_VGG16_SC", "Model_10_VGG16_AL", "Model_11", "Model_2_igen", "Model_2_igen_c",
    "Model_2_igen_only", "Model_11_igen", "Model_11_igen_f",
}  # fmt: skip
SHAPE = nets.Shape((28, 28, 1), 10, 73.0, 90.0, 100)


def recipe_of(toml: str) -> Recipe:
    import tomllib

    return msgspec.convert(tomllib.loads(toml), Recipe)


def stripes(count: int = 400, seed: int = 0) -> Pictures:
    """Four classes: a bright quarter each."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % 4
    images = random.integers(0, 80, (count, 28, 28, 1)).astype(np.uint8)
    for place, quarter in enumerate(truth):
        y, x = divmod(int(quarter), 2)
        images[place, 14 * y : 14 * (y + 1), 14 * x : 14 * (x + 1)] += 120
    return Pictures(images, truth, ("a", "b", "c", "d"))


def test_the_zoo_holds_every_name_and_one_of_our_own() -> None:
    assert set(find_recipes("zoo")) >= NAMES
    assert len(NAMES) == 22
    every = entries()
    assert len({bundle_name(entry.name) for entry in every}) == len(every)
    places = {entry.name: place for place, entry in enumerate(every)}
    for entry in every:
        if entry.recipe.start_from:
            assert places[entry.recipe.start_from] < places[entry.name]


@pytest.mark.parametrize("name", [*sorted(n for n in NAMES if "VGG" not in n), "Model_12_residual"])
def test_recipe_builds_a_classifier(name: str) -> None:
    model = nets.build(read_recipe(find_recipes("zoo")[name], Recipe), SHAPE)
    assert model.input_shape == (None, 28, 28, 1)
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(("fit", "side", "train_from"), [("pad", 32, 6), ("double", 56, 5), ("pad", 32, 1)])
def test_vgg16_is_made_fit_inside_the_graph(fit: Any, side: int, train_from: int) -> None:
    layer = Vgg16(weights="random", fit=fit, train_from=train_from)
    model = nets.build(Recipe(words="", layers=(layer, nets.r.Flatten()), epochs=1, normalise="none"), SHAPE)
    first = model.get_layer("block1_conv1")
    assert first.input.shape[1:] == (side, side, 3)
    for part in model.layers:
        if part.name.startswith("block") and part.weights:
            assert part.trainable == (int(part.name[5]) >= train_from)
    picture = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1)).astype(np.uint8)
    seen = keras.Model(model.input, first.input).predict(picture, verbose=0)
    if fit == "pad":
        want = picture[0, :, :, 0] - np.array([103.939, 116.779, 123.68])[:, None, None]
        np.testing.assert_allclose(seen[0, 2:30, 2:30].transpose(2, 0, 1), want, atol=1e-3)


def test_layers_that_leave_no_vector_are_one_sentence() -> None:
    recipe = recipe_of('words = ""\nepochs = 1\nvalid_examples = 40\nlayers = [{ kind = "max_pool" }]')
    with pytest.raises(ConfigError, match="recipe bad: layers: want a vector before the softmax, got 14 x 14 x 1"):
        job_of("bad", recipe, "", stripes(), Path("unused")).build()


def test_layers_that_do_not_fit_are_one_sentence() -> None:
    recipe = recipe_of('words = ""\nepochs = 1\nlayers = [{ kind = "flatten" }, { kind = "max_pool" }]')
    job = job_of("bad", msgspec.structs.replace(recipe, valid_examples=40), "", stripes(), Path("unused"))
    with pytest.raises(ConfigError, match="recipe bad: want layers that fit each other"):
        job.build()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            'layers = [{ kind = "convolution", filters = 3 }]',
            "kind: want 'conv', 'residual', .*, got 'convolution'",
        ),
        ('layers = [{ kind = "conv", filter = 3 }]', "layers.0.: unknown key 'filter'; did you mean 'filters'"),
        ("layers = []\nepoch = 3", "unknown key 'epoch'; did you mean 'epochs'"),
        ("layers = []\n[optimizer]\nrates = 0.1", "optimizer: unknown key 'rates'; did you mean 'rate'"),
        ("layers = []\n[augmentation]\nflips = true", "augmentation: unknown key 'flips'; did you mean 'flip'"),
    ],
)
def test_typo_in_a_recipe_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.toml").write_text(f'words = "x"\nepochs = 1\n{line}\n')
    with pytest.raises(ConfigError, match=words):
        read_recipe(tmp_path / "a.toml", Recipe)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("batch = 0", "batch: want a whole number .*, got 0"),
        ("size = 3", "size: want a whole number .*, got 3"),
        ("seconds_per_epoch = nan", "seconds_per_epoch: want a number .*, got nan"),
        ("augmentation = { cutout = 1.5 }", "augmentation.cutout: want a number .*, got 1.5"),
        ("optimizer = { rate = 0.0 }", "optimizer.rate: want a number"),
        ("patience = -1", "patience: want a whole number .*, got -1"),
    ],
)
def test_number_out_of_range_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.toml").write_text(f'words = "x"\nepochs = 1\nlayers = []\n{line}\n')
    with pytest.raises(ConfigError, match=words):
        read_recipe(tmp_path / "a.toml", Recipe)


@pytest.mark.parametrize("minutes", ["nan", "-1"])
def test_minutes_are_a_number_of_0_or_more(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "--list", f"--minutes={minutes}"]) == 2
    assert "want a number of 0 or more" in capsys.readouterr().err


def test_fused_batch_norm_is_batch_norm() -> None:
    random = np.random.default_rng(0)
    x = random.normal(3, 2, (16, 6, 6, 8)).astype(np.float32)
    ours, theirs = FusedBatchNormalization(), keras.layers.BatchNormalization()
    for _ in range(3):
        np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-5)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=3e-3)  # n - 1 in place of n
    assert type(plain_layer(ours)) is keras.layers.BatchNormalization


def test_what_leaves_training_is_float32_of_keras_own_layers() -> None:
    recipe = read_recipe(find_recipes("zoo")["Model_12_residual"], Recipe)
    model = nets.build(recipe, SHAPE)
    plain = nets.plain_model(model)
    assert not plain.compiled
    assert {layer.dtype_policy.name for layer in plain.layers} == {"float32"}
    assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)
    pictures = stripes(8).images
    np.testing.assert_allclose(plain.predict(pictures, verbose=0), model.predict(pictures, verbose=0), atol=0.05)


def test_split_is_even_and_nothing_straddles_it() -> None:
    pictures = stripes(400)
    twice = np.r_[0:400, 0:100]
    doubled = Pictures(pictures.images[twice], pictures.truth[twice], pictures.labels)
    train_part, valid = split(doubled, 80, 0, 1)
    assert np.bincount(valid.truth).tolist() == [20] * 4
    seen = {image.tobytes() for image in train_part.images}
    assert not seen & {image.tobytes() for image in valid.images}
    few, same = split(doubled, 80, 40, 1)
    assert np.bincount(few.truth).tolist() == [10] * 4
    assert (same.images == valid.images).all()


def test_split_names_what_is_wrong_with_the_data() -> None:
    pictures = stripes(40)
    with pytest.raises(ConfigError, match="got none of c, d"):
        split(Pictures(pictures.images[:2], pictures.truth[:2], pictures.labels), 1, 0, 0)
    with pytest.raises(ConfigError, match="pictures of each class"):
        split(pictures, 40, 0, 0)


def test_split_names_a_class_of_which_training_would_have_nothing() -> None:
    pictures = stripes(400)
    pictures.images[pictures.truth == 2] = pictures.images[2]
    with pytest.raises(ConfigError, match=r"training pictures of each class.* got 0 of c;"):
        split(pictures, 80, 0, 1)


def test_plan_takes_what_fits_and_never_a_child_without_its_parent() -> None:
    every = entries()
    taken, left = plan(every, 60)
    assert sum(entry.seconds for entry in taken) <= 3600
    assert {entry.name for entry in taken} | {entry.name for entry in left} == {entry.name for entry in every}
    for minutes in (0, 1, 3, 5, 20):
        names = {entry.name for entry in plan(every, minutes)[0]}
        assert all(e.recipe.start_from in names | {""} for e in every if e.name in names)


def test_finished_models_leave_their_time_to_others() -> None:
    every = entries()
    first = {entry.name for entry in plan(every, 30)[0]}
    second = {entry.name for entry in plan(every, 30, sorted(first))[0]}
    assert first < second
    assert sum(entry.seconds for entry in every if entry.name in second - first) <= 1800


def test_a_model_that_time_no_longer_holds_is_put_off_with_what_starts_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, child = entries(["Model_2", "Model_2_igen_c"])
    assert train_all([parent, child], tmp_path, minutes=0) == []
    assert capsys.readouterr().out.count("put off") == 2


def test_own_recipe_of_a_name_of_the_zoo_is_not_the_zoo_s_model(tmp_path: Path) -> None:
    (entry,) = entries(["Model_1"])
    folder = tmp_path / "Model_1"
    folder.mkdir()
    text = entry.path.read_text()
    (folder / "figures.json").write_text('{"parameters": 3}')
    (folder / "history.json").write_text("{}")
    reworded, another = text.replace('words = "', 'words = "other '), text.replace("epochs = 12", "epochs = 2")
    assert text not in (reworded, another)
    for kept, done in ((reworded, True), (another, False), ("no TOML", False)):
        (folder / "recipe.toml").write_text(kept)
        (tmp_path / "Model_1.zip").unlink(missing_ok=True)
        assert finished_names(tmp_path) == []
        (tmp_path / "Model_1.zip").touch()
        assert finished_names(tmp_path) == ["Model_1"] * done


def test_damaged_bundle_is_not_taken_for_none(tmp_path: Path) -> None:
    assert read_packed(tmp_path, "Model_1", stripes(4), tmp_path) is None
    (tmp_path / bundle_name("Model_1")).mkdir()
    with pytest.raises(BundleError, match="got none in it"):
        read_packed(tmp_path, "Model_1", stripes(4), tmp_path)


def test_next_command_can_be_pasted() -> None:
    words = shlex.split(next_command("my.flap", Path("build/my models"), "my pictures", ("cat", "nobody there")))
    assert words[:5] == [".venv/bin/python", "-m", "converters", "convert", "build/my models/my.flap/model.keras"]
    flags = dict(zip(words[5::2], words[6::2], strict=True))
    assert flags["--name"] == "my_flap"
    assert flags["--labels"] == "cat,nobody there"
    assert flags["--calibrate"] == "my pictures"


def test_ablation_trains_on_the_pictures_of_its_recipe(tmp_path: Path) -> None:
    for folder, gray in (("cat", 20), ("dog", 200)):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        for place in range(12):
            picture = np.random.default_rng(place).integers(0, 50, (12, 12, 3)).astype(np.uint8) + np.uint8(gray)
            cv2.imwrite(str(tmp_path / "mine" / folder / f"{place}.png"), picture)
    (tmp_path / "a.toml").write_text(
        f'words = ""\nseeds = [0]\n[base]\nwords = ""\nepochs = 1\ndata = "{tmp_path}/mine"\nsize = 8\ncolor = "rgb"\n'
        'valid_examples = 8\nlayers = [{ kind = "flatten" }]\n'
        '[[rows]]\nname = "larger"\ngroup = ""\nchange = { size = 10 }\n'
    )
    _, outcomes = run_ablation(tmp_path / "a.toml", tmp_path / "out")
    assert [outcome.results[0]["parameters"] for outcome in outcomes] == [8 * 8 * 3 * 2 + 2, 10 * 10 * 3 * 2 + 2]
    with pytest.raises(ConfigError, match="want a readable TOML file"):
        run_ablation(tmp_path / "nothing.toml", tmp_path / "out")


@pytest.mark.parametrize(
    ("seeds", "name", "words"),
    [("", "a", "seeds: want"), ("0", "a/b", "name: want a name of 1 to 100 plain letters")],
)
def test_ablation_without_seeds_or_with_a_name_that_is_a_path(
    tmp_path: Path, seeds: str, name: str, words: str
) -> None:
    base = f'words = ""\nseeds = [{seeds}]\n[base]\nwords = ""\nepochs = 1\nlayers = [{{ kind = "flatten" }}]\n'
    (tmp_path / "a.toml").write_text(f'{base}[[rows]]\nname = "{name}"\ngroup = ""\n')
    with pytest.raises(ConfigError, match=words):
        read_ablation(tmp_path / "a.toml")


def test_ablation_changes_one_thing_in_each_row() -> None:
    study, recipes = read_ablation(RECIPES / "convnets" / "ablation.toml")
    base = recipes[BASE]
    assert len({msgspec.json.encode(recipe) for recipe in recipes.values()}) == len(study.rows) + 1
    assert not any(getattr(layer, "batch_norm", False) for layer in recipes["no batch norm"].layers)
    assert len(recipes["no dropout"].layers) == len(base.layers) - 1
    assert recipes["L2 0.001"] == msgspec.structs.replace(base, l2=0.001)
    assert recipes["constant rate"].optimizer.rate == base.optimizer.rate
    for recipe in recipes.values():
        nets.build(recipe, SHAPE)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("change = { epoch = 3 }", "row typo: unknown key 'epoch'; did you mean 'epochs'"),
        ("swap = { pool = [] }", "a kind of layer of the base, got 'pool'"),
    ],
)
def test_typo_in_an_ablation_is_named(tmp_path: Path, row: str, words: str) -> None:
    base = 'words = ""\nseeds = [0]\n[base]\nwords = ""\nepochs = 1\nlayers = [{ kind = "flatten" }]\n'
    (tmp_path / "a.toml").write_text(f'{base}[[rows]]\nname = "typo"\ngroup = ""\n{row}\n')
    with pytest.raises(ConfigError, match=words):
        read_ablation(tmp_path / "a.toml")


def test_tiny_classifier_from_recipe_to_archive_and_on(tmp_path: Path) -> None:
    layers = '[{ kind = "conv", filters = 8, batch_norm = true }, { kind = "max_pool" }, { kind = "global_average" }]'
    text = f'words = "tiny"\nepochs = 4\nvalid_examples = 80\nbatch = 32\nlayers = {layers}\n[optimizer]\nrate = 0.05\n'
    recipe = msgspec.structs.replace(recipe_of(text.replace("global_average", "flatten")), label_smoothing=0.1)
    first = train(job_of("first", recipe, text, stripes(), tmp_path))
    assert first.figures["valid"]["accuracy"] > 0.9
    assert (first.path / "confusion.png").stat().st_size > 1000
    assert keras.models.load_model(first.path / "model.keras").output_shape == (None, 4)
    on = msgspec.structs.replace(recipe, start_from="first", epochs=1)
    second = train(job_of("second", on, text, stripes(), tmp_path))
    assert second.figures["valid"]["accuracy"] > 0.9
    with pytest.raises(ConfigError, match="want a trained nobody to start from"):
        train(job_of("third", msgspec.structs.replace(on, start_from="nobody"), text, stripes(), tmp_path))
