"""A classifier's recipe and its data -> the job that trains it."""

import json
from collections.abc import Mapping
from pathlib import Path

import keras
import msgspec
import numpy as np

from edge.errors import ConfigError
from models.classify import nets
from models.classify.data import Pictures, split
from models.classify.recipe import Recipe
from models.training.archive import STAMP_FILE
from models.training.augment import epochs_of
from models.training.curves import plot_confusion
from models.training.recipe import fingerprint
from models.training.run import MODELS, Figures, Job, read_result
from models.training.scores import classification_scores

CONFUSION_FILE = "confusion.png"


def job_of(
    name: str, recipe: Recipe, text: str, pictures: Pictures, folder: Path = MODELS, seed: int | None = None
) -> Job:
    """Return the job of a recipe.

    Args:
        name: of the model.
        recipe: read from `text`.
        text: kept in the archive.
        pictures: training pictures, of which a part is set aside to choose by.
        folder: where models land.
        seed: in place of the recipe's for all but the split.

    Raises:
        ConfigError: pictures that cannot be split, layers that do not fit, or a model to start from that is missing.
    """
    train, valid = split(pictures, recipe.valid_examples, recipe.examples, recipe.seed)
    shape = nets.Shape(
        pictures.images.shape[1:], len(pictures.labels), float(train.images.mean()), float(train.images.std()),
        -(-len(train.truth) // recipe.batch),
    )  # fmt: skip
    drawn = recipe.seed if seed is None else seed
    unplanned = {"words": "", "seconds_per_epoch": 0.0}

    def build() -> keras.Model:
        try:
            model = nets.build(recipe, shape)
        except ConfigError as error:
            raise ConfigError(f"recipe {name}: {error}") from error
        except (ValueError, TypeError) as error:
            words = str(error).splitlines()[0]
            raise ConfigError(f"recipe {name}: want layers that fit each other, got '{words}'; correct it") from error
        if recipe.start_from:
            _copy_weights(folder / recipe.start_from, model, name)
        return model

    def report(model: keras.Model, history: Mapping[str, list[float]], where: Path) -> Figures:
        probabilities = model.predict(valid.images, batch_size=256, verbose=0)
        scores = classification_scores(valid.truth, probabilities, valid.labels)
        picture = plot_confusion(np.array(scores["confusion"]), valid.labels, f"{name}, validation")
        (where / CONFUSION_FILE).write_bytes(picture)
        return {"valid": scores, "train_examples": len(train.truth), "words": recipe.words}

    return Job(
        name=name,
        recipe=text,
        made_from=fingerprint(
            json.dumps({**_values(recipe), **unplanned}, sort_keys=True),
            _stamp_of(folder, recipe.start_from),
            train.images,
            train.truth,
            valid.images,
            valid.truth,
        ),
        build=build,
        train=epochs_of(train.images, train.truth, recipe.batch, drawn, recipe.augmentation),
        valid=(valid.images, valid.truth),
        epochs=recipe.epochs,
        patience=recipe.patience,
        report=report,
        export=nets.plain_model,
        seed=drawn,
        folder=folder,
    )


def _values(recipe: Recipe) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(recipe)
    return values


def _stamp_of(folder: Path, source: str) -> str:
    """Return what the model to start from was made from, "" without one or where it is missing."""
    stamp = folder / source / STAMP_FILE
    return stamp.read_text() if source and stamp.is_file() else ""


def _copy_weights(source: Path, model: keras.Model, name: str) -> None:
    """Begin with another model's weights: each layer of the same place and shapes takes them."""
    if not source.is_dir():
        raise ConfigError(f"recipe {name}: want a trained {source.name} to start from, got none; train that one first")
    other = read_result(source).load()
    taken = 0
    for ours, theirs in zip(model.layers, other.layers, strict=False):
        old, new = theirs.get_weights(), ours.get_weights()
        if old and [part.shape for part in old] == [part.shape for part in new]:
            ours.set_weights(old)
            taken += 1
    if not taken:
        raise ConfigError(f"recipe {name}: want layers like those of {source.name}, got none; correct start_from")
