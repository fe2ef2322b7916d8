"""The containers of Keras models, written by hand: any configuration can stand in them."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Config = dict[str, Any]

KERAS_3, KERAS_2 = "3.15.1", "2.21.0"


def node(module: str | None, name: str, config: Any, **more: Any) -> Config:
    """Describe an object as both libraries do in `.keras` files."""
    return {"module": module, "class_name": name, "config": config, "registered_name": None, **more}


def function(module: str, name: str) -> Config:
    """Describe a function by its name."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def layer(name: str, module: str = "keras.layers", **config: Any) -> Config:
    """Describe a layer; its own name is its class in small letters."""
    return node(module, name, {"name": config.pop("called", name.lower()), "trainable": True, **config})


def input_layer(shape: Sequence[int | None] = (None, 4), old: bool = False, dtype: str = "float32") -> Config:
    """Describe the layer "x" that a model begins with."""
    key = "batch_input_shape" if old else "batch_shape"
    return node("keras.layers", "InputLayer", {"name": "x", "dtype": dtype, "sparse": False, key: list(shape)})


def sequential(*layers: Config, shape: Sequence[int | None] = (None, 4), old: bool = False, **more: Any) -> Config:
    """Describe a Sequential of Keras 3, or of Keras 2 if `old`."""
    first = input_layer(shape, old)
    return node("keras", "Sequential", {"name": "model", "trainable": True, "layers": [first, *layers]}, **more)


def tensor(name: str = "x", shape: Sequence[int | None] = (None, 4)) -> Config:
    """Refer to the output of a layer, as Keras 3 does."""
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": list(shape), "dtype": "float32", "keras_history": [name, 0, 0]},
    }


def functional(
    *layers: tuple[Config, Any], shape: Sequence[int | None] = (None, 4), old: bool = False, **more: Any
) -> Config:
    """Describe a functional model.

    Args:
        layers: each layer with its `inbound_nodes`; None = it takes what the one before gives.
        shape: of the input, batch first.
        old: True for Keras 2's way of writing.
        more: keys beside `config`.
    """
    first = input_layer(shape, old)
    parts, before = [{**first, "name": "x", "inbound_nodes": []}], "x"
    for part, inbound in layers:
        name = part["config"]["name"]
        if inbound is None:
            inbound = [[[before, 0, 0, {}]]] if old else [{"args": [tensor(before, shape)], "kwargs": {}}]
        parts.append({**part, "name": name, "inbound_nodes": inbound})
        before = name
    ends: Any = [["x", 0, 0]], [[before, 0, 0]]
    if not old:
        ends = ["x", 0, 0], [before, 0, 0]
    config = {"name": "model", "trainable": True, "layers": parts, "input_layers": ends[0], "output_layers": ends[1]}
    return node("keras.src.engine.functional" if old else "keras.src.models.functional", "Functional", config, **more)


def weights_hdf5(shapes: Mapping[str, Sequence[tuple[int, ...]]] | None = None) -> bytes:
    """Return `model.weights.h5` with ones in it.

    Args:
        shapes: path of a layer, as "layers/dense" -> shapes of its variables.
    """
    import h5py
    import numpy as np

    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        for path, parts in {"": (), "layers": (), "_layer_checkpoint_dependencies": (), **(shapes or {})}.items():
            variables = file.require_group(f"{path}/vars")
            for number, shape in enumerate(parts):
                variables[str(number)] = np.ones(shape, np.float32)
    return held.getvalue()


def keras_zip(
    path: Path,
    config: Any,
    version: str = KERAS_3,
    weights: bytes | None = None,
    more: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a `.keras` file; a configuration that is text or bytes is written as it is."""
    text = config if isinstance(config, str | bytes) else json.dumps(config)
    members = {
        "metadata.json": json.dumps({"keras_version": version, "date_saved": "2025-01-01@00:00:00"}),
        "config.json": text,
        "model.weights.h5": weights_hdf5() if weights is None else weights,
        **(more or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def hdf5(path: Path, config: Any, version: str = KERAS_2) -> Path:
    """Write an HDF5 model file without weights."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = []
        weights.attrs["keras_version"] = version
        weights.attrs["backend"] = "tensorflow"
    return path
