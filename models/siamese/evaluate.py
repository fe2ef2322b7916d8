"""The table of `models pairs judge`: every distance on the same pairs of a recording, told by a ground truth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import ConfigError
from edge.whole import sweep, write_file
from models.siamese.crops import Bools, Crops, parts_of, read_index
from models.siamese.judge import GAPS_S, Pairs, Scores, pairs_apart, score
from models.siamese.mine import Rules, fault
from models.siamese.truth import NOBODY, identify, met
from models.training.archive import writable

SEEN = ", seen together"
"""Ends the name of figures in which "different" are only identities that were once in one frame: somebody who comes
back has a new identity in a ground truth of tracks, and to find the two the same is no mistake."""
EVERY_MS = 500.0
"""Between two judged frames: neighbours in a film are nearly the same picture."""


@dataclass(frozen=True)
class Trial:
    """Crops whose identity is known.

    Attributes:
        crops: groups are the identities of the ground truth.
        met: bool (K, K), which identities were once in one frame.
        words: what was taken, counted.
    """

    crops: Crops
    met: Bools
    words: str

    def pairs(self, gap_s: tuple[float, float]) -> Pairs:
        """Return all pairs so far apart."""
        return pairs_apart(self.crops.groups, self.crops.times_s, gap_s)


def read_trial(recording: Path, truth: Path, rules: Rules, without: tuple[int, int] | None = None) -> Trial:
    """Take the crops of a recording that the ground truth knows.

    Args:
        recording: folder of the crops sink.
        truth: MOTChallenge gt.txt.
        rules: which frames, and which crops are good enough.
        without: frames whose identities are left out, those that were trained on; None = nobody is.

    Raises:
        ConfigError: no recording, several runs, no ground truth, or fewer than four identities.
    """
    if len(parts_of(recording)) > 1:
        raise ConfigError(f"recording {recording}: want the run that the truth is about, got several; name its folder")
    every = read_index(recording)
    who = identify(every, truth)
    times = np.array([crop.t_ms for crop in every]) / 1e3
    frames = np.array([crop.frame for crop in every])
    first, last = rules.frames or (0, 1 << 62)
    steps = np.floor((times - times.min()) * 1e3 / EVERY_MS + 1e-6)
    shown = np.unique(frames)
    step_of = {int(frame): steps[frames == frame][0] for frame in shown}
    taken = {int(f) for place, f in enumerate(shown) if not place or step_of[int(f)] != step_of[int(shown[place - 1])]}
    gone = set(who[(frames >= without[0]) & (frames < without[1])].tolist()) if without else set()
    rows = [
        row
        for row, crop in enumerate(every)
        if first <= crop.frame < last
        and crop.frame in taken
        and who[row] != NOBODY
        and who[row] not in gone
        and not fault(crop, recording, rules)
    ]
    chosen = np.array(rows, np.int64)
    identities = sorted(set(who[chosen].tolist()))
    if len(identities) < 4:
        raise ConfigError(f"recording {recording}: want four identities to judge on, got {len(identities)}; use more")
    files = tuple(recording / every[row].file for row in rows)
    crops = Crops(files, who[chosen], times[chosen], np.zeros((0, 0), bool), "")
    return Trial(crops, met(every, who), f"{len(rows)} crops of {len(identities)} identities")


def judge(trial: Trial, name: str, between: Any, threshold: float) -> dict[str, Any]:
    """Judge one distance at all gaps: figures as JSON can hold them.

    Args:
        trial: the pairs.
        name: of the distance.
        between: rows (P, 2) -> float32 (P,) distances.
        threshold: that came with it, or NaN.
    """
    result: dict[str, Any] = {"name": name, "threshold": None if threshold != threshold else threshold}
    for gap, span in GAPS_S.items():
        every = trial.pairs(span)
        distances = np.asarray(between(every.rows), np.float32)
        sure = every.same | trial.met[every.who[:, 0], every.who[:, 1]]
        for label, chosen in ((gap, np.ones_like(sure)), (f"{gap}{SEEN}", sure)):
            pairs = Pairs(every.rows[chosen], every.who[chosen])
            if not 0 < pairs.same.sum() < len(pairs.rows):
                raise ConfigError(f"judge: want pairs of both kinds {gap} apart, got one kind; record longer")
            scores: Scores = score(distances[chosen], pairs, threshold)
            result[label] = {**scores.json(), "same": int(pairs.same.sum()), "different": int((~pairs.same).sum())}
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table of judged distances: accuracy by folds of identities, and the rest, at both gaps."""
    head = "| distance | " + " | ".join(f"{gap}: accuracy | AUC | EER | own threshold" for gap in GAPS_S) + " |"
    lines = [head, "|---|" + "---|" * (4 * len(GAPS_S))]
    for result in results:
        cells = []
        for gap in GAPS_S:
            own = result[gap]["given"]
            cells += [f"{result[gap]['accuracy']:.3f}", f"{result[gap]['auc']:.3f}", f"{result[gap]['eer']:.3f}"]
            cells += ["" if own is None else f"{own:.3f}"]
        lines.append(f"| {result['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_results(results: Sequence[dict[str, Any]], words: str, path: Path) -> None:
    """Write the figures as JSON, whole or not at all."""
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        write_file(path, json.dumps({"judged": words, "distances": list(results)}, indent=1).encode())
