"""`python -m converters verify BUNDLE`: every check again, from what the bundle and its report folder record."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from converters.convert import REPORT_SUFFIX
from converters.evidence import read_evidence
from converters.gates import check_file
from converters.job import Limits, run_limited, tell
from converters.load import ConversionError, Tensor
from converters.pack import THREADS
from converters.parity import compare
from converters.readers import read_examples
from converters.recipe import Recipe
from converters.targets import run_legacy
from converters.tasks import Terms, judge_for
from edge.bundle import Bundle, Metric, OutputParity, read_bundle
from edge.errors import ConfigError
from edge.folders import named_bundle
from edge.model import open_model

_SAME_METRIC = 1e-3
"""How much lower than recorded a metric may be, beyond one example more that is wrong."""
_SAME_COSINE = 1e-4
"""How much lower than recorded a cosine may be: another processor's kernels add in another order."""


def verify(path: Path, metric_data: Path | None, legacy: bool, limits: Limits, say: Callable[[str], None]) -> None:
    """Check a bundle and say what was found.

    Args:
        path: the bundle's folder, or its name as `edge bundle list` prints it.
        metric_data: labelled examples to judge the task with once more, or None.
        legacy: whether to load it in tflite-runtime 2.14, too.
        limits: on the job that runs the file.
        say: receives a line for each check.

    Raises:
        BundleError: it is damaged, or does not give its stored answer.
        ConversionError: a check that once passed does not.
    """
    path = named_bundle(str(path))
    bundle = read_bundle(path)
    manifest = bundle.manifest
    say(f"files: whole, {len(bundle.sums)} of them as SHA256SUMS says, whose own is {bundle.sha256[:16]}")
    facts = run_limited(
        check_file, limits, path.name, bundle.model_path.read_bytes(), manifest.runtime, manifest.inputs,
        manifest.outputs, None,
    )  # fmt: skip
    oldest = f", needs TFLite {facts.minimum_runtime} or newer" if facts.minimum_runtime else ""
    say(f"model: valid, {sum(facts.operators.values())} operators, all built in{oldest}")
    run_limited(_golden, limits, path.name, path)
    say("stored answer: given again")
    parity = run_limited(_parity, limits, path.name, bundle)
    for part in parity:
        say(f"parity: output '{part.output}': cosine >= {part.cosine_min:.5f} over {part.inputs} examples")
    if metric_data is not None:
        for metric in run_limited(_task, limits, path.name, bundle, metric_data):
            say(f"task: {metric.name} {metric.value:.4f} over {metric.examples} examples")
    elif manifest.metrics:
        say("task: not judged again; give --metric-data to do so. Recorded:")
        for metric in manifest.metrics:
            say(f"  {metric.name} {metric.value:.4f} over {metric.examples} examples")
    if legacy:
        run_legacy(path)
        say("tflite-runtime 2.14: loads it, and gives the stored answer")


def _golden(path: Path) -> None:
    open_model(path, None, THREADS).backend.close()


def _parity(bundle: Bundle) -> tuple[OutputParity, ...]:
    """Hold the file against Keras' recorded answers; a job."""
    manifest = bundle.manifest
    report = bundle.path.resolve().parent / f"{manifest.name}{REPORT_SUFFIX}"
    inputs, want, basis = read_evidence(report)
    if not basis or basis != manifest.provenance.basis:
        raise ConversionError(
            f"bundle {bundle.path}: want the report of its own model and data beside it, got {report.name} of another "
            f"({basis[:12] or 'no'} basis, the bundle has {manifest.provenance.basis[:12] or 'none'}); convert the "
            "bundle again, or put its report back"
        )
    _check_shapes(bundle, inputs, want)
    model = open_model(bundle.path, None, THREADS)
    with model:
        got = []
        for number, tensors in enumerate(inputs):
            tell(number, len(inputs), "comparing tensors")
            got.append([np.array(output) for output in model.backend.invoke(tensors)])
    limits = {part.output: part for part in manifest.parity}
    names = [spec.name for spec in manifest.outputs]
    parity = compare(names, want, got, min((part.cosine_limit for part in manifest.parity), default=-1.0))
    for part in parity:
        recorded = limits.get(part.output)
        if (
            recorded is not None
            and not part.cosine_min >= min(recorded.cosine_min, recorded.cosine_limit) - _SAME_COSINE
        ):
            raise ConversionError(
                f"bundle {bundle.path}: want output '{part.output}' at cosine {recorded.cosine_min:.5f} to Keras as "
                f"recorded, got {part.cosine_min:.5f}; the runtime computes something else now, convert again"
            )
    return parity


def _check_shapes(bundle: Bundle, inputs: list[list[Tensor]], want: list[list[Tensor]]) -> None:
    """Make sure that the evidence has tensors of this model."""
    manifest = bundle.manifest
    shapes = [spec.shape for spec in manifest.inputs], [spec.shape for spec in manifest.outputs]
    for kind, rows, shape in (("inputs", inputs, shapes[0]), ("answers", want, shapes[1])):
        if not rows or any([tensor.shape for tensor in row] != shape for row in rows):
            raise ConversionError(
                f"bundle {bundle.path}: want {kind} of shape {shape} in the report's evidence, got others; convert the "
                "bundle again"
            )


def _task(bundle: Bundle, metric_data: Path) -> tuple[Metric, ...]:
    """Judge the task on labelled examples, the packed model alone; a job."""
    manifest = bundle.manifest
    metric = manifest.embedding.metric if manifest.embedding is not None else "manhattan"
    threshold = 0.5 if manifest.threshold is None else manifest.threshold
    terms = Terms(
        manifest.task, manifest.inputs, manifest.outputs, manifest.preprocess, manifest.labels, manifest.decoder,
        metric, threshold,
    )  # fmt: skip
    recipe = Recipe(
        name=manifest.name, task=manifest.task, model="", variants={}, preprocess=manifest.preprocess
    )  # what the readers must know of the model
    examples = read_examples(metric_data, manifest.inputs, recipe, manifest.labels)
    if examples.truth is None:
        raise ConfigError(f"--metric-data {metric_data}: want labelled examples, got none with labels; see --help")
    judge = judge_for(terms)
    answers = []
    with open_model(bundle.path, None, THREADS) as model:
        for number in range(len(examples)):
            tell(number, len(examples), "judging the task")
            outputs = [np.array(output) for output in model.backend.invoke(examples.inputs(number))]
            answers.append(judge.answer(outputs, number, examples))
    judged = [metric for metric in judge.score(answers, answers, examples.truth) if metric.keras is not None]
    recorded = {metric.name: metric for metric in manifest.metrics if metric.examples == len(examples)}
    for found in judged:
        was = recorded.get(found.name)
        if was is not None and found.value < was.value - 1 / len(examples) - _SAME_METRIC:
            raise ConversionError(
                f"bundle {bundle.path}: want {found.name} {was.value:.4f} as recorded, got {found.value:.4f}; "
                "other data than those it was judged with, or a runtime that computes something else"
            )
    return tuple(judged)
