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

from edge.errors import ConfigError
from edge.types import F32
from models.data.class_folders import fit_pictures, read_class_folders
from models.workflow.kinds import Task

_CLASSES: tuple[Task, ...] = ("binary", "multiclass")


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
        x, answers, words = _from_folder(path, size)
    elif path.suffix == ".csv" and path.is_file():
        x, answers, words = _from_table(path)
    elif path.suffix == ".npz" and path.is_file():
        x, answers, words = _from_arrays(path)
    else:
        raise ConfigError(f"data {place}: want a folder, a .csv or an .npz file, got none; check the path")
    if len(x) < 10:
        raise ConfigError(f"data {place}: want at least 10 examples, got {len(x)}; {'; '.join(words) or 'add some'}")
    y, names = _answers(answers, task, place)
    return Examples(x, y, names, tuple(words))


def _from_folder(folder: Path, size: int) -> tuple[NDArray[Any], list[str], list[str]]:
    table = folder / "labels.csv"
    words = []
    if table.is_file():
        rows = [row for row in _rows(table) if row[:1] != ["file"]]
        listed = [row for row in rows if len(row) == 2]
        if len(listed) < len(rows):
            words.append(f"{len(rows) - len(listed)} lines of labels.csv left out, not of the form file,answer")
        fitted = fit_pictures([folder / row[0] for row in listed], size, "rgb", folder.name)
        answers = [listed[row][1] for row in fitted.rows]
    else:
        found = read_class_folders(folder, size, "rgb")
        fitted, answers = found.fitted, [found.labels[place] for place in found.truth]
    if fitted.unreadable:
        words.append(fitted.left_out)
    if fitted.sizes > 1:
        words.append(f"{fitted.sizes} sizes of pictures, all fitted to {size} x {size}")
    return fitted.images, answers, words


def _from_table(path: Path) -> tuple[NDArray[Any], list[str], list[str]]:
    header, *rows = _rows(path) or [[]]
    if len(header) < 2 or not rows:
        raise ConfigError(f"data {path}: want a line of names and lines of numbers below, got none; correct the file")
    x, answers, left = [], [], []
    for number, row in enumerate(rows, 2):
        try:
            values = [float(cell) for cell in row[:-1]]
        except ValueError:
            values = []
        if len(values) != len(header) - 1 or not np.isfinite(values).all() or not row[-1].strip():
            left.append(str(number))
            continue
        x.append(values)
        answers.append(row[-1].strip())
    words = [f"{len(left)} lines left out, not {len(header) - 1} numbers and an answer: {', '.join(left[:5])}"]
    return np.array(x, np.float32).reshape(-1, len(header) - 1), answers, words if left else []


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return [row for row in csv.reader(lines) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"data {path}: want a readable .csv file, got '{error}'; check the path") from error


def _from_arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y = arrays["x"], arrays["y"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"data {path}: want an .npz file with x and y, got {error}; save it again") from error
    if len(x) != len(y) or x.ndim not in (2, 3, 4) or y.ndim not in (1, 2):
        raise ConfigError(f"data {path}: want x (N, ...) and y (N,) or (N, K), got {x.shape} and {y.shape}; save it so")
    if x.ndim == 2:
        x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ConfigError(f"data {path}: want finite numbers in x, got NaN or infinity; clean the data")
    elif x.dtype != np.uint8:
        raise ConfigError(f"data {path}: want pictures as uint8 0..255, got {x.dtype}; save the pixels themselves")
    elif x.ndim == 3:
        x = x[..., None]
    return x, y, []


def _answers(answers: Sequence[str] | NDArray[Any], task: Task, place: str) -> tuple[F32, tuple[str, ...]]:
    """Make y of the task out of words or numbers, and check that it can be."""
    if task == "multilabel":
        return _labels(answers, place)
    if task in _CLASSES:
        return _classes(answers, task, place)
    try:
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
        answers = answers.argmax(axis=1) if answers.shape[1] > 1 else answers[:, 0]
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


def _labels(answers: Sequence[str] | NDArray[Any], place: str) -> tuple[F32, tuple[str, ...]]:
    if isinstance(answers, np.ndarray):
        y = answers.astype(np.float32)
        names = tuple(f"label {number}" for number in range(y.shape[1] if y.ndim == 2 else 0))
        if len(names) < 2 or not np.isin(y, (0, 1)).all():
            raise ConfigError(f"data {place}: want y of 0 and 1 with two columns or more, got {y.shape}; correct it")
    else:
        sets = [{word for word in answer.split("|") if word} for answer in answers]
        names = tuple(sorted(set().union(*sets)))
        if len(names) < 2:
            raise ConfigError(f"data {place}: want at least two labels, got {', '.join(names) or 'none'}; correct it")
        y = np.array([[name in each for name in names] for each in sets], np.float32)
    same = [name for name, column in zip(names, y.T, strict=True) if column.min() == column.max()]
    if same:
        raise ConfigError(f"data {place}: want labels that differ, got '{same[0]}' always the same; remove it")
    return y, names
