"""What is known of a model before any work: for the inspector, the guesses of the flags, and the checks of the data."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from converters.load import Loaded, Origin, Tensor, load_model, origin_sha256
from converters.signature import call, open_signature
from converters.trace import all_nodes, to_model
from converters.traced import Traced
from edge.bundle import TensorSpec

DRIFT_LIMIT = 25.0
"""Largest `Drift.figure` of data in the right scale. Measured with 16 photographs: MobileNetV2 with real weights 1.1,
in 0..1 for 0..255 284, the other way round 97; a CNN after six epochs, whose averages had not settled yet, 3.9 to 5.4,
very dark pictures 20, wrong scale 70 to 1289. Not to be seen: -1..1 for a network normalised by mean and deviation
(2.5), and BGR (1.1)."""

_AUGMENTING = ("MixUp", "CutMix", "AugMix", "RandAugment", "GaussianNoise", "GaussianDropout", "AlphaDropout")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "CuDNNLSTM",
              "CuDNNGRU")  # fmt: skip
_NORMALISING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Normalization",
                "Rescaling", "SyncBatchNormalization")  # fmt: skip
_BATCH_NORMS = ("BatchNormalization", "SyncBatchNormalization")
_NO_WORK = ("InputLayer", "Resizing", "CenterCrop", "ZeroPadding2D", "Cropping2D", "Reshape", "Permute", "Identity",
            "Dropout", "SpatialDropout2D", "Activation", "Cast")  # fmt: skip
"""Layers that may stand before the first Rescaling and leave the range of values as it is."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is.

    Attributes:
        source: file name, or `module:function`.
        source_sha256: of all that decides what the model is, see `origin_sha256`.
        format: of the file, in words.
        library: what opened it: "keras", "tf_keras" or "tensorflow".
        version: of the Keras that wrote it, "" = not known.
        notes: what a person should know of the way it was opened.
        inputs: with plain names and the model's own types; batch 1, and -1 for a length that the model leaves open.
            Empty where the model was never built.
        outputs: the same.
        layers: class -> count, layers of nested models included.
        parameters: numbers in the weights.
        augmentation: classes of the layers that change pictures at random in training.
        lambdas: names of the Lambda layers.
        own_classes: classes and functions that are not Keras' own.
        recurrent: classes of the recurrent layers.
        normalisation: normalising layers in words, in order, each once: "Rescaling(0.00392157 * x + 0)".
        suppression: operators of the graph that suppress boxes; empty where no graph was looked at.
        activations: last activation of each output: "softmax", "linear", "" = not known.
        expected_range: smallest and largest pixel value that the first Rescaling or Normalization is made for; None
            where there is none, or it does not tell.
    """

    source: str
    source_sha256: str
    format: str
    library: str
    version: str = ""
    notes: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    layers: dict[str, int] = {}
    parameters: int = 0
    augmentation: tuple[str, ...] = ()
    lambdas: tuple[str, ...] = ()
    own_classes: tuple[str, ...] = ()
    recurrent: tuple[str, ...] = ()
    normalisation: tuple[str, ...] = ()
    suppression: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    expected_range: tuple[float, float] | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How far data are from those that the first batch normalisation saw in training.

    Attributes:
        layer: its name.
        shift: distance of the channels' means from the learned ones, in learned standard deviations; median over the
            channels.
        spread: standard deviation of a channel over the learned one; median over the channels.
    """

    layer: str
    shift: float
    spread: float

    @property
    def figure(self) -> float:
        """The worse of both: 1 where the data are like those of training, 255 in the wrong one of 0..1 and 0..255."""
        return max(self.shift, self.spread, 1 / max(self.spread, 1e-6))


def facts_of(origin: Origin) -> Facts:
    """Open a model and describe it; to be run as a job."""
    return find_facts(load_model(origin))


def find_facts(loaded: Loaded, traced: Traced | None = None) -> Facts:
    """Describe an open model.

    Args:
        loaded: the model.
        traced: its graph, if there is one: only there suppression of boxes is to be seen.
    """
    all_layers = list(layers_of(loaded.model))
    inputs, outputs = open_signature(loaded)
    counts: dict[str, int] = {}
    for layer in all_layers:
        counts[type(layer).__name__] = counts.get(type(layer).__name__, 0) + 1
    return Facts(
        source=loaded.origin.name,
        source_sha256=origin_sha256(loaded.origin),
        format=loaded.format,
        library=loaded.library,
        version=loaded.version,
        notes=loaded.notes,
        inputs=inputs,
        outputs=outputs,
        layers=dict(sorted(counts.items())),
        parameters=sum(int(np.prod(weight.shape)) for weight in _weights(loaded)),
        augmentation=tuple(name for name in sorted(counts) if is_augmentation(name)),
        lambdas=tuple(sorted(layer.name for layer in all_layers if type(layer).__name__ == "Lambda")),
        own_classes=loaded.own_classes,
        recurrent=tuple(name for name in sorted(counts) if name in _RECURRENT),
        normalisation=tuple(dict.fromkeys(_words(layer) for layer in all_layers if _kind(layer) in _NORMALISING)),
        suppression=find_suppression(traced) if traced is not None else (),
        activations=tuple(_activations(loaded, len(outputs))),
        expected_range=_expected_range(all_layers),
    )


def lines(facts: Facts) -> list[str]:
    """Say the facts to a person, a line for each."""
    counted = ", ".join(f"{count} {name}" if count > 1 else name for name, count in facts.layers.items())
    said = [
        f"model: {facts.source}: {facts.format}; opened by {facts.library}",
        *(f"note: {note}" for note in facts.notes),
        f"inputs: {'; '.join(map(_spec_words, facts.inputs)) or 'not known: the model was never built'}",
        f"outputs: {'; '.join(map(_spec_words, facts.outputs)) or 'not known: the model was never built'}",
        f"parameters: {facts.parameters:,}",
        f"layers: {counted or 'not known: the file keeps the graph alone'}",
    ]
    for title, found in (
        ("augmentation", facts.augmentation),
        ("Lambda", facts.lambdas),
        ("custom", facts.own_classes),
        ("recurrent", facts.recurrent),
        ("normalisation", facts.normalisation),
        ("suppression of boxes", facts.suppression),
    ):
        said.append(f"{title}: {', '.join(found) or 'none'}")
    if facts.expected_range is not None:
        said.append(f"pixels: made for {facts.expected_range[0]:g}..{facts.expected_range[1]:g}")
    return said


def is_augmentation(name: str) -> bool:
    """Tell whether a class of layer changes pictures at random in training."""
    return name.startswith("Random") or name in _AUGMENTING


def find_suppression(traced: Traced) -> tuple[str, ...]:
    """List the operators of a graph that suppress boxes."""
    return tuple(sorted({node.op for node in all_nodes(traced.graph_def) if "NonMaxSuppression" in node.op}))


def layers_of(model: Any) -> Iterator[Any]:
    """Yield all layers in the model's order, those of nested models and inside wrappers after what holds them."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from layers_of(layer)
        inner = getattr(layer, "layer", None)
        if inner is not None:
            yield inner


def first_norm_drift(loaded: Loaded, traced: Traced, samples: Sequence[Sequence[Tensor]]) -> Drift | None:
    """Compare data with what the first batch normalisation behind the inputs learned of its own.

    Its input is caught while the model runs, and the rest of the model is not run.

    Args:
        loaded: the model.
        traced: its graph, for what it does to pictures before the model.
        samples: for each example, one tensor for each of `traced.inputs`, as on the device.

    Returns:
        None for a model without batch normalisation, or one that was never trained.
    """
    norms = [layer for layer in layers_of(loaded.model) if _kind(layer) in _BATCH_NORMS]
    norms = [layer for layer in norms if layer.built and not _is_fresh(layer)]
    if not norms or not samples:
        return None
    found = [_catch(loaded, norms, to_model(loaded, traced, sample)) for sample in samples]
    caught = [pair for pair in found if pair is not None]
    if not caught:
        return None
    layer = caught[0][0]
    rows = []
    for _, value in caught:
        axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
        rows.append(_interior(np.moveaxis(np.asarray(value, np.float64), axis, -1)))
    seen = np.concatenate([value.reshape(-1, value.shape[-1]) for value in rows])
    mean, variance = np.asarray(layer.moving_mean, np.float64), np.asarray(layer.moving_variance, np.float64)
    alive = variance > 1e-6 * np.median(variance)  # a channel that is always the same says nothing
    deviation = np.sqrt(variance[alive])
    shift = float(np.median(np.abs(seen.mean(axis=0)[alive] - mean[alive]) / deviation))
    return Drift(layer=layer.name, shift=shift, spread=float(np.median(seen.std(axis=0)[alive] / deviation)))


def _interior(maps: Tensor) -> Tensor:
    """Cut the border off feature maps (N, H, W, C): padding makes an edge there, whatever the picture holds."""
    if maps.ndim != 4 or min(maps.shape[1:3]) < 8:
        return maps
    return maps[:, 2:-2, 2:-2]


class _Caught(BaseException):
    """Carries the input of a layer out of a running model; no `Exception`, as Keras wraps those."""

    def __init__(self, layer: Any, value: Any) -> None:
        self.layer, self.value = layer, value


def _catch(loaded: Loaded, norms: Sequence[Any], tensors: list[Tensor]) -> tuple[Any, Any] | None:
    """Run a model up to the first of some layers; return that layer and its input."""

    def snare(layer: Any) -> Any:
        def caught(value: Any, *_: Any, **__: Any) -> Any:
            raise _Caught(layer, value)

        return caught

    for layer in norms:
        object.__setattr__(layer, "call", snare(layer))
    try:
        call(loaded, list(tensors))
    except _Caught as error:
        return error.layer, error.value
    finally:
        for layer in norms:
            object.__delattr__(layer, "call")
    return None


def _is_fresh(layer: Any) -> bool:
    """Tell whether a batch normalisation has learned nothing: means of 0 and variances of 1."""
    return not np.any(np.asarray(layer.moving_mean)) and bool(np.all(np.asarray(layer.moving_variance) == 1))


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _weights(loaded: Loaded) -> Sequence[Any]:
    weights: Sequence[Any] = getattr(loaded.model, "weights", None) or loaded.model.variables
    return weights


def _words(layer: Any) -> str:
    """Describe a normalising layer."""
    affine = _affine(layer)
    if affine is None:
        return _kind(layer)
    scale, offset = affine
    return f"{_kind(layer)}({_numbers(scale)} * x + {_numbers(offset)})"


def _numbers(values: Tensor) -> str:
    flat = values.reshape(-1)
    if flat.size and np.ptp(flat) == 0:
        return f"{flat[0]:g}"
    return f"[{', '.join(f'{value:g}' for value in flat[:3])}{', ...' if flat.size > 3 else ''}]"


def _affine(layer: Any) -> tuple[Tensor, Tensor] | None:
    """Return scale and offset of a Rescaling, or of a Normalization that has its numbers."""
    if _kind(layer) == "Rescaling":
        return np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if _kind(layer) == "Normalization" and getattr(layer, "mean", None) is not None:
        mean, variance = (np.asarray(value, np.float64) for value in (layer.mean, layer.variance))
        if getattr(layer, "invert", False):
            return None
        scale = 1 / np.maximum(np.sqrt(variance), 1e-7)
        return scale, -mean * scale
    return None


def _expected_range(layers: Sequence[Any]) -> tuple[float, float] | None:
    """Tell which pixels the first Rescaling or Normalization is made for: those that it centres, or brings to 1.

    Layers that only move pixels, and augmentation, may come before it.
    """
    for layer in layers:
        affine = _affine(layer)
        if affine is not None:
            return _range_of(*affine)
        if not is_augmentation(_kind(layer)) and _kind(layer) not in _NO_WORK and not getattr(layer, "layers", ()):
            return None
    return None


def _range_of(scale: Tensor, offset: Tensor) -> tuple[float, float] | None:
    size = float(np.mean(np.abs(scale)))
    if not size or not math.isfinite(size):
        return None
    centre = float(np.mean(-offset / scale))
    if centre > 1.5 or (centre == 0 and size < 1 / 64):
        return (0.0, 255.0)
    if 0.1 < centre < 0.9 or (centre == 0 and size > 64):
        return (0.0, 1.0)
    return None


def _activations(loaded: Loaded, count: int) -> Iterator[str]:
    """Yield the name of the activation that each output comes from."""
    for tensor in getattr(loaded.model, "outputs", None) or [None] * count:
        history = getattr(tensor, "_keras_history", None)
        yield _activation(history[0]) if history is not None else ""


def _activation(layer: Any) -> str:
    function = getattr(layer, "activation", None)
    if function is not None:
        return str(getattr(function, "__name__", ""))
    if getattr(layer, "layers", ()):
        return _activation(layer.layers[-1])
    return _kind(layer).lower() if _kind(layer) in ("Softmax", "ReLU", "Sigmoid") else ""


def _spec_words(spec: TensorSpec) -> str:
    shape = ", ".join("any" if n < 0 else str(n) for n in spec.shape)
    return f"{spec.name} {spec.dtype} ({shape})"
