"""The comparison of the zoo: the table that is printed, and one page with every picture.

Test pictures are read here alone, by models that were chosen and converted before; what a model and its bundle answered
to them is kept beside the report, so that each meets them once.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge.bar import bar
from edge.bundle import peek_bundle
from edge.errors import ConfigError
from edge.model import open_model
from edge.profiler import ANSWER_STAGES, StageClock
from edge.stages.classify import Classify
from edge.types import F32, Frame
from edge.whole import sweep, write_file
from models.classify.data import Pictures, test_pictures
from models.classify.sheet import prediction_sheet
from models.classify.zoo import bundle_name, entries, finished_names
from models.page import Block, Heading, Lines, Picture, Table, Text, to_html, to_markdown
from models.training.archive import STAMP_FILE, writable, write_arrays
from models.training.curves import plot_confusion, plot_curves
from models.training.run import CURVES_FILE, Figures, read_result
from models.training.scores import classification_scores

PREDICTIONS = 50
_HEAD = (
    *("model", "valid. acc. %", "valid. ROC-AUC", "test acc. %", "test ROC-AUC", "parameters", "int8 kB"),
    *("int8 acc. %", "fall", "host ms", "epochs", "min"),
)


@dataclass(frozen=True)
class Packed:
    """What came of a model's int8 bundle.

    Attributes:
        size: of the model file in bytes.
        accuracy: on the test pictures, run by the device's own code.
        latency_ms: median on the machine that converted it, None where it was not measured.
    """

    size: int
    accuracy: float
    latency_ms: float | None


@dataclass(frozen=True)
class Standing:
    """One model of the table.

    Attributes:
        name: of the model.
        figures: of its training.
        test: scores on the test pictures.
        packed: its int8 bundle, None where there is none.
    """

    name: str
    figures: Figures
    test: dict[str, Any]
    packed: Packed | None


def write_report(models: Path, bundles: Path, out: Path) -> tuple[Path, list[str]]:
    """Compare all finished models of the zoo.

    Args:
        models: folder of trained models.
        bundles: folder of the converter's bundles.
        out: folder of the report.

    Returns:
        The page, and the table as lines of Markdown.

    Raises:
        ConfigError: no model is finished, or the folder cannot be written.
        BundleError: a bundle that cannot be trusted.
    """
    names = finished_names(models)
    if not names:
        raise ConfigError(f"{models}: want finished models of the zoo, got none; run 'python -m models zoo' first")
    test = test_pictures()
    answers, standings = {}, []
    for name in bar(names, desc="test pictures", unit="model"):
        answers[name] = _answers(models / name, test, out / "test")
        scores = classification_scores(test.truth, answers[name], test.labels)
        packed = read_packed(bundles, name, test, out / "test")
        standings.append(Standing(name, read_result(models / name).figures, scores, packed))
    standings.sort(key=lambda standing: -standing.figures["valid"]["accuracy"])
    best = standings[0]
    files = {"curves.png": plot_curves({s.name: read_result(models / s.name).history for s in standings})}
    files["predictions.png"] = prediction_sheet(test, answers[best.name], best.name, PREDICTIONS)
    blocks = _front(standings, [entry.name for entry in entries() if entry.name not in names])
    for standing in standings:
        blocks += _one(standing, models, test.labels, files)
    page = out / "report.html"
    lines = to_markdown("Fashion-MNIST zoo", blocks[:2]).splitlines()
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        write_file(out / "report.md", ("\n".join(lines) + "\n").encode())
        write_file(out / "predictions.png", files["predictions.png"])
        write_file(page, to_html("Fashion-MNIST zoo", blocks, files).encode())
    return page, lines


def read_packed(bundles: Path, name: str, test: Pictures, cache: Path) -> Packed | None:
    """Return what the converter left of a model, asked about the test pictures; None where there is no bundle.

    Raises:
        BundleError: a bundle that cannot be trusted.
    """
    folder = bundles / bundle_name(name)
    if not folder.exists():
        return None
    bundle = peek_bundle(folder)
    report = folder.with_name(folder.name.removesuffix("-int8-tflite") + ".report") / "report.json"
    try:
        variants = json.loads(report.read_text())["variants"]
        latency = next(v.get("latency_ms") for v in variants if v["name"] == "int8-tflite")
    except (OSError, ValueError, KeyError, StopIteration):
        latency = None
    scores = _kept(cache / f"{folder.name}.npz", bundle.sha256, lambda: _bundle_answers(folder, test))
    accuracy = float((scores.argmax(axis=1) == test.truth).mean())
    return Packed(bundle.model_path.stat().st_size, accuracy, latency)


def _bundle_answers(folder: Path, test: Pictures) -> F32:
    """Return the scores that the device would give, float32 (N, C)."""
    clock = StageClock(ANSWER_STAGES)
    with open_model(folder, "classify", threads=1) as model:
        stage = Classify(model)
        shown = (np.repeat(image, 3, axis=2) for image in test.images)
        return np.stack([stage(Frame(n, 0, image), clock)[1].copy() for n, image in enumerate(shown)])


def _answers(path: Path, test: Pictures, cache: Path) -> F32:
    """Return the probabilities of a model for the test pictures, float32 (N, C)."""

    def ask() -> F32:
        made: F32 = read_result(path).load().predict(test.images, batch_size=256, verbose=0).astype(np.float32)
        keras.backend.clear_session()
        return made

    return _kept(cache / f"{path.name}.npz", (path / STAMP_FILE).read_text(), ask)


def _kept(path: Path, stamp: str, ask: Callable[[], F32]) -> F32:
    """Return answers as they were kept for this very model, or ask and keep them."""
    if path.is_file():
        with np.load(path) as packed:
            if str(packed["stamp"]) == stamp:
                known: F32 = packed["probabilities"]
                return known
    made = ask()
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        write_arrays(path, probabilities=made, stamp=np.array(stamp))
    return made


def _front(standings: list[Standing], missing: list[str]) -> list[Block]:
    best = standings[0]
    words = f"{best.name} is best on the validation pictures ({best.figures['valid']['accuracy']:.2%})"
    words += f"; on the test pictures it reaches {best.test['accuracy']:.2%}"
    if best.packed is not None:
        words += f", in int8 {best.packed.accuracy:.2%} with {best.packed.size / 1000:.0f} kB"
    made: list[Block] = [
        Text(words + ".", lead=True),
        Table(_HEAD, tuple(_row(standing) for standing in standings), frozenset(range(1, len(_HEAD)))),
        Text(
            "Models are chosen by the validation pictures, 5,000 of the 60,000 for training; the 10,000 test pictures "
            "were read for this table alone. int8 is the bundle as the device runs it: its test accuracy, and its fall "
            "from Keras in points; host ms is the converter's median of one run on the workstation."
        ),
        Lines(tuple(f"{s.name}: {s.figures['words']}" for s in standings)),
    ]
    if missing:
        made.append(Text(f"Not trained here: {', '.join(missing)}."))
    return [
        *made, Heading("Validation accuracy after each epoch"), Picture("curves.png", "all learning curves"),
        Heading(f"{PREDICTIONS} random test pictures and what {best.name} says"),
        Picture("predictions.png", "pictures with the answer, green where right"),
    ]  # fmt: skip


def _row(standing: Standing) -> tuple[str, ...]:
    figures, packed = standing.figures, standing.packed
    valid = figures["valid"]
    int8 = ["", "", "", ""]
    if packed is not None:
        fall = standing.test["accuracy"] - packed.accuracy
        int8[:3] = f"{packed.size / 1000:.0f}", f"{100 * packed.accuracy:.2f}", f"{100 * fall:+.2f}"
        int8[3] = "" if packed.latency_ms is None else f"{packed.latency_ms:.2f}"
    return (
        standing.name, f"{100 * valid['accuracy']:.2f}", _area(valid), f"{100 * standing.test['accuracy']:.2f}",
        _area(standing.test), f"{figures['parameters']:,}", *int8, str(figures["epochs"]),
        f"{figures['seconds'] / 60:.1f}",
    )  # fmt: skip


def _area(scores: dict[str, Any]) -> str:
    return "" if scores["roc_auc"] is None else f"{scores['roc_auc']:.4f}"


def _one(standing: Standing, models: Path, labels: tuple[str, ...], files: dict[str, bytes]) -> list[Block]:
    name = standing.name
    curves, confusion = f"{name}-curves.png", f"{name}-confusion.png"
    files[curves] = (models / name / CURVES_FILE).read_bytes()
    files[confusion] = plot_confusion(np.array(standing.test["confusion"]), labels, f"{name}, test pictures")
    f1 = "F1 of each class: " + ", ".join(f"{label} {v:.3f}" for label, v in standing.test["f1_per_class"].items())
    return [
        Heading(name), Text(standing.figures["words"]), Text(f1), Picture(curves, f"learning curves of {name}"),
        Picture(confusion, f"confusion matrix of {name}"),
    ]  # fmt: skip
