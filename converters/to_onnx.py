"""A traced model -> the bytes of an ONNX file, by tf2onnx from the frozen graph.

tf2onnx numbers its nodes anew in every process. All names but those of inputs and outputs are replaced here by
their place in one fixed walk of the graph, so that the same model gives the same bytes.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters.load import ConversionError
from converters.traced import Traced

OPSET = 17
"""Old enough for the onnxruntime of JetPack 5 and 6, new enough for every operator we use."""

IR_VERSION = 8
"""The file format that belongs to opset 17."""

_DOMAINS = ("", "ai.onnx")


def to_onnx(traced: Traced) -> bytes:
    """Pack a model in float32.

    Straight from the frozen graph: tf2onnx reading a Keras model or a live function makes required inputs of the
    constants of a Normalization layer. What tf2onnx has no translation for is tried once more by way of TFLite.

    Raises:
        ConversionError: the graph has an operator without an ONNX counterpart; tf2onnx itself only logs that.
    """
    try:
        return _pack(*_from_graph(traced), traced)
    except ConversionError as error:
        try:
            return _pack(*_from_tflite(traced), traced)
        except ConversionError:
            raise error from None


def _pack(model: Any, names: dict[str, str], traced: Traced) -> bytes:
    """Put a model of tf2onnx into its final form and check it."""
    import onnx

    shapes: type[Exception] = onnx.shape_inference.InferenceError
    try:
        _replace_erfc(model.graph)
        model = canonical(model, names)
        _state_types(model.graph, traced)
        _check(model)
    except (ValueError, RuntimeError, TypeError, KeyError, onnx.checker.ValidationError, shapes) as error:
        raise ConversionError(f"tf2onnx: want a valid ONNX graph, got '{_first_line(error)}'") from error
    return bytes(model.SerializeToString(deterministic=True))


def _from_graph(traced: Traced) -> tuple[Any, dict[str, str]]:
    """Let tf2onnx read the frozen graph; also return the new name of each input and output."""
    import tf2onnx

    inputs, outputs = list(traced.names.graph_inputs), list(traced.names.graph_outputs)
    try:
        model, _ = tf2onnx.convert.from_graph_def(
            traced.graph_def, input_names=inputs, output_names=outputs, opset=OPSET
        )
    except _FAILURES as error:
        raise ConversionError(f"tf2onnx: want a graph that it can read, got '{_first_line(error)}'") from error
    names = dict(zip(inputs, (spec.name for spec in traced.inputs), strict=True))
    names.update(zip(outputs, (spec.name for spec in traced.outputs), strict=True))
    return model, names


def _from_tflite(traced: Traced) -> tuple[Any, dict[str, str]]:
    """Let tf2onnx read the float32 TFLite file of the same graph."""
    import tf2onnx
    from ai_edge_litert.interpreter import Interpreter

    from converters.to_tflite import to_tflite

    content = to_tflite(traced, "fp32")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "float.tflite"
        file.write_bytes(content)
        try:
            model, _ = tf2onnx.convert.from_tflite(str(file), opset=OPSET)
        except _FAILURES as error:
            raise ConversionError(f"tf2onnx: want a graph that it can read, got '{_first_line(error)}'") from error
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    details = {**runner.get_input_details(), **runner.get_output_details()}
    return model, {str(detail["name"]): name for name, detail in details.items()}


_FAILURES = (
    ValueError, RuntimeError, TypeError, KeyError, IndexError, AttributeError, AssertionError, NotImplementedError,
)  # fmt: skip
"""What tf2onnx raises where it meets what it does not know."""


def _replace_erfc(graph: Any) -> None:
    """Write 1 - Erf(x) for Erfc(x), TensorFlow's operator in GELU, which ONNX does not have."""
    import numpy as np
    import onnx

    one = f"{graph.name}_one_for_erfc"
    kept: list[Any] = []
    for node in graph.node:
        for inner in _inner_graphs(node):
            _replace_erfc(inner)
        if node.op_type != "Erfc":
            kept.append(node)
            continue
        erf = onnx.helper.make_node("Erf", list(node.input), [f"{node.output[0]}_erf"])
        kept += [erf, onnx.helper.make_node("Sub", [one, erf.output[0]], list(node.output))]
    if any(one in node.input for node in kept):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), one))
    made = type(graph)()
    made.node.extend(kept)
    graph.ClearField("node")
    graph.node.extend(made.node)


def _state_types(graph: Any, traced: Traced) -> None:
    """Write the known shapes into the file, and raise ValueError unless inputs and outputs are the wanted ones."""
    import numpy as np
    import onnx

    for values, specs in ((graph.input, traced.inputs), (graph.output, traced.outputs)):
        found, wanted = sorted(value.name for value in values), sorted(spec.name for spec in specs)
        if found != wanted:
            raise ValueError(f"inputs or outputs {', '.join(found)} where the model has {', '.join(wanted)}")
        by_name = {value.name: value for value in values}
        ordered = [by_name[spec.name] for spec in specs]
        copies = []
        for value, spec in zip(ordered, specs, strict=True):
            kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
            if value.type.tensor_type.elem_type != kind:
                raise ValueError(f"another type of '{spec.name}' than {spec.dtype}")
            copies.append(onnx.helper.make_tensor_value_info(spec.name, kind, spec.shape))
        del values[:]
        values.extend(copies)


def canonical(model: Any, names: dict[str, str]) -> Any:
    """Rename inputs and outputs, and give everything else a name and place that depend on the graph alone.

    Args:
        model: an `onnx.ModelProto`; not changed.
        names: old -> new name of the graph's inputs and outputs.
    """
    made = type(model)()
    made.CopyFrom(model)
    made.ir_version = IR_VERSION
    made.graph.ClearField("doc_string")
    made.graph.name = "model"
    _rename_graph(made.graph, "", dict(names))
    _keep_needed_opsets(made)
    return made


def _rename_graph(graph: Any, prefix: str, renamed: dict[str, str]) -> None:
    """Rename in place: nodes by their place in one walk from the outputs, constants by their first use.

    Args:
        graph: an `onnx.GraphProto`.
        prefix: of all names that are made; those of an inner graph begin with the name of the node that has it.
        renamed: names that are known already; those of an inner graph's surroundings among them.
    """
    _move_identities(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    walked = list(_walk(graph))
    taken = set(renamed.values())
    own = dict(renamed)

    def call(name: str, new: str) -> None:
        while new in taken:
            new += "_"
        own[name] = new

    if prefix:
        for number, value in enumerate(graph.input):
            call(value.name, f"{prefix}i{number}")
    made_here: set[str] = set(renamed) if not prefix else {value.name for value in graph.input}
    for number, node in enumerate(walked):
        for place, name in enumerate(node.output):
            if name and name not in made_here:
                call(name, f"{prefix}n{number}_{place}")
    used: list[str] = []
    for name in (*(n for node in walked for n in _reads(node)), *(value.name for value in graph.output)):
        if name in constants and name not in used:
            if name not in made_here:
                call(name, f"{prefix}c{len(used)}")
            used.append(name)
    nodes = [_renamed_node(node, f"{prefix}n{number}", own) for number, node in enumerate(walked)]
    tensors = []
    for name in used:
        tensors.append(type(constants[name])())
        tensors[-1].CopyFrom(constants[name])
        tensors[-1].name = own[name]
    for field in ("node", "initializer", "value_info"):
        graph.ClearField(field)
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    for value in (*graph.input, *graph.output):
        value.name = own.get(value.name, value.name)


def _move_identities(graph: Any) -> None:
    """Leave Identity nodes only where two outputs, or an input and an output, are the same tensor.

    tf2onnx removes them in the order of a Python set, so which of two outputs copies the other changes by process.
    """
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}

    def root(name: str) -> str:
        while name in same:
            name = same[name]
        return name

    computed = {name for node in graph.node if node.op_type != "Identity" for name in node.output}
    renamed: dict[str, str] = {}
    copies = []
    for value in graph.output:
        first = root(value.name)
        if first in computed and first not in renamed:
            renamed[first] = value.name
        elif first in computed or first != value.name:  # an inner graph may hand an input through by its name alone
            copies.append((first, value.name))
    renamed.update({name: renamed.get(root(name), root(name)) for name in same})
    nodes = [node for node in graph.node if node.op_type != "Identity"]
    for node in nodes:
        _replace_names(node, renamed)
    made = type(graph)()
    made.node.extend(nodes)
    for first, name in copies:
        made.node.add(op_type="Identity", input=[renamed.get(first, first)], output=[name])
    graph.ClearField("node")
    graph.node.extend(made.node)


def _replace_names(node: Any, renamed: dict[str, str]) -> None:
    """Rename what a node reads and makes, inside its inner graphs as well but for names that they use anew."""
    for field in (node.input, node.output):
        field[:] = [renamed.get(old, old) for old in field]
    for graph in _inner_graphs(node):
        inside = {name for inner in graph.node for name in inner.output} | {t.name for t in graph.initializer}
        inside |= {value.name for value in graph.input}
        outer = {old: new for old, new in renamed.items() if old not in inside}
        for inner in graph.node:
            _replace_names(inner, outer)
        for value in graph.output:
            value.name = outer.get(value.name, value.name)


def _walk(graph: Any) -> Iterator[Any]:
    """Yield the nodes that the outputs need, each after those it reads, in an order that names cannot change."""
    makers = {name: node for node in graph.node for name in node.output if name}
    done: set[str] = set()
    stack = [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while stack:
        node = stack[-1]
        missing = [makers[name] for name in _reads(node) if name in makers and name not in done]
        if missing:
            stack.extend(reversed(missing))
            continue
        stack.pop()
        if node.output[0] not in done:
            done.update(node.output)
            yield node


def _reads(node: Any) -> Iterator[str]:
    """Yield the names a node takes in, those that its inner graphs take from outside included."""
    yield from (name for name in node.input if name)
    for graph in _inner_graphs(node):
        inside = {name for inner in graph.node for name in inner.output} | {t.name for t in graph.initializer}
        inside |= {value.name for value in graph.input}
        for inner in graph.node:
            yield from (name for name in _reads(inner) if name not in inside)
        yield from (value.name for value in graph.output if value.name not in inside)


def _inner_graphs(node: Any) -> list[Any]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _renamed_node(node: Any, name: str, renamed: dict[str, str]) -> Any:
    """Copy a node, and the graphs inside it, under new names."""
    made = type(node)()
    made.CopyFrom(node)
    made.name = name
    made.ClearField("doc_string")
    for field in (made.input, made.output):
        field[:] = [renamed.get(old, old) for old in field]
    for number, graph in enumerate(_inner_graphs(made)):
        graph.ClearField("doc_string")
        graph.name = f"{name}_{number}"
        _rename_graph(graph, f"{graph.name}_", renamed)
    return made


def _keep_needed_opsets(model: Any) -> None:
    """Drop the operator sets that no node uses: an old runtime refuses a file for naming one it does not know."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in _DOMAINS or opset.domain in used]
    copies = [(opset.domain, opset.version) for opset in kept]
    del model.opset_import[:]
    for domain, version in copies:
        model.opset_import.add(domain=domain, version=version)


def _check(model: Any) -> None:
    """Raise ValueError unless the file is valid and has nothing but standard operators of our version."""
    import onnx

    onnx.checker.check_model(model, full_check=True)
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if model.ir_version > IR_VERSION or versions.get("", 0) > OPSET:
        raise ValueError(f"IR {model.ir_version}, opset {versions.get('', 0)}: newer than {IR_VERSION} and {OPSET}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
