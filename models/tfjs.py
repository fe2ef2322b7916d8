"""Read the arrays of a TensorFlow.js graph model: a JSON file that lists them, a .bin file that holds them."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError
from edge.limits import read_file

Array = NDArray[np.float32] | NDArray[np.int32]

_STORED = {"float16": "<f2", "float32": "<f4", "int32": "<i4"}
"""Number format in the file -> numpy's name; the file is little endian whatever wrote it."""


def read_tfjs(topology: Path) -> dict[str, Array]:
    """Read every weight of a TensorFlow.js graph model.

    Args:
        topology: the JSON file; the .bin files that it names lie beside it.

    Returns:
        Name of the constant in the graph -> array, float32 or int32. Weights stored as float16 are widened,
        which is exact.

    Raises:
        BundleError: a file is missing, is no such model, or has more or fewer bytes than it lists.
    """
    try:
        return _read(topology)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{topology.name}: want a TensorFlow.js graph model, got {error!r:.200}; fetch it again"
        ) from error


def _read(topology: Path) -> dict[str, Array]:
    """Read it; a file that is no such model raises what Python raises for values of another kind."""
    arrays: dict[str, Array] = {}
    for group in json.loads(read_file(topology))["weightsManifest"]:
        names = [topology.parent / name for name in group["paths"]]
        missing = [path.name for path in names if not path.is_file()]
        if missing:
            raise BundleError(f"{topology.name}: want {missing[0]} beside it, got no such file; fetch it again")
        data = b"".join(read_file(path) for path in names)
        arrays.update(_unpack(topology.name, data, group["weights"]))
    return arrays


def _unpack(what: str, data: bytes, weights: list[dict[str, object]]) -> dict[str, Array]:
    """Cut one group's bytes into arrays, in the order of its list."""
    arrays: dict[str, Array] = {}
    offset = 0
    for weight in weights:
        name, shape, kind = str(weight["name"]), weight["shape"], str(weight["dtype"])
        packed = weight.get("quantization")
        stored = str(packed["dtype"]) if isinstance(packed, dict) else kind
        if stored not in _STORED or not isinstance(shape, list) or (packed and stored != "float16"):
            raise BundleError(f"{what}, {name}: want {' or '.join(_STORED)}, got {stored}; use another model file")
        kept = np.dtype(_STORED[stored])
        count = int(np.prod(shape, dtype=np.int64))
        end = offset + count * kept.itemsize
        if end > len(data):
            raise BundleError(f"{what}: want at least {end} bytes of weights, got {len(data)}; fetch it again")
        array = np.frombuffer(data, kept, count, offset).reshape(shape)
        arrays[name] = array.astype(np.int32) if kind == "int32" else array.astype(np.float32)
        offset = end
    if offset != len(data):
        raise BundleError(f"{what}: want {offset} bytes of weights, got {len(data)}; fetch it again")
    return arrays
