"""From a recipe to a localizer: `build/models/NAME`, with `model.keras`, figures, curves and report.

The base does not change while the heads learn. Its answers are computed once and kept below `answers/`, so an epoch
costs no more than the heads; the finished whole is archived as every model here is.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge.whole import sweep
from models.data.localized import Arrays
from models.localizer.data import Data, answers_of, head_epochs, read_data
from models.localizer.loss import BoxLoss, mean_iou
from models.localizer.nets import (
    Net,
    dense_heads,
    mobilenet_base,
    own_classifier,
    spatial_heads,
    vgg16_base,
    vgg16_weights,
)
from models.localizer.recipe import LocalizerRecipe
from models.localizer.report import write_report
from models.training.archive import MODEL_FILE, finished, writing
from models.training.augment import Augmentation, epochs_of
from models.training.curves import plot_history
from models.training.recipe import fingerprint
from models.training.run import CURVES_FILE, FIGURES_FILE, HISTORY_FILE, RECIPE_FILE, Job, Result, read_result, train

REPORT_VERSION = "3"
"""Counts up when the archive's content changes, so that old archives are made again."""


def train_localizer(name: str, recipe: LocalizerRecipe, text: str, folder: Path, finish: bool = False) -> Result:
    """Train one localizer to its end, or go on where a killed process left off; leave a finished one alone.

    Args:
        name: of the model's folder and archive.
        recipe: what to train.
        text: of the recipe, kept in the archive.
        folder: where models land.
        finish: True to end a run that was begun: its best epoch so far becomes the model.

    Raises:
        ConfigError: the data cannot be used, the disk is full, or the loss became NaN.
    """
    data = read_data(recipe)
    for words in data.words:
        print(words, flush=True)
    made_from = _fingerprint(recipe, data)
    path, stamp = folder / name, fingerprint(made_from, REPORT_VERSION)
    sweep(folder)
    answers = folder / "answers" / made_from[:16]
    if finished(path, stamp):
        shutil.rmtree(answers, ignore_errors=True)
        return read_result(path)
    net = _net(name, recipe, data, made_from, text, folder, finish)
    result = train(_heads_job(f"{name}-heads", recipe, data, net, made_from, text, folder), finish)
    net.heads.load_weights(result.path / MODEL_FILE)
    with writing(path, stamp) as inside:
        whole = net.whole()
        whole.save(inside / MODEL_FILE)
        (inside / CURVES_FILE).write_bytes(plot_history(result.history, name, result.figures["best_epoch"] - 1))
        figures = result.figures | write_report(whole, data, recipe, name, inside)
        figures |= {"name": name, "parameters": int(whole.count_params())}
        (inside / RECIPE_FILE).write_text(text)
        (inside / HISTORY_FILE).write_text(json.dumps(result.history, indent=1))
        (inside / FIGURES_FILE).write_text(json.dumps(figures, indent=1))
    shutil.rmtree(answers, ignore_errors=True)
    return Result(path, result.history, figures, trained=True)


def _fingerprint(recipe: LocalizerRecipe, data: Data) -> str:
    parts = [fingerprint(part.images, part.boxes, part.classes) for part in (data.train, data.valid)]
    return fingerprint(recipe, *parts)


def _net(name: str, recipe: LocalizerRecipe, data: Data, made_from: str, text: str, folder: Path, finish: bool) -> Net:
    """Build the net with the weights it begins with; the small one learns them first, as a classifier."""
    keras.utils.set_random_seed(recipe.seed)
    classes = len(data.labels)
    if recipe.net == "mobilenetv2":
        base, tail = mobilenet_base(recipe.size)
        return Net(base, spatial_heads(tail, classes))
    if recipe.net == "vgg16":
        weights = vgg16_weights(recipe.weights)
        if weights is None:
            why = (
                "as the recipe says" if recipe.weights == "random" else f"as there are none in ~/.keras/models ({name})"
            )
            print(f"vgg16: random weights, {why}; its convolutions never saw a picture", flush=True)
        base = vgg16_base(recipe.size, weights)
        return Net(base, dense_heads(base, classes))
    taught = train(_classifier_job(f"{name}-classifier", recipe, data, made_from, text, folder), finish).load()
    last = [layer for layer in taught.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    base = keras.Model(taught.input, last.output, name="own_cnn")
    keras.utils.set_random_seed(recipe.seed)
    return Net(base, dense_heads(base, classes))


def _classifier_job(name: str, recipe: LocalizerRecipe, data: Data, made_from: str, text: str, folder: Path) -> Job:
    def build() -> keras.Model:
        model = own_classifier(recipe.size, len(data.labels))
        model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return Job(
        name=name,
        recipe=text,
        made_from=made_from,
        build=build,
        train=epochs_of(
            data.train.images, data.train.classes, recipe.batch, recipe.seed, Augmentation(flip=recipe.mirror)
        ),
        valid=(data.valid.images, data.valid.classes),
        epochs=recipe.pretrain_epochs,
        patience=recipe.patience,
        seed=recipe.seed,
        folder=folder / "parts",
    )


def _heads_job(
    name: str, recipe: LocalizerRecipe, data: Data, net: Net, made_from: str, text: str, folder: Path
) -> Job:
    """Return the training of the heads, fed with the base's answers unless it is finished."""
    steps = -(-len(data.train.classes) // recipe.batch)
    job = Job(
        name=name,
        recipe=text,
        made_from=made_from,
        build=_compiled(net.heads, recipe, steps),
        train=lambda epoch: (),
        valid=(),
        epochs=recipe.epochs,
        patience=recipe.patience,
        seed=recipe.seed,
        folder=folder / "parts",
    )
    if finished(job.path, job.stamp):
        return job
    kept = folder / "answers" / made_from[:16]
    sides = [("train", data.train), *([("mirrored", data.mirrored)] if data.mirrored is not None else [])]
    versions = [answers_of(net.base, part.images, kept / f"{side}.npy") for side, part in sides]
    valid = np.asarray(answers_of(net.base, data.valid.images, kept / "valid.npy"), np.float32)
    epochs = head_epochs(versions, [_targets(part) for _, part in sides], recipe.batch, recipe.seed)
    return dataclasses.replace(job, train=epochs, valid=(valid, _targets(data.valid)))


def _compiled(heads: Any, recipe: LocalizerRecipe, steps: int) -> Callable[[], Any]:
    """Return the function that compiles the heads: a rate that warms up over one epoch and falls along a cosine."""

    def build() -> Any:
        rate = keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate / 100, max(1, steps * (recipe.epochs - 1)),
            warmup_target=recipe.learning_rate, warmup_steps=steps,
        )  # fmt: skip
        box = BoxLoss() if recipe.box_loss == "giou" else "mse"
        heads.compile(
            keras.optimizers.Adam(rate),
            loss={"box": box, "class": "sparse_categorical_crossentropy"},
            loss_weights={"box": recipe.box_weight, "class": recipe.class_weight},
            metrics={"box": [mean_iou], "class": ["accuracy"]},
        )
        return heads

    return build


def _targets(part: Arrays) -> dict[str, Any]:
    return {"box": part.boxes, "class": part.classes}
