"""Hostile files that Keras 3 opens: `.keras` zips and `.h5`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.bait import Bait
from tests.hostile.case import hostile, put
from tests.hostile.layouts import (
    Config,
    function,
    functional,
    hdf5,
    keras_zip,
    layer,
    node,
    sequential,
    tensor,
    weights_hdf5,
)
from tests.hostile.saved import writes_when_asked

REFUSES = "Keras 3.15 refuses it by itself"
NOT_CALLED = "Keras makes the function and does not call it while loading"
BY_NAME = "Keras 3 takes only names there"

Build = Callable[[Bait], Any]


def bytecode(bait: Bait, result: str = "x") -> Config:
    """Return a lambda as a Lambda layer of Keras 3 stores it."""
    inside = {"code": bait.bytecode(result), "defaults": None, "closure": None}
    return {"class_name": "__lambda__", "config": inside}


def bare_bytecode(bait: Bait, result: str = "x") -> Config:
    """Return a lambda as any other object of Keras 3 might hold one."""
    return {"class_name": "__lambda__", "config": {"value": bait.bytecode(result)}}


def lambda_layer(made: Any, **config: Any) -> Config:
    """Return a Lambda layer with a function."""
    return layer("Lambda", function=made, **{"arguments": {}, **config})


def evil(bait: Bait) -> Config:
    """Return the plainest hostile layer."""
    return lambda_layer(bytecode(bait))


IDENTITY = function("keras.activations", "linear")


def _calls(made: Config, first: Any, /, **arguments: Any) -> Config:
    """Return a model that calls a named function with values of the attacker's choice while it is opened."""
    inbound = [{"args": [], "kwargs": {"inputs": first}}]
    return functional((lambda_layer(made, arguments=arguments), inbound))


def _dense(**config: Any) -> Config:
    return layer("Dense", units=2, **config)


def _time_distributed(bait: Bait) -> Config:
    return sequential(layer("TimeDistributed", layer=evil(bait)), shape=(None, 3, 4))


def _nested(bait: Bait) -> Config:
    inner = sequential(evil(bait))
    inner["config"]["name"] = "inner"
    outer = functional((layer("Activation", activation="relu"), None), ({**inner, "name": "inner"}, None))
    return sequential({**outer, "config": {**outer["config"], "name": "outer"}})


def _argument(bait: Bait) -> Config:
    """Call bytecode through a function that takes functions."""
    return _calls(function("keras.tree", "traverse"), bare_bytecode(bait), structure=[1])


def _inbound(bait: Bait) -> Config:
    """Hide bytecode in the arguments of a call."""
    branch = bare_bytecode(bait, "0")
    inbound = [{"args": [tensor()], "kwargs": {"mask": branch}}]
    return functional((lambda_layer(IDENTITY), inbound))


def _initial_state(bait: Bait) -> Config:
    """Hide it in a list of a dict of a call's arguments."""
    inbound = [{"args": [tensor()], "kwargs": {"training": {"deep": [[{"deeper": bare_bytecode(bait)}]]}}}]
    return functional((lambda_layer(IDENTITY), inbound))


def _built(bait: Bait) -> Config:
    part = _dense()
    part["build_config"] = {"input_shape": [None, 4], "more": bare_bytecode(bait)}
    return sequential(part)


def _compiled(key: str) -> Build:
    def build(bait: Bait) -> Config:
        inner = sequential(_dense(called="inside"))
        inner["config"]["name"] = "inner"
        inner["compile_config"] = {"optimizer": "adam", "loss": "mse", key: bare_bytecode(bait)}
        return sequential(inner)

    return build


def _root_compiled(bait: Bait) -> Config:
    return sequential(_dense(), compile_config={"optimizer": "adam", "loss": bare_bytecode(bait)})


def _rnn_cell(bait: Bait) -> Config:
    cell = layer("SimpleRNNCell", units=2, activation=bare_bytecode(bait))
    return sequential(layer("RNN", cell=cell), shape=(None, 3, 4))


def _bidirectional(bait: Bait) -> Config:
    inner = layer("LSTM", units=2, recurrent_activation=bare_bytecode(bait))
    return sequential(layer("Bidirectional", layer=inner), shape=(None, 3, 4))


BYTECODE: dict[str, tuple[Build, str]] = {
    "function": (lambda bait: sequential(evil(bait)), ""),
    "output-shape": (lambda bait: sequential(lambda_layer(IDENTITY, output_shape=bytecode(bait))), ""),
    "mask": (lambda bait: sequential(lambda_layer(IDENTITY, mask=bytecode(bait))), "Keras 3 leaves the mask a dict"),
    "argument": (_argument, ""),
    "inbound": (_inbound, NOT_CALLED),
    "deep-argument": (_initial_state, NOT_CALLED),
    "build-config": (_built, NOT_CALLED),
    "nested": (_nested, ""),
    "time-distributed": (_time_distributed, ""),
    "rnn-cell": (_rnn_cell, ""),
    "bidirectional": (_bidirectional, BY_NAME),
    "activation": (lambda bait: sequential(_dense(activation=bare_bytecode(bait))), ""),
    "initializer": (lambda bait: sequential(_dense(kernel_initializer=bare_bytecode(bait, "0"))), BY_NAME),
    "regularizer": (lambda bait: sequential(_dense(kernel_regularizer=bare_bytecode(bait, "0"))), BY_NAME),
    "constraint": (lambda bait: sequential(_dense(kernel_constraint=bare_bytecode(bait))), BY_NAME),
    "loss-inside": (_compiled("loss"), NOT_CALLED),
    "metrics-inside": (_compiled("metrics"), NOT_CALLED),
    "optimizer-inside": (_compiled("optimizer"), NOT_CALLED),
    "loss-of-root": (_root_compiled, NOT_CALLED),
}


_WEIGHTS = {
    "layers/dense": [(4, 2), (2,)],
    "layers/rnn/cell": [(4, 2), (2, 2), (2,)],
    "layers/sequential/layers/dense": [(4, 2), (2,)],
}
"""For the layers above that have some."""


def _zip(build: Build) -> Callable[[Path, Bait], Path]:
    return lambda folder, bait: keras_zip(folder / "model.keras", build(bait), weights=weights_hdf5(_WEIGHTS))


for _name, (_build, _dud) in BYTECODE.items():
    put(f"k3-bytecode-{_name}", _zip(_build), dud=_dud)


def _named(module: str, name: str, first: str, /, **arguments: Any) -> Build:
    """Call a function by name; `first` and texts of the arguments may name the bait as {canary}, {secret}, {url}."""

    def build(bait: Bait) -> Config:
        def bite(value: Any) -> Any:
            if isinstance(value, str):
                for word in ("canary", "secret", "url", "command", "folder"):
                    value = value.replace(f"{{{word}}}", str(getattr(bait, word)))
            return value

        given = {key: bite(value) for key, value in arguments.items()}
        return _calls(function(module, name), bite(first), **given)

    return build


NAMED: dict[str, tuple[Build, str]] = {
    "os-system": (_named("os", "system", "{command}"), REFUSES),
    "posix-system": (_named("posix", "system", "{command}"), REFUSES),
    "eval": (_named("builtins", "eval", "__import__('os').system('{command}')"), REFUSES),
    "exec": (_named("builtins", "exec", "open('{canary}', 'w')"), REFUSES),
    "open": (_named("builtins", "open", "{canary}", mode="w"), REFUSES),
    "import": (_named("builtins", "__import__", "antigravity_of_nobody"), REFUSES),
    "getattr": (_named("builtins", "getattr", "x", name="y"), REFUSES),
    "subprocess": (_named("subprocess", "getoutput", "{command}"), REFUSES),
    "get-file": (_named("keras.utils", "get_file", "f", origin="{url}", cache_dir="{folder}"), REFUSES),
    "load-img": (_named("keras.utils", "load_img", "{secret}"), REFUSES),
    "load-model": (_named("keras.models", "load_model", "{secret}"), REFUSES),
    "unsafe": (_named("keras.config", "enable_unsafe_deserialization", "x"), REFUSES),
    "get-file-inside": (_named("keras.src.utils.file_utils", "get_file", "f", origin="{url}"), REFUSES),
    "func-load-inside": (_named("keras.src.utils.python_utils", "func_load", "x"), REFUSES),
    "mnist": (_named("keras.datasets.mnist", "load_data", "mnist.npz"), ""),
    "imdb-index": (_named("keras.datasets.imdb", "get_word_index", "words.json"), ""),
    "weights-of-imagenet": (_named("keras.applications", "MobileNetV2", "", weights="imagenet"), REFUSES),
    "weights-from-a-file": (_named("keras.applications", "MobileNetV2", "", weights="{secret}"), REFUSES),
    "traverse": (
        lambda bait: _calls(
            function("keras.tree", "traverse"), function("keras.datasets.imdb", "get_word_index"), structure="a.json"
        ),
        "",
    ),
    "numpy-save": (_named("numpy", "save", "{canary}", arr=[1]), REFUSES),
    "numpy-load": (_named("numpy", "load", "{secret}"), REFUSES),
    "tensorflow": (_named("tensorflow.io", "write_file", "{canary}", contents="x"), REFUSES),
    "keras-core": (_named("keras_core.utils", "get_file", "f", origin="{url}"), REFUSES),
    "keras-hub": (_named("keras_hub.utils", "get_file", "f", origin="{url}"), REFUSES),
    "tf-keras": (_named("tf.keras.utils", "get_file", "f", origin="{url}"), REFUSES),
    "deserialize": (_named("keras.utils.legacy", "deserialize_keras_object", "system"), REFUSES),
    "dots": (_named("keras", "src.utils.file_utils.get_file", "f", origin="{url}"), REFUSES),
    "lookalike": (_named("kеras.utils", "get_file", "f", origin="{url}"), REFUSES),  # noqa: RUF001 - that is it
}
for _name, (_build, _dud) in NAMED.items():
    put(f"k3-named-{_name}", _zip(_build), dud=_dud)


def _registered(registered: str, name: str, inside: Any = None) -> Build:
    def build(bait: Bait) -> Config:
        made = node("builtins", name, inside if inside is not None else bait.command)
        return sequential({**made, "registered_name": registered})

    return build


def _lookup(name: str) -> Build:
    def build(bait: Bait) -> Config:
        part = layer(name, vocabulary=bait.secret, max_tokens=None, num_oov_indices=1)
        inbound = [{"args": [tensor()], "kwargs": {}}]
        made = functional((part, inbound))
        made["config"]["layers"][0]["config"]["dtype"] = "int64" if name == "IntegerLookup" else "string"
        return made

    return build


_STANDARD: Config = {
    "max_tokens": None,
    "output_mode": "int",
    "standardize": "lower",
    "split": "whitespace",
    "ngrams": None,
}


def _text_vectorization(bait: Bait) -> Config:
    return sequential(layer("TextVectorization", vocabulary=bait.secret, **_STANDARD))


def _feature_space(bait: Bait) -> Config:
    lookup = layer("StringLookup", vocabulary=bait.secret)
    feature = node("keras.utils", "Feature", {"dtype": "string", "preprocessor": lookup, "output_mode": "int"})
    inside = {"features": {"a": feature}, "output_mode": "concat", "crosses": [], "crossing_dim": 32, "name": "space"}
    return sequential(node("keras.utils", "FeatureSpace", inside))


OTHERS: dict[str, tuple[Build, str]] = {
    "registered-eval": (_registered("builtins>eval", "eval"), REFUSES),
    "registered-custom": (_registered("Custom>system", "system"), REFUSES),
    "registered-lambda": (lambda bait: sequential({**evil(bait), "registered_name": "Custom>Harmless"}), REFUSES),
    "class-function": (lambda bait: sequential(node("keras.utils", "get_file", {"origin": bait.url})), REFUSES),
    "class-with-dots": (lambda bait: sequential(node("keras", "layers.Lambda", evil(bait)["config"])), ""),
    "module-of-source": (
        lambda bait: sequential(node("keras.src.layers.core.lambda_layer", "Lambda", evil(bait)["config"])),
        "",
    ),
    "string-lookup": (_lookup("StringLookup"), ""),
    "integer-lookup": (_lookup("IntegerLookup"), ""),
    "text-vectorization": (_text_vectorization, ""),
    "feature-space": (_feature_space, REFUSES),
    "torch-module": (
        lambda bait: sequential(layer("TorchModuleWrapper", module={"class_name": "__bytes__", "config": {}})),
        "torch is not here",
    ),
    "jax-layer": (lambda bait: sequential(layer("JaxLayer", call_fn=bare_bytecode(bait), params={})), "no jax here"),
    "flax-layer": (lambda bait: sequential(layer("FlaxLayer", module=bare_bytecode(bait))), "no jax here"),
    "typespec": (
        lambda bait: sequential(
            layer("Activation", activation={
                "class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess",
                "registered_name": None, "config": [["touch", bait.canary]],
            })
        ),
        REFUSES,
    ),
    "subprocess-class": (
        lambda bait: sequential(node("subprocess", "Popen", {"args": ["touch", bait.canary]})),
        REFUSES,
    ),
    "policy": (lambda bait: sequential(_dense(dtype=node("os", "system", {"command": bait.command}))), REFUSES),
    "activation-by-module": (
        lambda bait: sequential(_dense(activation=function("subprocess", "getoutput"))),
        REFUSES,
    ),
    "string-function": (lambda bait: sequential(_dense(activation="deserialize")), "there is no such activation"),
    "string-initializer": (lambda bait: sequential(_dense(kernel_initializer="os")), "there is no such initializer"),
    "without-module": (
        lambda bait: functional(({"class_name": "Lambda", "config": evil(bait)["config"]}, None)),
        "",
    ),
}  # fmt: skip
for _name, (_build, _dud) in OTHERS.items():
    put(f"k3-{_name}", _zip(_build), dud=_dud)


@hostile("k3-saved-model-layer")
def _tfsm(folder: Path, bait: Bait) -> Path:
    beside = writes_when_asked(folder / "beside", bait)
    made = sequential(layer("TFSMLayer", filepath=str(beside), call_endpoint="serving_default"))
    return keras_zip(folder / "model.keras", made)


@hostile("k3-saved-model-layer-inside")
def _tfsm_inside(folder: Path, bait: Bait) -> Path:
    beside = writes_when_asked(folder / "beside", bait)
    inner = sequential(layer("TFSMLayer", filepath=str(beside), call_endpoint="serving_default"))
    return keras_zip(folder / "model.keras", functional((inner, None)))


@hostile("k3-h5-bytecode")
def _h5(folder: Path, bait: Bait) -> Path:
    return hdf5(folder / "model.h5", _legacy(evil(bait)), "3.15.1")


@hostile("k3-h5-named", dud=REFUSES)
def _h5_named(folder: Path, bait: Bait) -> Path:
    return hdf5(folder / "model.h5", _legacy(lambda_layer(function("os", "system"))), "3.15.1")


@hostile("k3-h5-typespec", dud="nothing registered under that name")
def _h5_typespec(folder: Path, bait: Bait) -> Path:
    made = _legacy(layer("Activation", activation="relu"))
    made["config"]["spare"] = {"class_name": "TypeSpec", "type_spec": "os.system", "serialized": [bait.command]}
    return hdf5(folder / "model.h5", made, "3.15.1")


@hostile("k3-h5-composite", dud="a tensor and no more")
def _h5_composite(folder: Path, bait: Bait) -> Path:
    made = _legacy(layer("Activation", activation="relu"))
    made["config"]["spare"] = {"class_name": "CompositeTensor", "spec": bait.command, "tensors": [["string", "x"]]}
    return hdf5(folder / "model.h5", made, "3.15.1")


def _legacy(*layers: Config) -> Config:
    first = layer("InputLayer", called="x", dtype="float32", sparse=False, batch_shape=[None, 4])
    parts = [{"class_name": part["class_name"], "config": part["config"]} for part in (first, *layers)]
    return {"class_name": "Sequential", "config": {"name": "model", "layers": parts}}
