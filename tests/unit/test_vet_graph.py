"""Operators of a SavedModel, in graphs made by hand: what runs must be on the list, and the saver must stay alone."""

from typing import Any

import pytest

from converters.vet_graph import vet_graph
from edge.limits import LimitError

SavedModel: Any = pytest.importorskip("tensorflow.core.protobuf.saved_model_pb2").SavedModel

SIZE = 10_000


def saved_model(objects: bool = True) -> tuple[Any, Any]:
    """Return a SavedModel of one addition, and its meta graph; with a saver that writes, as every one has."""
    model = SavedModel()
    meta = model.meta_graphs.add()
    if objects:
        meta.object_graph_def.nodes.add()
        function(meta, "__inference__traced_save", ["SaveV2", "MergeV2Checkpoints", "StringJoin"])
        node(meta, "StatefulPartitionedCall_1", "StatefulPartitionedCall", calls="__inference__traced_save")
        meta.saver_def.save_tensor_name = "StatefulPartitionedCall_1:0"
    else:
        node(meta, "save", "SaveV2")
        node(meta, "restore", "RestoreV2")
        meta.saver_def.save_tensor_name, meta.saver_def.restore_op_name = "save:0", "restore"
    node(meta, "sum", "AddV2")
    meta.signature_def["serving_default"].outputs["y"].name = "sum:0"
    return model, meta


def node(meta: Any, name: str, op: str, inputs: tuple[str, ...] = (), calls: str = "") -> Any:
    made = meta.graph_def.node.add(name=name, op=op, input=inputs)
    if calls:
        made.attr["f"].func.name = calls
    return made


def function(meta: Any, name: str, ops: list[str], calls: str = "") -> None:
    made = meta.graph_def.library.function.add()
    made.signature.name = name
    for number, op in enumerate(ops):
        inner = made.node_def.add(name=f"n{number}", op=op)
        if calls:
            inner.attr["branches"].list.func.add().name = calls


def concerns(model: Any) -> list[str]:
    return [concern.what.removeprefix("the TensorFlow operator ") for concern in vet_graph(model, SIZE)]


@pytest.mark.parametrize("objects", [True, False])
def test_a_plain_model_with_its_saver(objects: bool) -> None:
    assert concerns(saved_model(objects)[0]) == []


def test_writing_anywhere_is_named() -> None:
    model, meta = saved_model()
    node(meta, "a", "WriteFile")
    function(meta, "inner", ["ReadFile"])
    function(meta, "branch", ["If"], calls="inner")
    assert concerns(model) == ["WriteFile", "ReadFile"]


def test_a_call_by_name_of_a_function_is_no_operator() -> None:
    model, meta = saved_model()
    function(meta, "inner", ["AddV2"])
    node(meta, "a", "inner")
    assert concerns(model) == []


def test_every_meta_graph_is_looked_at() -> None:
    model, _ = saved_model()
    node(model.meta_graphs.add(), "a", "PrintV2")
    assert concerns(model) == ["PrintV2"]


def test_the_saver_may_be_called_by_nothing_else() -> None:
    wants = ["SaveV2", "MergeV2Checkpoints", "StringJoin"]
    for use in ("node", "function", "object", "concrete", "gradient", "bare"):
        model, meta = saved_model()
        name = "__inference__traced_save"
        if use == "node":
            node(meta, "a", "PartitionedCall", calls=name)
        elif use == "function":
            function(meta, "served", ["PartitionedCall"], calls=name)
        elif use == "object":
            meta.object_graph_def.concrete_functions[name].bound_inputs.append(0)
        elif use == "concrete":
            meta.object_graph_def.nodes.add().function.concrete_functions.append(name)
        elif use == "bare":
            meta.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = name
        else:
            meta.graph_def.library.gradient.add(function_name="f", gradient_func=name)
        assert concerns(model) == wants, use


def test_the_saver_may_not_be_asked_for() -> None:
    model, meta = saved_model()
    node(meta, "evil", "Identity", ("StatefulPartitionedCall_1:0",))
    meta.signature_def["serving_default"].outputs["y"].name = "evil:0"
    assert concerns(model) == ["SaveV2", "MergeV2Checkpoints", "StringJoin"]


def test_restoring_may_read_a_checkpoint_and_not_write_one() -> None:
    model, meta = saved_model()
    function(meta, "restore", ["RestoreV2", "StringJoin"])
    node(meta, "restore_all", "PartitionedCall", calls="restore")
    meta.saver_def.restore_op_name = "restore_all"
    assert concerns(model) == []
    meta.graph_def.library.function[-1].node_def.add(name="x", op="SaveV2")
    assert concerns(model) == ["SaveV2"]


def test_what_the_saver_calls_may_only_save() -> None:
    model, meta = saved_model()
    meta.graph_def.library.function[0].node_def.add(name="x", op="WriteFile")
    assert concerns(model) == ["WriteFile"]


def test_a_saver_without_the_name_of_one_is_none() -> None:
    model, meta = saved_model()
    meta.saver_def.save_tensor_name = ""
    assert "SaveV2" in concerns(model)


@pytest.mark.parametrize("how", ["output", "init", "restore", "control"])
def test_in_a_session_graph_nothing_that_runs_may_save(how: str) -> None:
    model, meta = saved_model(objects=False)
    node(meta, "evil", "Identity", ("save:0",))
    if how == "output":
        meta.signature_def["serving_default"].outputs["y"].name = "evil:0"
    elif how == "init":
        meta.collection_def["saved_model_main_op"].node_list.value.append("evil")
    elif how == "restore":
        meta.saver_def.restore_op_name = "evil"
    else:
        node(meta, "after", "NoOp", ("^evil",))
        meta.signature_def["serving_default"].outputs["y"].name = "after:0"
    assert concerns(model) == ["SaveV2"]


def test_in_a_session_graph_no_output_may_read_a_checkpoint() -> None:
    model, meta = saved_model(objects=False)
    assert concerns(model) == []
    meta.signature_def["serving_default"].outputs["y"].name = "restore:0"
    assert concerns(model) == ["RestoreV2"]


def test_objects_that_packages_restore() -> None:
    model, meta = saved_model()
    meta.object_graph_def.nodes[0].registered_name = "Evil"
    assert concerns(model) == ["the registered class Evil"]


def test_a_constant_may_not_unfold() -> None:
    model, meta = saved_model()
    tensor = node(meta, "c", "Const").attr["value"].tensor
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=15_000_000)
    assert concerns(model) == []
    tensor.tensor_shape.dim.add(size=2)
    with pytest.raises(LimitError, match="unfold"):
        vet_graph(model, SIZE)
