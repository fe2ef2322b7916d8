"""Train a head over pairs. The base is frozen and answers once for each crop; fine-tuning begins at its last blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.bundle import sha256
from edge.errors import ConfigError
from edge.types import F32, I64, U8
from models.embedder import mobilenet_v2
from models.siamese.crops import Crops, read_pictures
from models.siamese.heads import MAP_TAP, Head, head, over_pictures, over_vector_and_picture, over_vectors, tower
from models.siamese.judge import best_threshold
from models.training.archive import MODEL_FILE
from models.training.recipe import fingerprint
from models.training.run import MODELS, Job, Result, load_trained, train

EXAMPLES, EXAMPLES_FILE = 256, "pairs.npz"
MOST_PAIRS = 2000
"""Of each kind that are drawn from folders of identities."""


@dataclass(frozen=True)
class Base:
    """MobileNetV2 in two parts.

    Attributes:
        frozen: uint8 pictures -> a map; the answers of this part are kept.
        rest: that map -> the base's last map. Of no layers where nothing is fine-tuned.
    """

    frozen: keras.Model
    rest: keras.Model

    @property
    def whole(self) -> keras.Model:
        """From the picture to the last map."""
        return keras.Model(self.frozen.inputs, self.rest(self.frozen.outputs[0]), name="base")


def open_base(recipe: Head) -> Base:
    """Build the base, cut where training begins.

    Raises:
        ConfigError: the recipe's own embedder is not there.
    """
    if recipe.base:
        return _own_base(Path(recipe.base))
    model, fine_tune = mobilenet_v2(recipe.size, pooling=None), recipe.fine_tune
    last = model.output["embedding"] if isinstance(model.output, dict) else model.output
    cut = model.get_layer(MAP_TAP).output if fine_tune else last
    frozen = keras.Model(model.inputs, cut, name="frozen")
    rest = (
        keras.Model(cut, last, name="rest")
        if fine_tune
        else keras.Sequential([keras.Input(cut.shape[1:]), keras.layers.Identity()], name="rest")
    )
    frozen.trainable = False
    for layer in rest.layers:  # batch normalisation keeps what it learned from a million pictures
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return Base(frozen, rest)


def _own_base(folder: Path) -> Base:
    """Open a trained embedder; its vector counts as a map of one cell."""
    model = load_trained(folder)
    if not isinstance(model.output, dict) or "embedding" not in model.output:
        raise ConfigError(f"base {folder}: want the folder of an embedder, got another model; name one")
    vector = keras.layers.Reshape((1, 1, -1), name="cell")(model.output["embedding"])
    frozen = keras.Model(model.inputs, vector, name="frozen")
    frozen.trainable = False
    rest = keras.Sequential([keras.Input(vector.shape[1:]), keras.layers.Identity()], name="rest")
    return Base(frozen, rest)


def _base_hash(recipe: Head) -> str:
    """Return the SHA-256 of the recipe's own embedder: another one makes another head."""
    return sha256((Path(recipe.base) / MODEL_FILE).read_bytes()) if recipe.base else ""


def train_pair(recipe: Head, text: str, crops: Crops, folder: Path = MODELS) -> Result:
    """Train one head and save it in the form that the recipe wants.

    Args:
        recipe: what to train.
        text: of its file, for the archive.
        crops: with pairs.
        folder: where models land.

    Raises:
        ConfigError: pairs of one kind only, or what `train` raises.
    """
    yes, no = crops.pairs(MOST_PAIRS, recipe.seed)
    if not len(yes) or not len(no):
        raise ConfigError(f"pairs: want both kinds, got {len(yes)} YES and {len(no)} NO; mine more")
    pictures = read_pictures(crops, recipe.size)
    base = open_base(recipe)
    maps: F32 = np.asarray(base.frozen.predict(pictures, batch_size=32, verbose=0), np.float32)
    held = hold_out(crops, recipe.held_out, recipe.seed)
    learn, check = ([rows[held[rows].all(axis=1) == side] for rows in (yes, no)] for side in (False, True))
    learn = [rows[~held[rows].any(axis=1)] for rows in learn]
    if not all(map(len, (*learn, *check))):  # too few individuals: the last fifth of the pairs validates
        learn, check = (
            [rows[: len(rows) * 4 // 5] for rows in (yes, no)],
            [rows[len(rows) * 4 // 5 :] for rows in (yes, no)],
        )
    shape = maps.shape[1:]

    def build() -> keras.Model:
        base_rest = open_base(recipe).rest if recipe.fine_tune else base.rest
        shared = tower(base_rest.output_shape[1:], recipe)
        inner = head(shared.output_shape[-1], recipe)
        inputs = [keras.Input(shape, name=name) for name in ("a", "b")]
        vectors = [keras.layers.Reshape((1, 1, -1))(shared(base_rest(x))) for x in inputs]
        same = keras.layers.Reshape((1,), name="probability")(inner(vectors))
        model = keras.Model(inputs, same)
        model.compile(
            keras.optimizers.AdamW(recipe.rate, weight_decay=recipe.decay), "binary_crossentropy", metrics=["accuracy"]
        )
        return model

    def report(model: keras.Model, history: Mapping[str, list[float]], place: Path) -> dict[str, Any]:
        del history
        saved = assemble(model, base, recipe)
        saved.save(place / MODEL_FILE)
        tower_of(model, base).save(place / "embedder.keras")
        if recipe.form == "vectors":
            _save_examples(tower_of(model, base), pictures, (yes, no), recipe, place)
        rows, same = both(*learn)
        answers = model.predict([maps[rows[:, 0]], maps[rows[:, 1]]], batch_size=64, verbose=0).reshape(-1)
        cut, _ = best_threshold(np.asarray(1 - answers, np.float32), same.astype(bool))
        return {
            "data": crops.words, "threshold": cut, "probability": 1 - cut,
            "parameters": int(saved.count_params()), "form": recipe.form,
        }  # fmt: skip

    job = Job(
        name=recipe.name, recipe=text, made_from=fingerprint(recipe, pictures, yes, no, _base_hash(recipe)),
        build=build, train=lambda epoch: _Pairs(maps, learn, recipe, epoch), valid=_Pairs(maps, check, recipe, None),
        epochs=recipe.epochs, patience=recipe.patience, report=report, seed=recipe.seed, folder=folder,
    )  # fmt: skip
    return train(job)


def _save_examples(embedder: keras.Model, pictures: U8, kinds: tuple[I64, I64], recipe: Head, place: Path) -> None:
    """Write pairs.npz, what a converter calibrates and judges a head with: `a`, `b` (N, 1, at_once, D).

    `y` says of the first pair of each example whether it is the same, which is the pair that is judged.
    """
    answer = embedder.predict(pictures, batch_size=32, verbose=0)
    vectors = np.asarray(answer["embedding"], np.float32)
    rows, same = both(*kinds)
    some = np.random.default_rng(recipe.seed).permutation(len(rows))
    count = min(EXAMPLES, len(rows))
    filled = np.resize(some, count * recipe.at_once).reshape(recipe.at_once, count).T  # first column: all different
    first, second = (vectors[rows[filled, side]][:, None] for side in (0, 1))
    np.savez(place / EXAMPLES_FILE, a=first, b=second, y=same[filled[:, 0]].astype(np.int64))


def assemble(model: keras.Model, base: Base, recipe: Head) -> keras.Model:
    """Make the model of the recipe's form of a trained one."""
    shared, inner = model.get_layer("tower"), model.get_layer("head")
    dim = shared.output_shape[-1]
    if recipe.form == "vectors":
        return over_vectors(inner, dim, recipe.at_once)
    whole = keras.Model(base.frozen.inputs, model.get_layer("rest")(base.frozen.outputs[0]), name="base")
    if recipe.form == "pictures":
        return over_pictures(whole, shared, inner)
    return over_vector_and_picture(whole, shared, inner, dim)


def tower_of(model: keras.Model, base: Base) -> keras.Model:
    """Make the embedder whose vectors a trained head compares: `image` -> `embedding`."""
    x = model.get_layer("tower")(model.get_layer("rest")(base.frozen.outputs[0]))
    return keras.Model(base.frozen.inputs, {"embedding": x}, name="embedder")


def hold_out(crops: Crops, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose groups that only validate, those with most known strangers among themselves: bool (N,)."""
    groups = np.flatnonzero(np.bincount(crops.groups) >= 2)
    random, best, chosen = np.random.default_rng(seed), -1, groups[:0]
    for _ in range(200):
        drawn = random.permutation(groups)[: max(2, round(share * len(groups)))]
        known = int(crops.strangers[np.ix_(drawn, drawn)].sum())
        if known > best:
            best, chosen = known, drawn
    return np.isin(crops.groups, chosen)


def both(yes: I64, no: I64) -> tuple[I64, F32]:
    """Return rows of all pairs, and 1 for the same, 0 for different."""
    return np.concatenate([yes, no]), np.repeat(np.array([1, 0], np.float32), (len(yes), len(no)))


class _Pairs(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches in which YES and NO alternate; without an epoch in their order, else shuffled and turned round."""

    def __init__(self, maps: F32, kinds: list[I64], recipe: Head, epoch: int | None) -> None:
        super().__init__(workers=1)
        self._maps, self._half = maps, max(1, recipe.batch // 2)
        if epoch is not None:
            random = np.random.default_rng((recipe.seed, epoch))
            kinds = [random.permutation(rows) for rows in kinds]
            kinds = [np.where(random.random((len(rows), 1)) < 0.5, rows, rows[:, ::-1]) for rows in kinds]
        self._yes, self._no = kinds
        fewest = min(map(len, kinds))
        if not fewest:
            raise ConfigError("pairs: want YES and NO pairs to train and to check with, got too few; record longer")
        self._half = min(self._half, fewest)
        self._count = fewest // self._half

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[tuple[F32, F32], F32]:
        """Return maps of both crops, and what is right."""
        some = slice(index * self._half, (index + 1) * self._half)
        yes, no = self._yes[some], self._no[some]
        rows = np.stack([yes, no], axis=1).reshape(-1, 2)
        same = np.tile(np.array([1, 0], np.float32), len(yes))
        return (self._maps[rows[:, 0]], self._maps[rows[:, 1]]), same[:, None]


def distances(result: Result, crops: Crops, recipe: Head) -> Callable[[I64], F32]:
    """Return what measures pairs of rows of `crops` by a trained head: 1 - the probability of "the same"."""
    embedder = keras.models.load_model(result.path / "embedder.keras")
    answer = embedder.predict(read_pictures(crops, recipe.size), batch_size=32, verbose=0)
    vectors: F32 = np.asarray(answer["embedding"], np.float32)
    model = result.load()
    inner = model.get_layer("head")

    def between(rows: I64) -> F32:
        parts = []
        for start in range(0, len(rows), 2048):
            some = rows[start : start + 2048]
            same = inner([vectors[some[:, 0]][:, None, None], vectors[some[:, 1]][:, None, None]], training=False)
            parts.append(1 - np.asarray(same, np.float32).reshape(-1))
        return np.concatenate(parts)

    return between
