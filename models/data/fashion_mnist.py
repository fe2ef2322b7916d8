"""Fashion-MNIST: 60,000 pictures of clothes to train with, 10,000 to test, ten classes of equal size.

Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from models.weights import fetch

LABELS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

_UNSIGNED_BYTE = 8


def load(part: Literal["train", "test"]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures uint8 (N, 28, 28), bright clothes on black, and labels int64 (N,) in 0..9.

    Raises:
        FetchError: the data could not be fetched.
        ConfigError: a file is damaged.
    """
    folder, prefix = fetch("fashion-mnist"), "train" if part == "train" else "t10k"
    pictures = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    return pictures, labels.astype(np.int64)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes: two zeros, the type, the rank, big-endian sizes, values.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        data = gzip.decompress(path.read_bytes())
        zeros, kind, rank = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{rank}I", data, 4)
        values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
        if zeros or kind != _UNSIGNED_BYTE or values.size != np.prod(shape):
            raise ValueError(f"type {kind}, shape {shape}, {values.size} values")
    except (OSError, EOFError, struct.error, zlib.error, ValueError) as error:
        raise ConfigError(f"{path}: want a gzipped IDX file of bytes, got '{error}'; fetch it again") from error
    return values.reshape(shape)
