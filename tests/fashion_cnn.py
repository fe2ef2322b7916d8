"""A small classifier trained on Fashion-MNIST, for the tests of conversion: batch norm, dropout, augmentation and
scaling inside the model."""

import sys
from pathlib import Path

import numpy as np


def train(folder: Path, epochs: int = 4, examples: int = 59_000) -> None:
    """Train and leave `fashion.keras`, `calibrate.npz` and `test.npz` in a folder."""
    import keras

    from models.data.fashion_mnist import load

    keras.utils.set_random_seed(3)
    layers = keras.layers

    image = keras.Input((28, 28, 1), name="image")
    x = layers.RandomFlip("horizontal")(image)
    x = layers.Rescaling(1 / 255)(x)
    for filters in (24, 48):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    model = keras.Model(image, layers.Dense(10, activation="softmax", name="class")(x))
    pictures, labels = load("train")
    test, truth = load("test")
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 3e-3 * 0.4**epoch)
    model.fit(pictures[:examples, ..., None], labels[:examples], 128, epochs, verbose=2, callbacks=[rate])
    model.save(folder / "fashion.keras")
    np.savez_compressed(folder / "calibrate.npz", image=pictures[-400:, ..., None], y=labels[-400:])
    np.savez_compressed(folder / "test.npz", image=test[..., None], y=truth)
    print("test accuracy", model.evaluate(test[..., None], truth, 500, verbose=0)[1])


if __name__ == "__main__":
    train(Path(sys.argv[1]))
