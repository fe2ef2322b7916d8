"""A sheet of pairs that a distance got right and wrong, the surest first: what a person looks at before trusting it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sources.pictures import read_picture
from edge.types import F32, U8
from edge.whole import sweep, write_file
from models.siamese.crops import Crops
from models.siamese.judge import Pairs

_TILE = (128, 64)
_GAP, _CAPTION, _MARGIN = 10, 22, 8
_INK, _PAPER = (40, 40, 40), 255
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)


def draw_sheet(crops: Crops, pairs: Pairs, distances: F32, threshold: float, columns: int = 8, seed: int = 0) -> U8:
    """Draw four rows: same and different pairs found right, drawn by chance, and those found wrong, the worst first.

    Args:
        crops: what `pairs.rows` point to.
        pairs: what is right.
        distances: float32 (P,).
        threshold: below it two are the same.
        columns: pairs in a row.
        seed: draws.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    same, found = pairs.same, distances <= threshold
    random = np.random.default_rng(seed)
    bands = []
    for title, rows, color in (
        ("same, found the same", _some(same & found, random), _RIGHT),
        ("different, found different", _some(~same & ~found, random), _RIGHT),
        ("same, found different: the farthest", _extreme(same & ~found, -distances), _WRONG),
        ("different, found the same: the nearest", _extreme(~same & found, distances), _WRONG),
    ):
        chosen = _apart(rows, pairs, columns)
        bands.append(_band(title, [_pair(crops, pairs, row, distances) for row in chosen], color, columns))
    return np.concatenate(bands)


def write_sheet(picture: U8, path: Path) -> None:
    """Write a sheet as PNG or JPEG, whole or not at all."""
    data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    sweep(path.parent)
    write_file(path, data.tobytes())


def _some(wanted: NDArray[np.bool_], random: np.random.Generator) -> list[int]:
    return [int(row) for row in random.permutation(np.flatnonzero(wanted))]


def _extreme(wanted: NDArray[np.bool_], order: F32) -> list[int]:
    rows = np.flatnonzero(wanted)
    return [int(row) for row in rows[np.argsort(order[rows], kind="stable")]]


def _apart(rows: Sequence[int], pairs: Pairs, count: int) -> list[int]:
    """Take each couple of identities once, as long as there are others: neighbours in a film look the same."""
    chosen: list[int] = []
    seen: set[tuple[int, ...]] = set()
    for row in rows:
        couple = tuple(sorted(pairs.who[row].tolist()))
        if couple not in seen:
            seen.add(couple)
            chosen.append(row)
        if len(chosen) == count:
            return chosen
    used = set(chosen)
    return (chosen + [row for row in rows if row not in used])[:count]


def _pair(crops: Crops, pairs: Pairs, row: int, distances: F32) -> tuple[U8, str]:
    """Return both crops side by side, and what to write below."""
    first, second = pairs.rows[row].tolist()
    tiles = [
        cv2.resize(read_picture(crops.files[place]), _TILE[::-1], interpolation=cv2.INTER_CUBIC)
        for place in (first, second)
    ]
    gap = abs(crops.times_s[first] - crops.times_s[second])
    return np.concatenate(tiles, axis=1), f"{distances[row]:.2f}   {gap:.1f} s"


def _band(title: str, cells: Sequence[tuple[U8, str]], color: tuple[int, int, int], columns: int) -> U8:
    """Draw one row of pairs under its title."""
    height, width = _TILE[0], 2 * _TILE[1]
    band = np.full((2 * _CAPTION + height + 2 * _MARGIN, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    _write(band, f"{title} ({len(cells)})" if not cells else title, (_GAP, _CAPTION - 4), 0.55, color)
    for place, (tile, words) in enumerate(cells):
        left, top = _GAP + place * (width + _GAP), _CAPTION + 4
        band[top : top + height, left : left + width] = tile
        cv2.rectangle(band, (left - 2, top - 2), (left + width + 1, top + height + 1), color, 2)
        _write(band, words, (left, top + height + _CAPTION - 5), 0.45, _INK)
    return band


def _write(picture: U8, words: str, place: tuple[int, int], size: float, color: tuple[int, int, int]) -> None:
    cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)
