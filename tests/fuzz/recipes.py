"""Wrong recipes, and files cut while read: whatever comes, the answer is a result or one sentence of a known error.

    python -m tests.fuzz.recipes [--seed N] [--count N]

A case is made in a folder and run in this process, for a start of Python costs more than a hundred cases.
"""

import argparse
import functools
import gzip
import json
import os
import shutil
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from edge.errors import EdgeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Read = Callable[[Path], object]

CODES = (2, 3, 4)
"""Exit codes of a configuration, a model and a source: what a wrong file may end a command with."""

_HUGE = "9" * 5000
"""More digits than Python reads by default."""
_DEEP = "[" * 3000 + "]" * 3000
"""More levels than Python's recursion allows."""
_WRONG: tuple[str, ...] = (
    '""', '"x"', '"../../x"', '"/etc/x"', '"a\\u0000b"', '"~nobody/x"', "'" + "n" * 5000 + "'", "0", "-1", "-8", "1.5",
    "nan", "inf", "-inf", "1e400", "9223372036854775807", "9" * 100, _HUGE, "true", "[]", "{}", "[1]", "[-1, 0]",
    "[[[]]]", _DEEP, "1979-05-27", "07:32:00", '[{ kind = "x" }]', '[{ kind = 1 }]', "[{}]",
    "{ a = { b = { c = 1 } } }",
    '["x", "x"]', '{ name = "../x" }',
)  # fmt: skip
"""What is put in the place of a value."""
_PLACES = ("folder", "fifo", "nothing", "no right", "empty", "zeros", "utf-16", "deep keys", "large")


@dataclass(frozen=True)
class Case:
    """One wrong input.

    Attributes:
        name: what was done to what.
        place: of the file.
        read: what a command does with it.
    """

    name: str
    place: Path
    read: Read


def run_case(case: Case) -> str:
    """Run one case; return the traceback of what is no answer, "" if all is well."""
    try:
        case.read(case.place)
    except EdgeError as error:
        said = str(error)
        if error.exit_code not in CODES or "\n" in said or len(said) > 2000 or "Traceback" in said:
            return f"{case.name}: code {error.exit_code}, {said[:300]!r}"
    except Exception:  # noqa: BLE001 - anything else is what is looked for
        return f"{case.name}: {traceback.format_exc(limit=-4)}"
    return ""


def recipe_cases(folder: Path, seed: int, count: int) -> Iterator[Case]:
    """Yield wrong recipes: each is a file that was read before the next one is made.

    Args:
        folder: empty, to write into.
        seed: chooses.
        count: how many.
    """
    random, shipped = Random(seed), _shipped(folder)
    place = folder / "case.toml"
    for number in range(count):
        family, file, read = random.choice(shipped)
        _remove(place)
        if number % 8 == 0:
            how = random.choice(_PLACES)
            _put_odd(place, how, file)
        else:
            text, how = _mutated(file.read_text("utf-8"), random)
            place.write_text(text, "utf-8")
        yield Case(f"{family} {file.stem}: {how}", place, read)


def cut_cases(folder: Path, seed: int, count: int) -> Iterator[Case]:
    """Yield files that end too early or are changed in a few places.

    Args:
        folder: empty, to write into.
        seed: chooses.
        count: how many.
    """
    random = Random(seed)
    kinds = _whole_files(folder)
    for number in range(count):
        name, file, read = kinds[number % len(kinds)]
        whole = file.read_bytes()
        how = random.choice(("cut", "cut", "cut", "flipped", "zeros", "text"))
        if how == "cut":
            at = random.choice((0, 1, len(whole) // 2, len(whole) - 1, random.randrange(len(whole))))
            changed = whole[:at]
        elif how == "flipped":
            data = bytearray(whole)
            for _ in range(random.randint(1, 8)):
                data[random.randrange(len(data))] = random.randrange(256)
            changed = bytes(data)
        elif how == "zeros":
            at = random.randrange(len(whole))
            changed = whole[:at] + bytes(len(whole) - at)
        else:
            changed = random.choice((b"[]", b"{}", b"null", b"1", b'"x"', b'{"stamp": 1}', _DEEP.encode(), b"\xff\xfe"))
        file.write_bytes(changed)
        try:
            yield Case(f"{name}: {how}, {len(changed)} of {len(whole)} bytes", file, read)
        finally:
            file.write_bytes(whole)


def _shipped(folder: Path) -> list[tuple[str, Path, Read]]:
    """Return every shipped recipe with its family and its reader, and one of each starter."""
    from converters.recipe import RECIPES
    from converters.recipe import read_recipe as read_conversion
    from models.classify.ablation import read_ablation
    from models.classify.zoo import entries
    from models.localizer.recipe import LocalizerRecipe
    from models.siamese.heads import Head
    from models.siamese.mine import Rules
    from models.siamese.projection import Projection
    from models.training.recipe import find_recipes, read_recipe
    from models.workflow.kinds import KINDS
    from models.workflow.recipe import WorkflowRecipe, write_starter

    rules = folder / "rules.toml"
    rules.write_text("frames = [0, 600]\napart = 5\nper_track = 48\npairs = 2000\nheight_px = 32\ncovered = 0.3\n")
    readers: dict[str, Read] = {
        "zoo": lambda path: entries([str(path)]),
        "convnets": read_ablation,
        "localizer": lambda path: read_recipe(path, LocalizerRecipe),
        "siamese": lambda path: read_recipe(path, Projection),
        "pairs": lambda path: read_recipe(path, Head),
    }
    found = [(family, file, read) for family, read in readers.items() for file in find_recipes(family).values()]
    found += [("converters", file, read_conversion) for file in sorted(RECIPES.glob("*.toml"))]
    found.append(("mine", rules, lambda path: read_recipe(path, Rules)))
    for task in KINDS:
        file = folder / f"{task}.toml"
        write_starter(file, f"my-{task}", task, "data")
        found.append(("workflow", file, lambda path: read_recipe(path, WorkflowRecipe)))
    return found


def _mutated(text: str, random: Random) -> tuple[str, str]:
    """Change one value, leave one key out, or add one."""
    values = tomllib.loads(text)
    path = random.choice(list(_paths(values)))
    holder = functools.reduce(lambda inside, key: inside[key], path[:-1], values)
    action = random.choice(("value", "value", "value", "missing", "unknown", "renamed"))
    if action == "missing":
        del holder[path[-1]]
        return _toml(values), f"without {path}"
    if action == "value" or not isinstance(holder, dict):
        wrong = random.choice(_WRONG)
        holder[path[-1]] = _Raw(wrong)
        return _toml(values), f"{path} = {wrong[:40]}"
    if action == "unknown":
        holder[random.choice(("x", "a.b", "", "n\u202e", "k" * 3000))] = 1
        return _toml(values), f"unknown key beside {path}"
    holder[f"{path[-1]}s"] = holder.pop(path[-1])
    return _toml(values), f"{path} renamed"


@dataclass(frozen=True)
class _Raw:
    """A value as it is written."""

    text: str


def _paths(values: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Walk through all places of a table, those of inner tables and arrays too."""
    keys = list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    for key in keys:
        yield (*before, key)
        yield from _paths(values[key], (*before, key))


def _toml(values: dict[str, Any]) -> str:
    """Write a table, its inner tables in one line each."""
    return "".join(f"{json.dumps(key)} = {_written(value)}\n" for key, value in values.items())


def _written(value: Any) -> str:
    if isinstance(value, _Raw):
        return value.text
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_written(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)


def _put_odd(place: Path, how: str, shipped: Path) -> None:
    """Put something that is no recipe into its place."""
    if how == "folder":
        place.mkdir()
    elif how == "fifo":
        os.mkfifo(place)
    elif how == "no right":
        place.write_bytes(shipped.read_bytes())
        place.chmod(0)
    elif how != "nothing":
        contents = {
            "empty": b"",
            "zeros": bytes(100),
            "utf-16": shipped.read_text("utf-8").encode("utf-16"),
            "deep keys": ".".join("a" * 3000).encode() + b" = 1\n" + shipped.read_bytes(),
            "large": b"#" * 2_000_000,
        }
        place.write_bytes(contents[how])


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _whole_files(folder: Path) -> list[tuple[str, Path, Read]]:
    """Write one whole file of each kind that is read, and return how each is read."""
    return [*_data_files(folder / "data"), *_training_files(folder / "training"), *_weights_files(folder / "weights")]


def _data_files(folder: Path) -> list[tuple[str, Path, Read]]:
    from models.data.class_folders import read_class_folders
    from models.data.fashion_mnist import read_idx
    from models.data.localized import read_located
    from models.siamese.crops import read_crops, read_pictures
    from models.workflow.data import read_examples

    folder.mkdir()
    random = np.random.default_rng(0)
    numbers = random.normal(size=(40, 3)).astype(np.float32)
    np.savez(folder / "a.npz", x=numbers, y=np.arange(40) % 2)
    (folder / "a.csv").write_text("a,b,kind\n" + "".join(f"{n},{n * 2},{'xy'[n % 2]}\n" for n in range(40)))
    (folder / "a.gz").write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + bytes(range(9)), mtime=0))
    pictures = random.integers(0, 255, (6, 40, 40, 3)).astype(np.uint8)
    for place, name in enumerate(("c/cat/0.png", "c/cat/1.png", "c/dog/0.jpg", "c/dog/1.png", "v/images/0.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), pictures[place])
    sides = "<xmin>3</xmin><ymin>3</ymin><xmax>30</xmax><ymax>30</ymax>"
    xml = folder / "v/annotations/xmls/0.xml"
    xml.parent.mkdir(parents=True)
    xml.write_text(
        '<?xml version="1.0" encoding="utf-8"?><annotation><size><width>40</width><height>40</height></size>'
        f"<object><name>cat</name><bndbox>{sides}</bndbox></object></annotation>"
    )
    (folder / "boxes.csv").write_text("file,x0,y0,x1,y1,label\nv/images/0.png,3,3,30,30,cat\n")
    classes = folder / "c"
    return [
        ("npz", folder / "a.npz", lambda path: read_examples(str(path), "binary", 32)),
        ("csv", folder / "a.csv", lambda path: read_examples(str(path), "binary", 32)),
        ("idx", folder / "a.gz", read_idx),
        ("picture", classes / "cat/0.png", lambda _: read_class_folders(classes, 16, "rgb")),
        ("picture", classes / "dog/0.jpg", lambda _: read_pictures(read_crops(classes), (32, 32))),
        ("voc", xml, lambda _: read_located(folder / "v")),
        ("boxes", folder / "boxes.csv", read_located),
    ]


def _training_files(folder: Path) -> list[tuple[str, Path, Read]]:
    import keras

    from models.training.archive import finished
    from models.training.recipe import read_recipe
    from models.training.run import STATE_FILE, Job, read_result, train, work_folder
    from models.workflow.recipe import WorkflowRecipe, write_starter
    from models.workflow.steps import open_case, read_verdict, take_step

    folder.mkdir()
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    y = (x[:, :1] > 0).astype(np.float32)

    def build() -> keras.Model:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy")
        return model

    def batches(_: int) -> Any:
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)

    job = Job("whole", "", "m", build, batches, (x, y), epochs=1, folder=folder)
    result = train(job)
    state = work_folder(job.path)
    state.mkdir()
    model = build()
    model.save_weights(state / "epoch-0000.weights.h5")
    (state / STATE_FILE).write_text(
        json.dumps({"stamp": job.stamp, "epoch": 1, "weights": "epoch-0000.weights.h5", "best": 0.5, "best_epoch": 0,
                    "best_weights": "epoch-0000.weights.h5", "history": {"loss": [1.0], "val_loss": [1.0]}})
    )  # fmt: skip
    kept = {path: path.read_bytes() for path in sorted(state.iterdir()) if path.name != "lock"}

    def resumed(path: Path) -> object:
        changed = path.read_bytes()
        for place in (job.path, job.path.with_name("whole.zip")):
            _remove(place)
        state.mkdir(exist_ok=True)
        for other, content in kept.items():
            other.write_bytes(changed if other == path else content)
        try:
            return train(job)
        finally:
            train_again()

    def train_again() -> None:
        shutil.rmtree(state, ignore_errors=True)
        train(job)
        state.mkdir(exist_ok=True)
        for other, content in kept.items():
            other.write_bytes(content)

    data = folder / "a.csv"
    data.write_text("a,b,kind\n" + "".join(f"{n},{n * 2},{'xy'[n % 2]}\n" for n in range(60)))
    recipe = folder / "w.toml"
    write_starter(recipe, "w", "binary", str(data))
    case = open_case(read_recipe(recipe, WorkflowRecipe), "", folder / "work", folder)
    take_step("split", case)
    take_step("vectorise", case)
    return [
        ("archive", job.path.with_name("whole.zip"), lambda _: finished(job.path, job.stamp)),
        ("history", result.path / "history.json", lambda _: read_result(result.path)),
        ("figures", result.path / "figures.json", lambda _: read_result(result.path)),
        ("model", result.path / "model.keras", lambda _: read_result(result.path).load()),
        ("state", state / STATE_FILE, resumed),
        ("weights of an epoch", state / "epoch-0000.weights.h5", resumed),
        ("verdict", case.folder / "split.json", lambda _: read_verdict("split", case)),
        ("split", case.folder / "split.npz", lambda _: case.part("eval")),
        ("scaling", case.folder / "scaling.npz", lambda _: case.scaling()),
    ]


def _weights_files(folder: Path) -> list[tuple[str, Path, Read]]:
    import keras

    from converters.modelfile import read_model_file
    from converters.report import read_record
    from converters.stamp import note_refusal, refusal
    from models.tfjs import read_tfjs
    from models.torchfile import read_state_dict

    folder.mkdir()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    entry = {"name": "w", "shape": [4], "dtype": "float32"}
    (folder / "w.json").write_text(json.dumps({"weightsManifest": [{"paths": ["w.bin"], "weights": [entry]}]}))
    (folder / "w.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (folder / "record.json").write_text("{}")
    (folder / "w.pt").write_bytes(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
    note_refusal(folder, "a", "stamp", "too far")
    return [
        (".keras", folder / "m.keras", read_model_file),
        (".h5", folder / "m.h5", read_model_file),
        ("tfjs", folder / "w.json", read_tfjs),
        ("tfjs weights", folder / "w.bin", lambda _: read_tfjs(folder / "w.json")),
        ("torch", folder / "w.pt", read_state_dict),
        ("record", folder / "record.json", lambda _: read_record(folder)),
        ("refusal", next(path for path in folder.rglob("a.txt")), lambda _: refusal(folder, "a", "stamp")),
    ]


def failures(seed: int, recipes: int, cuts: int) -> list[str]:
    """Run so many wrong recipes and cut files; return what was no answer."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        for name, cases, count in (("recipes", recipe_cases, recipes), ("cuts", cut_cases, cuts)):
            folder = Path(place) / name
            folder.mkdir()
            found += [said for case in cases(folder, seed, count) if (said := run_case(case))]
    return found


def main() -> int:
    """Run and print what was found; return 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=800, help="of wrong recipes; half as many files are cut")
    options = parser.parse_args()
    found = failures(options.seed, options.count, options.count // 2)
    print("\n".join(found))
    print(f"{options.count} recipes, {options.count // 2} files: {len(found)} without a sentence", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
