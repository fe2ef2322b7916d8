"""An open model -> the one frozen graph that every variant is packed from, and Keras' own answers to judge it by.

The graph has a fixed batch of 1 and is traced with `training=False`: Keras 3 leaves augmentation on otherwise, and
recurrent layers become plain operators only with a fixed batch.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from converters.load import ConversionError, Loaded, Tensor
from converters.signature import (
    DEVICE_TYPES,
    apart,
    arranged,
    call,
    dtype_of,
    failures,
    make_spec,
    model_inputs,
    named_outputs,
    on_device,
    own_types,
    short,
)
from converters.signature import Input as Input
from converters.traced import Names, Traced
from edge.bundle import Preprocess, TensorSpec
from edge.preprocess import is_picture
from edge.types import F32

_RANDOM = re.compile(r"Random|Multinomial|ShuffleV?\d?$|StatelessTruncatedNormal|RngReadAndSkip|Bernoulli")
_STATE = re.compile(r"^(Assign\w*VariableOp|HashTable\w*|LookupTable\w*)$")


def trace(loaded: Loaded, how: Input) -> tuple[Traced, Preprocess | None]:
    """Make the one graph of a model.

    Args:
        loaded: the model; one that was never built (a `Sequential` without `Input`) is built with `how.size`.
        how: what the inputs hold on the device.

    Returns:
        The graph, and what is left of `how.preprocess` for the device to do.

    Raises:
        ConversionError: a shape is not known or not the one asked for, the model answers differently each time
            (augmentation or sampling that `training=False` does not switch off), or it keeps state between calls.
    """
    import tensorflow as tf

    own = model_inputs(loaded, how)
    specs = tuple(on_device(spec, how) for spec in own)
    folded = _folded(specs, own, how)
    signature = [tf.TensorSpec(spec.shape, spec.dtype, spec.name) for spec in specs]
    found: list[str] = []

    def serve(*tensors: Any) -> list[Any]:
        given = []
        for tensor, spec, wanted in zip(tensors, specs, own, strict=True):
            if folded is not None and is_picture(spec, folded):
                tensor = _normalise(tensor, folded)
            given.append(tf.cast(tensor, wanted.dtype))
        answers = call(loaded, given)
        found.extend(apart(list(answers), {spec.name for spec in specs}))
        kept = [DEVICE_TYPES.get(value.dtype.name, value.dtype.name) for value in answers.values()]
        return [tf.identity(tf.cast(v, dtype)) for v, dtype in zip(answers.values(), kept, strict=True)]

    frozen = _freeze(serve, signature)
    graph_def = _data_flow(frozen)
    _refuse_chance(graph_def)
    places = {tensor.name.split(":")[0]: tensor.name for tensor in frozen.inputs}
    graph_inputs = tuple(places[spec.name] for spec in specs)
    outputs = tuple(_output(name, tensor, frozen, specs) for name, tensor in zip(found, frozen.outputs, strict=True))
    names = Names(
        inputs=specs,
        outputs=outputs,
        graph_inputs=graph_inputs,
        graph_outputs=tuple(tensor.name for tensor in frozen.outputs),
        folded=folded,
    )
    return Traced(graph_def, names), how.preprocess if folded is None else _rest(folded)


def _freeze(serve: Any, signature: Sequence[Any]) -> Any:
    """Trace a function, and make constants of its variables.

    Not as a `tf.function`: that would keep the side effects of layers (the next seed of a dropout that is off), and
    what assigns a variable cannot be frozen.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        whole = tf.compat.v1.wrap_function(serve, signature)
    except failures() as error:
        raise ConversionError(f"model: want a graph of it, got '{short(error)}'; see whether it predicts") from error
    _refuse_state(whole.graph.as_graph_def())
    needed = whole.prune(whole.graph.inputs[: len(signature)], whole.outputs)
    try:
        return convert_variables_to_constants_v2(needed, lower_control_flow=False)
    except failures() as error:  # a random generator keeps a state
        _refuse_chance(needed.graph.as_graph_def())
        raise ConversionError(f"model: want constant weights, got '{short(error)}'; save the model again") from error


def reference(loaded: Loaded, traced: Traced, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what the model itself answers, outside of any traced or converted graph.

    Args:
        loaded: the model.
        traced: its graph, for the names; what it does to pictures before the model is done here by numpy.
        inputs: one tensor for each of `traced.inputs`, as on the device.

    Returns:
        One array for each of `traced.outputs`, of its type and shape.

    Raises:
        ConversionError: an output has a value that is not finite.
    """
    given = to_model(loaded, traced, inputs)
    if hasattr(loaded.model, "predict_on_batch"):  # Keras' own way to infer, compiled by it; 20 times faster
        loaded.model.jit_compile = False  # XLA has no CombinedNonMaxSuppression, and takes longer to compile
        raw = loaded.model.predict_on_batch(arranged(loaded.model, given))
        answers = named_outputs(loaded.model, raw)
    else:
        answers = call(loaded, given)
    names = apart(list(answers), {spec.name for spec in traced.inputs})
    by_name = dict(zip(names, answers.values(), strict=True))
    outputs = [np.asarray(by_name[spec.name]).astype(spec.dtype) for spec in traced.outputs]
    for spec, output in zip(traced.outputs, outputs, strict=True):
        if not np.isfinite(output).all():
            raise ConversionError(
                f"model: want finite numbers in output '{spec.name}' of Keras itself, got NaN or infinity; "
                "the weights are damaged or the input is in the wrong scale"
            )
    return outputs


def to_model(loaded: Loaded, traced: Traced, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Turn tensors of the device into what the Keras model takes, as the traced graph does inside."""
    given = []
    folded = traced.names.folded
    for tensor, spec, dtype in zip(inputs, traced.inputs, own_types(loaded, len(traced.inputs)), strict=True):
        if folded is not None and is_picture(spec, folded):
            tensor = normalise(tensor, folded)
        given.append(np.asarray(tensor).astype(dtype))
    return given


def normalise(pixels: Tensor, how: Preprocess) -> F32:
    """Do to RGB or gray pixels what a `Preprocess` says but for the fit.

    Args:
        pixels: uint8 (..., C), or (1, H, W) in gray.
        how: colour order, mean and std.

    Returns:
        float32 of the same shape.
    """
    turned = pixels[..., ::-1] if how.color == "bgr" else pixels
    mean, std = np.asarray(how.mean, np.float64), np.asarray(how.std, np.float64)
    return ((turned.astype(np.float64) - mean) / std).astype(np.float32)


def _normalise(pixels: Any, how: Preprocess) -> Any:
    """Do in the graph what `normalise` does.

    Numbers that differ by channel, or channels in another order, become a 1 x 1 convolution: arithmetic along an
    inner axis of length 3 is slow in every runtime, see `models.pixels`.
    """
    import tensorflow as tf

    channels = 1 if how.color == "gray" else 3
    scale = 1 / np.broadcast_to(np.asarray(how.std, np.float64), channels)
    offset = -np.broadcast_to(np.asarray(how.mean, np.float64), channels) * scale
    value = tf.cast(pixels, tf.float32)
    if how.color != "bgr" and np.ptp(scale) == 0 and np.ptp(offset) == 0:
        return value * np.float32(scale[0]) + np.float32(offset[0])
    kernel = np.diag(scale)[::-1] if how.color == "bgr" else np.diag(scale)
    return tf.nn.conv2d(value, kernel[None, None].astype(np.float32), 1, "VALID") + offset.astype(np.float32)


def _folded(specs: Sequence[TensorSpec], own: Sequence[TensorSpec], how: Input) -> Preprocess | None:
    """Return what the graph does to the pixels before the model, or None where it takes them as they are."""
    given = how.preprocess
    if (
        given is None
        or how.dtype != "uint8"
        or (given.color != "bgr" and not any(given.mean) and set(given.std) == {1.0})
    ):
        return None
    pictures = [wanted for spec, wanted in zip(specs, own, strict=True) if is_picture(spec, given)]
    for spec in pictures:
        if not spec.dtype.startswith("float"):
            raise ConversionError(
                f"input '{spec.name}': want a float input to normalise pixels for, got {spec.dtype}; the model takes "
                "pixels as they are, so leave mean, std and color out of [preprocess]"
            )
    return given if pictures else None


def _rest(folded: Preprocess) -> Preprocess:
    """Return what is left for the device."""
    color: Literal["rgb", "gray"] = "gray" if folded.color == "gray" else "rgb"
    return Preprocess(fit=folded.fit, pad_value=folded.pad_value, color=color)


def _output(name: str, tensor: Any, frozen: Any, inputs: Sequence[TensorSpec]) -> TensorSpec:
    """Describe an output; a shape that the graph does not know is measured on different inputs."""
    shape = tensor.shape
    if shape.rank is None or None in shape.as_list():
        place = [other.name for other in frozen.outputs].index(tensor.name)
        seen = {tuple(answer[place].shape) for answer in _try(frozen, inputs)}
        if len(seen) != 1:
            raise ConversionError(
                f"output '{name}': want a shape that is always the same, got {sorted(seen)}; pad it, as "
                "tf.image.non_max_suppression_padded does"
            )
        return make_spec(name, dtype_of(tensor), seen.pop())
    return make_spec(name, dtype_of(tensor), shape.as_list())


def _try(frozen: Any, inputs: Sequence[TensorSpec]) -> Iterator[list[Any]]:
    """Run a graph on zeros and on noise of two scales."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for scale in (0, 1, 255):
        yield frozen(*[tf.constant((rng.random(spec.shape) * scale).astype(spec.dtype)) for spec in inputs])


def _data_flow(frozen: Any) -> Any:
    """Return what the outputs are computed from, and the inputs.

    Layers leave side effects behind that only training needs, as the seeds of a dropout that is off.
    """
    from tensorflow.core.framework.graph_pb2 import GraphDef

    whole = frozen.graph.as_graph_def()
    nodes = {node.name: node for node in whole.node}
    wanted = {tensor.op.name for tensor in (*frozen.inputs, *frozen.outputs)}
    todo = list(wanted)
    while todo:
        node = nodes[todo.pop()]
        kept = [name for name in node.input if not name.startswith("^")]
        node.input[:] = kept
        node.attr.pop("_gradient_op_type", None)  # names a function of this process; no file can be saved with it
        before = {name.split(":")[0] for name in kept} - wanted
        wanted |= before
        todo += before
    made = GraphDef(versions=whole.versions)
    made.node.extend(node for node in whole.node if node.name in wanted)
    functions = {function.signature.name: function for function in whole.library.function}
    used: set[str] = set()
    parts = list(made.node)
    while parts:
        called = {name for value in parts.pop().attr.values() for name in _called(value)} - used
        used |= called
        parts += [node for name in called if name in functions for node in functions[name].node_def]
    made.library.function.extend(function for name, function in sorted(functions.items()) if name in used)
    return made


def _called(value: Any) -> list[str]:
    """List the functions that an attribute of a node names."""
    return [function.name for function in (value.func, *value.list.func) if function.name]


def _refuse_chance(graph_def: Any) -> None:
    """Raise ConversionError if a graph answers by chance."""
    for node in all_nodes(graph_def):
        if _RANDOM.search(node.op):
            raise ConversionError(
                f"model: want the same answer to the same input, got random operator {node.op} in "
                f"'{_scope(node.name)}' although training=False; an augmentation layer or sampling was left on: take "
                "it out, or export the model again with training=False"
            )


def _refuse_state(graph_def: Any) -> None:
    """Raise ConversionError if a graph keeps something between calls but for the seeds of what is switched off."""
    from tensorflow.core.framework.types_pb2 import DT_INT64, DT_UINT32, DT_UINT64

    for node in all_nodes(graph_def):
        if _STATE.match(node.op) and node.attr["dtype"].type not in (DT_UINT32, DT_UINT64, DT_INT64):  # a seed
            raise ConversionError(
                f"model: want no state between calls, got operator {node.op} in '{_scope(node.name)}'; build recurrent "
                "layers with stateful=False and call no layer with training=True"
            )


def all_nodes(graph_def: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of its functions."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _scope(name: str) -> str:
    """Shorten a node's name to that of its layer."""
    parts = [part for part in name.split("/") if part not in ("StatefulPartitionedCall", "PartitionedCall")]
    return "/".join(parts[:-1][-2:]) or name
