"""What is wrong with the data, said before it costs an hour: too few, all alike, or in the wrong scale.

The wrong scale is the commonest mistake of all: a model quantised with 0..1 where it wants 0..255 is right in ten
cases of a hundred, and no tool says a word.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from converters.examples import Examples, Tensor, Truth
from converters.facts import DRIFT_LIMIT, Drift, Facts
from converters.record import Finding
from converters.tasks import Answer
from edge.bundle import Task

Sample = Sequence[Tensor]
"""One tensor for each input of the model."""

FEWEST = 50
"""Below, the ranges of activations are a matter of luck; 100 to 200 changed nothing in any model measured."""
TOO_FEW = 4
_LOOKED_AT = 64
_NARROW = 0.02
"""Share of the expected range that the data must span to be in that scale: 0..1 spans 0.004 of 0..255."""
_WIDE = 8.0
"""How many times the expected range the data may span: 0..255 spans 255 times 0..1."""
_LUCK = 1000
"""Ten answers of ten on another class are by luck one case in 1,024; a class of fewer answers proves nothing."""
_NAMED = 3
"""Classes in another's place that are named; the order that follows has them all."""
_CHANCE = 2.0
"""A classifier must be right this many times as often as the most common class alone, or 10 points better."""


def check_calibration(
    examples: Examples, samples: Sequence[Sample], others: Sequence[Sample], facts: Facts, drift: Drift | None
) -> Iterator[Finding]:
    """Name what is wrong with the examples that calibrate.

    Args:
        examples: that the quantiser will see.
        samples: some of them, as the Keras model itself is given them.
        others: the same of the examples that judge: they must be in the same scale.
        facts: of the model; what its first layers expect.
        drift: of the first batch normalisation on the samples, None where there is none.
    """
    count = len(examples)
    if count < FEWEST:
        yield Finding(
            severity="error" if count < TOO_FEW else "warning",
            words=f"calibration: want {FEWEST} examples or more, got {count}; add some that differ",
        )
    hashes = Counter(examples.sha256(number) for number in range(count))
    if len(hashes) < count:
        few = len(hashes) <= count // 2
        yield Finding(
            severity="error" if few else "warning",
            words=f"calibration: want {count} different examples, got {len(hashes)}; remove the duplicates",
        )
    constant = sum(np.ptp(each[0]) == 0 for each in samples)
    if constant:
        yield Finding(
            severity="error" if constant > len(samples) // 2 else "warning",
            words=f"calibration: want pictures that show something, got {constant} of {len(samples)} with one value "
            f"everywhere, as {float(samples[0][0].flat[0]):g}; remove them",
        )
    if examples.truth is not None and examples.truth.classes is not None:
        classes = set(examples.truth.classes.tolist())
        if len(classes) == 1:
            yield Finding(
                severity="warning",
                words=f"calibration: want examples of every class, got class {classes.pop()} alone; mix them",
            )
    yield from _check_scale(samples, others, facts)
    if drift is not None and drift.figure > DRIFT_LIMIT:
        yield Finding(
            severity="error",
            words="calibration: want data in the scale that the model was trained with, got what moves the first "
            f"batch normalisation '{drift.layer}' {drift.shift:.3g} deviations off and spreads it "
            f"{drift.spread:.3g} times: the wrong scale, most likely 0..1 for 0..255 or the other way round; see "
            "--mean, --std and the data",
        )


def _check_scale(
    samples: Sequence[Sequence[np.ndarray]], others: Sequence[Sequence[np.ndarray]], facts: Facts
) -> Iterator[Finding]:
    """Compare the values with what the first layers are made for, and with the examples that judge."""
    low, high = _span(samples)
    if facts.expected_range is not None:
        want_low, want_high = facts.expected_range
        width = want_high - want_low
        if high - low < _NARROW * width or high - low > _WIDE * width:
            yield Finding(
                severity="error",
                words=f"calibration: want values of about {want_low:g}..{want_high:g}, which the model's first layer "
                f"({facts.normalisation[0] if facts.normalisation else 'scaling'}) is made for, got {low:g}..{high:g}: "
                "the wrong scale; give the pixels as they are, or correct --mean and --std",
            )
            return
    if not others:
        return
    other_low, other_high = _span(others)
    mine, theirs = high - low, other_high - other_low
    if min(mine, theirs) < _NARROW * max(mine, theirs):
        yield Finding(
            severity="error",
            words="calibration: want values in the scale of the examples that judge, "
            f"{other_low:g}..{other_high:g}, got {low:g}..{high:g}: one of the two is in the wrong scale",
        )


def check_answers(
    task: Task, answers: Sequence[Answer], truth: Truth | None, labels: Sequence[str] = ()
) -> Iterator[Finding]:
    """Name what Keras' own answers give away: a model that sees nothing in its inputs.

    Args:
        task: of the model.
        answers: of Keras, by the task's judge.
        truth: None where nobody said what is right.
        labels: names of the classes, in the order that the person gave.
    """
    if task == "embed" and len(answers) > 1:
        vectors = np.stack([answer[0] for answer in answers[:_LOOKED_AT]])
        if float(np.abs(vectors - vectors[0]).max()) < 1e-6 * max(1.0, float(np.abs(vectors).max())):
            yield Finding(
                severity="error",
                words="model: want another vector for another picture, got the same for all; the input is most "
                "likely in the wrong scale",
            )
    if task != "classify" or not answers:
        return
    chosen = np.array([answer[0] for answer in answers])
    if truth is not None and truth.classes is not None and (moved := swapped_classes(chosen, truth.classes)):
        yield Finding(severity="error", words=_other_order(moved, labels or truth.names))
        return
    if len(answers) < FEWEST:
        return
    if truth is None or truth.classes is None:
        if len(set(chosen.tolist())) == 1:
            yield Finding(
                severity="warning",
                words=f"model: want more than one class over {len(answers)} examples, got class {chosen[0]} for all; "
                "is the input in the right scale?",
            )
        return
    right = float((chosen == truth.classes).mean())
    commonest = float(np.bincount(truth.classes).max() / len(truth.classes))
    if right < min(_CHANCE * commonest, commonest + 0.1):
        yield Finding(
            severity="error",
            words=f"model: want Keras itself to be right more often than by chance, got {100 * right:.1f} % where "
            f"always the same class gives {100 * commonest:.1f} %: the input is most likely in the wrong scale",
        )


def swapped_classes(chosen: NDArray[np.int64], right: NDArray[np.int64]) -> dict[int, int]:
    """Find classes whose answers stand on examples of another class: labels in another order than in training.

    A class behaves as another one if more than half of its answers are on examples of that, and by luck alone (each
    answer there or elsewhere, like a coin) that would happen in one case of `_LUCK`. That the labels are to blame, and
    not a bad model, is said only if these classes have one another's names, and so the order can be mended.

    Args:
        chosen: int64 (N,), the class that Keras gave each example.
        right: int64 (N,), its class by the labels.

    Returns:
        Class -> the class that it behaves as; empty = none.
    """
    moved: dict[int, int] = {}
    for place in sorted(set(chosen.tolist())):
        found = right[chosen == place]
        behaves = int(np.bincount(found).argmax())
        hits, answers = int((found == behaves).sum()), len(found)
        luck = sum(math.comb(answers, more) for more in range(hits, answers + 1)) / 2**answers
        if behaves != place and luck < 1 / _LUCK:
            moved[place] = behaves
    return moved if set(moved) == set(moved.values()) else {}


def _other_order(moved: Mapping[int, int], labels: Sequence[str]) -> str:
    """Say which classes have another's name, and the order that is right."""
    names = dict(enumerate(labels))
    said = [f"class {a} '{names.get(a, a)}' behaves as '{names.get(b, b)}'" for a, b in list(moved.items())[:_NAMED]]
    more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    order = ",".join(names[moved.get(place, place)] for place in range(len(labels)))
    cure = f"give them in the order of training: --labels {order}" if labels else "give y in the order of training"
    return f"labels: want them in the order of training, got another: {', '.join(said)}{more}; {cure}"


def _span(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return the smallest and largest value of the first input."""
    return min(float(each[0].min()) for each in samples), max(float(each[0].max()) for each in samples)
