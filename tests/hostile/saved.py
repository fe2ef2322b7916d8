"""Hostile SavedModels: graphs that write, read, connect or print when they are loaded, or asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.bait import Bait
from tests.hostile.case import hostile, put

Effect = Callable[[Any, Bait], Any]
"""Puts the operations of a payload into the graph being traced; may return a tensor to depend on."""

NAMES_ALONE = "it looks at names alone, which inotify does not tell"
NEVER_CALLED = "nothing calls it"


def save(folder: Path, body: Callable[[Any], Any], keep: Any = None) -> Path:
    """Save a module whose `serving_default` runs `body` on a tensor float32 (1, 4); `keep` is saved with it."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="x")])
    def serve(x: Any) -> Any:
        return {"y": body(x)}

    module.serve = serve
    if keep is not None:
        module.keep = keep
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


def after(effect: Any, x: Any) -> Any:
    """Return a tensor like `x` that cannot be computed without the effect."""
    import tensorflow as tf

    if tf.is_tensor(effect):
        number = tf.strings.length(effect) if effect.dtype == tf.string else effect
        x = x + tf.cast(tf.reduce_sum(tf.cast(number, tf.float32)), x.dtype)
    with tf.control_dependencies([part for part in [effect] if part is not None]):
        return tf.identity(x) * 2.0


def write(tf: Any, bait: Bait) -> Any:
    """Write the canary: the plainest effect."""
    return tf.io.write_file(bait.canary, "x")


def writes_when_asked(folder: Path, bait: Bait) -> Path:
    """Save the plainest hostile SavedModel."""
    import tensorflow as tf

    return save(folder, lambda x: after(write(tf, bait), x))


def _saved(effect: Effect) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        import tensorflow as tf

        return save(folder / "model", lambda x: after(effect(tf, bait), x))

    return make


def _summary(tf: Any, bait: Bait) -> Any:
    writer = tf.raw_ops.SummaryWriter(shared_name="w", container="")
    made = tf.raw_ops.CreateSummaryFileWriter(
        writer=writer, logdir=str(bait.folder), max_queue=1, flush_millis=1, filename_suffix=".canary"
    )
    with tf.control_dependencies([made]):
        return tf.raw_ops.FlushSummaryWriter(writer=writer)


def _scalars(tf: Any) -> Any:
    return tf.raw_ops.TensorDataset(components=[tf.constant("x")], output_shapes=[[]])


def _first(tf: Any, dataset: Any, shape: Any = ()) -> Any:
    """Read the first element of a dataset."""
    return tf.raw_ops.DatasetToSingleElement(dataset=dataset, output_types=[tf.string], output_shapes=[list(shape)])[0]


def _lines(tf: Any, bait: Bait) -> Any:
    made = tf.raw_ops.TextLineDataset(
        filenames=[bait.secret], compression_type="", buffer_size=tf.constant(1, tf.int64)
    )
    return _first(tf, tf.raw_ops.TakeDataset(
        input_dataset=made, count=tf.constant(1, tf.int64), output_types=[tf.string], output_shapes=[[]]
    ))  # fmt: skip


def _records(tf: Any, bait: Bait) -> Any:
    made = tf.raw_ops.TFRecordDataset(
        filenames=[bait.secret], compression_type="", buffer_size=tf.constant(1, tf.int64)
    )
    return _first(tf, made)


def _cache(tf: Any, bait: Bait) -> Any:
    made = tf.raw_ops.CacheDataset(
        input_dataset=_scalars(tf), filename=bait.canary, output_types=[tf.string], output_shapes=[[]]
    )
    return _first(tf, made)


def _sql(tf: Any, bait: Bait) -> Any:
    made = tf.raw_ops.SqlDataset(
        driver_name="sqlite", data_source_name=bait.canary, query="create table t (a text)",
        output_types=[tf.string], output_shapes=[[]],
    )  # fmt: skip
    return _first(tf, made)


def _debug(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.DebugIdentityV2(
        input=tf.constant(1.0), tfdbg_context_id="a", op_name="b", output_slot=0, tensor_debug_mode=2,
        debug_urls=[f"file://{bait.folder}/canary"], tfdbg_run_id="r",
    )  # fmt: skip


def _import_table(tf: Any, bait: Bait) -> Any:
    table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="t")
    return tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=bait.secret, key_index=-2, value_index=-1, vocab_size=-1, delimiter="\t"
    )


def _immutable(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name=bait.secret)


def _vocabulary(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.FixedUnigramCandidateSampler(
        true_classes=tf.constant([[0]], tf.int64), num_true=1, num_sampled=1, unique=True, range_max=2,
        vocab_file=bait.secret,
    )[0]  # fmt: skip


def _proto(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.DecodeProtoV2(
        bytes=tf.constant("x"), message_type="a.B", field_names=["c"], output_types=[tf.string],
        descriptor_source=bait.secret,
    )[0]  # fmt: skip


def _rows(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.LoadAndRemapMatrix(
        ckpt_path=bait.secret, old_tensor_name="a", row_remapping=tf.constant([0], tf.int64),
        col_remapping=tf.constant([], tf.int64), initializing_values=tf.constant([], tf.float32),
        num_rows=1, num_cols=1,
    )  # fmt: skip


def _remapping(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.GenerateVocabRemapping(
        new_vocab_file=bait.secret, old_vocab_file=bait.secret, new_vocab_offset=0, num_new_vocab=1
    )[0]


def _whole_file(tf: Any, bait: Bait) -> Any:
    queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.string], shapes=[[]], capacity=1)
    with tf.control_dependencies([tf.raw_ops.QueueEnqueueV2(handle=queue, components=[bait.secret])]):
        reader = tf.raw_ops.WholeFileReaderV2()
        return tf.raw_ops.ReaderReadV2(reader_handle=reader, queue_handle=queue)[1]


def _py(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.EagerPyFunc(input=[tf.constant(1.0)], token="pyfunc_0", Tout=[tf.float32], is_async=False)[0]


def _stateful_py(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.PyFunc(input=[tf.constant(1.0)], token="pyfunc_0", Tout=[tf.float32])[0]


def _service(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.RegisterDatasetV2(
        dataset=_scalars(tf), address=bait.address, protocol="grpc", external_state_policy=0
    )


def _rpc(tf: Any, bait: Bait) -> Any:
    from tensorflow.distribute.experimental.rpc.kernels import gen_rpc_ops

    client, names = gen_rpc_ops.rpc_client(
        server_address=bait.address, timeout_in_ms=200, shared_name="c", list_registered_methods=True
    )
    assert client is not None
    return names


def _save(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.SaveV2(prefix=bait.canary, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)])


def _save_old(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.Save(filename=bait.canary, tensor_names=["a"], data=[tf.constant(1.0)])


def _merge(tf: Any, bait: Bait) -> Any:
    with tf.control_dependencies([_save(tf, bait)]):
        return tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=[bait.canary], destination_prefix=bait.canary + "2", delete_old_dirs=True
        )


def _restore(tf: Any, bait: Bait) -> Any:
    return tf.raw_ops.RestoreV2(prefix=bait.secret, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def _save_dataset(tf: Any, bait: Bait) -> Any:
    @tf.function
    def shard(x: Any) -> Any:
        return tf.constant(0, tf.int64)

    function = shard.get_concrete_function(tf.TensorSpec((), tf.string))
    return tf.raw_ops.SaveDataset(
        input_dataset=_scalars(tf),
        path=bait.canary,
        shard_func_other_args=[],
        shard_func=function,
        use_shard_func=False,
    )


EFFECTS: dict[str, tuple[Effect, str]] = {
    "write-file": (write, ""),
    "save": (_save, ""),
    "save-old": (_save_old, ""),
    "merge": (_merge, ""),
    "read-file": (lambda tf, bait: tf.io.read_file(bait.secret), ""),
    "restore": (_restore, ""),
    "matching-files": (lambda tf, bait: tf.io.matching_files(f"{bait.folder}/*"), NAMES_ALONE),
    "print": (lambda tf, bait: tf.print("x", output_stream=f"file://{bait.canary}"), ""),
    "debug": (_debug, ""),
    "summary": (_summary, ""),
    "records-out": (
        lambda tf, bait: tf.raw_ops.DatasetToTFRecord(
            input_dataset=_scalars(tf), filename=bait.canary, compression_type=""
        ),
        "",
    ),
    "save-dataset": (_save_dataset, ""),
    "cache": (_cache, ""),
    "sql": (_sql, ""),
    "lines": (_lines, ""),
    "records": (_records, ""),
    "table-from-file": (_import_table, ""),
    "immutable": (_immutable, ""),
    "vocabulary": (_vocabulary, ""),
    "descriptor": (_proto, ""),
    "matrix": (_rows, ""),
    "remapping": (_remapping, ""),
    "whole-file": (_whole_file, ""),
    "py-function": (_py, "the function is not in the file"),
    "py-func": (_stateful_py, "the function is not in the file"),
    "data-service": (_service, ""),
    "rpc": (_rpc, ""),
    "abort": (lambda tf, bait: tf.raw_ops.Abort(error_msg="x"), "it ends the process, and touches nothing"),
}
for _name, (_effect, _dud) in EFFECTS.items():
    put(f"sm-op-{_name}", _saved(_effect), proof="tensorflow", dud=_dud)


def _hidden(body: Callable[[Any, Bait, Any], Any]) -> Callable[[Path, Bait], Path]:
    """Save a model whose body is given TensorFlow, the bait and the input."""

    def make(folder: Path, bait: Bait) -> Path:
        import tensorflow as tf

        return save(folder / "model", lambda x: body(tf, bait, x))

    return make


def _function(tf: Any, bait: Bait) -> Any:
    @tf.function
    def inner(x: Any) -> Any:
        return after(write(tf, bait), x)

    return inner


def _nested(tf: Any, bait: Bait, x: Any) -> Any:
    @tf.function
    def outer(x: Any) -> Any:
        return _function(tf, bait)(x)

    return outer(x)


def _while(tf: Any, bait: Bait, x: Any) -> Any:
    return tf.while_loop(lambda n, x: n < 2, lambda n, x: (n + 1, after(write(tf, bait), x)), (0, x))[1]


def _while_condition(tf: Any, bait: Bait, x: Any) -> Any:
    def condition(n: Any, x: Any) -> Any:
        return after(write(tf, bait), tf.cast(n, tf.float32)) < 2.0

    return tf.while_loop(condition, lambda n, x: (n + 1, x), (0, x))[1]


def _if(tf: Any, bait: Bait, x: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) < 1e9, lambda: after(write(tf, bait), x), lambda: x)


def _case(tf: Any, bait: Bait, x: Any) -> Any:
    return tf.switch_case(tf.cast(tf.reduce_sum(x), tf.int32), [lambda: after(write(tf, bait), x), lambda: x])


def _map(tf: Any, bait: Bait, x: Any) -> Any:
    return tf.map_fn(lambda row: after(write(tf, bait), row), x)


def _map_dataset(tf: Any, bait: Bait, x: Any) -> Any:
    made = tf.data.Dataset.from_tensors(1.0).map(lambda value: after(write(tf, bait), value))
    return x + made.reduce(0.0, lambda a, b: a + b)


def _gradient(tf: Any, bait: Bait, x: Any) -> Any:
    @tf.custom_gradient
    def scaled(x: Any) -> Any:
        return x * 2.0, lambda upstream: after(write(tf, bait), upstream)

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = scaled(x)
    return y + tape.gradient(y, x)


def _gradient_unused(tf: Any, bait: Bait, x: Any) -> Any:
    @tf.custom_gradient
    def scaled(x: Any) -> Any:
        return x * 2.0, lambda upstream: after(write(tf, bait), upstream)

    return scaled(x)


HIDDEN: dict[str, tuple[Callable[[Any, Bait, Any], Any], str]] = {
    "nested": (_nested, ""),
    "while": (_while, ""),
    "while-condition": (_while_condition, ""),
    "if": (_if, ""),
    "case": (_case, ""),
    "map": (_map, ""),
    "map-dataset": (_map_dataset, ""),
    "gradient": (_gradient, ""),
    "gradient-unused": (_gradient_unused, NEVER_CALLED),
}
for _name, (_body, _dud) in HIDDEN.items():
    put(f"sm-in-{_name}", _hidden(_body), proof="tensorflow", dud=_dud)


def _resource(where: str) -> Callable[[Path, Bait], Path]:
    """Write while the model is loaded, in a function that makes or fills a resource."""

    def make(folder: Path, bait: Bait) -> Path:
        import tensorflow as tf
        from tensorflow.python.trackable.resource import CapturableResource

        class Table(CapturableResource):  # type: ignore[misc]
            def _create_resource(self) -> Any:
                handle = tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="t")
                if where == "create" and not tf.executing_eagerly():
                    write(tf, bait)
                return handle

            def _initialize(self) -> Any:
                return write(tf, bait) if where == "initialize" and not tf.executing_eagerly() else tf.no_op()

            def _destroy_resource(self) -> Any:
                return write(tf, bait) if where == "destroy" and not tf.executing_eagerly() else tf.no_op()

        table = Table()

        def body(x: Any) -> Any:
            size = tf.raw_ops.LookupTableSizeV2(table_handle=table.resource_handle)
            return x * (1.0 + tf.cast(size, tf.float32))

        return save(folder / "model", body, table)

    return make


put("sm-resource-create", _resource("create"), proof="tensorflow")
put("sm-resource-initialize", _resource("initialize"), proof="tensorflow")
put("sm-resource-destroy", _resource("destroy"), proof="tensorflow")


@hostile("sm-asset-outside", proof="tensorflow")
def _asset(folder: Path, bait: Bait) -> Path:
    """A vocabulary in assets/ whose name leads out of the folder."""
    import tensorflow as tf

    words = folder / "words.txt"
    words.write_text("a\nb\n")
    table = tf.lookup.StaticVocabularyTable(tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    ), 1)  # fmt: skip
    path = save(folder / "model", lambda x: x * tf.cast(table.lookup(tf.constant("a")), tf.float32), table)

    def lead_out(graph: Any) -> None:
        way = "../" * (len(folder.parts) + 5) + bait.secret.lstrip("/")
        graph.asset_file_def[0].filename = way

    return edit(path, lead_out)


def edit(path: Path, change: Callable[[Any], None]) -> Path:
    """Change the first graph of a SavedModel."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = path / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    change(saved.meta_graphs[0])
    file.write_bytes(saved.SerializeToString())
    return path
