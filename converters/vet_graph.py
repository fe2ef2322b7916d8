"""What the graph of a SavedModel would compute, compared with what it may: its operators, read as data.

TensorFlow runs parts of a graph while a SavedModel is opened (initialisers), and the rest while it is traced and
compared. So every operator of every function must be on the list. One exception: each SavedModel carries functions
that save and restore its variables, with operators that write files. They are let through only while nothing but the
saver refers to them, and nothing here ever runs the saver.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from converters.allowlist import CHECKPOINT_OPS, GRAPH_OPS
from converters.vet import Concern
from edge.limits import check_unfolding

_INIT_KEYS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")
_WRITING = frozenset(("SaveV2", "MergeV2Checkpoints"))


def vet_graph(saved_model: Any, stored: int) -> list[Concern]:
    """List the operators of a SavedModel that are on no list.

    Args:
        saved_model: a `SavedModel` message.
        stored: bytes of the file that it was read from.

    Raises:
        LimitError: its constants would unfold to far more than the file holds.
    """
    concerns: list[Concern] = []
    for meta_graph in saved_model.meta_graphs:
        check_unfolding(stored, sum(_constant_bytes(node) for node in _nodes(meta_graph)), "its constants")
        concerns += _registered(meta_graph)
        if meta_graph.object_graph_def.nodes:
            concerns += _vet_functions(meta_graph)
        else:
            concerns += _vet_session_graph(meta_graph)
    return list(dict.fromkeys(concerns))


def _vet_functions(meta_graph: Any) -> Iterator[Concern]:
    """Judge a SavedModel of TensorFlow 2: an object graph over a library of functions."""
    library = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    saver = _saver_functions(meta_graph, library)
    yield from _operators(meta_graph.graph_def.node, library, "")
    for name, function in library.items():
        yield from _operators(function.node_def, library, name, saver.get(name, frozenset()))


def _saver_functions(meta_graph: Any, library: dict[str, Any]) -> dict[str, frozenset[str]]:
    """Return the functions that nothing but the saver refers to, and the operators that each may have."""
    save, restore = (
        _node_name(name) for name in (meta_graph.saver_def.save_tensor_name, meta_graph.saver_def.restore_op_name)
    )
    graph = {node.name: node for node in meta_graph.graph_def.node}
    running = _ancestors(_asked_for(meta_graph), graph)
    saving, restoring, outside = set[str](), set[str](), set(meta_graph.object_graph_def.concrete_functions)
    for node in meta_graph.object_graph_def.nodes:
        outside |= {node.bare_concrete_function.concrete_function_name, *node.function.concrete_functions}
    for gradient in meta_graph.graph_def.library.gradient:
        outside |= {gradient.function_name, gradient.gradient_func}
    for name, node in graph.items():
        group = outside if name in running else {save: saving, restore: restoring}.get(name, outside)
        group.update(_references([node], library))
    restoring = _closure(restoring, library)
    alone = _closure(saving, library) | restoring
    reached = _closure((outside | set(library) - alone) & set(library), library)
    return {name: CHECKPOINT_OPS - _WRITING if name in restoring else CHECKPOINT_OPS for name in alone - reached}


def _closure(names: Collection[str], library: dict[str, Any]) -> set[str]:
    """Return the functions named and all that they refer to, directly or not."""
    found: set[str] = set()
    todo = [name for name in names if name in library]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _references(library[name].node_def, library)
    return found


def _references(nodes: Iterable[Any], library: dict[str, Any]) -> Iterator[str]:
    """Yield the functions of the library that nodes call or hold."""
    for node in nodes:
        if node.op in library:
            yield node.op
        for value in node.attr.values():
            functions = [value.func] if value.HasField("func") else value.list.func
            yield from (function.name for function in functions if function.name in library)


def _vet_session_graph(meta_graph: Any) -> Iterator[Concern]:
    """Judge a SavedModel of TensorFlow 1: one graph, of which the parts run that somebody asks for."""
    graph = meta_graph.graph_def
    library = {function.signature.name: function for function in graph.library.function}
    for name, function in library.items():
        yield from _operators(function.node_def, library, name)
    nodes = {node.name: node for node in graph.node}
    running = _ancestors(_asked_for(meta_graph), nodes)
    restoring = _ancestors([_node_name(meta_graph.saver_def.restore_op_name)], nodes)
    for node in graph.node:
        allowed = CHECKPOINT_OPS - _WRITING if node.name in restoring else CHECKPOINT_OPS
        yield from _operators([node], library, "", frozenset[str]() if node.name in running else allowed)


def _asked_for(meta_graph: Any) -> set[str]:
    """Return the nodes whose results opening or running the model asks for."""
    names: set[str] = set()
    for signature in meta_graph.signature_def.values():
        names |= {tensor.name for tensor in signature.outputs.values()}
    for key in _INIT_KEYS:
        names |= set(meta_graph.collection_def[key].node_list.value) if key in meta_graph.collection_def else set()
    return {_node_name(name) for name in names}


def _ancestors(names: Collection[str], nodes: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in nodes and name not in found:
            found.add(name)
            todo += [_node_name(source) for source in nodes[name].input]
    return found


def _node_name(tensor: str) -> str:
    """Return the node of a tensor or control input: "^a" and "a:1" are both of node "a"."""
    return tensor.removeprefix("^").partition(":")[0]


def _operators(
    nodes: Iterable[Any], library: dict[str, Any], function: str, more: frozenset[str] = frozenset()
) -> Iterator[Concern]:
    """Yield the operators that are neither allowed nor functions of the library."""
    for node in nodes:
        if node.op not in GRAPH_OPS and node.op not in more and node.op not in library:
            yield Concern(f"the TensorFlow operator {node.op}", function)


def _registered(meta_graph: Any) -> Iterator[Concern]:
    """Yield objects that Python code of some package would restore."""
    for node in meta_graph.object_graph_def.nodes:
        for name in (node.registered_name, node.registered_saver):
            if name:
                yield Concern(f"the registered class {name}", "")


def _nodes(meta_graph: Any) -> Iterator[Any]:
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def _constant_bytes(node: Any) -> int:
    """Return how many bytes the constants of a node take once they are unfolded."""
    import tensorflow as tf

    total = 0
    for value in node.attr.values():
        tensors = [value.tensor] if value.HasField("tensor") else value.list.tensor
        for tensor in tensors:
            try:
                size = tf.dtypes.as_dtype(tensor.dtype).size or 1
            except TypeError:
                size = 1
            total += size * math.prod(max(dimension.size, 0) for dimension in tensor.tensor_shape.dim)
    return total
