"""A projection learned on the spot: minutes of video, no labels, seconds of training.

The features are frozen and computed once, for several views of each crop. The projection starts from what can be
computed outright: principal components, whitened by how the crops of one individual differ among themselves (Hatch
et al., "Within-class covariance normalization", Interspeech 2006), so that a direction in which one individual varies
counts little. A metric loss takes it from there.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.bar import bar
from edge.errors import ConfigError
from edge.settings import BelowOne, Count, NotNegative, PlainName, Seed, Share
from edge.types import F32, I64, U8
from models.siamese.crops import Bools, Crops, read_pictures
from models.siamese.judge import best_threshold
from models.siamese.layout import SIZE, TAP, Side, feature_model, find_palette, project
from models.siamese.losses import LOSSES
from models.training.archive import MODEL_FILE
from models.training.recipe import Few, Part, Width, Window, fingerprint
from models.training.run import MODELS, Job, Result, train

_AT_ONCE = 256
"""Crops between two moves of the bar, a second of work; a multiple of the batch, so that batches are what they were."""
_FEW = 5
"""Crops of a group from which its spread is estimated."""


class Projection(Part, frozen=True):
    """A recipe of `models/recipes/siamese`: features, projection and how it is trained.

    Attributes:
        name: of the model's folder.
        size: height and width of the input, pixels.
        colours: in the palette, of 60,000 pixels at most; 0 = none, MobileNetV2 alone.
        stripes: of the colour layout.
        centre: see `layout.feature_model`; below a hundredth of the width nothing has a weight.
        tap: layer of MobileNetV2; "" = colours alone.
        components: principal components that are kept before whitening.
        dim: length of the vector.
        whiten: added to the spread within individuals, in parts of its mean: 0 trusts few individuals
            entirely, a million whitens nothing.
        loss: key of `losses.LOSSES`.
        views: of each crop, the first as it is, the others mirrored or cut a little otherwise.
        jitter: largest part of a side that a view cuts off, at both ends: of a half nothing would be left.
        groups: individuals in a batch, two at least: there is nobody to tell one from.
        crops: of each individual in a batch, two at least: there is nothing that is the same.
        steps: batches in an epoch.
        epochs: at most.
        patience: epochs without a better validation loss.
        rate: learning rate of Adam; 0 keeps what was computed outright.
        held_out: share of the groups whose crops only validate.
        seed: decides all draws.
    """

    name: PlainName
    size: tuple[Side, Side] = SIZE
    colours: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 48
    stripes: Window = 8
    centre: Annotated[float, msgspec.Meta(ge=0.01, le=1000)] = 0.22
    tap: Annotated[str, msgspec.Meta(max_length=100)] = TAP
    components: Count = 200
    dim: Width = 128
    whiten: NotNegative = 0.3
    loss: Literal["supervised-contrastive", "batch-hard-triplet"] = "supervised-contrastive"
    views: Few = 4
    jitter: Annotated[float, msgspec.Meta(ge=0, lt=0.5)] = 0.1
    groups: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 12
    crops: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 6
    steps: Count = 20
    epochs: Count = 30
    patience: Count = 6
    rate: Share = 0.0003
    held_out: BelowOne = 0.25
    seed: Seed = 0

    def complaints(self) -> Iterator[str]:
        """See `Part.complaints`."""
        if not self.colours and not self.tap:
            yield "colours, tap: want one of them at least, got 0 and ''; give colours, or a layer of MobileNetV2"
        if self.colours and self.size[0] % (2 * self.stripes):
            yield (
                f"stripes: want a part of half the height of {self.size[0]}, got {self.stripes}; "
                "colours are counted at half the size"
            )


@dataclass(frozen=True)
class Cached:
    """Features of all views.

    Attributes:
        parts: name -> float32 (V, N, F).
        groups: int64 (N,).
        strangers: bool (G, G).
    """

    parts: Mapping[str, F32]
    groups: I64
    strangers: Bools


def train_projection(recipe: Projection, text: str, crops: Crops, folder: Path = MODELS) -> Result:
    """Learn the projection of a data set and save the whole embedder, from the crop to the vector.

    Args:
        recipe: what to do.
        text: of its file, for the archive.
        crops: of the individuals before this camera.
        folder: where models land.

    Raises:
        ConfigError: the crops hold too little to learn from, or what `train` raises.
    """
    begun = time.monotonic()
    if not crops.strangers.any() or np.bincount(crops.groups).max() < 2:
        raise ConfigError(f"projection: want crops of one and of different individuals, got {crops.words}; add pairs")
    pictures = read_pictures(crops, recipe.size)
    palette = find_palette(pictures, recipe.colours, recipe.seed) if recipe.colours else None
    features = feature_model(palette, recipe.size, recipe.stripes, recipe.centre, recipe.tap)
    cached = Cached(compute_views(features, pictures, recipe), crops.groups, crops.strangers)
    learn, hold = _split(cached, recipe)
    # what is not going to be validated may be learned from
    kernels, bias = whitened(cached, learn if recipe.rate else np.arange(len(crops)), recipe)

    def build() -> keras.Model:
        inputs = {name: keras.Input((part.shape[-1],), name=name) for name, part in cached.parts.items()}
        model = keras.Model(inputs, project(inputs, kernels, bias))
        model.compile(keras.optimizers.Adam(recipe.rate), LOSSES[recipe.loss](cached.strangers))
        return model

    def report(model: keras.Model, history: Mapping[str, list[float]], place: Path) -> dict[str, Any]:
        del history
        whole = assemble(features, model)
        whole.save(place / MODEL_FILE)
        vectors = model.predict({name: part[0] for name, part in cached.parts.items()}, verbose=0)
        threshold = _threshold(vectors, cached)
        return {
            "data": crops.words, "crops": len(crops), "threshold": threshold, "loss": recipe.loss,
            "parameters": int(whole.count_params()), "whole_seconds": round(time.monotonic() - begun, 1),
        }  # fmt: skip

    job = Job(
        name=recipe.name, recipe=text, made_from=fingerprint(recipe, pictures, crops.groups, crops.strangers),
        build=build, train=_batches(cached, learn, recipe), valid=_valid(cached, hold), epochs=recipe.epochs,
        patience=recipe.patience, report=report, seed=recipe.seed, folder=folder,
    )  # fmt: skip
    return train(job)


def assemble(features: keras.Model, projection: keras.Model) -> keras.Model:
    """Join the frozen features and the trained projection to one model: `image` -> `embedding`."""
    layers = {layer.name: layer for layer in projection.layers}
    names = [name for name in features.output if f"project_{name}" in layers]
    weights = {name: layers[f"project_{name}"].get_weights() for name in names}
    bias = weights[names[0]][1]
    vector = project(features.output, {name: weights[name][0] for name in names}, bias)
    return keras.Model(features.inputs, {"embedding": vector}, name="layout_embedder")


def compute_views(features: keras.Model, pictures: U8, recipe: Projection) -> dict[str, F32]:
    """Return the features of every view: name -> float32 (V, N, F)."""
    random = np.random.default_rng(recipe.seed)
    views = [pictures] + [
        np.stack([vary(picture, recipe.jitter, random) for picture in pictures]) for _ in range(recipe.views - 1)
    ]
    starts = [(view, start) for view in views for start in range(0, len(pictures), _AT_ONCE)]
    answers = [
        features.predict(view[start : start + _AT_ONCE], batch_size=64, verbose=0)
        for view, start in bar(starts, desc="looking at crops", unit="part")
    ]
    joined = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
    return {name: part.reshape(len(views), len(pictures), -1) for name, part in joined.items()}


def vary(picture: U8, jitter: float, random: np.random.Generator) -> U8:
    """Return a picture as another detection might have shown it: mirrored or not, cut a little closer."""
    height, width = picture.shape[:2]
    top, bottom = (random.uniform(0, jitter, 2) * height).astype(int)
    left, right = (random.uniform(0, jitter, 2) * width).astype(int)
    part = picture[top : height - bottom, left : width - right]
    if random.random() < 0.5:
        part = part[:, ::-1]
    return cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def whitened(cached: Cached, rows: I64, recipe: Projection) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Compute the projection that a metric loss starts from.

    Returns:
        Part of the features -> float32 (F, D), and float32 (D,).
    """
    names = list(cached.parts)
    flat = {name: cached.parts[name][:, rows].reshape(-1, cached.parts[name].shape[-1]) for name in names}
    means = {name: part.mean(axis=0) for name, part in flat.items()}
    sizes = {name: float(np.sqrt(((part - means[name]) ** 2).sum(axis=1).mean())) for name, part in flat.items()}
    data = np.concatenate([(flat[name] - means[name]) / sizes[name] for name in names], axis=1).astype(np.float64)
    groups = np.tile(cached.groups[rows], len(next(iter(cached.parts.values()))))
    _, spread, axes = np.linalg.svd(data[_some(len(data))], full_matrices=False)
    axes = axes[: min(recipe.components, int((spread > 1e-6 * spread[0]).sum()))].T
    reduced = data @ axes
    within = _within(reduced, groups)
    within += recipe.whiten * np.trace(within) / len(within) * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    kernel = axes @ (vectors / np.sqrt(values))
    white = data @ kernel
    centred = white - white.mean(axis=0)
    _, best = np.linalg.eigh(centred.T @ centred)
    kernel = kernel @ best[:, ::-1][:, : recipe.dim]
    kernel /= np.sqrt(np.mean(np.sum((data @ kernel) ** 2, axis=1)))
    edges = np.cumsum([0] + [flat[name].shape[1] for name in names])
    kernels = {
        name: (kernel[low:high] / sizes[name]).astype(np.float32)
        for name, low, high in zip(names, edges[:-1], edges[1:], strict=True)
    }
    bias = -np.sum([means[name] @ kernels[name] for name in names], axis=0)
    return kernels, np.asarray(bias, np.float32)


def _some(count: int, most: int = 3000) -> I64:
    """Choose rows, evenly spread, for a decomposition that more of them would only make slower."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _within(data: NDArray[np.float64], groups: I64) -> NDArray[np.float64]:
    """Return the mean covariance of the groups, each of which counts the same: (F, F)."""
    parts = []
    for group in np.unique(groups):
        own = data[groups == group]
        if len(own) >= _FEW:
            off = own - own.mean(axis=0)
            parts.append(off.T @ off / len(own))
    if not parts:
        raise ConfigError(
            f"projection: want an individual with at least {_FEW} crops, got none; record longer, or mine more pairs"
        )
    return np.asarray(np.mean(parts, axis=0))


def _split(cached: Cached, recipe: Projection) -> tuple[I64, I64]:
    """Hold out some groups for validation: those that have strangers among themselves, by seed."""
    counts = np.bincount(cached.groups)
    large = np.flatnonzero(counts >= _FEW)
    random = np.random.default_rng(recipe.seed)
    wanted = max(2, round(recipe.held_out * len(large)))
    best: tuple[int, list[int]] = (-1, [])
    for _ in range(200):
        drawn = random.permutation(large)[:wanted].tolist()
        known = int(cached.strangers[np.ix_(drawn, drawn)].sum())
        if known > best[0]:
            best = known, drawn
    held = np.isin(cached.groups, best[1])
    if best[0] <= 0 or len(large) < 2 * wanted:  # too few individuals to spare any: the last crops of each validate
        order = np.arange(len(cached.groups))
        held = np.zeros(len(order), bool)
        for group in large:
            own = order[cached.groups == group]
            held[own[-max(2, len(own) // 5) :]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _batches(cached: Cached, rows: I64, recipe: Projection) -> Callable[[int], Any]:
    """Return the function epoch -> batches of some groups and some crops of each, in any view."""
    groups = cached.groups[rows]
    counts = np.bincount(groups, minlength=len(cached.strangers))
    usable = np.flatnonzero(counts >= 2)

    def epoch_of(epoch: int) -> "_Epoch":
        return _Epoch(cached, {int(group): rows[groups == group] for group in usable}, recipe, epoch)

    return epoch_of


class _Epoch(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of one epoch, a function of seed and epoch."""

    def __init__(self, cached: Cached, rows_of: dict[int, I64], recipe: Projection, epoch: int) -> None:
        super().__init__(workers=1)
        self._cached, self._rows_of, self._recipe, self._epoch = cached, rows_of, recipe, epoch

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, index: int) -> tuple[dict[str, F32], I64]:
        """Return features by name and groups of one batch."""
        recipe = self._recipe
        random = np.random.default_rng((recipe.seed, self._epoch, index))
        chosen = random.permutation(list(self._rows_of))[: recipe.groups]
        rows = np.concatenate([random.choice(self._rows_of[int(group)], recipe.crops) for group in chosen])
        views = random.integers(0, recipe.views, len(rows))
        return {name: part[views, rows] for name, part in self._cached.parts.items()}, self._cached.groups[rows]


def _valid(cached: Cached, rows: I64) -> tuple[dict[str, F32], I64]:
    """Return crops to validate on as one batch, seen as they are."""
    chosen = rows[_some(len(rows), 256)]
    return {name: part[0, chosen] for name, part in cached.parts.items()}, cached.groups[chosen]


def _threshold(vectors: F32, cached: Cached) -> float:
    """Return the cosine distance that best divides the known pairs of the training data."""
    first, second = np.triu_indices(len(vectors), 1)
    a, b = cached.groups[first], cached.groups[second]
    known = (a == b) | cached.strangers[a, b]
    some = np.flatnonzero(known)
    some = some[_some(len(some), 200_000)]
    distance = 1 - np.einsum("pd,pd->p", vectors[first[some]], vectors[second[some]])
    return best_threshold(distance.astype(np.float32), (a == b)[some])[0]
