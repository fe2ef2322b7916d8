"""Keras files that say one thing to who reads them as data, and another to the library that opens them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile import keras2, keras3
from tests.hostile.bait import Bait
from tests.hostile.case import hostile, put
from tests.hostile.keras2 import constant, lambda_layer, named, operation
from tests.hostile.layouts import (
    KERAS_2,
    KERAS_3,
    Config,
    function,
    functional,
    hdf5,
    keras_zip,
    layer,
    node,
    sequential,
)

_INERT = "nothing of it runs"
_BROKEN = "neither library opens it"


def _zip(build: Callable[[Bait], Any], version: str = KERAS_2) -> Callable[[Path, Bait], Path]:
    return lambda folder, bait: keras_zip(folder / "model.keras", build(bait), version)


def _other_name(module: str, shown: str, meant: str) -> Config:
    """Show one name, and mean another: Keras 2 falls back on the registered one."""
    return {"module": module, "class_name": "function", "config": shown, "registered_name": meant}


def _registered_get_file(bait: Bait) -> Config:
    made = _other_name("keras.src.utils.data_utils", "relu", "get_file")
    return named(made, "f", origin=bait.url)


def _registered_load(bait: Bait) -> Config:
    return named(_other_name("keras.src.saving.saving_api", "relu", "load_model"), bait.secret)


def _registered_system(bait: Bait) -> Config:
    return named(_other_name("os", "relu", "system"), bait.command)


def _registered_activation(bait: Bait) -> Config:
    made = _other_name("keras.activations", "relu", "deserialize")
    return sequential(layer("Activation", activation=made), old=True)


def _typespec_class(bait: Bait) -> Config:
    """A type whose registered name is a layer of the Keras inside TensorFlow."""
    spec = {
        "class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow.python.keras.layers.core",
        "registered_name": "TFOpLambda", "config": {"name": "x", "function": "io.write_file"},
    }  # fmt: skip
    return named(spec, bait.canary, contents="x")


_NO_SHAPE = {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None}


def _typespec_code(bait: Bait) -> Config:
    spec = {
        "class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow.python.keras.layers.core",
        "registered_name": "Lambda", "config": {"name": "x", **keras2.stored(bait), **_NO_SHAPE},
    }  # fmt: skip
    return sequential(lambda_layer(function=spec), old=True)


def _typespec_module(module: str, name: str, *inside: Any) -> Callable[[Bait], Config]:
    def build(bait: Bait) -> Config:
        spec = {
            "class_name": "__typespec__", "spec_name": "TensorSpec", "module": module, "registered_name": name,
            "config": list(inside),
        }  # fmt: skip
        return named(spec, bait.canary)

    return build


def _internal_keras(bait: Bait) -> Config:
    """The Keras inside TensorFlow, by a module that begins like an honest one."""
    return named(function("tensorflow.python.keras.utils.data_utils", "get_file"), "f", origin=bait.url)


def _v1_symbol(symbol: str) -> Callable[[Bait], Config]:
    return lambda bait: operation(symbol, bait.canary, contents="x")


def _strange(where: str, value: Any) -> Callable[[Bait], Config]:
    """Put a value of another type where a name belongs, beside a hostile layer."""

    def build(bait: Bait) -> Config:
        part = keras2.evil(bait)
        made = sequential(part, old=True)
        if where == "name":
            part["config"]["name"] = value
        elif where == "class":
            made["config"]["layers"].append({"class_name": value, "config": {"name": "y"}})
        elif where == "spec":
            spec = {"class_name": "__typespec__", "spec_name": value, "module": "tensorflow.python", "config": []}
            made["config"]["layers"].append(spec)
        elif where == "module":
            part["module"] = value
        elif where == "root":
            made["config"]["name"] = value
        return made

    return build


PLAIN: dict[str, tuple[Callable[[Bait], Any], str]] = {
    "registered-get-file": (_registered_get_file, ""),
    "registered-load-model": (_registered_load, ""),
    "registered-system": (_registered_system, ""),
    "registered-activation": (_registered_activation, _INERT),
    "typespec-operation": (_typespec_class, ""),
    "typespec-code": (_typespec_code, ""),
    "typespec-list": (_typespec_module("tensorflow.python.lib.io.file_io", "FileIO"), _INERT),
    "internal-keras": (_internal_keras, ""),
    "v1-write-file": (_v1_symbol("compat.v1.write_file"), ""),
    "v1-io-write-file": (_v1_symbol("compat.v1.io.write_file"), ""),
    "v2-write-file": (_v1_symbol("compat.v2.io.write_file"), "TensorFlow does not know that name"),
    "twice-v1": (_v1_symbol("compat.v1.compat.v1.io.write_file"), "TensorFlow does not know that name"),
    "name-list": (_strange("name", ["a", ["b"]]), _BROKEN),
    "name-dict": (_strange("name", {"class_name": "x"}), _BROKEN),
    "name-number": (_strange("name", 7), _BROKEN),
    "name-escape": (_strange("name", "a\x1b[2J\x1b[31mb\nc\u202ed"), _BROKEN),
    "class-list": (_strange("class", ["Lambda"]), ""),
    "class-escape": (_strange("class", "a\x1b[2Jb"), ""),
    "spec-list": (_strange("spec", ["TensorSpec"]), ""),
    "module-list": (_strange("module", ["keras"]), ""),
    "module-dict": (_strange("module", {"a": 1}), ""),
}
for _name, (_build, _dud) in PLAIN.items():
    put(f"sly-{_name}", _zip(_build), proof="tf_keras", dud=_dud)


def _text(path: Path, evil: Config, harmless: Config, order: str) -> Path:
    """Write a configuration with the same key twice."""
    first, second = (harmless, evil) if order == "harmless-first" else (evil, harmless)
    whole = evil["config"]["layers"]
    text = json.dumps({**evil, "config": {**evil["config"], "layers": "HERE"}})
    both = ", ".join(f'"layers": {json.dumps(part["config"]["layers"])}' for part in (first, second))
    assert whole
    return keras_zip(path, text.replace('"layers": "HERE"', both))


for _order in ("harmless-first", "hostile-first"):

    def _twice(folder: Path, bait: Bait, order: str = _order) -> Path:
        harmless = sequential(layer("Activation", activation="relu"))
        return _text(folder / "model.keras", sequential(keras3.evil(bait)), harmless, order)

    put(f"sly-key-twice-{_order}", _twice, dud="" if _order == "harmless-first" else "the last one counts")


def _encoded(encoding: str) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        text = json.dumps(sequential(keras3.evil(bait)))
        return keras_zip(folder / "model.keras", text.encode(encoding))

    return make


for _encoding in ("utf-16", "utf-32", "utf-8-sig", "utf-7"):
    put(f"sly-json-{_encoding}", _encoded(_encoding), dud=_BROKEN if _encoding == "utf-7" else "")


def _escaped(bait: Bait) -> str:
    """Spell the names by their numbers."""
    text = json.dumps(sequential(keras3.evil(bait)))
    return text.replace("Lambda", "\\u004cambda").replace("__lambda__", "\\u005f_lambda__")


put("sly-json-escaped", _zip(_escaped, KERAS_3))


def _deep(depth: int, kind: str) -> Callable[[Bait], Any]:
    """Hide a hostile layer under many brackets."""

    def build(bait: Bait) -> Any:
        text = json.dumps({"class_name": "Lambda", "config": keras3.evil(bait)["config"]})
        open_, close = (
            ("[", "]")
            if kind == "lists"
            else ('{"class_name": "Sequential", "config": {"name": "a", "layers": [', "]}}")
        )
        inside = open_ * depth + text + close * depth
        made = json.dumps(sequential(layer("Activation", activation="relu"), spare="HERE"))
        return made.replace('"HERE"', inside)

    return build


for _depth in (60, 300, 900, 100_000):
    put(f"sly-deep-lists-{_depth}", _zip(_deep(_depth, "lists"), KERAS_3), dud="it hangs where nobody looks")
for _depth in (60, 250):
    put(f"sly-deep-layers-{_depth}", _zip(_deep(_depth, "layers"), KERAS_3), dud="it hangs where nobody looks")


def _numbers(text: str) -> Callable[[Bait], Any]:
    def build(bait: Bait) -> str:
        made = json.dumps(sequential(keras3.evil(bait), spare="HERE"))
        return made.replace('"HERE"', text)

    return build


put("sly-number-huge", _zip(_numbers("1" * 5000), KERAS_3), dud="Python reads no number of 5000 digits")
put("sly-number-nan", _zip(_numbers("[NaN, Infinity, -Infinity, 1e999]"), KERAS_3))


def _version(version: Any, old: bool) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        made = sequential(keras2.evil(bait), old=True) if old else sequential(keras3.evil(bait))
        path = keras_zip(folder / "model.keras", made, KERAS_3)
        text = json.dumps({"keras_version": version})
        return keras_zip(path, made, more={"metadata.json": text.encode()})

    return make


for _name, _value in {
    "escape": "3.\x1b[2J\x1b]0;x\x07", "list": [2], "dict": {"a": 2}, "none": None, "number": 2.1, "lines": "2\n\n.1",
}.items():  # fmt: skip
    put(f"sly-version-{_name}", _version(_value, True), proof="tf_keras")


@hostile("sly-not-a-dict")
def _not_a_dict(folder: Path, bait: Bait) -> Path:
    return keras_zip(folder / "model.keras", [sequential(keras3.evil(bait))])


@hostile("sly-root-lambda", dud=keras3.NOT_CALLED)
def _root(folder: Path, bait: Bait) -> Path:
    """A file whose root is no model but a function."""
    return keras_zip(folder / "model.keras", keras3.bare_bytecode(bait))


@hostile("sly-root-in-a-dict")
def _root_dict(folder: Path, bait: Bait) -> Path:
    """A root without a class: Keras opens whatever its values describe."""
    return keras_zip(folder / "model.keras", {"a": sequential(keras3.evil(bait)), "compile_config": None})


@hostile("sly-compile-config", proof="tf_keras")
def _compile_config(folder: Path, bait: Bait) -> Path:
    """What training needs names a module beside the model; without training nobody reads it."""
    (folder / "losses_of_model.py").write_text(f"open({bait.canary!r}, 'w')\n")
    compiled = {"optimizer": "sgd", "loss": function("losses_of_model", "loss"), "metrics": None}
    made = sequential(layer("ReLU"), old=True, compile_config=compiled)
    return keras_zip(folder / "model.keras", made, KERAS_2)


@hostile("sly-compile-config-inside", proof="tf_keras", dud="Keras 2 compiles no inner model on the way")
def _compile_config_inside(folder: Path, bait: Bait) -> Path:
    (folder / "losses_within.py").write_text(f"open({bait.canary!r}, 'w')\n")
    inner = sequential(layer("ReLU"), old=True)
    inner["config"]["name"] = "inner"
    inner["compile_config"] = {"optimizer": "sgd", "loss": function("losses_within", "loss"), "metrics": None}
    return keras_zip(folder / "model.keras", sequential(inner, old=True), KERAS_2)


@hostile("sly-module-beside-root", proof="tf_keras")
def _module_root(folder: Path, bait: Bait) -> Path:
    (folder / "model_beside.py").write_text(f"open({bait.canary!r}, 'w')\n")
    made = {**sequential(layer("ReLU"), old=True), "module": "model_beside", "class_name": "Net"}
    return keras_zip(folder / "model.keras", made, KERAS_2)


@hostile("sly-h5-two-configs", proof="tf_keras")
def _h5_two(folder: Path, bait: Bait) -> Path:
    """An HDF5 file whose text ends early for who reads it as C does."""
    made = sequential(keras2.evil(bait), old=True)
    return hdf5(folder / "model.h5", json.dumps(made) + " \n\t")


@hostile("sly-h5-array-of-text", proof="tf_keras", dud=_BROKEN)
def _h5_array(folder: Path, bait: Bait) -> Path:
    import h5py

    path = hdf5(folder / "model.h5", sequential(keras2.evil(bait), old=True))
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        del file.attrs["model_config"]
        file.attrs["model_config"] = [text]
    return path


@hostile("sly-h5-latin", proof="tf_keras")
def _h5_bytes(folder: Path, bait: Bait) -> Path:
    """The same text as bytes."""
    import h5py
    import numpy as np

    path = hdf5(folder / "model.h5", sequential(keras2.evil(bait), old=True))
    with h5py.File(path, "r+") as file:
        text = str(file.attrs["model_config"])
        del file.attrs["model_config"]
        file.attrs["model_config"] = np.bytes_(text.encode())
    return path


@hostile("sly-training-config", proof="tf_keras", dud="only training reads it")
def _training(folder: Path, bait: Bait) -> Path:
    import h5py

    path = hdf5(folder / "model.h5", sequential(layer("ReLU"), old=True))
    inside = {"loss": {"class_name": "__lambda__", "config": {"value": bait.bytecode()}}, "optimizer_config": {}}
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = json.dumps(inside)
    return path


@hostile("sly-functional-kwargs", proof="tf_keras", dud="a keyword of a call is no object to Keras 2")
def _kwargs(folder: Path, bait: Bait) -> Path:
    part = layer("Activation", activation="relu")
    value = {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}
    made = functional((part, [[["x", 0, 0, {"training": value}]]]), old=True)
    return hdf5(folder / "model.h5", made)


@hostile("sly-constant-class", proof="tf_keras", dud="a constant is no object to Keras 2")
def _constant(folder: Path, bait: Bait) -> Path:
    value = node("subprocess", "Popen", {"args": ["touch", bait.canary]})
    made = functional((layer("Activation", activation="relu"), constant(value)), old=True)
    return keras_zip(folder / "model.keras", made, KERAS_2)
