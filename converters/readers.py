"""Folders, videos and .npz files -> `Examples`.

Which layout a folder has is told by what is in it:

picture.jpg ...                     pictures without truth
<class>/picture.jpg ...             classifier: a folder for each class; embedder: one for each individual
YES/<pair>/a.jpg b.jpg, NO/...      pairs of the same and of different individuals
gt.txt or gt/gt.txt, img1/ or a film      MOT layout, for a detector of people
images/*.jpg, annotations/xmls/*.xml      VOC and Oxford-IIIT Pet layout, for detectors and localizers
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.examples import (
    VIDEO_SUFFIXES,
    ArrayExamples,
    Examples,
    PictureExamples,
    Sight,
    Truth,
    cut,
    frame_count,
    pixel_hash,
    read_arrays,
)
from converters.recipe import Pictures, Recipe
from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError
from edge.limits import read_table
from edge.preprocess import is_picture
from edge.sources.pictures import PICTURE_SUFFIXES
from models.data.localized import read_located
from models.data.voc import read_voc

_CROP_SIDES = (0.3, 0.9)
"""Height of a random crop, in parts of the picture's: from a person far away to one close by."""
_CROP_SHAPES = (0.35, 1.2)
"""Width over height of a random crop: from a standing person to a horse's head."""
_TRUTH_KEYS = ("y", "labels", "truth")
_NOT_JUDGED = -1


def take_examples(
    places: Sequence[tuple[Path, Pictures]],
    specs: Sequence[TensorSpec],
    recipe: Recipe,
    without: Collection[str] = (),
) -> Examples:
    """Take the examples that a recipe counts, none of them twice, chosen by its seeds.

    Args:
        places: where they are, and how many are wanted of each.
        specs: the model's inputs.
        recipe: says how pictures become tensors.
        without: sha256 of pictures that must not be taken.

    Raises:
        ConfigError: nothing there, too few, or one that cannot be read.
    """
    if len(places) == 1 and places[0][0].suffix == ".npz":
        path, wanted = places[0]
        whole = read_arrays_as_examples(path, specs, recipe)
        return spread(whole, _most(wanted, len(whole)), wanted.seed, without)
    how = _picture_inputs(specs, recipe)
    if recipe.task == "pair" and len(places) == 1 and (places[0][0] / "YES").is_dir():
        path, wanted = places[0]
        pairs, truth = _pairs(path)
        every = PictureExamples(tuple(specs), how, pairs, f"pairs of {path.name}", truth)
        return spread(every, _most(wanted, len(every)), wanted.seed, without)
    seen, words = set(without), []
    sights: list[tuple[Sight, ...]] = []
    for path, wanted in places:
        taken = _take(path, wanted, seen)
        seen.update(sight.sha256 for sight in taken)
        words.append(f"{len(taken)} of {Path(wanted.source).name}")
        random = np.random.default_rng(wanted.seed)
        for sight in taken:
            if recipe.task == "embed":
                sights += [(_random_part(sight, random),) for _ in range(wanted.crops)]
            else:
                sights.append(_with_others(sight, taken, len(specs)))
    return PictureExamples(tuple(specs), how, sights, f"pictures: {', '.join(words)}")


def read_examples(path: Path, specs: Sequence[TensorSpec], recipe: Recipe, labels: Sequence[str]) -> Examples:
    """Read all examples of a place, with what is known to be right of them.

    Args:
        path: folder, picture, video or .npz file.
        specs: the model's inputs.
        recipe: says how pictures become tensors, and the task.
        labels: of the model's classes.

    Raises:
        ConfigError: nothing that fits the task is there, or something in it cannot be read; the message says what
            was looked for.
    """
    if not path.exists():
        raise ConfigError(f"data {path}: want a folder, picture, video or .npz file, got no such file; check the path")
    if path.suffix == ".npz":
        return read_arrays_as_examples(path, specs, recipe)
    how = _picture_inputs(specs, recipe)
    readers: dict[str, Callable[[Path], tuple[list[tuple[Sight, ...]], Truth | None]]] = {
        "detect": lambda folder: _boxes(folder, labels),
        "pair": _pairs,
        "classify": lambda folder: _classes(folder, labels),
        "embed": lambda folder: _classes(folder, ()),
    }
    sights: list[tuple[Sight, ...]] = []
    truth: Truth | None = None
    left_out: list[str] = []
    if recipe.task == "localize" and (path.is_dir() or path.suffix.lower() == ".csv"):
        sights, truth, left_out = _localized(path, labels)
    elif path.is_dir() and recipe.task in readers:
        sights, truth = readers[recipe.task](path)
    if not sights and recipe.task != "pair":
        if len(specs) > 1:
            raise ConfigError(
                f"data {path}: want an .npz file for a model of {len(specs)} pictures, got none; save one"
            )
        sights = [(sight,) for sight in _all_sights(path, "**/*")]
    if not sights:
        raise ConfigError(f"data {path}: want folders YES and NO with a folder for each pair, got none; see --help")
    words = "; ".join([f"{len(sights)} of {path.name}", *left_out])
    return PictureExamples(tuple(specs), how, sights, words, truth)


def read_arrays_as_examples(path: Path, specs: Sequence[TensorSpec], recipe: Recipe) -> ArrayExamples:
    """Read an .npz file with an array for each input, by name; one nameless array will do for one input.

    Raises:
        ConfigError: an array is missing, of another shape or type, or its values cannot be the input's.
    """
    arrays = read_arrays(path)
    bare = [name for name in arrays if name not in _TRUTH_KEYS]
    keys = tuple(spec.name for spec in specs)
    if len(specs) == 1 and keys[0] not in arrays and len(bare) == 1:
        keys = (bare[0],)
    if missing := [key for key in keys if key not in arrays]:
        raise ConfigError(
            f"data {path}: want an array for each input, {', '.join(spec.name for spec in specs)}, got "
            f"{', '.join(sorted(arrays)) or 'none'}; save {', '.join(missing)} too"
        )
    counts = {_length(arrays[key]) for key in keys}
    if len(counts) != 1:
        raise ConfigError(f"data {path}: want as many examples of each input, got {sorted(counts)}; save it so")
    count = counts.pop()
    for key, spec in zip(keys, specs, strict=True):
        _check_array(path, key, arrays[key], spec, count)
    truth = next(
        (Truth(classes=_class_numbers(path, arrays[key], count)) for key in _TRUTH_KEYS if key in arrays), None
    )
    return ArrayExamples(tuple(specs), path, keys, tuple(range(count)), f"{count} rows of {path.name}", truth)


def _most(wanted: Pictures, offered: int) -> int:
    """Return how many of those that are there may be taken."""
    return min(wanted.count, max(1, int(wanted.share * offered)))


def _with_others(sight: Sight, taken: Sequence[Sight], inputs: int) -> tuple[Sight, ...]:
    """Give a model of several pictures those that come next, too."""
    first = taken.index(sight)
    return tuple(taken[(first + place) % len(taken)] for place in range(inputs))


def spread(examples: Examples, count: int, seed: int, without: Collection[str] = ()) -> Examples:
    """Choose some examples by a seed, leaving out those that were used, and duplicates."""
    seen = set(without)
    rows: list[int] = []
    for row in np.random.default_rng(seed).permutation(len(examples)).tolist():
        if len(rows) == count:
            break
        sha256 = examples.sha256(row)
        if sha256 not in seen:
            seen.add(sha256)
            rows.append(row)
    return examples.part(rows, f"{len(rows)} of {examples.words}")


def _picture_inputs(specs: Sequence[TensorSpec], recipe: Recipe) -> Preprocess:
    how = recipe.preprocess
    if how is None or not all(is_picture(spec, how) for spec in specs):
        shapes = ", ".join(f"{spec.name} {spec.shape}" for spec in specs)
        raise ConfigError(f"data: want an .npz file, as the inputs {shapes} are no pictures; save one with numpy.savez")
    return how


def _check_array(path: Path, key: str, values: NDArray[Any], spec: TensorSpec, count: int) -> None:
    """Refuse what cannot be the input's values."""
    got, want = ([n for n in shape[1:] if n != 1] for shape in (values.shape, spec.shape))
    if not count or got != want:
        raise ConfigError(
            f"data {path}: want '{key}' as N examples of shape {spec.shape[1:]}, got {values.shape}; save it so"
        )
    if values.dtype.kind not in "fiub":
        raise ConfigError(f"data {path}: want numbers in '{key}', got {values.dtype}; save it again")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ConfigError(f"data {path}: want finite numbers in '{key}', got NaN or infinity; clean the data")
    if spec.dtype != "uint8":
        return
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and high <= 1.0:
        raise ConfigError(
            f"data {path}: want '{key}' in the scale of pixels, 0..255, got {low:g}..{high:g}: the wrong scale; "
            "save the pixels themselves, and give --std 255 if the model wants 0..1"
        )
    if low < 0 or high > 255 or (values.dtype.kind == "f" and bool((values != np.round(values)).any())):
        raise ConfigError(
            f"data {path}: want whole pixels of 0..255 in '{key}', got {low:g}..{high:g}: the wrong scale; save the "
            "pixels themselves and say with --mean and --std what the model wants, or take --input float32"
        )


def _class_numbers(path: Path, values: NDArray[np.generic], count: int) -> NDArray[np.int64]:
    if _length(values) < count:
        raise ConfigError(f"data {path}: want {count} labels, got {_length(values)}; save one for each example")
    one_hot = values.ndim == 2 and values.shape[1] > 1
    single = values.size == len(values)
    if values.dtype.kind not in "fiub" or not np.isfinite(values).all() or not (one_hot or single):
        raise ConfigError(
            f"data {path}: want a class number for each example, or a row with 1 at its class, got "
            f"{values.dtype} {values.shape}; save it so"
        )
    numbers = values.argmax(axis=1) if one_hot else values.reshape(-1)
    return numbers[:count].astype(np.int64)


def _length(values: NDArray[Any]) -> int:
    """Return how many rows an array has; a single number has none."""
    return len(values) if values.ndim else 0


def _all_sights(path: Path, pattern: str) -> list[Sight]:
    """List all pictures and all frames of all videos of a place, by name."""
    sights = []
    for file in files_of(path, pattern):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            sights += [Sight(file, frame) for frame in range(frame_count(file))]
        else:
            sights.append(Sight(file))
    return sights


def files_of(path: Path, pattern: str = "**/*") -> list[Path]:
    """List the pictures and videos of a place, by name.

    Raises:
        ConfigError: no such place, or nothing in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"pictures {path}: want a folder, picture or video, got no such file; check the path")
    suffixes = PICTURE_SUFFIXES | VIDEO_SUFFIXES
    files = sorted(file for file in path.glob(pattern) if file.is_file() and file.suffix.lower() in suffixes)
    if not files:
        raise ConfigError(f"pictures {path}: want at least one picture like '{pattern}', got none; add some")
    return files


def _take(path: Path, wanted: Pictures, seen: Collection[str]) -> list[Sight]:
    """Choose different pictures by the seed: of a video, from evenly spread frames, two for each that is wanted."""
    offered: list[Sight] = []
    for file in files_of(path, wanted.pattern):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            total = frame_count(file)
            spread_out = sorted(set(np.linspace(0, total - 1, min(total, 2 * wanted.count)).astype(int).tolist()))
            offered += [Sight(file, frame) for frame in spread_out]
        else:
            offered.append(Sight(file))
    used = set(seen)
    most = _most(wanted, len(offered))
    chosen: list[Sight] = []
    for row in np.random.default_rng(wanted.seed).permutation(len(offered)).tolist():
        if len(chosen) == most:
            break
        sight = offered[row]
        sha256 = pixel_hash(sight)
        if sha256 not in used:
            used.add(sha256)
            chosen.append(Sight(sight.path, sight.frame, None, sha256))
    if len(chosen) < wanted.count and not wanted.at_most:
        raise ConfigError(
            f"pictures {path}: want {wanted.count} different ones like '{wanted.pattern}' that are not used for "
            f"calibration, got {len(chosen)}; add pictures or lower the count"
        )
    # in the order of the place, so that a video is read forwards
    return sorted(chosen, key=lambda sight: (str(sight.path), sight.frame))


def _random_part(sight: Sight, random: np.random.Generator) -> Sight:
    """Choose a part of the picture as a detector might."""
    rows, columns = cut(sight).shape[:2]
    height = random.uniform(*_CROP_SIDES) * rows
    width = min(height * random.uniform(*_CROP_SHAPES), columns)
    left, top = random.uniform(0, columns - width), random.uniform(0, rows - height)
    whole = Sight(sight.path, sight.frame, (left, top, left + width, top + height))
    return Sight(whole.path, whole.frame, whole.box, pixel_hash(whole), sight.sha256)


def _classes(folder: Path, labels: Sequence[str]) -> tuple[list[tuple[Sight, ...]], Truth | None]:
    """Read a folder for each class; no truth where pictures lie directly in the folder."""
    subfolders = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not subfolders:
        return [], None
    names = list(labels) or [child.name for child in subfolders]
    if strangers := [child.name for child in subfolders if child.name not in names]:
        raise ConfigError(
            f"data {folder}: want folders named after the model's classes, {', '.join(names[:12])}, got "
            f"'{strangers[0]}'; rename it or give the right --labels"
        )
    if len(subfolders) < 2:
        raise ConfigError(f"data {folder}: want at least two classes, got one, '{subfolders[0].name}'; add another")
    sights: list[tuple[Sight, ...]] = []
    classes: list[int] = []
    for child in subfolders:
        files = sorted(file for file in child.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
        if not files:
            raise ConfigError(f"data {child}: want pictures in every class folder, got none; add some or remove it")
        sights += [(Sight(file),) for file in files]
        classes += [names.index(child.name)] * len(files)
    return sights, Truth(classes=np.array(classes, np.int64), names=tuple(names))


def _pairs(folder: Path) -> tuple[list[tuple[Sight, ...]], Truth | None]:
    """Read pairs of pictures from YES and NO: a folder for each pair, or two neighbours by name."""
    sights: list[tuple[Sight, ...]] = []
    classes: list[int] = []
    for answer, name in ((1, "YES"), (0, "NO")):
        place = folder / name
        if not place.is_dir():
            return [], None
        parts = sorted(child for child in place.iterdir() if child.is_dir())
        groups = [sorted(f for f in part.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES) for part in parts]
        alone = sorted(f for f in place.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES)
        groups += [alone[row : row + 2] for row in range(0, len(alone), 2)]
        for group in groups:
            if len(group) != 2:
                raise ConfigError(f"data {place}: want two pictures for each pair, got {len(group)} in one; correct it")
            sights.append((Sight(group[0]), Sight(group[1])))
            classes.append(answer)
    if len(set(classes)) < 2:
        raise ConfigError(f"data {folder}: want pairs in YES and in NO, got one of them empty; add some")
    return sights, Truth(classes=np.array(classes, np.int64), names=("different", "same"))


def _boxes(folder: Path, labels: Sequence[str]) -> tuple[list[tuple[Sight, ...]], Truth | None]:
    """Read a detector's truth in MOT or VOC layout."""
    table = next((file for file in (folder / "gt.txt", folder / "gt" / "gt.txt") if file.is_file()), None)
    if table is not None:
        return _mot(folder, table, labels)
    if list(folder.glob("annotations/xmls/*.xml")):
        return _voc(folder, labels)
    return [], None


def _mot(folder: Path, table: Path, labels: Sequence[str]) -> tuple[list[tuple[Sight, ...]], Truth]:
    """Read MOTChallenge rows: frame from 1, id, left, top, width, height, confidence; 0 = neither wanted nor wrong."""
    if "person" not in labels:
        raise ConfigError(
            f"data {folder}: want a model with a class 'person' for the MOT layout, got none; see --labels"
        )
    try:
        rows = np.loadtxt(read_table(table), delimiter=",", ndmin=2, dtype=np.float64)[:, :7]
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(
            f"data {table}: want rows of numbers in MOT layout, got '{error}'; correct the file"
        ) from error
    if (folder / "img1").is_dir():
        sights: list[tuple[Sight, ...]] = [(Sight(file),) for file in files_of(folder / "img1", "*")]
    else:
        films = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in VIDEO_SUFFIXES]
        if len(films) != 1:
            raise ConfigError(f"data {folder}: want img1/ or exactly one film beside gt.txt, got {len(films)}; put one")
        sights = [(Sight(films[0], frame),) for frame in range(frame_count(films[0]))]
    boxes, classes = [], []
    for frame in range(1, len(sights) + 1):
        here = rows[rows[:, 0] == frame]
        boxes.append(np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1).astype(np.float32))
        classes.append(np.where(here[:, 6] == 0, _NOT_JUDGED, list(labels).index("person")).astype(np.int64))
    return sights, Truth(boxes=tuple(boxes), box_classes=tuple(classes), names=tuple(labels))


def _localized(place: Path, labels: Sequence[str]) -> tuple[list[tuple[Sight, ...]], Truth | None, list[str]]:
    """Read one box and one class for each picture, as training reads them; what cannot be used is named."""
    if place.is_dir() and not list(place.glob("annotations/xmls/*.xml")):
        return [], None, []
    found = read_located(place, labels)
    if not found.pictures:
        raise ConfigError(f"data {place}: want pictures with a box and a class, got none; {'; '.join(found.words())}")
    names = list(labels) or sorted({picture.label for picture in found.pictures})
    classes = np.array([names.index(picture.label) for picture in found.pictures], np.int64)
    boxes = tuple(np.array([picture.box], np.float32) for picture in found.pictures)
    sights: list[tuple[Sight, ...]] = [(Sight(picture.path),) for picture in found.pictures]
    return sights, Truth(classes=classes, boxes=boxes, names=tuple(names)), found.words()


def _voc(folder: Path, labels: Sequence[str]) -> tuple[list[tuple[Sight, ...]], Truth]:
    """Read Pascal VOC annotations: annotations/xmls/<name>.xml beside images/<name>.jpg."""
    pictures = {file.stem: file for file in files_of(folder / "images", "*")}
    found: list[tuple[Sight, NDArray[np.float32], list[str]]] = []
    for xml in sorted(folder.glob("annotations/xmls/*.xml")):
        if xml.stem not in pictures:
            raise ConfigError(f"data {xml}: want its picture in images/, got none; add it or remove the xml")
        found.append((Sight(pictures[xml.stem]), *read_voc(xml)))
    names = list(labels) or sorted({name for _, _, each in found for name in each})
    for sight, _, each in found:
        if strangers := [name for name in each if name not in names]:
            raise ConfigError(
                f"data {sight.name}: want classes of the model, {', '.join(names[:12])}, got '{strangers[0]}'; "
                "give the right --labels"
            )
    truth = Truth(
        boxes=tuple(boxes for _, boxes, _ in found),
        box_classes=tuple(np.array([names.index(name) for name in each], np.int64) for _, _, each in found),
        names=tuple(names),
    )
    sights: list[tuple[Sight, ...]] = [(sight,) for sight, _, _ in found]
    return sights, truth
