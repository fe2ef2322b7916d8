"""A Keras model, found by name and traced into the one graph that every variant is packed from.

The graph has a fixed batch of 1 and is traced with `training=False`: Keras 3 leaves augmentation on otherwise, and
recurrent layers become plain operators only with a fixed batch.
"""

import ast
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from converters.recipe import Recipe
from edge.bundle import TensorSpec
from edge.errors import ConfigError, EdgeError

Tensor = NDArray[Any]


class ConversionError(EdgeError):
    """A model cannot be traced, packed, loaded or trusted; no file of it is written."""

    exit_code = 3


@dataclass(frozen=True, eq=False)
class Traced:
    """A model as a graph, with the names its tensors will have on the device.

    Attributes:
        frozen: TensorFlow function with the weights as constants; takes `inputs`, returns a list of the outputs in
            the order of their sorted names.
        named: the same, returning a dict of `outputs`.
        model: what was traced, the judge of every packed variant.
        inputs: its tensors, in order.
        outputs: its tensors, in order.
    """

    frozen: Any
    named: Any
    model: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def reference(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return what the model itself answers, outside of any traced or converted graph.

        Raises:
            ConversionError: an output has a value that is not finite.
        """
        wanted = [_dtype(tensor) for tensor in self.model.inputs]
        tensors = [tensor.astype(dtype) for tensor, dtype in zip(inputs, wanted, strict=True)]
        if hasattr(self.model, "predict_on_batch"):  # Keras' own way to infer, compiled by it; 20 times faster
            answers = _named(self.model, self.model.predict_on_batch(tensors if len(tensors) > 1 else tensors[0]))
        else:
            answers = _call(self.model, tensors)
        outputs = [np.asarray(answers[spec.name]) for spec in self.outputs]
        for spec, output in zip(self.outputs, outputs, strict=True):
            if not np.isfinite(output).all():
                raise ConversionError(
                    f"model: want finite numbers in output '{spec.name}' of Keras itself, got NaN or infinity; "
                    "the weights are damaged or the input is in the wrong scale"
                )
        return outputs


def module_files(reference: str) -> list[Path]:
    """List the source files of `module:attribute` and of what it imports from its own package, running none."""
    files: dict[str, Path] = {}
    todo = [reference.partition(":")[0]]
    package = todo[0].partition(".")[0]
    while todo:
        module = todo.pop()
        if module in files or (file := _module_file(module)) is None:
            continue
        files[module] = file
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            todo += [name for name in names if name.partition(".")[0] == package]
    return [files[module] for module in sorted(files)]


def _module_file(module: str) -> Path | None:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(found.origin) if found is not None and found.origin and found.has_location else None


def resolve(reference: str) -> Any:
    """Import `module:attribute`.

    Raises:
        ConfigError: there is no such module or attribute.
    """
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ConfigError(f"'{reference}': want module:name, got no module '{error.name}'; correct it") from error
    except AttributeError as error:
        raise ConfigError(f"'{reference}': want a name in {module}, got none '{attribute}'; correct it") from error


def load_model(recipe: Recipe) -> Any:
    """Build the recipe's model.

    Raises:
        ConfigError: no such function, or it does not take the recipe's arguments.
    """
    build = resolve(recipe.model)
    try:
        return build(**{key: None if value == "none" else value for key, value in recipe.arguments.items()})
    except TypeError as error:
        raise ConfigError(
            f"recipe '{recipe.stem}': want arguments of {recipe.model}, got '{error}'; correct [arguments]"
        ) from error


def trace(model: Any, recipe: Recipe) -> Traced:
    """Make the one graph of a model.

    Args:
        model: a `keras.Model`; or anything that has `inputs` (of fixed shape but for the batch, with names), is
            called with one tensor for each, and returns a dict of named tensors.
        recipe: says what the image tensor holds on the device; it is cast to the model's own type in the graph.

    Raises:
        ConversionError: the input has another size than the recipe says.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = []
    for number, tensor in enumerate(model.inputs):
        shape = (1, *(int(n) for n in tensor.shape[1:]))
        dtype = recipe.input if number == 0 else _dtype(tensor)
        signature.append(tf.TensorSpec(shape, dtype, _plain(tensor.name, f"input_{number}")))
    image = tuple(signature[0].shape)
    if image != (1, *recipe.height_width, 3):
        raise ConversionError(
            f"recipe '{recipe.stem}': want an input (1, {', '.join(map(str, recipe.height_width))}, 3), got {image}; "
            "make size and arguments agree"
        )

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def serve(*tensors: Any) -> dict[str, Any]:
        wanted = [_dtype(tensor) for tensor in model.inputs]
        return _call(model, [tf.cast(tensor, dtype) for tensor, dtype in zip(tensors, wanted, strict=True)])

    function = serve.get_concrete_function()
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    names = sorted(function.structured_outputs)

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def named(*tensors: Any) -> dict[str, Any]:
        return dict(zip(names, frozen(*tensors), strict=True))

    return Traced(
        frozen,
        named.get_concrete_function(),
        model,
        tuple(_spec(spec.name, spec) for spec in signature),
        tuple(_spec(name, tensor) for name, tensor in function.structured_outputs.items()),
    )


def _call(model: Any, tensors: Sequence[Any]) -> dict[str, Any]:
    """Run a model for inference and name its outputs."""
    if not hasattr(model, "output_names"):
        return dict(model(*tensors))
    return _named(model, model(list(tensors) if len(tensors) > 1 else tensors[0], training=False))


def _named(model: Any, outputs: Any) -> dict[str, Any]:
    """Name what a Keras model returned, by the keys of its dict or the layers' names."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    flat = outputs if isinstance(outputs, list | tuple) else [outputs]
    return {_plain(name, "output"): tensor for name, tensor in zip(model.output_names, flat, strict=True)}


def _plain(name: str, otherwise: str) -> str:
    """Return the part of a tensor's name that a person gave it."""
    return name.split("/")[-1].split(":")[0] or otherwise


def _dtype(tensor: Any) -> str:
    """Return the type's name; Keras has it as a word, TensorFlow as an object."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def _spec(name: str, tensor: Any) -> TensorSpec:
    fields = {"name": name, "dtype": _dtype(tensor), "shape": [int(n) for n in tensor.shape]}
    try:
        return msgspec.convert(fields, TensorSpec)
    except msgspec.ValidationError as error:
        raise ConversionError(f"tensor '{name}': want a type that a bundle can hold, got '{error}'") from error
