"""What goes into a model and comes out of it: plain, different names, and shapes without gaps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from converters.load import ConversionError, Loaded
from edge.bundle import Preprocess, TensorSpec
from edge.preprocess import is_picture

DEVICE_TYPES = {"float16": "float32", "bfloat16": "float32", "float64": "float32", "bool": "uint8", "uint16": "int32"}
"""What a device is given for types that no bundle can hold; the graph casts."""


@dataclass(frozen=True, slots=True)
class Input:
    """What the inputs hold on the device.

    Attributes:
        dtype: of the inputs that are pictures. `uint8`: a camera's pixels, RGB or gray; all of `preprocess` but the
            fit is done in the graph. `float32`: what `preprocess` makes of the pixels. `own`: the model's own type.
            Other inputs always keep their type.
        preprocess: how pixels become what the model was trained on; None for a model that takes no picture.
        size: height and width of the pictures; None to take them from the model.
    """

    dtype: Literal["uint8", "float32", "own"] = "own"
    preprocess: Preprocess | None = None
    size: tuple[int, int] | None = None


def model_inputs(loaded: Loaded, how: Input) -> tuple[TensorSpec, ...]:
    """List the model's inputs with plain, different names, fixed shapes and the model's own types.

    Raises:
        ConversionError: a shape is not known, or another than `how.size`.
    """
    tensors = _tensors(loaded, how)
    names = apart([_plain(str(tensor.name), f"input_{n}") for n, tensor in enumerate(tensors)], set())
    return tuple(
        TensorSpec(name=name, dtype=dtype_of(tensor), shape=_shape(name, tensor, how))  # type: ignore[arg-type]
        for name, tensor in zip(names, tensors, strict=True)
    )


def _tensors(loaded: Loaded, how: Input) -> list[Any]:
    """Return the model's own description of its inputs; a model that was never built is built."""
    tensors = _inputs_of(loaded.model)
    if tensors is None:
        if how.size is None:
            raise ConversionError(
                "model: want known inputs, got a model without Input layer; add keras.Input(shape), or give --size"
            )
        import tensorflow as tf

        channels = 1 if how.preprocess is not None and how.preprocess.color == "gray" else 3
        spec = tf.TensorSpec((1, *how.size, channels), tf.float32, "image")
        try:
            loaded.model(np.zeros(spec.shape, np.float32), training=False)
        except failures() as error:
            raise ConversionError(
                f"model: want one that takes a picture {tuple(spec.shape)}, got '{short(error)}'; "
                "add keras.Input(shape)"
            ) from error
        tensors = _inputs_of(loaded.model) or [spec]
    return tensors


def _inputs_of(model: Any) -> list[Any] | None:
    try:
        inputs = model.inputs
    except (AttributeError, ValueError):  # what an unbuilt Sequential raises
        return None
    return list(inputs) if inputs else None


def own_types(loaded: Loaded, count: int) -> list[str]:
    """List the types that the model takes its `count` inputs in."""
    tensors = _inputs_of(loaded.model)
    return ["float32"] * count if tensors is None else [dtype_of(tensor) for tensor in tensors]


def _shape(name: str, tensor: Any, how: Input) -> tuple[int, ...]:
    """Return a shape with batch 1, height and width filled in from `how.size`."""
    if tensor.shape is None or getattr(tensor.shape, "rank", 1) is None:
        raise ConversionError(
            f"input '{name}': want a known shape, got none; rebuild the model with keras.Input(shape)"
        )
    shape = [None if n is None else int(n) for n in tensor.shape]
    if not shape or shape[0] not in (None, 1):
        raise ConversionError(
            f"input '{name}': want a batch of None or 1, got shape {tuple(shape)}; rebuild the model without batch_size"
        )
    shape[0] = 1
    picture = len(shape) == 4 and shape[3] in (1, 3, None)
    if picture and how.size is not None:
        if any(n is not None and n != wanted for n, wanted in zip(shape[1:3], how.size, strict=True)):
            raise ConversionError(
                f"input '{name}': want {how.size[0]} x {how.size[1]} pixels as the recipe or --size says, got "
                f"{shape[1]} x {shape[2]}; make them agree"
            )
        shape[1:3] = how.size
    if None in shape:
        cure = "give --size" if picture else "rebuild the model with a fixed shape"
        raise ConversionError(f"input '{name}': want a fixed shape, got {tuple(shape)}; {cure}")
    return tuple(n for n in shape if n is not None)


def on_device(own: TensorSpec, how: Input) -> TensorSpec:
    """Return an input as the device will see it."""
    dtype = str(DEVICE_TYPES.get(own.dtype, own.dtype))
    if how.preprocess is not None and how.dtype != "own" and is_picture(own, how.preprocess):
        dtype = how.dtype
    return make_spec(own.name, dtype, own.shape)


def failures() -> tuple[type[Exception], ...]:
    """Return what Keras, TensorFlow and layers of somebody's own raise while a model is called."""
    import tensorflow as tf

    return (ValueError, TypeError, RuntimeError, NotImplementedError, KeyError, AttributeError, tf.errors.OpError)


def call(loaded: Loaded, tensors: list[Any]) -> dict[str, Any]:
    """Run a model for inference and name its outputs."""
    model = loaded.model
    if loaded.library == "tensorflow":
        return named_outputs(model, model(tensors))
    return named_outputs(model, model(arranged(model, tensors), training=False))


def arranged(model: Any, tensors: list[Any]) -> Any:
    """Arrange tensors, in the order of `model.inputs`, as the model takes them: one, a list or a dict."""
    wanted = getattr(model, "input", None)  # a Sequential may have none
    if isinstance(wanted, Mapping):
        by_name = {str(tensor.name): value for tensor, value in zip(model.inputs, tensors, strict=True)}
        return {key: by_name[str(tensor.name)] for key, tensor in wanted.items()}
    return tensors if len(tensors) > 1 else tensors[0]


def named_outputs(model: Any, outputs: Any) -> dict[str, Any]:
    """Name what a model returned: by the keys of its dict, the names of its layers, or their place."""
    leaves = list(_leaves(outputs, ""))
    given = list(getattr(model, "output_names", None) or ())
    if not given and len(leaves) == 1 and getattr(model, "layers", None):
        given = [model.layers[-1].name]  # a Sequential
    if not isinstance(outputs, Mapping) and len(given) == len(leaves):
        leaves = [(name, value) for name, (_, value) in zip(given, leaves, strict=True)]
    names = [_plain(name, "output") for name, _ in leaves]
    order = sorted(range(len(names)), key=lambda n: leaves[n][0]) if isinstance(outputs, Mapping) else range(len(names))
    unique = dict(zip(order, apart([names[n] for n in order], set()), strict=True))
    return {unique[n]: value for n, (_, value) in enumerate(leaves)}


def _leaves(outputs: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a nested structure with their paths: "boxes", "heads_0"."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(outputs, Mapping):
        parts = list(outputs.items())
    elif isinstance(outputs, list | tuple):
        fields = getattr(outputs, "_fields", range(len(outputs)))
        parts = list(zip(fields, outputs, strict=True))
    elif outputs is not None:
        yield path or "output", outputs
    for key, value in parts:
        yield from _leaves(value, f"{path}_{key}" if path else str(key))


def _plain(name: str, otherwise: str) -> str:
    """Return the part of a tensor's name that a person gave it, in letters that every runtime takes."""
    plain = re.sub(r"\W", "_", name.split("/")[-1].split(":")[0], flags=re.ASCII).strip("_")
    if re.fullmatch(r"keras_tensor(_\d+)?", plain):  # Keras' own count, another one in the next process
        return otherwise
    return plain if plain and not plain[0].isdigit() else f"{otherwise}_{plain}".rstrip("_")


def apart(names: Sequence[str], taken: set[str]) -> list[str]:
    """Make names different from each other, and from those that are taken."""
    used, made = set(taken), []
    for name in names:
        number, other = 2, name
        while other in used:
            other, number = f"{name}_{number}", number + 1
        used.add(other)
        made.append(other)
    return made


def dtype_of(tensor: Any) -> str:
    """Return the type's name; Keras has it as a word, TensorFlow as an object."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def make_spec(name: str, dtype: str, shape: Sequence[int]) -> TensorSpec:
    """Describe a tensor, or raise ConversionError for a type that no bundle holds."""
    try:
        return msgspec.convert({"name": name, "dtype": dtype, "shape": list(shape)}, TensorSpec)
    except msgspec.ValidationError as error:
        raise ConversionError(f"tensor '{name}': want a type that a bundle can hold, got '{error}'") from error


def short(error: Exception) -> str:
    """Make one line of an error's message."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def open_signature(loaded: Loaded) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """List inputs and outputs without tracing: batch 1, -1 for a length that the model leaves open.

    Returns:
        Both; empty where the model was never built.
    """
    model = loaded.model
    inputs = _inputs_of(model) or []
    names = apart([_plain(str(tensor.name), f"input_{n}") for n, tensor in enumerate(inputs)], set())
    if loaded.library == "tensorflow":
        outputs: dict[str, Any] = dict(model.function.structured_outputs)
    else:
        given = model.outputs if type(model).__name__ == "Sequential" else getattr(model, "output", None)
        outputs = named_outputs(model, given) if inputs else {}
    called = apart(list(outputs), set(names))
    return (
        tuple(_open_spec(name, tensor) for name, tensor in zip(names, inputs, strict=True)),
        tuple(_open_spec(name, tensor) for name, tensor in zip(called, outputs.values(), strict=True)),
    )


def _open_spec(name: str, tensor: Any) -> TensorSpec:
    known = tensor.shape is not None and getattr(tensor.shape, "rank", 1) is not None
    shape = [-1 if n is None else int(n) for n in tensor.shape] if known else [-1]
    shape[:1] = [1] if shape[:1] == [-1] else shape[:1]
    return TensorSpec(name=name, dtype=dtype_of(tensor), shape=tuple(shape))  # type: ignore[arg-type]
