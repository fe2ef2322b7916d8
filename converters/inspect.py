"""`python -m converters inspect MODEL`: what a model is, what will be done with it, what is refused and why."""

from pathlib import Path

from converters.facts import Facts, find_facts, is_augmentation, lines
from converters.load import ConversionError, Loaded, Origin, load_model
from converters.modelfile import ModelFile, read_model_file
from converters.trace import Input, trace
from converters.traced import Traced
from edge.errors import ConfigError
from edge.redact import printable

_NO_TFLITE = {
    "CombinedNonMaxSuppression": "TFLite has no such operator; ONNX goes, or suppress on the device (edge.decode)",
}
"""Operators that no TFLite runtime has."""


def describe(origin: Origin, size: tuple[int, int] | None = None) -> list[str]:
    """Open and trace a model, and say what there is to know; to be run as a job.

    A file that is refused is still described by what it says of itself, without running anything of it.

    Args:
        origin: the model.
        size: height and width of the pictures, for a model that takes any.

    Returns:
        Lines for a person.

    Raises:
        ConversionError: there is no such file, or it is no model at all.
        ConfigError: there is no such function.
    """
    try:
        loaded = load_model(origin)
    except ConversionError as error:
        if origin.is_function:
            raise
        return [*_file_lines(read_model_file(Path(origin.model))), f"refused: {error}"]
    traced, complaint = _trace(loaded, size)
    facts = find_facts(loaded, traced)
    said = [*lines(facts), *(f"will do: {line}" for line in _plans(facts)), *_refusals(facts)]
    return said if not complaint else [*said, f"refused: {complaint}"]


def _trace(loaded: Loaded, size: tuple[int, int] | None) -> tuple[Traced | None, str]:
    try:
        return trace(loaded, Input(size=size))[0], ""
    except (ConversionError, ConfigError) as error:
        return None, str(error)


def _file_lines(file: ModelFile) -> list[str]:
    """Describe a file by what stands in it, fit for a terminal."""
    counted = ", ".join(f"{count} {name}" if count > 1 else name for name, count in file.layers.items())
    augmenting = ", ".join(name for name in file.layers if is_augmentation(name))
    said = [
        f"model: {file.path.name}: {file.format}; not opened",
        f"layers: {counted or 'not known: the file keeps the graph alone'}",
        f"augmentation: {augmenting or 'none'}",
        f"would run code: {', '.join(dict.fromkeys(c.what for c in file.concerns() if not c.own)) or 'nothing'}",
        f"custom: {', '.join(sorted(file.own_classes)) or 'none'}",
    ]
    return [printable(line) for line in said]


def _plans(facts: Facts) -> list[str]:
    """Say what conversion will do."""
    said = ["trace it once with batch 1 and training=False, and pack every variant from that graph"]
    if facts.augmentation:
        said.append(f"switch off {', '.join(facts.augmentation)} by training=False")
    if any(-1 in spec.shape[1:] for spec in facts.inputs):
        said.append("fix the open size of the inputs: give --size")
    if facts.expected_range == (0.0, 255.0):
        said.append("give the model pixels 0..255, as it normalises them itself: no --mean and --std")
    if facts.expected_range == (0.0, 1.0):
        said.append("bring pixels to 0..1 before the model: give --std 255")
    return said


def _refusals(facts: Facts) -> list[str]:
    """Say which variants cannot be made."""
    said = []
    if facts.recurrent:
        said.append(
            f"refused: int8 and int16x8 in TFLite for {', '.join(facts.recurrent)}: TensorFlow's calibrator dies on "
            "recurrent layers; dynamic goes"
        )
    said += [f"refused: TFLite for {op}: {_NO_TFLITE[op]}" for op in facts.suppression if op in _NO_TFLITE]
    return said
