"""Pictures that are the same, or nearly: they must stay on one side of a split, or a net is asked what it was told.

The difference hash: a picture is shrunk to 9 x 8 and 8 x 9 gray cells; each bit says whether a cell is brighter than
the one before it, in rows and in columns. It survives another size, compression and light (N. Krawetz, "Kind of Like
That", 2013).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.types import U8

NEAR = 6
"""Of 128 bits; pictures that differ in no more are taken for the same. The first two of 6,000 different composites
that come near each other by chance differ in 10; the same picture, saved as JPEG at quality 60 or at half its size,
differs in 5 or less 19 times out of 20. Even grounds, where the noise decides who is brighter, make the rest."""
_AT_ONCE = 512


def look(picture: U8) -> tuple[int, int]:
    """Return the difference hash of a picture uint8 (H, W, 3): 64 bits of rows and 64 of columns."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    across = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    down = cv2.resize(gray, (8, 9), interpolation=cv2.INTER_AREA)
    bits = np.stack([across[:, 1:] > across[:, :-1], down[1:] > down[:-1]])
    rows, columns = np.packbits(bits.reshape(2, 64), axis=1).view(np.uint64)[:, 0].tolist()
    return rows, columns


def groups_of_same(looks: Sequence[tuple[int, int]], near: int = NEAR) -> NDArray[np.int64]:
    """Number the pictures so that those alike have one number: int64 (N,), the smallest row of the group.

    Args:
        looks: of all pictures, see `look`.
        near: bits that may differ.
    """
    hashes = np.array(looks, np.uint64).reshape(-1, 2)
    parent = np.arange(len(hashes))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for start in range(0, len(hashes), _AT_ONCE):
        some = hashes[start : start + _AT_ONCE, None]
        differ = np.bitwise_count(some ^ hashes[None, start:]).sum(axis=2, dtype=np.int64)
        for row, other in zip(*np.nonzero(differ <= near), strict=True):
            a, b = root(start + int(row)), root(start + int(other))
            parent[max(a, b)] = min(a, b)
    return np.array([root(row) for row in range(len(hashes))], np.int64)
