"""Hostile SavedModels by their form: old ones, texts, second graphs, disguises, and Keras 2's notes in them."""

import json
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.hostile import keras2
from tests.hostile.bait import Bait
from tests.hostile.case import hostile, put
from tests.hostile.layouts import Config, function, sequential
from tests.hostile.saved import NEVER_CALLED, after, edit, save, writes_when_asked

Change = Callable[[Any, Bait], None]


def _v1(build: Callable[[Any, Bait, Any], tuple[Any, dict[str, Any]]]) -> Callable[[Path, Bait], Path]:
    """Save as TensorFlow 1 does: a bare graph without an object graph.

    Args:
        build: receives tf.compat.v1, the bait and the input; returns the output and arguments of the builder.
    """

    def make(folder: Path, bait: Bait) -> Path:
        import tensorflow as tf

        v1 = tf.compat.v1
        path = folder / "model"
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, (1, 4), name="x")
            scale = v1.get_variable("scale", initializer=2.0, use_resource=True)
            y, more = build(v1, bait, x * scale)
            session.run(scale.initializer)
            builder = v1.saved_model.builder.SavedModelBuilder(str(path))
            tensors = v1.saved_model.utils.build_tensor_info
            signature = v1.saved_model.signature_def_utils.build_signature_def(
                {"x": tensors(x)}, {"y": tensors(y)}, "tensorflow/serving/predict"
            )
            builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, **more)
            builder.save()
        return path

    return make


def _v1_signature(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    return after(v1.io.write_file(bait.canary, "x"), x), {}


def _v1_main(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    return x, {"main_op": v1.io.write_file(bait.canary, "x")}


def _v1_legacy(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    return x, {"legacy_init_op": v1.io.write_file(bait.canary, "x")}


def _v1_restore(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    read = v1.raw_ops.RestoreV2(prefix=bait.secret, tensor_names=["a"], shape_and_slices=[""], dtypes=[v1.float32])[0]
    return after(read, x), {}


def _v1_save(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    saving = v1.raw_ops.SaveV2(
        prefix=bait.canary, tensor_names=["a"], shape_and_slices=[""], tensors=[v1.constant(1.0)]
    )
    return after(saving, x), {}


def _v1_save_main(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    return x, {"main_op": v1.raw_ops.SaveV2(
        prefix=bait.canary, tensor_names=["a"], shape_and_slices=[""], tensors=[v1.constant(1.0)]
    )}  # fmt: skip


def _v1_saver(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    """Write in the saver's restore operation."""
    saver = v1.train.Saver(sharded=True)
    graph = v1.get_default_graph()
    restore = graph.get_operation_by_name(saver.saver_def.restore_op_name)
    saving = v1.raw_ops.SaveV2(
        prefix=bait.canary, tensor_names=["a"], shape_and_slices=[""], tensors=[v1.constant(1.0)]
    )
    restore._add_control_input(saving)
    return x, {"saver": saver}


def _v1_variable(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    """Write where a second variable gets its first value."""
    saving = v1.raw_ops.SaveV2(
        prefix=bait.canary, tensor_names=["a"], shape_and_slices=[""], tensors=[v1.constant(1.0)]
    )
    with v1.control_dependencies([saving]):
        first = v1.identity(v1.constant(1.0))
    made = v1.Variable(lambda: first, use_resource=True, name="second", dtype=v1.float32, validate_shape=True)
    v1.get_default_session().run(made.initializer)
    return x * made, {}


def _v1_table(v1: Any, bait: Bait, x: Any) -> tuple[Any, dict[str, Any]]:
    table = v1.raw_ops.HashTableV2(key_dtype=v1.string, value_dtype=v1.int64, shared_name="t")
    filled = v1.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=bait.secret, key_index=-2, value_index=-1, vocab_size=-1, delimiter="\t"
    )
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, filled)
    return x, {"main_op": v1.tables_initializer()}


V1: dict[str, tuple[Any, str]] = {
    "signature": (_v1_signature, ""),
    "main-op": (_v1_main, ""),
    "legacy-init-op": (_v1_legacy, ""),
    "restore": (_v1_restore, ""),
    "save": (_v1_save, ""),
    "save-in-main-op": (_v1_save_main, ""),
    "save-in-restore": (_v1_saver, ""),
    "save-in-variable": (_v1_variable, "the first value is not asked for: the checkpoint has another"),
    "table": (_v1_table, ""),
}
for _name, (_build, _dud) in V1.items():
    put(f"sm-v1-{_name}", _v1(_build), proof="tensorflow", dud=_dud)


def _read(path: Path) -> Any:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    return SavedModel.FromString((path / "saved_model.pb").read_bytes())


def _harmless(folder: Path) -> Path:
    return save(folder, lambda x: x * 2.0)


@hostile("sm-pbtxt", proof="tensorflow")
def _pbtxt(folder: Path, bait: Bait) -> Path:
    from google.protobuf import text_format

    path = writes_when_asked(folder / "model", bait)
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(_read(path)))
    (path / "saved_model.pb").unlink()
    return path


@hostile("sm-pbtxt-beside", proof="tensorflow", dud="TensorFlow takes the .pb of the two")
def _pbtxt_beside(folder: Path, bait: Bait) -> Path:
    from google.protobuf import text_format

    path = writes_when_asked(folder / "model", bait)
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(_read(path)))
    shutil.copy(_harmless(folder / "other") / "saved_model.pb", path / "saved_model.pb")
    return path


@hostile("sm-pb-given-as-a-file", proof="tensorflow")
def _given_file(folder: Path, bait: Bait) -> Path:
    return writes_when_asked(folder / "model", bait) / "saved_model.pb"


def _chunked(alone: bool) -> Callable[[Path, Bait], Path]:
    """Name the graph saved_model.cpb, which TensorFlow prefers to saved_model.pb."""

    def make(folder: Path, bait: Bait) -> Path:
        path = writes_when_asked(folder / "model", bait)
        (path / "saved_model.pb").rename(path / "saved_model.cpb")
        if not alone:
            shutil.copy(_harmless(folder / "other") / "saved_model.pb", path / "saved_model.pb")
        return path

    return make


put("sm-cpb-beside", _chunked(False), proof="tensorflow", dud="TensorFlow's wheel has no writer of true .cpb files")
put("sm-cpb-alone", _chunked(True), proof="tensorflow", dud="TensorFlow's wheel has no writer of true .cpb files")


def _second_graph(hostile_first: bool) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        path, other = writes_when_asked(folder / "model", bait), _harmless(folder / "other")
        one, two = _read(path), _read(other)
        first, second = (one, two) if hostile_first else (two, one)
        second.meta_graphs[0].meta_info_def.tags[:] = ["train"]
        first.meta_graphs.append(second.meta_graphs[0])
        (path / "saved_model.pb").write_bytes(first.SerializeToString())
        return path

    return make


put("sm-second-graph", _second_graph(False), proof="tensorflow", dud="TensorFlow 2 opens the first graph alone")
put("sm-first-graph", _second_graph(True), proof="tensorflow", dud="TensorFlow 2 opens no folder with two graphs")


@hostile("sm-two-messages", proof="tensorflow", dud="TensorFlow 2 opens no folder with two graphs")
def _two_messages(folder: Path, bait: Bait) -> Path:
    """Two SavedModels one after the other in a file: protobuf adds them up."""
    path, other = writes_when_asked(folder / "model", bait), _harmless(folder / "other")
    both = (path / "saved_model.pb").read_bytes() + (other / "saved_model.pb").read_bytes()
    (path / "saved_model.pb").write_bytes(both)
    return path


def _edited(change: Change, base: Callable[[Path, Bait], Path] = writes_when_asked) -> Callable[[Path, Bait], Path]:
    return lambda folder, bait: edit(base(folder / "model", bait), lambda graph: change(graph, bait))


def _as_saver(graph: Any, bait: Bait) -> None:
    """Let the hostile function be the one that saves the variables, too."""
    calls = {node.name: node for node in graph.graph_def.node if node.op.endswith("PartitionedCall")}
    evil = next(node for node in calls.values() if "signature" in node.attr["f"].func.name or "serve" in node.name)
    graph.saver_def.save_tensor_name = f"{evil.name}:0"


def _write_named_save(graph: Any, bait: Bait) -> None:
    """Call the operation by the name of a function of the library."""
    function = next(iter(graph.graph_def.library.function))
    copied = graph.graph_def.library.function.add()
    copied.CopyFrom(function)
    copied.signature.name = "WriteFile"


def _implements(graph: Any, bait: Bait) -> None:
    """Let Grappler choose between two functions that claim to compute the same."""
    for part in graph.graph_def.library.function:
        part.attr["api_implements"].s = b"the_same"
        evil = any(node.op == "WriteFile" for node in part.node_def)
        part.attr["api_preferred_device"].s = b"CPU" if evil else b"GPU"


put("sm-saver", _edited(_as_saver), proof="tensorflow")
put("sm-function-named-as-op", _edited(_write_named_save), proof="tensorflow", dud="TensorFlow sees the clash")
put("sm-implements", _edited(_implements), proof="tensorflow")


def _unreachable(graph: Any, bait: Bait) -> None:
    """Put a function in the library that nothing calls."""
    function = graph.graph_def.library.function.add()
    function.signature.name = "nobody"
    node = function.node_def.add()
    node.name, node.op = "w", "WriteFile"


put("sm-unreachable", _edited(_unreachable, lambda folder, _: _harmless(folder)), proof="tensorflow", dud=NEVER_CALLED)


def _foreign(op: str) -> Callable[[Path, Bait], Path]:
    def change(graph: Any, bait: Bait) -> None:
        function = graph.graph_def.library.function.add()
        function.signature.name = "foreign"
        node = function.node_def.add()
        node.name, node.op = "a", op

    return _edited(change, lambda folder, _: _harmless(folder))


for _op in ("XlaCallModule", "RemoteCall", "TPUExecute", "NcclAllReduce", "GRPCServer", "MyOwnOp", "TRTEngineOp"):
    put(f"sm-foreign-{_op.lower()}", _foreign(_op), proof="tensorflow", dud=NEVER_CALLED)


def _registered(graph: Any, bait: Bait) -> None:
    graph.object_graph_def.nodes[0].registered_name = "keras.Lambda"


put("sm-registered", _edited(_registered, lambda folder, _: _harmless(folder)), proof="tensorflow",
    dud="nothing is registered under that name")  # fmt: skip


@hostile("sm-link-to-a-graph", proof="tensorflow")
def _link(folder: Path, bait: Bait) -> Path:
    path = writes_when_asked(folder / "model", bait)
    (path / "saved_model.pb").rename(folder / "graph")
    (path / "saved_model.pb").symlink_to(folder / "graph")
    return path


@hostile("sm-named-keras", proof="tensorflow")
def _folder_named(folder: Path, bait: Bait) -> Path:
    """A folder that is a SavedModel, and by its other files a model of Keras 3."""
    path = writes_when_asked(folder / "model.keras", bait)
    (path / "config.json").write_text(json.dumps(sequential(keras2.evil(bait))))
    (path / "metadata.json").write_text('{"keras_version": "3.15.1"}')
    return path


@lru_cache(maxsize=4)
def _keras_2_model(folder: Path, build: str) -> Path:
    """Save a harmless Keras 2 model with a Lambda in it; one for all tests of a run."""
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((4,)), layers.Dense(4, name="d"), layers.Lambda(tf.nn.relu, name="l")])
    if build == "nested":
        inside = tf_keras.Sequential([layers.Input((4,)), layers.Lambda(tf.nn.relu, name="l")], name="inner")
        model = tf_keras.Sequential([layers.Input((4,)), layers.Dense(4, name="d"), inside])
    path = folder / f"harmless-keras-2-{build}"
    model.save(path, save_format="tf")
    return path


def _noted(folder: Path, build: str = "plain") -> tuple[Path, Any]:
    """Copy that model, and return its notes."""
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    path = folder / "model"
    shutil.copytree(_keras_2_model(folder.parent.parent, build), path)
    return path, SavedMetadata.FromString((path / "keras_metadata.pb").read_bytes())


def _poison(part: Any, bait: Bait) -> Any:
    """Put bytecode into each Lambda of a note."""
    if isinstance(part, dict):
        made = {key: _poison(value, bait) for key, value in part.items()}
        if made.get("class_name") == "Lambda" and isinstance(made.get("config"), dict):
            made["config"] = {**made["config"], **keras2.stored(bait)}
            made["config"].setdefault("arguments", {})
        return made
    return [_poison(value, bait) for value in part] if isinstance(part, list) else part


def _notes(which: str, build: str = "plain") -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        path, notes = _noted(folder, build)
        for number, node in enumerate(notes.nodes):
            evil = json.dumps(_poison(json.loads(node.metadata), bait))
            if which == "all" or (which == "root" and number == 0) or (which == "others" and number):
                node.metadata = evil
        (path / "keras_metadata.pb").write_bytes(notes.SerializeToString())
        return path

    return make


put("sm-notes", _notes("all"), proof="tf_keras")
put("sm-notes-of-root", _notes("root"), proof="tf_keras", dud="each layer is built from its own note")
put("sm-notes-of-others", _notes("others"), proof="tf_keras")
put("sm-notes-nested", _notes("all", "nested"), proof="tf_keras")


def _graph_notes(text: bool, both: bool) -> Callable[[Path, Bait], Path]:
    """Keep the notes in the graph, as TensorFlow up to 2.4 did."""

    def make(folder: Path, bait: Bait) -> Path:
        from google.protobuf import text_format

        path, notes = _noted(folder)
        saved = _read(path)
        nodes = saved.meta_graphs[0].object_graph_def.nodes
        for note in notes.nodes:
            evil = json.dumps(_poison(json.loads(note.metadata), bait))
            nodes[note.node_id].user_object.metadata = evil
        if not both:
            (path / "keras_metadata.pb").unlink()
        (path / "saved_model.pb").write_bytes(saved.SerializeToString())
        if text:
            (path / "saved_model.pbtxt").write_text(text_format.MessageToString(saved))
            (path / "saved_model.pb").unlink()
        return path

    return make


put("sm-notes-in-graph", _graph_notes(False, False), proof="tf_keras")
put("sm-notes-in-text", _graph_notes(True, False), proof="tf_keras")
put("sm-notes-in-both", _graph_notes(False, True), proof="tf_keras", dud="Keras reads the notes beside the graph")


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _twice(order: str) -> Callable[[Path, Bait], Path]:
    """Write each note twice: protobuf keeps the last."""

    def make(folder: Path, bait: Bait) -> Path:
        path, notes = _noted(folder)
        whole = b""
        for node in notes.nodes:
            harmless = node.metadata.encode()
            evil = json.dumps(_poison(json.loads(node.metadata), bait)).encode()
            number = 5 + (1 << 29) if order == "long-number" else 5
            pair = (_field(number, evil), _field(5, harmless))
            if order == "harmless-first":
                pair = pair[::-1]
            node.metadata = ""
            whole += _field(1, node.SerializeToString() + b"".join(pair))
        (path / "keras_metadata.pb").write_bytes(whole)
        return path

    return make


put("sm-notes-twice", _twice("harmless-first"), proof="tf_keras")
put("sm-notes-twice-reversed", _twice("hostile-first"), proof="tf_keras", dud="the last one counts")
put("sm-notes-long-number", _twice("long-number"), proof="tf_keras", dud="protobuf reads no number that long")


def _note_with(config: Callable[[Bait], Config]) -> Callable[[Path, Bait], Path]:
    """Put another configuration into the note of the Lambda."""

    def make(folder: Path, bait: Bait) -> Path:
        path, notes = _noted(folder)
        for node in notes.nodes:
            note = json.loads(node.metadata)
            if note.get("class_name") == "Lambda":
                node.metadata = json.dumps({**note, **config(bait)})
            elif isinstance(note.get("config"), dict) and "layers" in note["config"]:
                node.metadata = json.dumps({**note, "is_graph_network": False, "config": {"name": "m"}})
        (path / "keras_metadata.pb").write_bytes(notes.SerializeToString())
        return path

    return make


put(
    "sm-note-named", proof="tf_keras", dud="the function is looked up by its name alone",
    make=_note_with(lambda bait: {"config": keras2.lambda_layer(function=function("os", "system"))["config"]}),
)  # fmt: skip


@hostile("sm-notes-and-graph", proof="tf_keras", dud="Keras builds the model from the notes, and asks not the graph")
def _notes_and_graph(folder: Path, bait: Bait) -> Path:
    """Harmless notes beside a graph that writes."""
    path, _ = _noted(folder)
    evil = writes_when_asked(folder / "other", bait)
    saved, other = _read(path), _read(evil)
    saved.meta_graphs[0].graph_def.library.MergeFrom(other.meta_graphs[0].graph_def.library)
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    return path
