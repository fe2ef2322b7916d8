"""A job of seconds for the tests of training, run as a process so that it can be killed: FOLDER EPOCHS [SLOW]."""

import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.training.augment import Augmentation, epochs_of
from models.training.recipe import fingerprint
from models.training.run import Job, train

SIDE = 8


def pictures(count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Bright left half is class 0, bright right half class 1, under noise."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, count)
    images = random.integers(0, 120, (count, SIDE, SIDE, 1)).astype(np.uint8)
    for place, side in enumerate(truth):
        images[place, :, side * SIDE // 2 : (side + 1) * SIDE // 2] += 60
    return images, truth


def build(rate: float = 0.01) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(8, activation="relu")(x))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tiny_job(folder: Path, epochs: int = 4, pause: float = 0.0, **more: Any) -> Job:
    images, truth = pictures(256, 0)
    batches = epochs_of(images, truth, 32, 1, Augmentation(noise=8, shift=0.1))

    def slowly(epoch: int) -> Any:
        time.sleep(pause)
        return batches(epoch)

    job = {
        "name": "tiny", "recipe": "epochs = 4\n", "made_from": fingerprint(images, truth), "build": build,
        "train": slowly, "valid": pictures(128, 1), "epochs": epochs, "seed": 5, "folder": folder,
    }  # fmt: skip
    return Job(**{**job, **more})  # type: ignore[arg-type]


if __name__ == "__main__":
    train(tiny_job(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0.0))
