"""Keras files and SavedModels, given to `python -m converters inspect`."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from tests.fuzz.archives import bomb, member, mutate_zip, read_zip, write_zip
from tests.fuzz.case import Attempt
from tests.fuzz.mutate import (
    STRINGS,
    Change,
    Pairs,
    dump_message,
    dump_tree,
    mutate_bytes,
    mutate_message,
    mutate_text,
    mutate_tree,
    parse_message,
    parse_tree,
)
from tests.fuzz.odd import SHARE, replace_by_odd

FORKED = False
FORMS = {"three.keras": 28, "three.h5": 14, "two.keras": 10, "two.h5": 18, "two_saved": 18, "exported": 12}
"""Named after the files of `originals.KERAS`."""

_SHAPES = ([None, 2**20, 2**20, 3], [2**40], [], [None, -1, 0, 3])
_SIZES = {
    "units": (10**9, 10**6, 0, -1),
    "filters": (10**9, 100_000, 0),
    "kernel_size": ([30_000, 30_000], [0, 0], [-1, 3]),
    "strides": ([0, 0], [2**31, 2**31], [-1, -1]),
    "batch_shape": _SHAPES,
    "batch_input_shape": _SHAPES,
    "depth_multiplier": (10**9, 0, -1),
    "axis": (10**9, -(10**9), [3, 3]),
    "scale": (1e308, float("nan"), "x"),
    "padding": ("causal", "\x1b[2J", 7),
    "class_name": ("Lambda", "TFOpLambda", "Dense", "LSTM", "MultiHeadAttention", "InputLayer", "Functional", "None"),
    "name": STRINGS,
    "activation": ("linear", "os.system", {}, 5),
    "dtype": ("float8", "complex64", "string", 5),
}
"""Values for keys of a configuration that decide how much memory a model takes, or what runs."""


def whole(form: str, originals: Path, folder: Path) -> Attempt:
    """Put a whole file into a folder."""
    source, path = originals / "keras" / form, folder / form
    if source.is_dir():
        shutil.copytree(source, path)
    else:
        shutil.copy(source, path)
    return Attempt(form, "converters", ("inspect", str(path)))


def mutated(form: str, originals: Path, folder: Path, random: Random) -> Attempt:
    """Change its configuration, its weights, or what holds them."""
    attempt = whole(form, originals, folder)
    path = folder / form
    if path.is_dir():
        words = _mutate_saved(path, random)
    elif random.random() < SHARE:
        words = replace_by_odd(path, random)
    else:
        change = _mutate_keras if path.suffix == ".keras" else mutate_h5
        data, words = change(path.read_bytes(), random)
        path.write_bytes(data)
    return Attempt(form, attempt.entry, attempt.arguments, words)


def mutate_config(text: str | bytes, random: Random) -> Change:
    """Change JSON that describes layers."""
    if random.random() < 0.06:
        return mutate_text(text if isinstance(text, str) else text.decode(), random).encode(
            "utf-8", "replace"
        ), "as text"
    tree = parse_tree(text)
    said = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        slots = [pair for pair in _pairs(tree) if pair[0] in _SIZES]
        if random.random() < 0.45 and slots:
            pair = random.choice(slots)
            pair[1] = parse_tree(json.dumps(random.choice(_SIZES[pair[0]])))
            said.append(f"{pair[0]} = {ascii(pair[1])[:40]}")
        else:
            said.append(mutate_tree(tree, random))
    return dump_tree(tree).encode("utf-8", "surrogatepass"), ", ".join(said)


def _pairs(tree: Any) -> list[Any]:
    """Return all [key, value] of all objects inside."""
    found = []
    todo = [tree]
    while todo:
        part = todo.pop()
        if isinstance(part, Pairs):
            found += part
            todo += [value for _, value in part]
        elif isinstance(part, list):
            todo += part
    return found


def _mutate_keras(data: bytes, random: Random) -> Change:
    what = random.choices(("config", "metadata", "weights", "zip", "bomb"), (48, 10, 20, 16, 6))[0]
    if what == "zip":
        return mutate_zip(data, random)
    members = {one.name: one for one in read_zip(data)}
    name = {"config": "config.json", "metadata": "metadata.json"}.get(what, "model.weights.h5")
    content = _unpacked(data, name)
    if what == "bomb":
        name = random.choice(sorted(members))
        members[name] = bomb(name, _unpacked(data, name) if random.random() < 0.7 else b"")
        words = "a bomb of zeros"
    else:
        content, words = (mutate_h5 if what == "weights" else mutate_config)(content, random)
        members[name] = member(name, content)
    return write_zip(list(members.values())), f"{name}: {words}"


def _unpacked(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name)


def mutate_h5(data: bytes, random: Random) -> Change:
    """Change bytes of an HDF5 file, its attributes, or its datasets."""
    if random.random() < 0.4:
        return mutate_bytes(data, random)
    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        config = file.attrs.get("model_config")
        if config is not None and random.random() < 0.7:
            text, words = mutate_config(config, random)
            words = f"model_config: {words}"
            _set_attribute(file, "model_config", text)
        else:
            words = _mutate_group(file, random)
    return held.getvalue(), words


def _set_attribute(group: Any, name: str, text: bytes) -> None:
    """Write a text; what is longer than an attribute may be stands in a string of variable length."""
    del group.attrs[name]
    group.attrs.create(name, text.replace(b"\0", b""), dtype=h5py.string_dtype("utf-8"))


def _mutate_group(file: Any, random: Random) -> str:
    """Change an attribute or a dataset anywhere in the file."""
    names: list[str] = []
    file.visit(names.append)
    datasets = [name for name in names if isinstance(file[name], h5py.Dataset)]
    holders = [name for name in ("/", *names) if len(file[name].attrs)]
    what = random.choice(
        ("attribute", "huge", "huge", "shape", "type", "gone", "link", "external", "values", "renamed")
    )
    if what == "attribute" and holders:
        holder = file[random.choice(holders)]
        name = random.choice(sorted(holder.attrs))
        new = random.choice((5, b"", "\x1b[1m", np.zeros(9), np.array([b"x" * 50] * 500), np.array([b"../a", b"\xff"])))
        del holder.attrs[name]
        if random.random() < 0.7:
            holder.attrs[name] = new
        return f"attribute {name} -> {ascii(new)[:40]}"
    if not datasets:
        return "nothing"
    name = random.choice(datasets)
    old = file[name][()]
    del file[name]
    if what == "huge":
        shape = random.choice(((30_000, 30_000), (2**40,), (400_000_000,), (*old.shape, 100_000_000)))
        file.create_dataset(name, shape, "f4", chunks=tuple(min(n, 64) for n in shape), compression="gzip")
    elif what == "shape":
        file[name] = np.zeros(random.choice(((), (0,), (1, 1, 1, 1, 1, 1, 1), (*old.shape, 2))), np.float32)
    elif what == "type":
        file[name] = np.zeros(old.shape, random.choice(("i1", "S8", "c16", "f2", "i4,f4")))
    elif what == "link":
        file[name] = random.choice((h5py.SoftLink("/"), h5py.SoftLink(name), h5py.ExternalLink("/etc/passwd", "/x")))
    elif what == "external":
        file.create_dataset(name, (50,), "f4", external=[("/etc/passwd", 0, 200)])
    elif what == "values":
        file[name] = np.full(old.shape, random.choice((float("nan"), float("inf"), 1e38)), np.float32)
    elif what == "renamed":
        file[f"{name}_other"] = old
    return f"{name}: {what}"


def _mutate_saved(path: Path, random: Random) -> str:
    """Change one file of a SavedModel."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    notes = path / "keras_metadata.pb"
    graph = path / "saved_model.pb"
    file = random.choices((graph, notes if notes.exists() else graph, random.choice(files)), (50, 30, 20))[0]
    name = file.relative_to(path)
    if random.random() < SHARE:
        return replace_by_odd(file, random)
    if file == notes and random.random() < 0.6:
        data, words = _mutate_notes(file.read_bytes(), random)
    elif file in (graph, notes) and random.random() < 0.75:
        data, words = mutate_message(file.read_bytes(), random)
    else:
        data, words = mutate_bytes(file.read_bytes(), random)
    file.write_bytes(data)
    return f"{name}: {words}"


def _mutate_notes(data: bytes, random: Random) -> Change:
    """Change the configuration in one node of Keras 2's notes."""
    nodes = parse_message(data) or []
    places = []
    for number, (_, kind, value) in enumerate(nodes):
        for inner, (_, _, text) in enumerate(parse_message(value) or [] if kind == 2 else []):
            if isinstance(text, bytes) and text[:1] == b"{":
                places.append((number, inner))
    if not places:
        return mutate_bytes(data, random)
    number, inner = random.choice(places)
    fields = parse_message(nodes[number][2]) or []
    text, words = mutate_config(fields[inner][2], random)
    fields[inner] = (*fields[inner][:2], text)
    nodes[number] = (*nodes[number][:2], dump_message(fields))
    return dump_message(nodes), f"node {number}: {words}"
