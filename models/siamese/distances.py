"""What tells same from different, opened from where it is: an embedder's bundle or Keras file, with a metric or a head.

A distance is named `[METRIC@]PATH`: `manhattan@build/bundles/mobilenetv2-97-fp32-tflite`, `build/models/on-the-spot`.
A head is named `HEAD@PATH`, where HEAD is the folder of a trained pair model.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bar import bar
from edge.distance import METRICS
from edge.errors import ConfigError
from edge.model import open_model
from edge.profiler import StageClock
from edge.sources.pictures import read_picture
from edge.stages.embed import Embed
from edge.types import F32, I64, Frame
from models.siamese.crops import Crops, read_pictures
from models.siamese.judge import best_threshold
from models.training.archive import MODEL_FILE
from models.training.run import load_trained, read_result

_CHUNK = 4096
"""Pairs whose vectors are held at once."""


@dataclass(frozen=True)
class Measured:
    """Vectors of crops, and how they are compared.

    Attributes:
        name: for a table.
        vectors: float32 (N, D).
        metric: key of `METRICS`.
        threshold: below it two are the same, as it came with the model; NaN where none did.
    """

    name: str
    vectors: F32
    metric: str
    threshold: float

    def between(self, rows: I64) -> F32:
        """Return the distance of each pair of rows (P, 2): float32 (P,)."""
        parts = [METRICS[self.metric](self.vectors, self.vectors, tuple(part.T)) for part in _chunks(rows)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def measure(what: str, crops: Crops) -> Measured:
    """Embed crops by a bundle, run by edge's own stage, or by a trained model of Keras.

    Args:
        what: see the module.
        crops: to embed.

    Raises:
        ConfigError: neither a bundle nor a trained model, or an unknown metric.
    """
    metric, _, place = what.rpartition("@")
    path = Path(place)
    if metric and metric not in METRICS:
        raise ConfigError(f"distance '{what}': want METRIC@PATH with one of {', '.join(METRICS)}, got '{metric}'")
    if (path / "bundle.json").is_file():
        vectors, own, threshold = _by_bundle(path, crops)
    elif (path / MODEL_FILE).is_file():
        vectors, own, threshold = _by_keras(path, crops)
    else:
        raise ConfigError(f"distance '{what}': want the folder of a bundle or of a trained model, got none; see build/")
    return Measured(what, vectors, metric or own, threshold if not metric or metric == own else float("nan"))


def mined_threshold(what: str, crops: Crops) -> float:
    """Return the threshold that divides pairs best that were mined without labels."""
    yes, no = crops.pairs(_CHUNK, 0)
    distance = measure(what, crops).between(np.concatenate([yes, no]))
    return best_threshold(distance, np.arange(len(distance)) < len(yes))[0]


def _by_bundle(path: Path, crops: Crops) -> tuple[F32, str, float]:
    with open_model(path, "embed", len(os.sched_getaffinity(0))) as model:
        embed = Embed(model)
        rows = np.empty((len(crops), embed.dim), np.float32)
        for row, file in enumerate(bar(crops.files, desc=path.name, unit="crop")):
            picture = read_picture(file)
            box = np.array([[0, 0, picture.shape[1], picture.shape[0]]], np.float32)
            rows[row] = embed(Frame(row, 0, picture), box, StageClock())[0]
        threshold = model.bundle.manifest.threshold
        return rows, embed.metric, float("nan") if threshold is None else threshold


def _by_keras(path: Path, crops: Crops) -> tuple[F32, str, float]:
    model: Any = load_trained(path)
    pictures = read_pictures(crops, tuple(model.inputs[0].shape[1:3]))
    answer = model.predict(pictures, batch_size=64, verbose=0)
    vectors: NDArray[np.float32] = np.asarray(answer["embedding"] if isinstance(answer, dict) else answer)
    return vectors, "cosine", float(read_result(path).figures.get("threshold", "nan"))


def _chunks(rows: I64) -> list[I64]:
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
