"""What is found out about a model before any variant is packed, by a job in a child process.

The model is opened, described and traced; its data are read and checked; and Keras itself is asked for its answers.
Everything a later job needs lies in one folder afterwards, so that no other process has to open the model again.
"""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from converters.datacheck import check_answers, check_calibration
from converters.examples import ArrayExamples, Examples, NoiseExamples, PictureExamples, hashes_of, sha256_all
from converters.facts import Facts, find_facts, first_norm_drift, lines
from converters.handback import misbehaved, pack, unpack
from converters.job import tell
from converters.load import ConversionError, Loaded, Origin, Tensor, check_weights, load_model, resolve
from converters.readers import read_examples, take_examples
from converters.recipe import Pictures, Recipe
from converters.record import Finding
from converters.tasks import Answer, TaskJudge, Terms, judge_for
from converters.trace import Input, reference, to_model, trace
from converters.traced import Traced
from edge.bundle import Calibration, TensorSpec
from edge.decode import localizer_outputs
from edge.errors import ConfigError
from edge.golden import PHOTO_SHAPE
from edge.limits import LimitError, read_file
from edge.preprocess import is_picture
from edge.types import U8

STUDY_FILE = "study.msgpack"
_MOST_STUDY_BYTES = 4_000_000_000
"""The raw answers of a model with large maps to 48 examples, and room to spare."""
_SHEET = 24
_SHEET_PIXELS = 160
_PARITY_EXAMPLES = 48
"""Examples whose raw tensors are compared. The task's metric is taken over all."""
_CHECKED = 64
_BATCH = 64
_WITH_TRUTH = ("classify", "detect", "localize", "pair")
_SAME = 1e-6
"""Largest difference, over the largest value, of two answers to one input: threads may add in another order."""


@dataclass(slots=True)
class Study:
    """What the jobs share.

    Attributes:
        recipe: what is converted; its `preprocess` is that of the device.
        facts: of the model.
        labels: class names.
        findings: of the checks of model and data.
        calibration: what the quantiser sees; None where no variant needs it.
        inputs: the model's inputs on the device.
        outputs: its outputs.
        parity: whose raw tensors are compared.
        metric: examples that judge the task.
        reference: for each parity example, Keras' outputs.
        answers: for each metric example, Keras' answer.
        golden: for each input, what the stored answer is made with, see `edge.golden`.
        photo: uint8 (96, 128, 3) RGB to prove the resize with; None where no input is a picture.
        ranges: smallest and largest value of each input over the calibration examples.
        sheet: a few pictures that calibrated, with their names.
        versions: package -> version of what the study used.
    """

    recipe: Recipe
    facts: Facts
    labels: tuple[str, ...]
    findings: tuple[Finding, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    calibration: Examples | None
    parity: Examples
    metric: Examples
    reference: list[list[Tensor]]
    answers: list[Answer]
    golden: list[NDArray[Any]]
    photo: U8 | None
    ranges: tuple[tuple[float, float], ...] = ()
    sheet: list[tuple[str, U8]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def parity_rows(self) -> list[int]:
        """Rows of the parity examples that `reference` answers."""
        return _rows(self.parity)

    @property
    def judge(self) -> TaskJudge:
        """What turns outputs into answers and answers into metrics."""
        return judge_for(terms_of(self.recipe, self.labels, self.inputs, self.outputs))

    @property
    def calibrated_by(self) -> Calibration | None:
        """What the quantiser saw, for the bundle."""
        seen = self.calibration
        if seen is None:
            return None
        seed = self.recipe.calibration[0].seed if self.recipe.calibration else 0
        return Calibration(words=seen.words, examples=len(seen), sha256=sha256_all(seen), seed=seed)

    @property
    def lines(self) -> list[str]:
        """The facts, for a person."""
        return lines(self.facts)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a recipe's data were found.

    Attributes:
        calibration: a path for each place of the recipe.
        parity: the same.
        metric: None where the parity examples judge the task.
    """

    calibration: tuple[tuple[Path, Pictures], ...]
    parity: tuple[tuple[Path, Pictures], ...]
    metric: Path | None


def read_study(folder: Path) -> Study:
    """Read what the job left.

    Raises:
        ConversionError: it is no study.
    """
    try:
        data = read_file(folder / STUDY_FILE, _MOST_STUDY_BYTES)
    except (OSError, LimitError) as error:
        raise misbehaved("the file of a study", str(error)) from error
    made: Study = unpack(data, (Study, PictureExamples, ArrayExamples, NoiseExamples))
    for examples in (made.calibration, made.parity, made.metric):
        _check_places(examples)
    return made


def _check_places(examples: Examples | None) -> None:
    """Raise ConversionError if an example lies elsewhere than on the disk: OpenCV opens addresses, too."""
    if isinstance(examples, PictureExamples):
        paths = {sight.path for sights in examples.sights for sight in sights}
    else:
        paths = {examples.path} if isinstance(examples, ArrayExamples) else set()
    for path in paths:
        if not path.is_file():
            raise misbehaved("examples that are files", f"'{path}'")


def study(origin: Origin, recipe: Recipe, places: Places, calibrated: bool, folder: Path) -> tuple[Finding, ...]:
    """Study a model and leave the traced graph and a `Study` in a folder; to be run as a job.

    Args:
        origin: the model.
        recipe: what is known of it.
        places: of the data.
        calibrated: whether a variant will be made that needs calibration.
        folder: where to leave it.

    Returns:
        The findings. With an error among them nothing else was done.

    Raises:
        ConversionError: the model cannot be opened or traced, or Keras itself gives no numbers.
        ConfigError: the data cannot be read, or recipe and model contradict each other.
    """
    tell(0, 1, "opening the model")
    loaded = load_model(origin)
    check_weights(loaded)
    traced, how = trace(loaded, Input(recipe.input, recipe.preprocess, recipe.height_width))
    traced.save(folder)
    facts = find_facts(loaded, traced)
    recipe = replace(recipe, preprocess=how)
    labels = tuple(resolve(recipe.labels) if isinstance(recipe.labels, str) and recipe.labels else recipe.labels)
    _check_labels(recipe, traced, labels)
    calibration, parity, metric = _data(recipe, places, traced, labels, calibrated)
    _check_metric(recipe, traced, labels, metric)
    findings = list(_check_data(loaded, traced, facts, calibration, parity, metric))
    if any(finding.severity == "error" for finding in findings):
        return tuple(findings)
    references, answers = _ask(loaded, traced, recipe, labels, parity, metric)
    findings += check_answers(recipe.task, answers, metric.truth, labels)
    if any(finding.severity == "error" for finding in findings):
        return tuple(findings)
    golden, photo = _golden(traced, recipe, parity)
    made = Study(
        recipe, facts, labels, tuple(findings), traced.inputs, traced.outputs, calibration, parity, metric, references,
        answers, golden, photo, _ranges(calibration), _sheet(calibration), _versions(),
    )  # fmt: skip
    (folder / STUDY_FILE).write_bytes(pack(made))
    return made.findings


def terms_of(
    recipe: Recipe, labels: tuple[str, ...], inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> Terms:
    """Return what the judge must know of a recipe's model."""
    metric = recipe.embedding.metric if recipe.embedding is not None else "manhattan"
    return Terms(recipe.task, inputs, outputs, recipe.preprocess, labels, recipe.decoder, metric, recipe.threshold)


def _data(
    recipe: Recipe, places: Places, traced: Traced, labels: tuple[str, ...], calibrated: bool
) -> tuple[Examples | None, Examples, Examples]:
    """Read what calibrates, what is compared tensor by tensor, and what judges the task."""
    tell(0, 1, "reading the data")
    calibration = take_examples(places.calibration, traced.inputs, recipe) if places.calibration else None
    used = hashes_of(calibration) if calibration is not None else set()
    metric = read_examples(places.metric, traced.inputs, recipe, labels) if places.metric is not None else None
    parity: Examples | None = None
    if places.parity:
        parity = take_examples(places.parity, traced.inputs, recipe, used)
    parity = parity if parity is not None and len(parity) else metric
    if parity is None and calibration is not None:
        parity = calibration
    if parity is None:
        parity = NoiseExamples(traced.inputs, recipe.preprocess)
    return calibration if calibrated else None, parity, metric if metric is not None else parity


def _check_labels(recipe: Recipe, traced: Traced, labels: tuple[str, ...]) -> None:
    """Raise ConfigError if the names are not those of the model's classes: the device would refuse the bundle."""
    if not labels or recipe.task not in ("classify", "localize"):
        return
    place = localizer_outputs(traced.outputs)[1] if recipe.task == "localize" else 0
    classes = max(2, int(np.prod(traced.outputs[place].shape)))
    if len(labels) != classes or len(set(labels)) != classes:
        raise ConfigError(
            f"--labels: want {classes} different names, one for each of the model's classes, got {len(labels)}: "
            f"{', '.join(labels[:8])}; correct them"
        )


def _check_metric(recipe: Recipe, traced: Traced, labels: tuple[str, ...], metric: Examples) -> None:
    """Raise ConfigError if the examples cannot judge this model."""
    truth = metric.truth
    if recipe.metric and truth is None and recipe.task in _WITH_TRUTH:
        raise ConfigError(
            f"data {Path(recipe.metric).name}: want labelled examples for task '{recipe.task}', got none with labels; "
            "give them as --calibrate, or add the labels (docs/converting.md)"
        )
    if recipe.task == "embed" and len(metric) < 2:
        raise ConfigError(f"data: want 2 examples or more to compare vectors, got {len(metric)}; give more")
    if recipe.task != "classify" or truth is None or truth.classes is None:
        return
    width = traced.outputs[0].shape[-1]
    classes = width if width > 1 else 2
    if truth.names and not labels and len(truth.names) != classes:
        raise ConfigError(
            f"data: want a folder for each of the model's {classes} classes, got {len(truth.names)}; say with --labels "
            "which is which"
        )
    low, high = int(truth.classes.min()), int(truth.classes.max())
    if low < 0 or high >= classes:
        raise ConfigError(f"data: want labels of 0..{classes - 1}, got {low}..{high}; correct them")


def _check_data(
    loaded: Loaded, traced: Traced, facts: Facts, calibration: Examples | None, parity: Examples, metric: Examples
) -> Iterator[Finding]:
    """Look for what is wrong with the data before anything is made of them."""
    if isinstance(parity, NoiseExamples):
        yield Finding(
            severity="warning",
            words="data: want examples to judge with, got none; seeded noise proves the arithmetic and nothing else, "
            "give --calibrate or --metric-data",
        )
    if calibration is not None and parity is calibration:
        yield Finding(
            severity="warning",
            words="data: want examples that did not calibrate to judge with, got none left over; give more",
        )
    twice = [reference(loaded, traced, parity.inputs(0)) for _ in range(2)]
    for spec, first, second in zip(traced.outputs, *twice, strict=True):
        if np.max(np.abs(first - second), initial=0) > _SAME * np.max(np.abs(first), initial=0):
            raise ConversionError(
                f"model: want the same answer to the same input, got another in output '{spec.name}': augmentation or "
                "dropout stays on in it; build it to obey training=False"
            )
    if calibration is None:
        return
    if metric is not parity:
        used = hashes_of(calibration)
        again = sum(metric.sha256(number) in used for number in range(len(metric)))
        if again:
            yield Finding(
                severity="warning",
                words=f"data: want examples that did not calibrate to judge with, got {again} of {len(metric)} "
                "that did; keep them apart",
            )
    rows = np.linspace(0, len(calibration) - 1, min(_CHECKED, len(calibration))).astype(int).tolist()
    tensors = [calibration.inputs(row) for row in rows]
    drift = first_norm_drift(loaded, traced, tensors)
    samples = [to_model(loaded, traced, each) for each in tensors]
    others = [to_model(loaded, traced, metric.inputs(row)) for row in range(min(_CHECKED, len(metric)))]
    yield from check_calibration(calibration, samples, others, facts, drift)


def _ask(
    loaded: Loaded, traced: Traced, recipe: Recipe, labels: tuple[str, ...], parity: Examples, metric: Examples
) -> tuple[list[list[Tensor]], list[Answer]]:
    """Ask Keras for its outputs on the parity examples, and for its answers on those that judge."""
    judge = judge_for(terms_of(recipe, labels, traced.inputs, traced.outputs))
    references = [reference(loaded, traced, parity.inputs(row)) for row in _rows(parity)]
    answers = []
    for number, outputs in enumerate(_outputs(loaded, traced, metric)):
        tell(number, len(metric), "asking Keras")
        answers.append(judge.answer(outputs, number, metric))
    return references, answers


def _outputs(loaded: Loaded, traced: Traced, examples: Examples) -> Iterator[list[Tensor]]:
    """Yield Keras' outputs for each example; asked in batches where there are many and the model takes them."""
    many = len(examples) >= 4 * _BATCH and _takes_batches(loaded, traced, examples)
    size = _BATCH if many else 1
    for first in range(0, len(examples), size):
        inputs = [examples.inputs(row) for row in range(first, min(first + size, len(examples)))]
        together = reference(loaded, traced, [np.concatenate(tensors) for tensors in zip(*inputs, strict=True)])
        for row in range(len(inputs)):
            yield [output[row : row + 1] for output in together] if many else together


def _takes_batches(loaded: Loaded, traced: Traced, examples: Examples) -> bool:
    """Tell whether two examples at once give what each gives alone."""
    if any(tensor.shape[0] is not None for tensor in getattr(loaded.model, "inputs", None) or ()):
        return False
    alone = [reference(loaded, traced, examples.inputs(row)) for row in range(2)]
    inputs = [examples.inputs(row) for row in range(2)]
    together = reference(loaded, traced, [np.concatenate(tensors) for tensors in zip(*inputs, strict=True)])
    return all(
        part.shape[:1] == (2,) and np.allclose(part, np.concatenate(each), rtol=1e-4, atol=_SAME)
        for part, each in zip(together, zip(*alone, strict=True), strict=True)
    )


def _rows(parity: Examples) -> list[int]:
    """Choose the examples whose raw tensors are compared."""
    rows: list[int] = np.linspace(0, len(parity) - 1, min(_PARITY_EXAMPLES, len(parity))).astype(int).tolist()
    return rows


def _golden(traced: Traced, recipe: Recipe, parity: Examples) -> tuple[list[NDArray[Any]], U8 | None]:
    """Choose inputs for the stored answer: pictures of the model's own size, or tensors."""
    how = recipe.preprocess
    values: list[NDArray[Any]] = []
    photo: NDArray[Any] | None = None
    picture = parity.picture(0)
    if picture is None:
        picture = np.random.default_rng(0).integers(0, 256, (*PHOTO_SHAPE, 3), np.uint8)
    for spec, tensor in zip(traced.inputs, parity.inputs(0), strict=True):
        if how is not None and is_picture(spec, how):
            values.append(cv2.resize(picture, (spec.shape[2], spec.shape[1]), interpolation=cv2.INTER_LINEAR))
            photo = cv2.resize(picture, PHOTO_SHAPE[::-1], interpolation=cv2.INTER_AREA)
        else:
            values.append(tensor)
    return values, photo


def _ranges(calibration: Examples | None) -> tuple[tuple[float, float], ...]:
    """Return the smallest and largest value of each input over all calibration examples."""
    if calibration is None:
        return ()
    lows, highs = [], []
    for number in range(len(calibration)):
        tensors = calibration.inputs(number)
        lows.append([float(tensor.min()) for tensor in tensors])
        highs.append([float(tensor.max()) for tensor in tensors])
    return tuple(zip(np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist(), strict=True))


def _sheet(calibration: Examples | None) -> list[tuple[str, U8]]:
    """Return a few of the pictures that calibrate, small."""
    if calibration is None:
        return []
    rows = np.linspace(0, len(calibration) - 1, min(_SHEET, len(calibration))).astype(int).tolist()
    shown = [(calibration.name(row), calibration.picture(row)) for row in rows]
    return [(name, _small(picture)) for name, picture in shown if picture is not None]


def _small(picture: U8) -> U8:
    scale = min(1.0, _SHEET_PIXELS / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _versions() -> dict[str, str]:
    """Return the versions of what opened and traced the model."""
    packages = ("tensorflow-cpu", "tensorflow", "keras", "tf_keras", "numpy", "opencv-python")
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
