"""Pictures with one object each: its box and its class, from folders that people have.

| layout | what |
|---|---|
| `images/*.jpg`, `annotations/xmls/*.xml` | Oxford-IIIT Pet, Pascal VOC: the box of the head, the name cat or dog |
| a `.csv` file | one line for each picture: `file,x0,y0,x1,y1,label`, files relative to it |

What cannot be used is left out, and never in silence: each such file is named with the reason.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError, LimitError, SourceError
from edge.limits import read_table
from edge.preprocess import Preprocessor
from edge.sources.pictures import PICTURE_SUFFIXES, read_picture
from edge.types import F32, U8
from models.data.duplicates import look
from models.data.voc import BoxError, read_voc

_COLUMNS = ("file", "x0", "y0", "x1", "y1", "label")
_NAMED = 5
"""Files that are named for each reason; the rest is counted."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Located:
    """A picture that can be used.

    Attributes:
        path: of the picture.
        box: xyxy pixels.
        label: its class.
        look: difference hash, uint64 (2,), see `models.data.duplicates`.
    """

    path: Path
    box: Box
    label: str
    look: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot be used.

    Attributes:
        path: of the file that is wrong.
        reason: kind of fault, the same words for the same fault.
    """

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class LocatedPictures:
    """What a place holds.

    Attributes:
        pictures: that can be used, by name.
        refused: that cannot.
    """

    pictures: tuple[Located, ...]
    refused: tuple[Refused, ...]

    def words(self) -> list[str]:
        """Say what was left out, a line for each reason: "3 left out, cannot be decoded: a.jpg, b.jpg, c.jpg"."""
        lines = []
        for reason, count in Counter(each.reason for each in self.refused).most_common():
            names = [each.path.name for each in self.refused if each.reason == reason]
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            lines.append(f"{count} left out, {reason}: {', '.join(names[:_NAMED])}{more}")
        return lines


@dataclass(frozen=True, slots=True)
class Arrays:
    """What a net is trained with.

    Attributes:
        images: uint8 (N, H, W, 3) RGB, fitted as the device fits them.
        boxes: float32 (N, 4) xyxy in parts of the fitted picture.
        classes: int64 (N,).
    """

    images: U8
    boxes: F32
    classes: NDArray[np.int64]


def read_located(
    place: Path, labels: Sequence[str] = (), tick: Callable[[int, int], object] = lambda done, total: None
) -> LocatedPictures:
    """Read a folder or a table, and look into every picture.

    Args:
        place: a folder in Oxford-IIIT Pet layout, or a `.csv` file.
        labels: classes that are wanted; a picture of another is refused. None given: all.
        tick: called with the pictures seen so far, and all.

    Raises:
        ConfigError: no such place, or nothing in it that is of either layout.
    """
    offered = list(_from_table(place) if place.suffix.lower() == ".csv" else _from_folder(place))
    pictures: list[Located] = []
    refused: list[Refused] = []
    for number, entry in enumerate(offered, 1):
        found = entry if isinstance(entry, Refused) else _looked_into(*entry, labels)
        if isinstance(found, Located):
            pictures.append(found)
        else:
            refused.append(found)
        tick(number, len(offered))
    return LocatedPictures(tuple(pictures), tuple(refused))


def classes_of(pictures: Iterable[Located]) -> tuple[str, ...]:
    """Return the classes in alphabetical order.

    Raises:
        ConfigError: fewer than two.
    """
    names = tuple(sorted({picture.label for picture in pictures}))
    if len(names) < 2:
        raise ConfigError(
            f"classes: want at least two to tell apart, got {names[0] if names else 'no usable picture'}; add pictures"
        )
    return names


def to_arrays(
    pictures: Sequence[Located], labels: Sequence[str], size: int, how: Preprocess, mirror: bool = False
) -> Arrays:
    """Fit pictures into squares by the device's own preprocessing, and their boxes with them.

    Args:
        pictures: to fit.
        labels: of the classes, in the order of the net's columns.
        size: height and width, pixels.
        how: letterbox or stretch.
        mirror: True to swap left and right first, of pictures and boxes.

    Raises:
        SourceError: a picture was changed since it was listed.
    """
    fit = Preprocessor(
        TensorSpec(name="image", dtype="uint8", shape=(1, size, size, 3)),
        Preprocess(fit=how.fit, pad_value=how.pad_value),
    )
    images = np.empty((len(pictures), size, size, 3), np.uint8)
    boxes = np.empty((len(pictures), 4), np.float32)
    for row, picture in enumerate(pictures):
        pixels = read_picture(picture.path)
        x0, y0, x1, y1 = picture.box
        if mirror:
            width = pixels.shape[1]
            pixels, x0, x1 = np.ascontiguousarray(pixels[:, ::-1]), width - x1, width - x0
        tensor, (scale_x, scale_y) = fit.fit(pixels)
        images[row] = tensor[0]
        boxes[row] = np.array([x0, y0, x1, y1]) * (scale_x, scale_y, scale_x, scale_y) / size
    return Arrays(images, boxes, np.array([list(labels).index(p.label) for p in pictures], np.int64))


def _looked_into(path: Path, box: Box, label: str, labels: Sequence[str]) -> Located | Refused:
    """Decode one picture and hold its box and label against it."""
    if labels and label not in labels:
        return Refused(path, f"of class '{label}', which the recipe lacks")
    try:
        pixels = read_picture(path)
    except SourceError:
        return Refused(path, "cannot be decoded")
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        return Refused(path, "its box is not inside the picture")
    return Located(path, box, label, look(pixels))


def _from_folder(folder: Path) -> Iterator[tuple[Path, Box, str] | Refused]:
    """Offer the pictures of a folder in Oxford-IIIT Pet layout."""
    if not folder.is_dir():
        raise ConfigError(f"data {folder}: want a folder or a .csv file, got none; check the path")
    xmls = sorted(folder.glob("annotations/xmls/*.xml"))
    if not xmls:
        raise ConfigError(
            f"data {folder}: want images/ and annotations/xmls/*.xml, or a .csv file of lines "
            f"{','.join(_COLUMNS)}, got neither; check the path"
        )
    files = {file.stem: file for file in sorted(folder.glob("images/*")) if file.suffix.lower() in PICTURE_SUFFIXES}
    for xml in xmls:
        if xml.stem not in files:
            yield Refused(xml, "without a picture")
            continue
        try:
            boxes, names = read_voc(xml)
        except BoxError:
            yield Refused(xml, "its box is not inside the picture")
            continue
        except ConfigError:
            yield Refused(xml, "no Pascal VOC annotation")
            continue
        if len(names) != 1:
            yield Refused(xml, "not of one object alone")
            continue
        x0, y0, x1, y1 = (float(value) for value in boxes[0])
        yield files[xml.stem], (x0, y0, x1, y1), names[0]


def write_table(table: Path, pictures: Iterable[Located]) -> None:
    """Write a `.csv` that `read_located` reads."""
    with table.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(_COLUMNS)
        rows.writerows((picture.path.resolve(), *picture.box, picture.label) for picture in pictures)


def _from_table(table: Path) -> Iterator[tuple[Path, Box, str] | Refused]:
    """Offer the pictures of a table; a first line with the names of the columns is passed over."""
    try:
        rows = [row for row in csv.reader(read_table(table)) if row]
    except (OSError, LimitError, csv.Error) as error:
        raise ConfigError(f"data {table}: want a readable .csv file, got '{error}'; check the path") from error
    if rows and tuple(cell.strip() for cell in rows[0]) == _COLUMNS:
        rows = rows[1:]
    if not rows:
        raise ConfigError(f"data {table}: want lines {','.join(_COLUMNS)}, got none; add pictures")
    for number, row in enumerate(rows, 1):
        try:
            file, *corners, label = (cell.strip() for cell in row)
            x0, y0, x1, y1 = (float(value) for value in corners)
        except ValueError:
            yield Refused(Path(f"line {number}"), f"not of the form {','.join(_COLUMNS)}")
            continue
        yield table.parent / file, (x0, y0, x1, y1), label
