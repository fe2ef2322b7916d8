"""The films of `video:` after kills: each run has its own, and plays to the frame before the one in hand."""

import re
from pathlib import Path

import cv2

PART = re.compile(r"film(?:-([0-9]+))?\.webm")


def frames_that_play(path: Path) -> int:
    """Return how many pictures of a film another program can decode."""
    film, count = cv2.VideoCapture(str(path)), 0
    while film.read()[0]:
        count += 1
    film.release()
    return count


def films_lost(folder: Path, frames: list[int], seen: dict[str, int]) -> list[str]:
    """Say which film of `video:film.webm` is missing, not whole, or shorter than it was.

    Args:
        folder: of the results.
        frames: of each run, the oldest first, how many were counted by a sink that comes before the film's.
        seen: name -> frames when they were last looked at; brought up to date here.
    """
    found = [(int(match[1] or 1), path) for path in folder.iterdir() if (match := PART.fullmatch(path.name))]
    paths = [path for _, path in sorted(found)]
    words = [f"{name}: gone" for name in seen if not (folder / name).exists()]
    for path in paths:
        if path.name in seen and seen[path.name] != path.stat().st_size:
            words.append(f"{path.name}: changed by a later run")
        seen[path.name] = path.stat().st_size
    runs = [count for count in frames if count]
    certain = sum(count > 1 for count in runs)  # a run that was killed at its first frame may have no film
    if not certain <= len(paths) <= len(runs):
        words.append(f"{len(paths)} films of {len(runs)} runs")
    elif paths and runs[-1] > 1:
        played = frames_that_play(paths[-1])
        if not runs[-1] - 1 <= played <= runs[-1]:
            words.append(f"{paths[-1].name}: {played} frames play of {runs[-1]}")
    return words
