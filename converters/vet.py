"""What a Keras configuration names, compared with what it may name: read as data, before anything of it is opened.

Keras turns names in a file into Python objects: a class by its module, a function by its name, code by its bytes. Each
dictionary that names something is looked at here, wherever in the configuration it stands.
"""

import builtins
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converters.allowlist import (
    ACTIVATIONS,
    CONSTRAINTS,
    FUNCTIONS,
    GRAPH_OPS,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    METRICS,
    OPERATIONS,
    OPTIMIZERS,
    POLICIES,
    REGULARIZERS,
    TF_SYMBOLS,
)

STORED_CODE = "Python code that is stored in the file"

_CLASSES = LAYERS | INITIALIZERS | REGULARIZERS | CONSTRAINTS | LOSSES | METRICS | OPTIMIZERS | POLICIES
_SHORT_FUNCTIONS = ACTIVATIONS | LOSSES | METRICS
"""Functions that Keras saves under the module "builtins"; none of them is a name of Python's own builtins."""
_DATA = frozenset(
    (
        "__keras_tensor__",
        "__tensor__",
        "__numpy__",
        "__bytes__",
        "__ellipsis__",
        "__slice__",
        "__tuple__",
        "TensorShape",
    )
)
"""Classes of plain values."""
_CODE = frozenset(("__lambda__", "function_bytecode"))
_TYPE_SPECS = frozenset(("TensorSpec", "RaggedTensorSpec", "SparseTensorSpec", "BoundedTensorSpec", "VariableSpec"))
_KERAS = ("keras", "tf_keras")
_CLASS_ROOMS = frozenset(
    (
        *("", "layers", "models", "engine", "initializers", "regularizers", "constraints", "losses", "metrics"),
        *("optimizers", "dtype_policies", "quantizers", "mixed_precision"),
    )
)
"""Parts of Keras that hold classes a model is made of; elsewhere the same name can be something else."""
_FUNCTION_ROOMS = frozenset(("activations", "losses", "metrics"))
_OPS_ROOM = "ops"
_FOREIGN = frozenset((*sys.stdlib_module_names, "tensorflow", "numpy", "scipy", "h5py", "torch", "jax"))
"""Modules whose functions are nobody's own layers: a file that names one wants it to run."""

_LEFT_OUT = frozenset(
    (
        *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup"),
        *("TextVectorization", "DenseFeatures", "ClassMethod", "InstanceMethod", "InstanceProperty", "FeatureSpace"),
        *("serialize", "deserialize", "get", "CompositeTensor"),
    )
)
"""Keras' own, and left out of the lists on purpose: nobody has to define them."""

_LAMBDA_PARTS = ("function", "output_shape", "mask")
_OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda")
_NAMED_BY_KEY = (
    ("activation", ACTIVATIONS),
    ("initializer", INITIALIZERS),
    ("regularizer", REGULARIZERS),
    ("constraint", CONSTRAINTS),
)
"""Last word of a key -> what the name under it may be."""
_NAMED_BY_WHOLE_KEY = {
    "layer": LAYERS,
    "forward_layer": LAYERS,
    "backward_layer": LAYERS,
    "cell": LAYERS,
    "fn": _SHORT_FUNCTIONS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS | frozenset(name.lower() for name in OPTIMIZERS),
}


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a file names and that is on no list.

    Attributes:
        what: it would run, in words: "the function os.system".
        where: name of the layer that holds it, "" = none.
        own: name of a class or function that looks like somebody's own, and could be defined with --import; "" = it
            is none, or is code.
    """

    what: str
    where: str
    own: str = ""


def vet_config(config: Any, given: frozenset[str] = frozenset()) -> list[Concern]:
    """List what a configuration names and may not, in the order in which it stands there.

    Args:
        config: nested dictionaries and lists, as JSON gives them.
        given: classes and functions that the person has defined with --import.
    """
    return list(_concerns(config, given))


def _concerns(config: Any, given: frozenset[str]) -> Iterator[Concern]:
    todo: list[tuple[Any, str]] = [(config, "")]
    while todo:
        part, where = todo.pop()
        if isinstance(part, list | tuple):
            todo += [(value, where) for value in reversed(part)]
        elif isinstance(part, dict):
            where = _name_of(part) or where
            if "class_name" in part:
                yield from _class_concerns(part, where, given)
            yield from _key_concerns(part, where, given)
            todo += [(value, where) for value in reversed(part.values())]


def _name_of(node: dict[str, Any]) -> str:
    """Return the name of the layer that a dictionary describes, "" where it describes none."""
    config = node.get("config")
    name = config.get("name") if isinstance(config, dict) and "class_name" in node else None
    return name if isinstance(name, str) else ""


def _class_concerns(node: dict[str, Any], where: str, given: frozenset[str]) -> Iterator[Concern]:
    """Judge one dictionary that names a class or a function."""
    name, config = node["class_name"], node.get("config")
    if not isinstance(name, str):
        yield Concern("a class without a name", where)
    elif name in _CODE:
        yield Concern(STORED_CODE, where)
    elif name == "function":
        yield from _function_concerns(node, where, given)
    elif name == "__typespec__":
        module, spec = str(node.get("module")), str(node.get("spec_name"))
        plain = module.startswith("tensorflow.python.framework.") and node.get("registered_name") is None
        if spec not in _TYPE_SPECS or not plain:
            yield Concern(f"the type {module}.{spec}", where)
    elif name == "TypeSpec":
        if str(node.get("type_spec")).removeprefix("tf.") not in _TYPE_SPECS:
            yield Concern(f"the type {node.get('type_spec')}", where)
    elif name == "Lambda":
        yield from _lambda_concerns(config, where, given)
    elif name in _OPERATION_LAYERS:
        symbol = config.get("function") if isinstance(config, dict) else None
        if not isinstance(symbol, str) or symbol.removeprefix("compat.v1.") not in TF_SYMBOLS:
            yield Concern(f"the TensorFlow function {symbol}", where)
    elif name == "TensorFlowOpLayer":
        operator = _operator_of(config)
        if operator not in GRAPH_OPS:
            yield Concern(f"the TensorFlow operator {operator}", where)
    elif name not in _DATA:
        yield from _plain_class_concerns(node, name, where, given)


def _plain_class_concerns(node: dict[str, Any], name: str, where: str, given: frozenset[str]) -> Iterator[Concern]:
    module, registered = node.get("module"), node.get("registered_name")
    own = registered not in (None, name)
    room = _room(module)
    package, _, short = name.rpartition(">")  # HDF5 files have the registered name, "package>Class", as the class
    if package and short in given:
        return
    if name in given and (registered is None or registered == name or ">" in str(registered)):
        return
    if not own and ((name in _CLASSES and room in _CLASS_ROOMS) or (name in OPERATIONS and room == _OPS_ROOM)):
        return
    yield _unknown("class", module, short, where)


def _function_concerns(node: dict[str, Any], where: str, given: frozenset[str]) -> Iterator[Concern]:
    name, module = node.get("config"), node.get("module")
    if not isinstance(name, str):
        yield Concern(STORED_CODE, where)
        return
    room = _room(module)
    registered = node.get("registered_name")
    if registered not in (None, name, "function") and ">" not in str(registered):
        yield Concern(f"the function {module}.{registered}", where)
        return
    short = name in _SHORT_FUNCTIONS and (module == "builtins" or room in _FUNCTION_ROOMS)
    if not (name in given or short or (name in FUNCTIONS and room == _OPS_ROOM)):
        yield _unknown("function", module, name, where)


def _lambda_concerns(config: Any, where: str, given: frozenset[str]) -> Iterator[Concern]:
    """Judge a Lambda layer: its function may be named, and must not be stored as code."""
    if not isinstance(config, dict):
        yield Concern(STORED_CODE, where)
        return
    for part in _LAMBDA_PARTS:
        stored = config.get(part)
        if isinstance(stored, str):
            if part != "output_shape" and stored not in _SHORT_FUNCTIONS | given:
                yield _unknown("function", config.get("module"), stored, where)
        elif isinstance(stored, dict):
            if "class_name" not in stored:
                yield Concern(STORED_CODE, where)
        elif stored is not None and not (part == "output_shape" and _is_shape(stored)):
            yield Concern(STORED_CODE, where)


def _key_concerns(part: dict[str, Any], where: str, given: frozenset[str]) -> Iterator[Concern]:
    """Judge the names that stand alone, as `"activation": "relu"`."""
    for key, value in part.items():
        if key.endswith("_type") and value == "lambda":
            yield Concern(STORED_CODE, where)
        allowed = _allowed_under(key)
        if allowed is not None and isinstance(value, str) and value not in allowed:
            short = value.rpartition(">")[2]
            if short not in given:
                yield _unknown(key.rpartition("_")[2], None, short, where)
        if key in ("metrics", "weighted_metrics") and isinstance(value, list):
            for name in value:
                if isinstance(name, str) and name not in METRICS | LOSSES | given:
                    yield _unknown("metric", None, name, where)


def _allowed_under(key: str) -> frozenset[str] | None:
    """Return what the name under a key may be; None for a key that names nothing."""
    if key in _NAMED_BY_WHOLE_KEY:
        return _NAMED_BY_WHOLE_KEY[key]
    last = key.rpartition("_")[2]
    return next((allowed for word, allowed in _NAMED_BY_KEY if last == word), None)


def _unknown(kind: str, module: Any, name: str, where: str) -> Concern:
    """Name what is on no list; somebody's own classes and functions can be defined with --import."""
    root = str(module or "").partition(".")[0]
    if root == "builtins":  # where Keras puts a function without a module of its own
        foreign = hasattr(builtins, name)
    else:
        foreign = root in _FOREIGN or root in _KERAS or name in _LEFT_OUT
    words = f"{module}.{name}" if module and (root != "builtins" or foreign) else name
    return Concern(f"the {kind} {words}", where, "" if foreign else name)


def _room(module: Any) -> str | None:
    """Return which part of Keras a module is: "layers" of "keras.src.layers.core"; None where it is not Keras' own.

    Older files name no module, and mean Keras'.
    """
    if module is None:
        return ""
    root, *parts = str(module).split(".")
    if root not in _KERAS:
        return None
    parts = parts[1:] if parts[:1] == ["src"] else parts
    return parts[0] if parts else ""


def _is_shape(value: Any) -> bool:
    """Tell whether a value is a shape, or several, and no code."""
    if isinstance(value, list | tuple):
        return all(_is_shape(part) for part in value)
    return value is None or isinstance(value, int)


def _operator_of(config: Any) -> str | None:
    """Return the operator of a `TensorFlowOpLayer`, which keeps it as a dictionary or as the bytes of a NodeDef."""
    stored = config.get("node_def") if isinstance(config, dict) else None
    if isinstance(stored, dict):
        operator = stored.get("op")
        return operator if isinstance(operator, str) else None
    if not isinstance(stored, str):
        return None
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    try:
        return str(NodeDef.FromString(stored.encode()).op)
    except (DecodeError, UnicodeEncodeError):
        return None
