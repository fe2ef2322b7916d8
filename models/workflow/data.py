"""What people have -> examples that a net can take.

| data | x | y |
|---|---|---|
| folder of folders of pictures | pictures | the folder's name |
| folder of pictures with `labels.csv` | pictures | second column: a class, `a|b` for several, or a number |
| `.csv` with a line of names | all columns but the last, numbers | the last column, the same |
| `.npz` with `x` and `y` | pictures uint8 (N, H, W[, C]) or numbers (N, F) | (N,) or (N, K) |
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, LimitError
from edge.limits import read_npz, read_table
from edge.sources.pictures import PICTURE_SUFFIXES
from edge.types import F32
from models.data.class_folders import fit_pictures, read_class_folders
from models.workflow.kinds import Task

_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Examples:
    """All examples of a place.

    Attributes:
        x: uint8 (N, H, W, C) pictures, or float32 (N, F) numbers.
        y: float32 (N, K): 0 or 1, one-hot, 0 and 1, or numbers, by the task.
        names: of classes or labels; empty for numbers.
        words: what was left out or changed, a line each.
    """

    x: NDArray[Any]
    y: F32
    names: tuple[str, ...]
    words: tuple[str, ...] = ()

    @property
    def pictures(self) -> bool:
        """Whether x are pictures."""
        return self.x.ndim == 4


def read_examples(place: str, task: Task, size: int) -> Examples:
    """Read all examples.

    Args:
        place: see the table above.
        task: says what y must be.
        size: that pictures of a folder are fitted to, pixels.

    Raises:
        ConfigError: nothing there, an empty class, one class alone, or values that the task cannot have.
    """
    path = Path(place)
    answers: Sequence[str] | NDArray[Any]
    if path.is_dir():
        x, answers, words = _from_folder(path, task, size)
    elif path.suffix.lower() == ".csv" and path.is_file():
        x, answers, words = _from_table(path, task)
    elif path.suffix.lower() == ".npz" and path.is_file():
        x, answers, words = _from_arrays(path)
    else:
        raise ConfigError(f"data {place}: want a folder, a .csv or an .npz file, got none; check the path")
    if len(x) < 10:
        raise ConfigError(f"data {place}: want at least 10 examples, got {len(x)}; {'; '.join(words) or 'add some'}")
    y, names = _answers(answers, task, place)
    return Examples(x, y, names, tuple(words))


def _from_folder(folder: Path, task: Task, size: int) -> tuple[NDArray[Any], list[str], list[str]]:
    table = folder / "labels.csv"
    words: list[str] = []
    if table.is_file():
        listed, words = _listed(table, task)
        fitted = fit_pictures([folder / name for name, _ in listed], size, "rgb", folder.name)
        words += [fitted.left_out] if fitted.unreadable else []
        answers = [listed[row][1] for row in fitted.rows]
        empty = sorted({answer for _, answer in listed} - set(answers)) if task in _CLASSES else []
        if empty and answers:
            raise ConfigError(
                f"data {folder}: want pictures of every class, got none in {', '.join(empty[:8])}; correct labels.csv"
            )
    else:
        found = read_class_folders(folder, size, "rgb")
        words = found.left_out
        fitted, answers = found.fitted, [found.labels[place] for place in found.truth]
    if fitted.sizes > 1:
        words.append(f"{fitted.sizes} sizes of pictures, all fitted to {size} x {size}")
    return fitted.images, answers, words


def _listed(table: Path, task: Task) -> tuple[list[tuple[str, str]], list[str]]:
    """Read labels.csv: names and answers, and what was left out.

    The first line is one of names unless it begins with a file that is there, or with what looks like a picture's.
    """
    rows = _rows(table)
    first = rows[0][1][0] if rows else ""
    if rows and not (table.parent / first).is_file() and Path(first).suffix.lower() not in PICTURE_SUFFIXES:
        rows = rows[1:]
    listed, left = [], []
    for number, row in rows:
        if len(row) == 2 and row[0] and "\0" not in row[0] and (row[1] or task == "multilabel"):
            listed.append((row[0], row[1]))
        else:
            left.append(number)
    words = [f"{len(left)} lines of labels.csv left out, not of the form file,answer: {_some(left)}"] if left else []
    return listed, words


def _from_table(path: Path, task: Task) -> tuple[NDArray[Any], list[str], list[str]]:
    rows = _rows(path)
    if len(rows) < 2 or len(rows[0][1]) < 2:
        raise ConfigError(f"data {path}: want a line of names and lines of numbers below, got none; correct the file")
    (_, header), *rows = rows
    values = [row[-1] for _, row in rows]
    if _numbers(header[:-1]) is not None and (_numbers(header[-1:]) is not None or header[-1] in values):
        raise ConfigError(f"data {path}: want a line of names first, got '{','.join(header)[:60]}'; put one on top")
    x, answers, left = [], [], []
    for number, row in rows:
        numbers = _numbers(row[:-1])
        if numbers is None or len(row) != len(header) or not (row[-1] or task == "multilabel"):
            left.append(number)
            continue
        x.append(numbers)
        answers.append(row[-1])
    words = [f"{len(left)} lines left out, not {len(header) - 1} numbers and an answer: {_some(left)}"]
    return np.array(x, np.float32).reshape(-1, len(header) - 1), answers, words if left else []


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """Return numbers that float32 can hold; None where a cell is none."""
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    return values if all(abs(value) <= _LARGEST for value in values) else None


def _some(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:5])) + f" and {len(lines) - 5} more" * (len(lines) > 5)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Read lines that are not empty, each with its number in the file, cells stripped."""
    try:
        reader = csv.reader(read_table(path))
        cells = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
        rows = [(number, row) for number, row in cells if len(row) > 1 or "".join(row)]
    except (OSError, LimitError, csv.Error) as error:
        raise ConfigError(f"data {path}: want a readable .csv file, got '{error}'; check the path") from error
    for name, mark in (("semicolons", ";"), ("tabs", "\t")):
        if rows and len(rows[0][1]) == 1 and mark in rows[0][1][0]:
            raise ConfigError(f"data {path}: want commas between the cells, got {name}; save it with commas")
    return rows


def _from_arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    try:
        arrays = read_npz(path)
        x, y = arrays["x"], arrays["y"]
    except (OSError, LimitError, KeyError) as error:
        raise ConfigError(f"data {path}: want an .npz file with x and y, got '{error}'; save it again") from error
    if x.ndim not in (2, 3, 4) or y.ndim not in (1, 2) or len(x) != len(y) or not (x.size and y.size):
        raise ConfigError(f"data {path}: want x (N, ...) and y (N,) or (N, K), got {x.shape} and {y.shape}; save it so")
    if x.dtype.kind not in "biuf" or y.dtype.kind not in "biufU":
        raise ConfigError(
            f"data {path}: want numbers in x and numbers or words in y, got {x.dtype} and {y.dtype}; save it so"
        )
    if x.ndim == 2:
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ConfigError(
                f"data {path}: want finite numbers in x that float32 can hold, got NaN or infinity; clean the data"
            )
    elif x.dtype != np.uint8:
        raise ConfigError(f"data {path}: want pictures as uint8 0..255, got {x.dtype}; save the pixels themselves")
    elif x.ndim == 3:
        x = x[..., None]
    elif x.shape[3] not in (1, 3):
        raise ConfigError(f"data {path}: want pictures of 1 or 3 channels, got {x.shape[3]}; save them as (N, H, W, 3)")
    return x, y, []


def _answers(answers: Sequence[str] | NDArray[Any], task: Task, place: str) -> tuple[F32, tuple[str, ...]]:
    """Make y of the task out of words or numbers, and check that it can be."""
    if task == "multilabel":
        return _labels(answers, place)
    if task in _CLASSES:
        return _classes(answers, task, place)
    try:
        with np.errstate(over="ignore"):
            y = np.array(answers, np.float32).reshape(len(answers), -1)
    except ValueError as error:
        raise ConfigError(f"data {place}: want numbers as answers for {task}, got '{error}'; correct them") from error
    if not np.isfinite(y).all() or (y.max(axis=0) == y.min(axis=0)).any():
        raise ConfigError(f"data {place}: want finite answers that differ, got NaN or one value alone; correct them")
    if task == "unit-regression" and (y.min() < 0 or y.max() > 1):
        raise ConfigError(
            f"data {place}: want answers in 0..1 for unit-regression, got {y.min():g}..{y.max():g}; scale them, or "
            "take --task regression"
        )
    return y, ()


def _classes(answers: Sequence[str] | NDArray[Any], task: Task, place: str) -> tuple[F32, tuple[str, ...]]:
    if isinstance(answers, np.ndarray) and answers.ndim == 2:
        answers = _places(answers, place) if answers.shape[1] > 1 else answers[:, 0]
    if isinstance(answers, np.ndarray) and answers.dtype.kind == "f" and not np.isfinite(answers).all():
        raise ConfigError(f"data {place}: want a class for each example, got NaN or infinity in y; clean the data")
    values, rows = np.unique(np.asarray(answers), return_inverse=True)
    names = tuple(str(value) for value in values.tolist())
    if len(names) < 2 or (task == "binary" and len(names) != 2):
        want = "two classes" if task == "binary" else "at least two classes"
        raise ConfigError(f"data {place}: want {want}, got {len(names)}: {', '.join(names[:8])}; correct data or task")
    if len(names) > len(rows) // 2:
        raise ConfigError(
            f"data {place}: want a few classes, got {len(names)} different answers to {len(rows)} examples; is it a "
            "regression?"
        )
    y = rows.astype(np.float32)[:, None] if task == "binary" else np.eye(len(names), dtype=np.float32)[rows]
    return y, names


def _places(y: NDArray[Any], place: str) -> NDArray[np.int64]:
    """Return where the 1 stands in each one-hot row."""
    if y.dtype.kind not in "biuf" or not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
        raise ConfigError(
            f"data {place}: want y (N,), or rows with a single 1 among 0, got others of {y.shape}; correct it, or take "
            "--task multilabel"
        )
    empty = np.flatnonzero(~y.any(axis=0))
    if len(empty):
        raise ConfigError(f"data {place}: want examples of every class, got none in column {empty[0]} of y; remove it")
    places: NDArray[np.int64] = y.argmax(axis=1)
    return places


def _labels(answers: Sequence[str] | NDArray[Any], place: str) -> tuple[F32, tuple[str, ...]]:
    if isinstance(answers, np.ndarray):
        names = tuple(f"label {number}" for number in range(answers.shape[1] if answers.ndim == 2 else 0))
        if len(names) < 2 or answers.dtype.kind not in "biuf" or not np.isin(answers, (0, 1)).all():
            raise ConfigError(
                f"data {place}: want y of 0 and 1 with two columns or more, got {answers.dtype} {answers.shape}; "
                "correct it"
            )
        y = answers.astype(np.float32)
    else:
        sets = [{word.strip() for word in answer.split("|")} - {""} for answer in answers]
        names = tuple(sorted(set().union(*sets)))
        if len(names) < 2:
            raise ConfigError(f"data {place}: want at least two labels, got {', '.join(names) or 'none'}; correct it")
        y = np.array([[name in each for name in names] for each in sets], np.float32)
    same = [name for name, column in zip(names, y.T, strict=True) if column.min() == column.max()]
    if same:
        raise ConfigError(f"data {place}: want labels that differ, got '{same[0]}' always the same; remove it")
    return y, names
