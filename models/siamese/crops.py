"""Crops of individuals and what is known of them, from a recording, from folders of identities, or from YES and NO.

Whatever the source, it comes to the same three things: pictures, groups of pictures that show one individual, and
which groups cannot be the same one. What is not known is never taken for "different".
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.bar import bar
from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError, LimitError
from edge.limits import MOST_TABLE_BYTES, plain_name, read_file
from edge.preprocess import Preprocessor
from edge.sinks.crops import INDEX_FILE, Crop
from edge.sinks.place import runs_in
from edge.sources.pictures import read_picture
from edge.types import I64, U8

Bools = NDArray[np.bool_]

SUFFIXES = (".jpg", ".jpeg", ".png")
YES, NO = "YES", "NO"
BETWEEN_RUNS_MS = 60_000.0
"""Between the last crop of a run and the source's beginning of the next: nobody knows, but it is no moment."""


@dataclass(frozen=True)
class Crops:
    """Pictures of individuals.

    Attributes:
        files: N pictures.
        groups: int64 (N,), 0..G-1; pictures of one group show one individual.
        times_s: float64 (N,), seconds since the recording began; NaN where nobody knows.
        strangers: bool (G, G), symmetric: groups that certainly show two individuals.
        words: what was read, counted, for a person.
        yes: int64 (P, 2), rows of the pairs that were listed as the same; none where folders of identities were read.
        no: int64 (Q, 2), rows of those listed as different.
    """

    files: tuple[Path, ...]
    groups: I64
    times_s: NDArray[np.float64]
    strangers: Bools
    words: str
    yes: I64 = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    no: I64 = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.files)

    def pairs(self, most: int, seed: int) -> tuple[I64, I64]:
        """Return rows of pairs that are the same and that are different: those listed, else drawn from the groups."""
        if len(self.yes) and len(self.no):
            return self.yes, self.no
        first, second = np.triu_indices(len(self), 1)
        a, b = self.groups[first], self.groups[second]
        random, drawn = np.random.default_rng(seed), []
        for wanted in (a == b, self.strangers[a, b]):
            rows = random.permutation(np.flatnonzero(wanted))[:most]
            drawn.append(np.stack([first[rows], second[rows]], axis=1))
        return drawn[0], drawn[1]


def read_crops(folder: Path) -> Crops:
    """Read a folder of YES and NO pairs, or of a folder for each individual.

    Raises:
        ConfigError: neither is there, a folder is empty, there is one individual only, or a picture cannot be read.
    """
    if not folder.is_dir():
        raise ConfigError(f"crops {folder}: want a folder, got no such folder; check the path")
    if parts_of(folder):
        raise ConfigError(f"crops {folder}: want pairs, got a recording; run 'models pairs mine {folder}' first")
    if (folder / YES).is_dir() or (folder / NO).is_dir():
        return read_pairs(folder)
    return read_identities(folder)


def read_identities(folder: Path) -> Crops:
    """Read a folder for each individual; whoever has another folder is another individual."""
    names = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    files: list[Path] = []
    groups: list[int] = []
    for number, child in enumerate(names):
        found = pictures_in(child)
        if not found:
            raise ConfigError(f"crops {child}: want pictures in every folder, got none; add some or remove the folder")
        files += found
        groups += [number] * len(found)
    if len(names) < 2:
        raise ConfigError(f"crops {folder}: want folders of at least two individuals, got {len(names)}; add another")
    strangers = ~np.eye(len(names), dtype=bool)
    words = f"{len(files)} crops of {len(names)} individuals"
    return Crops(tuple(files), np.array(groups), np.full(len(files), np.nan), strangers, words)


def read_pairs(folder: Path) -> Crops:
    """Read YES/<pair>/ and NO/<pair>/ with two pictures each, and put together what belongs together.

    A picture that is in several pairs is one picture, known by its bytes. A pair in YES joins the groups of its
    pictures, one in NO sets them apart; where both are said of the same two groups, NO is left out and counted.
    """
    yes, no = (list(_pair_folders(folder / name)) for name in (YES, NO))
    for name, pairs in ((YES, yes), (NO, no)):
        if not pairs:
            raise ConfigError(f"pairs {folder / name}: want at least one folder with two pictures, got none; add some")
    known: dict[str, int] = {}
    files: list[Path] = []

    def row(path: Path) -> int:
        try:
            digest = hashlib.sha256(read_file(path)).hexdigest()
        except (OSError, LimitError) as error:
            raise ConfigError(f"pairs {path}: want a readable picture, got '{error}'; remove it") from error
        if digest not in known:
            known[digest] = len(files)
            files.append(path)
        return known[digest]

    same, different = ([(row(a), row(b)) for a, b in pairs] for pairs in (yes, no))
    if all(a == b for a, b in same):
        raise ConfigError(f"pairs {folder / YES}: want two different pictures, got the same one twice; mine again")
    times = _times_s(folder, files)
    if all(times[a] == times[b] for a, b in same):
        raise ConfigError(f"pairs {folder / YES}: want crops of two moments, got those of one frame only; mine again")
    groups = _join(len(files), same)
    strangers = np.zeros((groups.max() + 1,) * 2, bool)
    kept = [(a, b) for a, b in different if groups[a] != groups[b]]
    contradictions = len(different) - len(kept)
    for a, b in kept:
        strangers[groups[a], groups[b]] = strangers[groups[b], groups[a]] = True
    words = f"{len(same)} YES and {len(different)} NO pairs of {len(files)} crops, {len(strangers)} groups"
    if contradictions:
        words += f"; {contradictions} NO pairs left out, as YES pairs say otherwise"
    listed = [np.array(pairs, np.int64).reshape(-1, 2) for pairs in (same, kept)]
    return Crops(tuple(files), groups, times, strangers, words, *listed)


def read_pictures(crops: Crops, size: tuple[int, int]) -> U8:
    """Read all pictures as the device would see them: uint8 (N, height, width, 3) RGB, stretched by edge's own code.

    Raises:
        SourceError: one cannot be read.
    """
    fit = preprocessor(size)
    result = np.empty((len(crops), *size, 3), np.uint8)
    for row, path in enumerate(bar(crops.files, desc="reading crops", unit="crop")):
        result[row] = fit.fit(read_picture(path))[0][0]
    return result


def preprocessor(size: tuple[int, int]) -> Preprocessor:
    """Return what stretches a crop to a model's (height, width)."""
    return Preprocessor(TensorSpec(name="image", dtype="uint8", shape=(1, *size, 3)), Preprocess(fit="stretch"))


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def parts_of(folder: Path) -> list[Path]:
    """Return the folders of a recording that hold an index, the oldest run first.

    Args:
        folder: of the sink, with a folder for each run; or that of one run.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        inside = runs_in(folder) if folder.is_dir() else []
        return [part for part in (folder, *inside) if (part / INDEX_FILE).is_file()]
    except OSError as error:
        raise ConfigError(f"recording {folder}: want a readable folder, got '{error.strerror}'; check it") from error


def read_index(folder: Path) -> list[Crop]:
    """Read a recording of `edge-run --sink crops:DIR`: all its runs, or one where the folder of one is given.

    Tracks, frames and times of a later run count on from those of the run before, so that no two runs share one. A
    last line that a power cut left half-way is left out.

    Raises:
        ConfigError: no recording, one in which nobody was followed, or a damaged line.
    """
    crops: list[Crop] = []
    for part in parts_of(folder) or [folder]:
        prefix = f"{part.relative_to(folder).as_posix()}/" if part != folder else ""
        track = max((crop.track for crop in crops), default=0)  # a run counts them from 1
        frame = max((crop.frame for crop in crops), default=-1) + 1
        t_ms = max((crop.t_ms for crop in crops), default=0.0) + BETWEEN_RUNS_MS if crops else 0.0
        crops += [
            msgspec.structs.replace(
                crop, file=prefix + crop.file, track=crop.track + track, frame=crop.frame + frame, t_ms=crop.t_ms + t_ms
            )
            for crop in _read_part(part)
        ]
    if not crops:
        raise ConfigError(f"recording {folder}: want crops of individuals, got none: nobody was followed; record on")
    return crops


def _read_part(folder: Path) -> list[Crop]:
    """Read the index of one run, as it was written.

    Raises:
        ConfigError: it cannot be read, or a line is damaged.
    """
    try:
        lines = read_file(folder / INDEX_FILE).split(b"\n")
    except (OSError, LimitError) as error:
        reason = f"got '{error}'; record with edge-run --sink crops:DIR"
        raise ConfigError(f"recording {folder}: want a readable {INDEX_FILE}, {reason}") from error
    crops = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            crop = msgspec.json.decode(line, type=Crop)
            for name in crop.file.split("/"):
                plain_name(name)
            crops.append(crop)
        except (msgspec.DecodeError, LimitError) as error:
            raise ConfigError(
                f"recording {folder}: want crops in {INDEX_FILE}, got '{error}' in line {number}; record again"
            ) from error
    return crops


def _pair_folders(place: Path) -> Iterator[tuple[Path, Path]]:
    """Walk through the folders of pairs."""
    if not place.is_dir():
        return
    for child in sorted(place.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            found = pictures_in(child)
            if len(found) != 2:
                raise ConfigError(f"pairs {child}: want two pictures, got {len(found)}; complete or remove the folder")
            yield found[0], found[1]


def _join(count: int, pairs: Sequence[tuple[int, int]]) -> I64:
    """Return the group of each of `count` things, where the two of a pair belong together (union-find)."""
    parent = list(range(count))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in pairs:
        parent[root(a)] = root(b)
    _, groups = np.unique([root(one) for one in range(count)], return_inverse=True)
    return groups.astype(np.int64)


def _times_s(folder: Path, files: Sequence[Path]) -> NDArray[np.float64]:
    """Look up when mined crops were taken, by the name that the miner gave them."""
    try:
        known = msgspec.json.decode(read_file(folder / "times.json", MOST_TABLE_BYTES), type=dict[str, float])
    except (OSError, LimitError, msgspec.DecodeError):
        known = {}
    return np.array([known.get(path.name, np.nan) for path in files])


def count_by(values: Sequence[str]) -> str:
    """Say "3 blurred, 2 small" of a list of reasons."""
    return ", ".join(f"{count} {value}" for value, count in Counter(values).most_common()) or "none"
