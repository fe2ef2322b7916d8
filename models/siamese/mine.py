"""A recording -> pairs, with no labels.

YES: two crops of one track, some frames apart. NO: crops of two tracks that were in sight in one frame and so cannot
be the same individual; half of these pairs are from one frame, half from any two moments of both tracks, so that
"at another time" does not come to mean "the same".
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from edge import boxes
from edge.errors import ConfigError, SourceError
from edge.settings import Count, NotNegative, Seed, Share
from edge.sinks.crops import Crop
from edge.sources.pictures import read_picture
from edge.stages.match import CLEAR_IOU
from edge.types import I64
from edge.whole import replace_folder, staging, sweep
from models.siamese.crops import NO, YES, count_by, read_index
from models.training.archive import writable
from models.training.recipe import Part

Frame = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""Number of a frame; 2**62 stands for the end of any recording."""


class Rules(Part, frozen=True):
    """`[mine]`: which crops are good enough, and which pairs are made of them.

    Attributes:
        frames: first and last frame of the recording that may be used; the last one may not. None = all.
        apart: frames between the two crops of a YES pair, at least.
        per_track: crops of one track that are used, evenly spread over its time; a pair takes two. Few, each
            in several pairs, tie a track together: of a crop in one pair only it is not known that it belongs to the
            rest.
        pairs: so many of each kind are made where the recording has them; a million are 2 million small files.
        height_px: least height of a crop.
        covered: largest share of a crop that another box may cover.
        sharpness: least sharpness, see `edge.sinks.crops.sharpness`.
        whole: True to leave out crops that the border of the picture cuts.
        seed: chooses.
    """

    frames: tuple[Frame, Frame] | None = None
    apart: Count = 5
    per_track: Annotated[int, msgspec.Meta(ge=2, le=2**31 - 1)] = 48
    pairs: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 2000
    height_px: NotNegative = 32.0
    covered: Share = 0.3
    sharpness: NotNegative = 30.0
    whole: bool = False
    seed: Seed = 0

    def complaints(self) -> Iterator[str]:
        """See `Part.complaints`."""
        if self.frames and self.frames[0] >= self.frames[1]:
            yield f"frames: want the first before the last, got {self.frames[0]} and {self.frames[1]}; swap them"


TRACKS = "TRACKS"
"""Folder with a folder of crops for each track: what `converters convert --metric-data` judges an embedder with."""


@dataclass(frozen=True)
class Mined:
    """Pairs, as rows of `crops`.

    Attributes:
        crops: those good enough.
        yes: int64 (P, 2).
        no: int64 (Q, 2).
        words: lines that count what was read, left out and made.
    """

    crops: tuple[Crop, ...]
    yes: I64
    no: I64
    words: tuple[str, ...]


def mine(folder: Path, rules: Rules) -> Mined:
    """Choose pairs of a recording.

    Raises:
        ConfigError: no recording, nothing in it that is good enough, or no pairs of one kind; the message says why.
    """
    every = read_index(folder)
    first, last = rules.frames or (0, 1 << 62)
    inside = [crop for crop in every if first <= crop.frame < last]
    faults = [fault(crop, folder, rules) for crop in inside]
    fit = [crop for crop, fault in zip(inside, faults, strict=True) if not fault]
    good, doubles = _unique(_spread(fit, rules.per_track), folder)
    out = [fault for fault in faults if fault] + ["there twice"] * doubles
    if not good:
        raise ConfigError(
            f"recording {folder}: want crops that are good enough, got none of {len(inside)} ({count_by(out)}); "
            "record nearer or lower the limits of [mine]"
        )
    random = np.random.default_rng(rules.seed)
    yes, no = _yes(good, rules, random), _no(good, inside, rules, random)
    if not len(yes):
        raise ConfigError(
            f"recording {folder}: want a track with two crops at least {rules.apart} frames apart, got none in "
            f"{len(good)} crops; record longer, or with a smaller every_ms"
        )
    if not len(no):
        raise ConfigError(f"recording {folder}: want two tracks in one frame, got none; record where several meet")
    tracks = np.array([crop.track for crop in good])
    gaps = np.abs(np.diff(np.array([crop.t_ms for crop in good])[yes], axis=1)) / 1e3
    share = np.bincount(np.unique(tracks[yes[:, 0]], return_inverse=True)[1]).max() / len(yes)
    words = (
        f"{len(inside)} crops read, {len(out)} left out ({count_by(out)})",
        f"{len(fit)} good enough, {len(good)} taken of {len(set(tracks.tolist()))} tracks",
        f"{len(yes)} YES pairs, {np.median(gaps):.1f} s apart at the median, {gaps.max():.1f} at most; "
        f"{share:.0%} of them from the track that has most",
        f"{len(no)} NO pairs of {len({tuple(sorted(p)) for p in tracks[no].tolist()})} couples of tracks",
    )
    return Mined(tuple(good), yes, no, words)


def write_pairs(mined: Mined, recording: Path, folder: Path) -> None:
    """Write YES/<number>/ and NO/<number>/ with two pictures each, and TRACKS/<track>/ with all crops that were used.

    The folder appears whole or not at all.

    Pictures are hard links to the recording where the disk allows.

    Raises:
        ConfigError: the folder is there already, or the disk is full.
    """
    if folder.exists():
        raise ConfigError(f"pairs {folder}: want a new folder, got one that is there; remove it or name another")
    sweep(folder.parent)
    with writable(folder), staging(folder.parent) as work:
        for name, pairs in ((YES, mined.yes), (NO, mined.no)):
            for number, pair in enumerate(pairs.tolist()):
                place = work / name / f"{number:05d}"
                place.mkdir(parents=True)
                for row in pair:
                    _link(recording / mined.crops[row].file, place / name_of(mined.crops[row]))
        for crop in mined.crops:
            place = work / TRACKS / f"{crop.track:06d}"
            place.mkdir(parents=True, exist_ok=True)
            _link(recording / crop.file, place / name_of(crop))
        times = {name_of(crop): crop.t_ms / 1e3 for crop in mined.crops}
        (work / "times.json").write_bytes(msgspec.json.encode(times))
        replace_folder(work, folder)


def name_of(crop: Crop) -> str:
    """Return the file name of a crop in a pair: track and frame."""
    return f"t{crop.track:06d}-f{crop.frame:08d}{Path(crop.file).suffix}"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def fault(crop: Crop, folder: Path, rules: Rules) -> str:
    """Say why a crop is of no use, "" for a good one."""
    if crop.box[3] - crop.box[1] < rules.height_px:
        return "small"
    if crop.covered > rules.covered:
        return "covered"
    if rules.whole and crop.cut:
        return "cut by the border"
    if crop.sharpness < rules.sharpness:
        return "blurred"
    try:
        read_picture(folder / crop.file)
    except SourceError:
        return "unreadable"
    return ""


def _spread(crops: Sequence[Crop], most: int) -> list[Crop]:
    """Choose at most so many crops of each track, evenly spread."""
    of_track: dict[int, list[Crop]] = defaultdict(list)
    for crop in crops:
        of_track[crop.track].append(crop)
    return [
        own[place]
        for own in of_track.values()
        for place in np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int)).tolist()
    ]


def _unique(crops: Sequence[Crop], folder: Path) -> tuple[list[Crop], int]:
    """Keep the first of pictures with the same bytes; also return how many others there were."""
    seen: dict[bytes, Crop] = {}
    for crop in crops:
        seen.setdefault((folder / crop.file).read_bytes(), crop)
    return list(seen.values()), len(crops) - len(seen)


def _yes(crops: Sequence[Crop], rules: Rules, random: np.random.Generator) -> I64:
    """Draw pairs of one track: tracks in turn, so that who stays long does not outweigh all others."""
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, crop in enumerate(crops):
        rows_of[crop.track].append(row)
    frames = np.array([crop.frame for crop in crops])
    queues = []
    for rows in rows_of.values():
        first, second = (np.array(rows)[half] for half in np.triu_indices(len(rows), 1))
        apart = np.abs(frames[first] - frames[second]) >= rules.apart
        queues.append(random.permutation(np.stack([first, second], 1)[apart])[: rules.pairs])
    return _in_turn(queues, rules.pairs)


def _no(good: Sequence[Crop], inside: Sequence[Crop], rules: Rules, random: np.random.Generator) -> I64:
    """Draw pairs of two tracks that shared a frame: couples in turn, half of the pairs from one frame."""
    couples = _couples(inside)
    rows_of: dict[int, dict[int, int]] = defaultdict(dict)
    for row, crop in enumerate(good):
        rows_of[crop.track][crop.frame] = row
    queues = []
    for a, b in couples:
        ours, theirs = rows_of.get(a, {}), rows_of.get(b, {})
        if not ours or not theirs:
            continue
        together = random.permutation(sorted(ours.keys() & theirs.keys())).tolist()
        free = np.stack([random.choice(list(rows.values()), rules.pairs) for rows in (ours, theirs)], 1)
        once = np.array([(ours[frame], theirs[frame]) for frame in together], np.int64).reshape(-1, 2)
        half = min(len(once), len(free))
        mixed = np.concatenate([np.stack([once[:half], free[:half]], 1).reshape(-1, 2), free[half:]])
        _, places = np.unique(mixed, axis=0, return_index=True)
        queues.append(mixed[np.sort(places)])
    return _in_turn(queues, rules.pairs)


def _couples(crops: Sequence[Crop]) -> list[tuple[int, int]]:
    """List the couples of tracks that were once in sight together, clear of each other.

    Two boxes that always overlap may be one individual, found twice.
    """
    frames = defaultdict(list)
    for crop in crops:
        frames[crop.frame].append(crop)
    found = set()
    for here in frames.values():
        overlap = boxes.iou(*[np.array([crop.box for crop in here], np.float32)] * 2)
        for a, b in np.argwhere(overlap < CLEAR_IOU).tolist():
            if here[a].track < here[b].track:
                found.add((here[a].track, here[b].track))
    return sorted(found)


def _in_turn(queues: Sequence[I64], count: int) -> I64:
    """Take one pair of each queue, then the next of each, until there are enough."""
    taken: list[list[int]] = []
    for place in range(max((len(queue) for queue in queues), default=0)):
        taken += [queue[place].tolist() for queue in queues if place < len(queue)]
        if len(taken) >= count:
            break
    return np.array(taken[:count], np.int64).reshape(-1, 2)
