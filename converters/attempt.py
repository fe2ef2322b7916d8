"""One try at one variant, as a job in a child process: packed, gated, run by the device's own code, and judged."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from converters.gates import FileFacts, check_file
from converters.job import tell
from converters.layers import onnx_layer_errors, tflite_layer_errors
from converters.load import ConversionError, Tensor
from converters.pack import THREADS, manifest_for, stage
from converters.parity import broken, compare
from converters.recipe import Settings, Variant
from converters.record import Attempt, LayerError
from converters.study import Study, read_study
from converters.targets import TARGETS
from converters.tasks import Answer, agreement, drop
from converters.tolerance import measure, tolerance
from converters.traced import Traced, read_traced
from edge.backends import Backend, open_backend, runtime_installed
from edge.bundle import Golden, OutputParity
from edge.errors import BundleError, ConfigError
from edge.golden import golden_inputs, make_golden
from edge.model import open_model

_FLOAT_ONNX = "float.onnx"
_LATENCY_RUNS = 20
_LAYER_SAMPLES = 16
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to.

    Attributes:
        attempt: for the record.
        quality: the task's metric, or the worst cosine for a task without one: what remedies are compared by.
        hopeless: True where other settings of the quantiser cannot help.
        latency_ms: median of one run here.
        latency_words: what it was measured with.
        minimum_runtime: as `edge.bundle.Manifest` has it.
    """

    attempt: Attempt
    quality: float
    hopeless: bool = False
    latency_ms: float | None = None
    latency_words: str = ""
    minimum_runtime: str = ""


def attempt(folder: Path, variant: Variant, settings: Settings | None, stamp: str, basis: str, staged: Path) -> Outcome:
    """Make one file and prove it; to be run as a job.

    Args:
        folder: where `converters.study.study` left the model.
        variant: what to make.
        settings: of the quantiser; None for a variant that has none.
        stamp: for the bundle's provenance.
        basis: the same.
        staged: folder to leave the bundle in; it is one only if the attempt has no complaint.

    Raises:
        ConfigError: the runtime is not installed.
    """
    if not runtime_installed(variant.runtime):
        raise ConfigError(
            f"runtime '{variant.runtime}': want it installed to check what is written, got none; "
            "do, in the checkout: pip install -e '.[convert]'"
        )
    begun = time.monotonic()
    study, traced = read_study(folder), read_traced(folder)
    words = settings.words(variant) if settings is not None else ""
    try:
        model = _pack(folder, study, traced, variant, settings)
        target = TARGETS.get(study.recipe.target)
        facts = check_file(model, variant.runtime, traced.inputs, traced.outputs, target)
    except ConversionError as error:
        made = Attempt(settings=words, seconds=time.monotonic() - begun, complaint=str(error))
        return Outcome(made, quality=0.0, hopeless=True)
    try:
        made, latency, described = _prove(study, traced, variant, model, facts, words, (stamp, basis), staged)
    except BundleError as error:
        complaint = str(error).replace(str(staged), study.recipe.bundle_name(variant))
        made = Attempt(settings=words, seconds=0.0, complaint=complaint, size=len(model))
        latency, described = None, ""
    layers: tuple[LayerError, ...] = ()
    if made.complaint and variant.calibrated:
        layers = _layers(folder, study, traced, variant, settings)
    made = Attempt(
        settings=words, seconds=time.monotonic() - begun, complaint=made.complaint, size=len(model),
        parity=made.parity, metrics=made.metrics, layers=layers,
    )  # fmt: skip
    quality = 1 - drop(made.metrics) if made.metrics else min((p.cosine_min for p in made.parity), default=0.0)
    return Outcome(made, quality, False, latency, described, facts.minimum_runtime)


def _pack(folder: Path, study: Study, traced: Traced, variant: Variant, settings: Settings | None) -> bytes:
    """Make the file's bytes."""
    from converters.quantize_onnx import quantize, to_float16
    from converters.to_onnx import to_onnx
    from converters.to_tflite import to_tflite

    tell(0, 1, "packing")
    samples = _samples(study) if variant.fitted and study.calibration is not None else []
    if variant.runtime == "tflite":
        return to_tflite(traced, variant.kind, samples, settings or Settings())
    file = folder / _FLOAT_ONNX
    if not file.exists():
        file.write_bytes(to_onnx(traced))
    model = file.read_bytes()
    if variant.kind == "fp16":
        return to_float16(model)
    if variant.kind in ("int8", "u8s8"):
        return quantize(model, variant.kind, [spec.name for spec in traced.inputs], samples, settings or Settings())
    return model


def _samples(study: Study) -> list[list[Tensor]]:
    assert study.calibration is not None, "the study reads calibration data where a variant needs them"
    return [study.calibration.inputs(number) for number in range(len(study.calibration))]


def _prove(
    study: Study,
    traced: Traced,
    variant: Variant,
    model: bytes,
    facts: FileFacts,
    settings: str,
    marks: tuple[str, str],
    staged: Path,
) -> tuple[Attempt, float | None, str]:
    """Run the file as the device would and hold it against Keras; leave the bundle in `staged` if it passes.

    `marks` are the stamp and the basis of its provenance.
    """
    manifest = manifest_for(study, traced.names, variant, facts, settings, *marks)
    bundle = stage(staged, manifest, model, b"")
    backend = open_backend(bundle, THREADS)
    try:
        parity = _parity(study, variant, backend)
        complaints = broken(parity)
        answers = _answers(study, backend) if not complaints else []
        metrics = study.judge.score(study.answers, answers, study.metric.truth) if answers else ()
        allowed = study.recipe.allowed_drop(variant)
        if metrics and not drop(metrics) <= allowed + _ROUNDING:
            leading = metrics[0]
            beside = f"against {leading.keras:.4f} of Keras " if leading.keras is not None else ""
            complaints.append(
                f"{leading.name}: want a fall of at most {allowed:g} from Keras, got {drop(metrics):.4f} "
                f"({leading.value:.4f} {beside}over {leading.examples} examples)"
            )
        if metrics and not agreement(metrics) >= study.recipe.min_agreement:
            complaints.append(
                f"agreement with Keras: want {study.recipe.min_agreement:g}, got {agreement(metrics):.4f}"
            )
        if complaints:
            words = "; ".join(complaints)
            return Attempt(settings=settings, seconds=0, complaint=words, parity=parity, metrics=metrics), None, ""
        manifest = replace(manifest, parity=parity, metrics=metrics)
        tensors = golden_inputs(manifest, {f"input_{n}": value for n, value in enumerate(study.golden)})
        outputs = [output.copy() for output in backend.invoke(tensors)]
        max_error, why = tolerance(variant.kind, measure(bundle, tensors, outputs))
        manifest = replace(manifest, golden=Golden(max_error=max_error, why=why))
        latency = _latency(backend, tensors)
        described = f"{backend.description}, {THREADS} threads"
    finally:
        backend.close()
    stage(staged, manifest, model, make_golden(manifest, study.golden, study.photo, outputs))
    open_model(staged, study.recipe.task, THREADS).backend.close()
    return Attempt(settings=settings, seconds=0, parity=parity, metrics=metrics), latency, described


def _parity(study: Study, variant: Variant, backend: Backend) -> tuple[OutputParity, ...]:
    """Compare raw outputs with Keras', example by example."""
    got = []
    for number, row in enumerate(study.parity_rows):
        tell(number, len(study.parity_rows), "comparing tensors")
        got.append(_run(backend, study.parity.inputs(row)))
    names = [spec.name for spec in study.outputs]
    return compare(names, study.reference, got, study.recipe.variants[variant.name].cosine_min, variant.kind)


def _answers(study: Study, backend: Backend) -> list[Answer]:
    """Let the packed model do its task on every metric example."""
    judge, answers = study.judge, []
    for number in range(len(study.metric)):
        tell(number, len(study.metric), "judging the task")
        answers.append(judge.answer(_run(backend, study.metric.inputs(number)), number, study.metric))
    return answers


def _run(backend: Backend, inputs: Sequence[Tensor]) -> list[Tensor]:
    try:
        return [np.array(output) for output in backend.invoke(inputs)]
    except (ValueError, RuntimeError) as error:
        raise BundleError(f"{backend.description}: want a run, got '{error}'; try another variant") from error


def _latency(backend: Backend, tensors: Sequence[Tensor]) -> float:
    """Return the median time of a run here, milliseconds."""
    spent = []
    for _ in range(_LATENCY_RUNS):
        before = time.perf_counter()
        backend.invoke(tensors)
        spent.append(1e3 * (time.perf_counter() - before))
    return statistics.median(spent)


def _layers(
    folder: Path, study: Study, traced: Traced, variant: Variant, settings: Settings | None
) -> tuple[LayerError, ...]:
    """Find the layers that quantisation hurts most; none where the tools cannot tell."""
    tell(0, 1, "looking for the worst layers")
    samples = _samples(study)[:_LAYER_SAMPLES]
    try:
        if variant.runtime == "tflite":
            return tflite_layer_errors(traced, samples, settings or Settings())
        return onnx_layer_errors((folder / _FLOAT_ONNX).read_bytes(), traced.inputs, samples)
    except ConversionError:
        return ()
