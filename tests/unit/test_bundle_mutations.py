"""Bundles with something changed and SHA256SUMS made right again: each loads, or ends in one `BundleError`.

Nothing else may come of any of them: no other exception, no warning, no second line. The changes are drawn from a
seed, so a failure names one that can be made again.
"""

import io
import json
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import MANIFEST_FILE, SUMS_FILE
from edge.errors import BundleError
from edge.model import Model, open_model
from edge.stages.classify import Classify, Localize
from edge.stages.detect import Detect
from edge.stages.embed import Embed
from tests.conftest import fake_bundle, seal
from tests.unit.test_compare import pair_bundle

TASKS = ("detect", "embed", "classify", "localize", "pair")
STAGES: dict[str, Callable[[Model], Any]] = {
    "detect": Detect, "embed": Embed, "classify": Classify, "localize": Localize,
}  # fmt: skip
ODD_NUMBERS = (-1, 0, 1, 2, 0.5, -0.0, 7, 255, 256, 2**31, -(2**63), 2**64, 10**40, 1e-300, 1e300, 1e400, 2**26)
ODD_TEXTS = ("", "x", "../model.json", "a/b", "\x1b[2J", "\u202e", "\n", "\ud800", "nan", "é" * 300, "SHA256SUMS", ".x")
ODD_VALUES = (None, True, False, [], {}, [[]], [1], [1, 2, 3], {"x": 1}, *ODD_NUMBERS, *ODD_TEXTS)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    made = {task: fake_bundle(folder, task).path for task in TASKS if task != "pair"}
    return made | {"pair": pair_bundle(folder, 6).path}


def open_or_refuse(path: Path, what: object) -> bool:
    """Open as the loop does; True = it loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with open_model(path, None, 1) as model:
                stage = STAGES.get(model.bundle.manifest.task)
                if stage is not None:
                    stage(model)
        except BundleError as error:
            text = str(error)
            assert "\n" not in text, what
            assert "\x1b" not in text, what
            assert len(text) < 2000, what
            return False
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value of a manifest."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def put(manifest: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        manifest = manifest[key]
    manifest[path[-1]] = value


@pytest.mark.parametrize("task", TASKS)
def test_a_changed_value_of_the_manifest_loads_or_is_one_sentence(
    originals: dict[str, Path], tmp_path: Path, task: str
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(originals[task], path)
    original = (path / MANIFEST_FILE).read_text()
    where, draw = list(places(json.loads(original))), random.Random(f"manifest {task}")
    for _ in range(120):
        manifest = json.loads(original)
        changes = [(draw.choice(where), draw.choice(ODD_VALUES)) for _ in range(draw.choice((1, 1, 2)))]
        for place, value in changes:
            try:
                put(manifest, place, value)
            except (KeyError, IndexError, TypeError):
                continue  # the first change took away the place of the second
        text = json.dumps(manifest).replace("Infinity", "1e400")
        (path / MANIFEST_FILE).write_bytes(text.encode())
        seal(path)
        open_or_refuse(path, changes)


@pytest.mark.parametrize("task", TASKS)
def test_a_manifest_that_is_no_json_is_one_sentence(originals: dict[str, Path], tmp_path: Path, task: str) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(originals[task], path)
    text = (path / MANIFEST_FILE).read_bytes()
    deep = b'{"format": 3, "name": ' + b"[" * 50_000
    for changed in (
        b"",
        b"null",
        b"[]",
        b"{}",
        text[:-9],
        b"\xff\xfe" + text,
        deep,
        text.replace(b"3", b"9" * 5000, 1),
    ):
        (path / MANIFEST_FILE).write_bytes(changed)
        seal(path)
        assert not open_or_refuse(path, changed[:40])


def mutate_array(value: np.ndarray, draw: random.Random) -> Any:
    """Change type, shape, range or content of an array."""
    kinds = (
        "int8",
        "uint8",
        "int32",
        "int64",
        "uint64",
        "float16",
        "float64",
        "complex64",
        "bool",
        "U3",
        "S3",
        "M8[s]",
    )
    number = draw.choice((np.nan, np.inf, -1, 2**40, 1e30))
    with np.errstate(all="ignore"):
        return draw.choice(
            (
                lambda: value.astype(np.float64).astype(draw.choice(kinds)),
                lambda: value.reshape(-1)[: draw.randrange(value.size)],
                lambda: value.reshape(value.shape[::-1]),
                lambda: value[None],
                lambda: np.array(5),
                lambda: value[:0],
                lambda: np.repeat(value, 3, axis=0),
                lambda: np.full(value.shape, number).astype(value.dtype),
                lambda: value[::-1].copy(),
                lambda: np.asfortranarray(value),
            )
        )()


@pytest.mark.parametrize("task", TASKS)
def test_a_changed_stored_answer_loads_or_is_one_sentence(
    originals: dict[str, Path], tmp_path: Path, task: str
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(originals[task], path)
    with np.load(path / "golden.npz") as held:
        original = {name: held[name] for name in held.files}
    draw = random.Random(f"golden {task}")
    for _ in range(60):
        arrays, name = dict(original), draw.choice(sorted(original))
        what = draw.choice(("change", "change", "change", "leave out", "add", "rename"))
        if what == "change":
            arrays[name] = mutate_array(arrays[name], draw)
        elif what in ("leave out", "rename"):
            value = arrays.pop(name)
            arrays |= {"values_9": value} if what == "rename" else {}
        else:
            arrays["extra"] = np.zeros(3)
        with (path / "golden.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        seal(path)
        loads = open_or_refuse(path, (what, name))
        assert not loads or what == "change", (what, name)


@pytest.mark.parametrize("task", TASKS)
def test_changed_bytes_and_cut_files_load_or_are_one_sentence(
    originals: dict[str, Path], tmp_path: Path, task: str
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(originals[task], path)
    draw = random.Random(f"bytes {task}")
    names = sorted(file.name for file in path.iterdir())
    for _ in range(60):
        name = draw.choice(names)
        data = original = (path / name).read_bytes()
        if draw.random() < 0.4:
            data = data[: draw.randrange(len(data))]
        else:
            changed = bytearray(data)
            for _ in range(draw.choice((1, 1, 4, 30))):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            data = bytes(changed)
        (path / name).write_bytes(data)
        if name != SUMS_FILE:
            seal(path)
        open_or_refuse(path, (name, len(data)))
        (path / name).write_bytes(original)
        seal(path)
    assert open_or_refuse(path, "as it was")


def test_pickled_objects_are_never_opened(originals: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(originals["embed"], path)
    packed = io.BytesIO()
    np.savez(packed, input_0=np.array([{"a": 1}], object))
    (path / "golden.npz").write_bytes(packed.getvalue())
    seal(path)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        open_model(path, None, 1)
