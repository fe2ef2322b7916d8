"""Labelled pictures, split once: what is trained on, and what chooses. Test pictures are not read here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.types import U8
from models.classify.recipe import FASHION, Recipe
from models.data import fashion_mnist
from models.data.class_folders import read_class_folders

LEAST = 5
"""Training pictures of a class below which there is nothing to learn it from."""


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures.

    Attributes:
        images: uint8 (N, H, W, C).
        truth: int64 (N,), class of each.
        labels: name of each class.
    """

    images: U8
    truth: NDArray[np.int64]
    labels: tuple[str, ...]


def pictures_of(recipe: Recipe) -> Pictures:
    """Return the pictures that a recipe trains on, saying what was left out of a folder.

    Raises:
        ConfigError: see `models.data.class_folders`.
        FetchError: Fashion-MNIST could not be fetched.
    """
    if recipe.data == FASHION:
        return training_pictures()
    found = read_class_folders(Path(recipe.data), recipe.size, recipe.color, recipe.labels)
    print(f"{recipe.data}: {found.words}", flush=True)
    return Pictures(found.fitted.images, found.truth, found.labels)


def training_pictures() -> Pictures:
    """Return the 60,000 training pictures of Fashion-MNIST.

    Raises:
        FetchError: they could not be fetched.
    """
    images, truth = fashion_mnist.load("train")
    return Pictures(images[..., None], truth, fashion_mnist.LABELS)


def test_pictures() -> Pictures:
    """Return the 10,000 test pictures: for the table of finished models, and nothing before.

    Raises:
        FetchError: they could not be fetched.
    """
    images, truth = fashion_mnist.load("test")
    return Pictures(images[..., None], truth, fashion_mnist.LABELS)


def split(pictures: Pictures, valid: int, examples: int, seed: int) -> tuple[Pictures, Pictures]:
    """Set a validation part aside, equally many of each class as far as there are.

    Equal pictures fall on the same side, so that none is trained on and chosen by.

    Args:
        pictures: all of them.
        valid: how many to set aside.
        examples: how many of the others to keep; 0 = all.
        seed: chooses.

    Raises:
        ConfigError: not enough pictures, a class without any, or one of which nearly all equal those set aside.
    """
    classes = len(pictures.labels)
    counts = np.bincount(pictures.truth, minlength=classes)
    if counts.min() == 0:
        empty = ", ".join(pictures.labels[place] for place in np.flatnonzero(counts == 0))
        raise ConfigError(f"data: want pictures of every class, got none of {empty}; add some or leave the class out")
    if counts.min() <= -(-valid // classes):
        few = int(counts.argmin())
        raise ConfigError(
            f"data: want more than {-(-valid // classes)} pictures of each class, {valid} in all to choose by, got "
            f"{counts[few]} of {pictures.labels[few]}; add some, or lower valid_examples"
        )
    order = np.random.default_rng(seed).permutation(len(pictures.truth))
    aside = _of_each(pictures.truth, order, -(-valid // classes), classes)
    chosen = np.zeros(len(order), bool)
    chosen[aside] = True
    rows = np.ascontiguousarray(pictures.images.reshape(len(order), -1))
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    straddling = ~chosen & np.isin(keys, keys[chosen])
    rest = order[~(chosen | straddling)[order]]
    counts = np.bincount(pictures.truth[rest], minlength=classes)
    if counts.min() < LEAST:
        got = ", ".join(f"{counts[place]} of {pictures.labels[place]}" for place in np.flatnonzero(counts < LEAST))
        raise ConfigError(
            f"data: want {LEAST} or more training pictures of each class, {valid} to choose by and their duplicates "
            f"aside, got {got}; add different ones, or lower valid_examples"
        )
    if examples:
        rest = _of_each(pictures.truth, rest, -(-examples // classes), classes)
    return _take(pictures, rest), _take(pictures, aside)


def _of_each(truth: NDArray[np.int64], order: NDArray[np.int64], count: int, classes: int) -> NDArray[np.int64]:
    """Return the first `count` places of each class in `order`."""
    return np.concatenate([order[truth[order] == place][:count] for place in range(classes)])


def _take(pictures: Pictures, places: NDArray[np.int64]) -> Pictures:
    return Pictures(pictures.images[places], pictures.truth[places], pictures.labels)
