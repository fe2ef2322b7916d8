"""What came of a conversion, as plain values: `report.json`, and what the report is drawn from."""

from typing import Literal

import msgspec

from edge.bundle import Calibration, Metric, OutputParity


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of a record."""


class LayerError(_Part, frozen=True):
    """What quantisation does to one layer.

    Attributes:
        layer: name, as the quantiser takes it back in `Settings.float_layers`.
        op: kind of operator: "CONV_2D", "Conv".
        error: root-mean-square error of its output over the output's own RMS, quantised against float, both fed
            with the float model's input of the layer.
    """

    layer: str
    op: str
    error: float


class Attempt(_Part, frozen=True):
    """One try at a variant.

    Attributes:
        settings: how the quantiser was set, in words; "" for a variant that has no settings.
        seconds: how long it took.
        complaint: why its file was not written; "" = it passed.
        size: of the model file, bytes; 0 where there is none.
        parity: per output, against Keras.
        metrics: of the task.
        layers: quantisation error of each layer, worst first; empty where it was not measured.
    """

    settings: str
    seconds: float
    complaint: str = ""
    size: int = 0
    parity: tuple[OutputParity, ...] = ()
    metrics: tuple[Metric, ...] = ()
    layers: tuple[LayerError, ...] = ()


class VariantRecord(_Part, frozen=True):
    """All that is known of one variant.

    Attributes:
        name: "int8-tflite".
        bundle: name of the bundle's folder.
        status: `refused` = no attempt passed and the recipe marks the variant as optional.
        attempts: in the order they were made.
        latency_ms: median of one run on the workstation; no figure for a device.
        latency_words: runtime, threads and processor it was measured with.
        minimum_runtime: oldest TFLite release that can run it; "" = not known.
    """

    name: str
    bundle: str
    status: Literal["written", "refused", "failed"]
    attempts: tuple[Attempt, ...]
    latency_ms: float | None = None
    latency_words: str = ""
    minimum_runtime: str = ""


class Finding(_Part, frozen=True):
    """Something about the data or the model that a person should know.

    Attributes:
        severity: an `error` ends the conversion.
        words: one sentence: what was wanted, what came, what to do.
    """

    severity: Literal["error", "warning"]
    words: str


class Record(_Part, frozen=True):
    """A model's conversion.

    Attributes:
        stem: first part of the bundles' names: "nanodet-416".
        basis: hash of the model, its weights and its data; reports of another basis are not of this model.
        task: what the device uses it for.
        source: where the Keras model came from.
        facts: lines that `python -m converters inspect` prints.
        target: board it is meant for, "" = any.
        max_drop: largest fall of the task's metric that is allowed.
        versions: package -> version.
        calibration: what the quantisers saw, None where none was needed.
        calibration_range: smallest and largest value of each input over the calibration inputs.
        findings: of the checks of model and data.
        variants: in the order they were made.
        chosen: bundle that a device should take, "" = none was written.
        why: reason for the choice, one sentence.
        strangers: bundles that lie beside under the same stem and were made from another model or other data.
    """

    stem: str
    task: str
    source: str
    facts: tuple[str, ...]
    target: str
    max_drop: float
    versions: dict[str, str]
    calibration: Calibration | None
    calibration_range: tuple[tuple[float, float], ...]
    findings: tuple[Finding, ...]
    variants: tuple[VariantRecord, ...]
    basis: str = ""
    chosen: str = ""
    why: str = ""
    strangers: tuple[str, ...] = ()
