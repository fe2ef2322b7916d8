"""Hostile files that Keras 2 (tf_keras) opens: `.keras` of its own, falsely labelled ones, and `.h5`."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.bait import Bait
from tests.hostile.case import hostile, put
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
from tests.hostile.saved import writes_when_asked

Build = Callable[[Bait], Any]
NOT_OF_OLD = "Keras 2 takes no function with a module from an .h5"
NOT_CALLED = "Keras makes the function and does not call it while loading"
HDF5_IN_ZIP = "Keras opens no HDF5 with this name; the converter does"
INERT = "Keras 2 finds nothing under that name that does anything"


def constant(value: Any, /, **more: Any) -> Any:
    """Return `inbound_nodes` that call a layer with a value in place of a tensor."""
    return [["_CONSTANT_VALUE", -1, value, more]]


def stored(bait: Bait, key: str = "function", result: str = "x") -> Config:
    """Return the keys by which a Lambda of Keras 2 stores bytecode."""
    module = {"function": "module"}.get(key, f"{key}_module")
    return {key: [bait.bytecode(result), None, None], f"{key}_type": "lambda", module: "__main__"}


def lambda_layer(called: str = "l", **config: Any) -> Config:
    """Return a Lambda layer; what is not given does no harm."""
    harmless = {
        "function": function("keras.activations", "linear"), "function_type": "function", "module": "__main__",
        "output_shape": None, "output_shape_type": "raw", "output_shape_module": None, "arguments": {},
    }  # fmt: skip
    return layer("Lambda", called=called, dtype="float32", **{**harmless, **config})


def named(made: Any, first: Any, /, **arguments: Any) -> Config:
    """Return a model that calls a function by name, with values of the attacker's choice, while it is opened."""
    part = lambda_layer(function=made, arguments=arguments)
    return functional((part, constant(first)), old=True)


def operation(symbol: str, first: Any, kind: str = "TFOpLambda", /, **arguments: Any) -> Config:
    """Return a model that calls a function of TensorFlow's public names while it is opened."""
    part = layer(kind, called="op", dtype="float32", function=symbol)
    return functional((part, constant(first, **arguments)), old=True)


def evil(bait: Bait) -> Config:
    """Return the plainest hostile layer."""
    return lambda_layer(**stored(bait))


def _zip(build: Build, version: str = KERAS_2) -> Callable[[Path, Bait], Path]:
    return lambda folder, bait: keras_zip(folder / "model.keras", build(bait), version)


def _h5(build: Build, version: str = KERAS_2, name: str = "model.h5") -> Callable[[Path, Bait], Path]:
    return lambda folder, bait: hdf5(folder / name, build(bait), version)


def _bare(build: Build) -> Build:
    """Write a model without `module`, as old files are."""

    def strip(part: Any) -> Any:
        if isinstance(part, dict):
            kept = {key: strip(value) for key, value in part.items()}
            if "class_name" in kept and isinstance(kept["config"], dict):
                kept = {key: value for key, value in kept.items() if key not in ("module", "registered_name")}
            return kept
        return [strip(value) for value in part] if isinstance(part, list) else part

    return lambda bait: strip(build(bait))


def _time_distributed(bait: Bait) -> Config:
    return sequential(layer("TimeDistributed", layer=evil(bait)), shape=(None, 3, 4), old=True)


def _residual(bait: Bait) -> Config:
    """Hide bytecode in the function of a wrapper of a recurrent cell."""
    cell = layer("SimpleRNNCell", units=4)
    stored_function = [bait.bytecode("rest[0]"), None, None]
    wrapper = node("tf_keras.src.layers.rnn.cell_wrappers", "ResidualWrapper", {
        "name": "residual", "cell": cell, "residual_fn": stored_function, "residual_fn_type": "lambda",
        "residual_fn_module": "__main__",
    })  # fmt: skip
    return sequential(layer("RNN", cell=wrapper, called="rnn"), shape=(None, 3, 4), old=True)


def _nested(bait: Bait) -> Config:
    inner = functional((evil(bait), None), old=True)
    inner["config"]["name"] = "inner"
    outer = functional(({**inner}, None), old=True)
    return {**outer, "config": {**outer["config"], "name": "outer"}}


def _compiled(key: str, made: Callable[[Bait], Any]) -> Build:
    def build(bait: Bait) -> Config:
        inner = sequential(layer("ReLU"), old=True)
        inner["config"]["name"] = "inner"
        inner["compile_config"] = {"optimizer": "sgd", "loss": "mse", "metrics": None, key: made(bait)}
        return sequential(inner, old=True)

    return build


def _dumped(bait: Bait) -> Config:
    return {"class_name": "__lambda__", "config": {"value": bait.bytecode()}}


BYTECODE: dict[str, tuple[Build, str]] = {
    "function": (lambda bait: sequential(evil(bait), old=True), ""),
    "output-shape": (lambda bait: sequential(lambda_layer(**stored(bait, "output_shape")), old=True), NOT_OF_OLD),
    "mask": (lambda bait: sequential(lambda_layer(**stored(bait, "mask", "None")), old=True), NOT_OF_OLD),
    "nested": (_nested, ""),
    "time-distributed": (_time_distributed, ""),
    "residual": (_residual, ""),
}
for _name, (_build, _dud) in BYTECODE.items():
    put(f"k2-h5-bytecode-{_name}", _h5(_build), proof="tf_keras", dud=_dud)
for _name in ("function", "mask", "residual"):
    put(f"k2-zip-bytecode-{_name}", _zip(BYTECODE[_name][0]), proof="tf_keras")
put("k2-h5-bytecode-without-module", _h5(_bare(BYTECODE["function"][0])), proof="tf_keras")
put("k2-h5-bytecode-labelled-3", _h5(BYTECODE["function"][0], KERAS_3), proof="tf_keras")
put("k2-zip-bytecode-labelled-3", _zip(BYTECODE["mask"][0], KERAS_3), proof="tf_keras")
put("k2-h5-bytecode-named-keras", _h5(BYTECODE["mask"][0], name="model.keras"), proof="", dud=HDF5_IN_ZIP)
put("k2-zip-activation", _zip(lambda bait: sequential(layer("Activation", activation=_dumped(bait)), old=True)),
    proof="tf_keras", dud=INERT)  # fmt: skip
for _key in ("loss", "optimizer", "metrics", "callbacks"):
    put(f"k2-zip-{_key}-inside", _zip(_compiled(_key, _dumped)), proof="tf_keras", dud=NOT_CALLED)


FUNCTIONS: dict[str, Callable[[Bait], tuple[str, str, Any, dict[str, Any]]]] = {
    "os-system": lambda bait: ("os", "system", bait.command, {}),
    "posix-system": lambda bait: ("posix", "system", bait.command, {}),
    "os-popen": lambda bait: ("os", "popen", bait.command, {}),
    "os-remove": lambda bait: ("os", "remove", f"{bait.folder}/victim/kept", {}),
    "os-mkdir": lambda bait: ("os", "mkdir", bait.canary, {}),
    "os-chmod": lambda bait: ("os", "chmod", f"{bait.folder}/victim/kept", {"mode": 0o777}),
    "eval": lambda bait: ("builtins", "eval", f"__import__('os').system({bait.command!r})", {}),
    "exec": lambda bait: ("builtins", "exec", f"open({bait.canary!r}, 'w')", {}),
    "open": lambda bait: ("builtins", "open", bait.canary, {"mode": "w"}),
    "read": lambda bait: ("builtins", "open", bait.secret, {}),
    "subprocess": lambda bait: ("subprocess", "getoutput", bait.command, {}),
    "popen": lambda bait: ("subprocess", "Popen", bait.command, {"shell": True}),
    "check-output": lambda bait: ("subprocess", "check_output", bait.command, {"shell": True}),
    "spawn": lambda bait: ("os", "spawnv", 0, {"file": "/usr/bin/touch", "args": ["touch", bait.canary]}),
    "spawn-path": lambda bait: ("os", "spawnvp", 0, {"file": "touch", "args": ["touch", bait.canary]}),
    "rmtree": lambda bait: ("shutil", "rmtree", f"{bait.folder}/victim", {}),
    "copyfile": lambda bait: ("shutil", "copyfile", bait.secret, {"dst": bait.canary}),
    "path-method": lambda bait: ("pathlib", "Path.touch", bait.canary, {}),
    "timeit": lambda bait: ("timeit", "timeit", f"open({bait.canary!r}, 'w')", {"number": 1}),
    "profile": lambda bait: ("cProfile", "run", f"open({bait.canary!r}, 'w')", {}),
    "bdb": lambda bait: ("doctest", "debug_script", f"open({bait.canary!r}, 'w')", {"pm": True}),
    "code": lambda bait: ("tf_keras.src.utils.generic_utils", "func_load", bait.bytecode(), {}),
    "urlopen": lambda bait: ("urllib.request", "urlopen", bait.url, {}),
    "retrieve": lambda bait: ("urllib.request", "urlretrieve", bait.url, {}),
    "telnet": lambda bait: ("telnetlib", "Telnet", "127.0.0.1", {"port": bait.port}),
    "robots": lambda bait: ("logging.handlers", "SocketHandler", "127.0.0.1", {"port": bait.port}),
    "get-file": lambda bait: ("keras.utils", "get_file", "f", {"origin": bait.url}),
    "get-file-2": lambda bait: ("tf_keras.utils", "get_file", "f", {"origin": bait.url}),
    "get-file-source": lambda bait: ("keras.src.utils.data_utils", "get_file", "f", {"origin": bait.url}),
    "get-file-3": lambda bait: ("_.keras", "get_file", "f", {"origin": bait.url}),
    "numpy-save": lambda bait: ("numpy.lib.format", "open_memmap", bait.canary, {"mode": "w+", "shape": [1]}),
    "numpy-fromfile": lambda bait: ("numpy", "fromfile", bait.secret, {"dtype": "uint8"}),
    "numpy-loadtxt": lambda bait: ("numpy", "loadtxt", bait.secret, {"dtype": "str"}),
    "numpy-memmap": lambda bait: ("numpy", "memmap", bait.canary, {"mode": "w+", "shape": [1]}),
    "h5py": lambda bait: ("h5py", "File", bait.canary, {"mode": "w"}),
    "sqlite": lambda bait: ("dbm.dumb", "open", bait.canary, {"flag": "n"}),
    "logging": lambda bait: ("logging", "FileHandler", bait.canary, {}),
    "zip-file": lambda bait: ("zipfile", "ZipFile", bait.canary, {"mode": "w"}),
    "temporary": lambda bait: ("tempfile", "mkdtemp", "", {"dir": str(bait.folder)}),
    "tensorflow": lambda bait: ("tensorflow.io", "write_file", bait.canary, {"contents": "x"}),
    "tensorflow-source": lambda bait: (
        "tensorflow.python.ops.gen_io_ops", "write_file", bait.canary, {"contents": "x"}
    ),
    "ctypes": lambda bait: ("ctypes", "CDLL", bait.secret, {}),
    "cv2": lambda bait: ("cv2", "imwrite", f"{bait.canary}.png", {"img": [[0]]}),
    "site": lambda bait: ("site", "addsitedir", str(bait.folder), {}),
    "lookup": lambda bait: ("tf_keras.src.utils.io_utils", "path_to_string", bait.canary, {}),
}  # fmt: skip
"""Name -> module, function, first argument, named arguments."""
FUNCTION_DUDS = {
    "code": NOT_CALLED,
    "get-file-3": INERT,
    "lookup": INERT,
    "robots": "it connects when something is logged",
    "cv2": "OpenCV takes no lists",
    "site": INERT,
}
_BOTH = ("os-system", "exec", "get-file", "rmtree")


def _function(name: str) -> Build:
    def build(bait: Bait) -> Config:
        module, function_name, first, arguments = FUNCTIONS[name](bait)
        return named(function(module, function_name), first, **arguments)

    return build


for _name in FUNCTIONS:
    put(f"k2-named-{_name}", _zip(_function(_name)), proof="tf_keras", dud=FUNCTION_DUDS.get(_name, ""))
for _name, (_word, _version) in itertools.product(_BOTH, {"labelled-3": KERAS_3, "labelled-nothing": ""}.items()):
    put(f"k2-named-{_name}-{_word}", _zip(_function(_name), _version), proof="tf_keras")
for _name in _BOTH:
    put(f"k2-h5-named-{_name}", _h5(_function(_name)), proof="tf_keras", dud=NOT_OF_OLD)
put("k2-h5-named-labelled-3", _h5(_function("os-system"), KERAS_3), proof="tf_keras", dud=NOT_OF_OLD)


@hostile("k2-runpy", proof="tf_keras")
def _runpy(folder: Path, bait: Bait) -> Path:
    (folder / "beside.txt").write_text(f"open({bait.canary!r}, 'w')\n")
    made = named(function("runpy", "run_path"), str(folder / "beside.txt"))
    return keras_zip(folder / "model.keras", made, KERAS_2)


@hostile("k2-pickle-beside", proof="tf_keras")
def _numpy_load(folder: Path, bait: Bait) -> Path:
    (folder / "beside.pkl").write_text(f"cposix\nsystem\n(S'touch {bait.canary}'\ntR.")
    made = named(function("numpy", "load"), str(folder / "beside.pkl"), allow_pickle=True)
    return keras_zip(folder / "model.keras", made, KERAS_2)


@hostile("k2-module-beside", proof="tf_keras")
def _module_beside(folder: Path, bait: Bait) -> Path:
    """A function whose module lies beside the model: importing it is enough."""
    (folder / "helper_of_model.py").write_text(f"open({bait.canary!r}, 'w')\n")
    made = sequential(lambda_layer(function=function("helper_of_model", "f")), old=True)
    return keras_zip(folder / "model.keras", made, KERAS_2)


@hostile("k2-module-named-keras", proof="tf_keras")
def _module_named_keras(folder: Path, bait: Bait) -> Path:
    """The same for a module whose name begins like Keras'."""
    (folder / "tf_keras_more.py").write_text(f"open({bait.canary!r}, 'w')\n")
    made = sequential(lambda_layer(function=function("keras_more", "f")), old=True)
    return keras_zip(folder / "model.keras", made, KERAS_2)


@hostile("k2-model-beside", proof="tf_keras")
def _model_beside(folder: Path, bait: Bait) -> Path:
    """Open another model, whose bytecode nobody looks at."""
    beside = hdf5(folder / "beside.h5", sequential(evil(bait), old=True))
    return keras_zip(folder / "model.keras", named(function("keras.models", "load_model"), str(beside)), KERAS_2)


@hostile("k2-saved-model-layer", proof="tf_keras", dud="it is called with a tensor only")
def _tfsm(folder: Path, bait: Bait) -> Path:
    beside = writes_when_asked(folder / "beside", bait)
    return keras_zip(folder / "model.keras", sequential(layer("TFSMLayer", filepath=str(beside)), old=True), KERAS_2)


@hostile("k2-restored-beside", proof="tf_keras")
def _restored(folder: Path, bait: Bait) -> Path:
    beside = hdf5(folder / "beside.h5", sequential(evil(bait), old=True))
    return hdf5(folder / "model.h5", operation("keras.models.load_model", str(beside)))


OPERATIONS: dict[str, Callable[[Bait], tuple[str, Any, dict[str, Any]]]] = {
    "write-file": lambda bait: ("io.write_file", bait.canary, {"contents": "x"}),
    "read-file": lambda bait: ("io.read_file", bait.secret, {}),
    "print": lambda bait: ("print", "x", {"output_stream": f"file://{bait.canary}"}),
    "makedirs": lambda bait: ("io.gfile.makedirs", bait.canary, {}),
    "rmtree": lambda bait: ("io.gfile.rmtree", f"{bait.folder}/victim", {}),
    "copy": lambda bait: ("io.gfile.copy", bait.secret, {"dst": bait.canary}),
    "glob": lambda bait: ("io.matching_files", f"{bait.folder}/*", {}),
    "summary-writer": lambda bait: ("summary.create_file_writer", bait.canary, {}),
    "profiler": lambda bait: ("profiler.experimental.start", bait.canary, {}),
    "dump": lambda bait: ("debugging.experimental.enable_dump_debug_info", bait.canary, {}),
    "decode": lambda bait: ("keras.utils.text_dataset_from_directory", str(bait.folder), {}),
    "load-library": lambda bait: ("load_library", bait.secret, {}),
    "load-op-library": lambda bait: ("load_op_library", bait.secret, {}),
    "get-file": lambda bait: ("keras.utils.get_file", "f", {"origin": bait.url}),
    "plot": lambda bait: ("keras.utils.plot_model", "x", {"to_file": bait.canary}),
    "load-img": lambda bait: ("keras.utils.load_img", bait.secret, {}),
    "csv": lambda bait: ("data.experimental.CsvDataset", bait.secret, {"record_defaults": [""]}),
    "connect": lambda bait: ("config.experimental_connect_to_host", f"grpc://{bait.address}", {}),
    "py-function": lambda bait: ("py_function", "x", {"inp": [], "Tout": "float32"}),
    "numpy-function": lambda bait: ("numpy_function", "x", {"inp": [], "Tout": "float32"}),
    "raw-matching": lambda bait: ("raw_ops.MatchingFiles", f"{bait.folder}/*", {}),
    "lines": lambda bait: ("data.TextLineDataset", bait.secret, {}),
    "distribute": lambda bait: ("distribute.Server", {"local": [bait.address]}, {"start": True}),
    "v1-gfile": lambda bait: ("compat.v1.gfile.MakeDirs", bait.canary, {}),
    "snapshot": lambda bait: ("saved_model.load", bait.secret, {}),
    "checkpoint": lambda bait: ("train.load_checkpoint", bait.secret, {}),
    "dir": lambda bait: ("io.gfile.listdir", str(bait.folder), {}),
    "internal": lambda bait: ("__internal__.saved_model.load_partial", bait.secret, {"filters": ["x"]}),
    "app-run": lambda bait: ("compat.v1.app.run", "x", {}),
    "flags": lambda bait: ("config.run_functions_eagerly", True, {}),
}  # fmt: skip
"""Name -> symbol of TensorFlow, first argument, named arguments."""
OPERATION_DUDS = {
    "plot": "a text is no model",
    "glob": "it looks at names alone, which inotify does not tell",
    "raw-matching": "raw_ops wants names for all arguments",
    "dir": "it looks at names alone, which inotify does not tell",
    "py-function": "a text cannot be called",
    "numpy-function": "a text cannot be called",
    "csv": "the dataset is made and not read",
    "lines": "the dataset is made and not read",
    "distribute": "the server opens a port and calls nobody",
    "snapshot": "the file is no folder, so it is not opened",
    "internal": "the file is no folder, so it is not opened",
    "profiler": "it writes when it is stopped",
    "decode": "it lists the folder",
    "app-run": "a text cannot be called",
    "flags": "it changes a setting of the process",
    "connect": "the connection waits for a cluster",
}


def _operation(name: str) -> Build:
    def build(bait: Bait) -> Config:
        symbol, first, arguments = OPERATIONS[name](bait)
        return operation(symbol, first, **arguments)

    return build


for _name in OPERATIONS:
    put(f"k2-op-{_name}", _h5(_operation(_name)), proof="tf_keras", dud=OPERATION_DUDS.get(_name, ""))
for _name in ("write-file", "print"):
    put(f"k2-op-{_name}-zip", _zip(_operation(_name)), proof="tf_keras")
    put(f"k2-op-{_name}-labelled-3", _zip(_operation(_name), KERAS_3), proof="tf_keras")
    put(f"k2-op-{_name}-h5-labelled-3", _h5(_operation(_name), KERAS_3), proof="tf_keras")
    put(f"k2-op-{_name}-without-module", _h5(_bare(_operation(_name))), proof="tf_keras")
put("k2-op-named-keras", _h5(_operation("write-file"), name="model.keras"), proof="", dud=HDF5_IN_ZIP)


def _with_tensor(symbol: str, **arguments: Any) -> Build:
    """Call a function with the model's own input."""

    def build(bait: Bait) -> Config:
        given = {key: value.format(bait=bait) if isinstance(value, str) else value for key, value in arguments.items()}
        part = layer("TFOpLambda", called="op", dtype="float32", function=symbol)
        return functional((part, [[["x", 0, 0, given]]]), old=True)

    return build


put("k2-op-print-in-the-graph", _h5(_with_tensor("print", output_stream="file://{bait.canary}")), proof="tf_keras",
    dud="Keras 2 wants a tensor of it")  # fmt: skip
put("k2-op-assert", _h5(_with_tensor("debugging.assert_equal", y=0.0, message="{bait.canary}")), proof="tf_keras",
    dud="a check of values and no more")  # fmt: skip


def _slicing(bait: Bait) -> Config:
    return operation("io.write_file", bait.canary, "SlicingOpLambda", contents="x")


def _class_method(bait: Bait) -> Config:
    part = layer("ClassMethod", called="op", dtype="float32", cls_symbol="io.TFRecordWriter", method_name="__call__")
    return functional((part, constant([bait.canary], kwargs={})), old=True)


def _instance(kind: str, attribute: str, value: Any, **more: Any) -> Build:
    def build(bait: Bait) -> Config:
        part = layer(kind, called="op", dtype="float32", attr_name=attribute)
        return functional((part, constant(value, **more)), old=True)

    return build


def _node_def(op: str, attributes: dict[str, Any], inputs: int) -> Build:
    """Return the layer by which TensorFlow 2.0 to 2.3 stored a bare operation."""

    def build(bait: Bait) -> Config:
        text = {"name": "evil", "op": op, "input": [f"in{n}" for n in range(inputs)], "attr": attributes}
        words = {str(n): [bait.canary, "x"][n] for n in range(inputs)}
        part = layer("TensorFlowOpLayer", called="op", dtype="float32", node_def=text, constants=words)
        return functional((part, None), old=True)

    return build


RELATIVES: dict[str, tuple[Build, str]] = {
    "slicing": (_slicing, ""),
    "class-method": (_class_method, ""),
    "instance-property": (_instance("InstanceProperty", "__class__", "x"), INERT),
    "instance-method": (_instance("InstanceMethod", "format", "x", args=[], kwargs={}), INERT),
    "node-def": (_node_def("WriteFile", {}, 2), "Keras 2.21 feeds it a tensor of floats"),
    "node-def-print": (
        _node_def("PrintV2", {"output_stream": {"s": "ZmlsZTovLy90bXAvbm93aGVyZQ=="}}, 1),
        "Keras 2.21 feeds it a tensor of floats",
    ),
}
for _name, (_build, _dud) in RELATIVES.items():
    put(f"k2-op-{_name}", _h5(_build), proof="tf_keras", dud=_dud)


def _lookup(name: str, **more: Any) -> Build:
    def build(bait: Bait) -> Config:
        made = functional((layer(name, called="l", vocabulary=bait.secret, **more), None), old=True)
        made["config"]["layers"][0]["config"]["dtype"] = "string"
        return made

    return build


put("k2-h5-string-lookup", _h5(_lookup("StringLookup")), proof="tf_keras")
put("k2-zip-string-lookup", _zip(_lookup("StringLookup")), proof="tf_keras")
put(
    "k2-h5-text-vectorization",
    _h5(_lookup("TextVectorization", standardize="lower", split="whitespace")),
    proof="tf_keras",
)


def _part(**config: Any) -> Build:
    return lambda bait: sequential(layer("Dense", units=2, called="d", **config), old=True)


STRINGS: dict[str, Build] = {
    "activation": _part(activation="deserialize"),
    "activation-module": _part(activation="backend"),
    "initializer": _part(kernel_initializer="deserialize"),
    "regularizer": _part(kernel_regularizer="deserialize_keras_object"),
    "constraint": _part(kernel_constraint={"class_name": "deserialize", "config": {"config": "relu"}}),
    "regularizer-call": _part(kernel_regularizer={"class_name": "deserialize", "config": {"config": {
        "class_name": "function", "module": "os", "config": "system", "registered_name": "system"}}}),
    "initializer-by-module": _part(kernel_initializer=function("os", "system")),
    "policy": _part(dtype=node("subprocess", "Popen", {"args": ["touch", "nowhere"]})),
}  # fmt: skip
for _name, _build in STRINGS.items():
    put(f"k2-string-{_name}", _h5(_build), proof="tf_keras", dud=INERT)


def _typespec(bait: Bait) -> Config:
    spec = {
        "class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess", "registered_name": None,
        "config": [["touch", bait.canary]],
    }  # fmt: skip
    return sequential(layer("InputLayer", called="y", type_spec=spec), old=True)


put("k2-typespec", _zip(_typespec), proof="tf_keras", dud=INERT)


def _typespec_beside(folder: Path, bait: Bait) -> Path:
    """A type whose module lies beside the model."""
    (folder / "types_of_model.py").write_text(f"open({bait.canary!r}, 'w')\n")
    spec = {
        "class_name": "__typespec__", "spec_name": "Spec", "module": "types_of_model", "registered_name": None,
        "config": [],
    }  # fmt: skip
    made = functional((lambda_layer(), [[["x", 0, 0, {"mask": spec}]]]), old=True)
    return keras_zip(folder / "model.keras", made, KERAS_2)


put("k2-typespec-beside", _typespec_beside, proof="tf_keras", dud="arguments of calls stay what they are")
