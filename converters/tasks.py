"""The packed model against Keras, and against the truth where there is one, at the task itself.

Each task has a judge: it turns a model's outputs into a small answer, and two lists of answers into metrics. The
leading metric comes first; its fall from Keras is what `--max-drop` limits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.average_precision import Boxes, average_precision, matched_iou
from converters.examples import Examples, Tensor, Truth
from edge import boxes
from edge.backends import Tensor as Output
from edge.bundle import FORMAT, Bundle, Decoder, Golden, Manifest, Metric, Preprocess, Provenance, Task, TensorSpec
from edge.decode import localizer_outputs
from edge.distance import METRICS
from edge.model import Model
from edge.preprocess import Preprocessor
from edge.profiler import StageClock
from edge.stages.detect import Detect
from edge.types import F32, Frame

Answer = tuple[NDArray[Any], ...]

LOW_SCORE = 0.05
"""Detections from here on are judged, so that the whole precision-recall curve is seen."""
NEIGHBOURS = 5
_MOST_VECTORS = 2000
"""More would need a minute of distances and change no figure."""


class TaskJudge(Protocol):
    """Judges one task."""

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Make the small answer of the outputs to one example; real numbers, in the model's order."""
        ...

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Measure the packed model's answers beside Keras'."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a judge must know of a model.

    Attributes:
        task: what it is for.
        inputs: of the model.
        outputs: of the model, as real numbers.
        preprocess: of the device.
        labels: class names.
        decoder: for task `detect`.
        metric: of embeddings, key of `edge.distance.METRICS`.
        threshold: of task `pair`.
    """

    task: Task
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    decoder: Decoder | None = None
    metric: str = "manhattan"
    threshold: float = 0.5


def judge_for(terms: Terms) -> TaskJudge:
    """Return the judge of a model's task.

    Raises:
        BundleError: a detector's outputs are not what its decoder reads.
    """
    judges: dict[Task, Callable[[Terms], TaskJudge]] = {
        "classify": ClassifierJudge,
        "embed": EmbedderJudge,
        "pair": PairJudge,
        "detect": DetectorJudge,
        "localize": LocalizerJudge,
        "other": NoJudge,
    }
    return judges[terms.task](terms)


def drop(metrics: Sequence[Metric]) -> float:
    """Return how far the leading metric fell from Keras; of an agreement, how much of it is missing."""
    leading = metrics[0]
    return (1.0 if leading.keras is None else leading.keras) - leading.value


def agreement(metrics: Sequence[Metric]) -> float:
    """Return the share of examples on which the packed model and Keras agree; 1 where nothing says."""
    return next((metric.value for metric in metrics if metric.keras is None), 1.0)


class NoJudge:
    """For models that their tensors alone can judge."""

    def __init__(self, terms: Terms) -> None:
        del terms

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Keep nothing."""
        del outputs, number, examples
        return ()

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Measure nothing."""
        del keras, packed, truth
        return ()


class ClassifierJudge:
    """Top-1 agreement; with labels accuracy and F1. One output is a probability of class 1, several are classes."""

    def __init__(self, terms: Terms) -> None:
        self._labels = terms.labels

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Keep the chosen class: int64 ()."""
        del number, examples
        return (_choice(outputs[0]),)

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Compare classes."""
        k, p = (np.array([answer[0] for answer in answers]) for answers in (keras, packed))
        n = len(p)
        agree = Metric(name="top-1 agreement", value=float((k == p).mean()), examples=n)
        if truth is None or truth.classes is None:
            return (agree,)
        right = truth.classes
        count = int(max(right.max(), k.max(), p.max())) + 1
        f1 = f1_by_class(right, p, count), f1_by_class(right, k, count)
        names = [self._labels[c] if c < len(self._labels) else f"class {c}" for c in range(count)]
        return (
            Metric(name="accuracy", value=float((p == right).mean()), keras=float((k == right).mean()), examples=n),
            agree,
            Metric(name="macro F1", value=float(f1[0].mean()), keras=float(f1[1].mean()), examples=n),
            *(
                Metric(
                    name=f"F1 {name}", value=float(f1[0][c]), keras=float(f1[1][c]), examples=int((right == c).sum())
                )
                for c, name in enumerate(names)
            ),
        )


def f1_by_class(right: NDArray[np.int64], chosen: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) of each class, float64 (count,); 0 for a class that nobody has or chose."""
    hits = np.bincount(right[right == chosen], minlength=count)
    both = np.bincount(right, minlength=count) + np.bincount(chosen, minlength=count)
    result: NDArray[np.float64] = 2 * hits / np.maximum(both, 1)
    return result


class EmbedderJudge:
    """Who is nearest to whom, in the distance of the bundle; each example asks, all others are the gallery."""

    def __init__(self, terms: Terms) -> None:
        self._measure = METRICS[terms.metric]

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Keep the vector: float32 (D,)."""
        del number, examples
        return (outputs[0].reshape(-1).astype(np.float32),)

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Compare neighbours: among the packed model's own vectors, and in a gallery of Keras' vectors."""
        k, p = (np.stack([answer[0] for answer in answers[:_MOST_VECTORS]]) for answers in (keras, packed))
        n = len(p)
        by_keras, by_packed, mixed = self._ranks(k, k), self._ranks(p, p), self._ranks(p, k)
        few = min(NEIGHBOURS, n - 1)
        shared = [len(set(a[:few]) & set(b[:few])) / few for a, b in zip(by_keras, by_packed, strict=True)]
        metrics = [
            Metric(
                name="nearest-neighbour agreement", value=float((by_keras[:, 0] == by_packed[:, 0]).mean()), examples=n
            ),
            Metric(name=f"top-{few} overlap", value=float(np.mean(shared)), examples=n),
            Metric(name="mixed-gallery agreement", value=float((by_keras[:, 0] == mixed[:, 0]).mean()), examples=n),
        ]
        if truth is not None and truth.classes is not None:
            who = truth.classes[:n]
            right = [float((who[ranks[:, 0]] == who).mean()) for ranks in (by_packed, by_keras)]
            metrics.insert(0, Metric(name="rank-1", value=right[0], keras=right[1], examples=n))
        return tuple(metrics)

    def _ranks(self, queries: F32, gallery: F32) -> NDArray[np.int64]:
        """Return for each query the gallery's rows, nearest first, without its own: int64 (N, N - 1)."""
        n = len(queries)
        rows = []
        for row in range(n):
            others = np.delete(np.arange(n), row)
            distance = self._measure(queries, gallery, (np.full(n - 1, row), others))
            rows.append(others[np.argsort(distance, kind="stable")])
        return np.stack(rows)


class PairJudge:
    """Which pairs are the same, at the threshold."""

    def __init__(self, terms: Terms) -> None:
        self._threshold = terms.threshold

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Keep the probability: float32 ()."""
        del number, examples
        return (outputs[0].reshape(-1)[0],)

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Count the decisions that flip."""
        k, p = (np.array([answer[0] for answer in answers]) >= self._threshold for answers in (keras, packed))
        n = len(p)
        agree = Metric(name="decision agreement", value=float((k == p).mean()), examples=n)
        if truth is None or truth.classes is None:
            return (agree,)
        same = truth.classes > 0
        right = Metric(name="accuracy", value=float((p == same).mean()), keras=float((k == same).mean()), examples=n)
        return right, agree


class DetectorJudge:
    """AP50 and matched boxes, detected by the device's own stage."""

    def __init__(self, terms: Terms) -> None:
        assert terms.preprocess is not None, "`check_recipe` asks for it"
        assert terms.decoder is not None, "`check_recipe` asks for it"
        self._how = terms.decoder
        manifest = Manifest(
            format=FORMAT, name="judged", task="detect", runtime="fake", variant="fp32", model_file="",
            inputs=terms.inputs, outputs=terms.outputs, golden=Golden(max_error=0, why=""),
            provenance=Provenance(keras="", weights=(), recipe_sha256=""), preprocess=terms.preprocess,
            labels=terms.labels, decoder=terms.decoder,
        )  # fmt: skip
        self._replay = _Replay()
        pictures = Preprocessor(terms.inputs[0], terms.preprocess)
        self._detect = Detect(Model(Bundle(Path(), manifest), self._replay, pictures, 0), (), LOW_SCORE)

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Keep boxes (K, 4) xyxy pixels of the picture, scores (K,) and classes (K,), best first."""
        picture = examples.picture(number)
        assert picture is not None, "a detector's inputs are pictures"
        self._replay.outputs = list(outputs)
        found = self._detect(Frame(number, 0, picture), StageClock())
        return found.boxes, found.scores, found.classes

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Judge with Keras' confident detections as the truth, and with the truth itself."""
        n = len(packed)
        sure = [tuple(part[answer[1] > self._how.threshold] for part in answer) for answer in keras]
        wanted = [Boxes(answer[0], answer[2].astype(np.int64)) for answer in sure]
        metrics = [
            Metric(name="AP50 against Keras", value=average_precision(packed, wanted), examples=n),
            Metric(name="IoU of matched boxes", value=matched_iou(packed, wanted), examples=n),
        ]
        if truth is not None and truth.boxes:
            right = [Boxes(b, c) for b, c in zip(truth.boxes, truth.box_classes, strict=True)]
            values = [average_precision(answers, right) for answers in (packed, keras)]
            metrics.insert(0, Metric(name="AP50", value=values[0], keras=values[1], examples=n))
        return tuple(metrics)


class _Replay:
    """A backend that returns what it was given."""

    description = "replay"

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def invoke(self, inputs: Sequence[Output]) -> list[Output]:
        """Return the outputs that were put in."""
        del inputs
        return self.outputs

    def close(self) -> None:
        """Do nothing."""


class LocalizerJudge:
    """One box and one class, see `edge.decode.localizer_outputs`."""

    def __init__(self, terms: Terms) -> None:
        self._box, self._class = localizer_outputs(terms.outputs)
        assert terms.preprocess is not None, "`check_recipe` asks for it"
        self._pictures = Preprocessor(terms.inputs[0], terms.preprocess)

    def answer(self, outputs: Sequence[Tensor], number: int, examples: Examples) -> Answer:
        """Keep the box, float32 (4,) xyxy pixels of the picture, and the class."""
        picture = examples.picture(number)
        assert picture is not None, "a localizer's inputs are pictures"
        _, (scale_x, scale_y) = self._pictures.fit(picture)
        size = np.array([self._pictures.width, self._pictures.height] * 2, np.float32)
        box = outputs[self._box].reshape(-1).astype(np.float32) * size
        return boxes.scale(box[None], 1 / scale_x, 1 / scale_y)[0], _choice(outputs[self._class])

    def score(self, keras: Sequence[Answer], packed: Sequence[Answer], truth: Truth | None) -> tuple[Metric, ...]:
        """Compare boxes by IoU, and classes."""
        n = len(packed)
        k, p = (np.stack([answer[0] for answer in answers]) for answers in (keras, packed))
        kc, pc = (np.array([answer[1] for answer in answers]) for answers in (keras, packed))
        same = [
            Metric(name="class agreement", value=float((kc == pc).mean()), examples=n),
            Metric(name="box IoU with Keras", value=float(_ious(k, p).mean()), examples=n),
        ]
        if truth is None or truth.classes is None or not truth.boxes:
            return (same[1], same[0])
        right = np.concatenate(truth.boxes).astype(np.float32)
        figures = [(float(_ious(b, right).mean()), float((c == truth.classes).mean())) for b, c in ((p, pc), (k, kc))]
        return (
            Metric(name="mIoU", value=figures[0][0], keras=figures[1][0], examples=n),
            Metric(name="accuracy", value=figures[0][1], keras=figures[1][1], examples=n),
            *same,
        )


def _choice(scores: Tensor) -> NDArray[np.int64]:
    """Return the class of one output: int64 ()."""
    flat = scores.reshape(-1)
    return np.asarray(int(flat[0] >= 0.5) if flat.size == 1 else int(flat.argmax()), np.int64)


def _ious(a: F32, b: F32) -> F32:
    """Return the IoU of each pair of boxes (N, 4): float32 (N,)."""
    return np.array([boxes.iou(x[None], y[None])[0, 0] for x, y in zip(a, b, strict=True)], np.float32)
