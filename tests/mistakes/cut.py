"""Files that become shorter, other ones or none between the moment they are opened and the moment they are read."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import edge.bundle.files
import edge.bundle.install
import edge.limits
import edge.sources.capture
from edge.cli import main_edge, main_run
from edge.sources.video import VideoFile
from tests.mistakes.judge import Case
from tests.mistakes.world import World

_OPENERS = (edge.limits, edge.bundle.files, edge.bundle.install, edge.sources.capture)
"""Modules that know `open_file` by name."""


def cut_file(random: Random, world: World) -> Case:
    """Cut, empty, remove or exchange one file right after it was opened, or a film after some frames."""
    copy = world.folder / "cut"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    forms: dict[str, tuple[Path, Callable[[Path], tuple[Any, list[str]]]]] = {
        "picture": (world.picture, lambda path: (main_edge, _classify(world, path))),
        "pictures": (world.pictures, lambda path: (main_edge, _classify(world, path))),
        "film": (world.film, lambda path: (main_run, _run(world, path))),
        "film while it plays": (world.film, lambda path: (main_run, _run(world, path))),
        "bundle": (world.classifier, lambda path: (main_edge, ["classify", str(world.picture), "--bundle", str(path)])),
        "detector": (world.detector, lambda path: (main_run, _run(world, world.film, path))),
        "archive": (world.archive, lambda path: (main_edge, ["bundle", "install", str(path)])),
        "config": (_config(world), lambda path: (main_run, [str(path), "--quiet"])),
    }
    name = random.choice(list(forms))
    original, command = forms[name]
    path = copy / original.name
    (shutil.copytree if original.is_dir() else shutil.copy)(original, path)
    run, arguments = command(path)
    how = random.choice(("cut", "empty", "gone", "other", "folder"))
    target = random.choice(sorted(path.iterdir())) if path.is_dir() else path
    share = random.random()
    when = random.randrange(1, 10) if name == "film while it plays" else 0
    return Case(
        f"{name}: {target.name} {how}", run, arguments, harmless=True, around=lambda: _cutting(target, how, share, when)
    )


def _classify(world: World, path: Path) -> list[str]:
    return ["classify", str(path), "--bundle", str(world.classifier), "--quiet"]


def _run(world: World, film: Path, detector: Path | None = None) -> list[str]:
    bundles = ["--detector", str(detector or world.detector), "--embedder", str(world.embedder)]
    return ["--source", str(film), *bundles, "--quiet"]


def _config(world: World) -> Path:
    path = world.folder / "whole.toml"
    lines = (("source", world.film), ("detector", world.detector), ("embedder", world.embedder))
    path.write_text("".join(f"{key} = '{value}'\n" for key, value in lines))
    return path


@contextlib.contextmanager
def _cutting(target: Path, how: str, share: float, frames: int) -> Iterator[None]:
    """Change the target when it is opened, or, with `frames`, when so many frames of a film were read."""
    whole, seen = edge.limits.open_file, 0

    def opened(path: Path) -> Any:
        file = whole(path)
        if not frames and path.exists() and path.samefile(target):
            _change(target, how, share)
        return file

    def read(film: VideoFile) -> Any:
        nonlocal seen
        seen += 1
        if seen == frames:
            _change(target, how, share)
        return whole_read(film)

    whole_read = VideoFile.read
    with contextlib.ExitStack() as patches:
        for module in _OPENERS:
            patches.enter_context(mock.patch.object(module, "open_file", opened))
        if frames:
            patches.enter_context(mock.patch.object(VideoFile, "read", read))
        yield


def _change(target: Path, how: str, share: float) -> None:
    if not target.is_file():
        return
    if how in ("cut", "empty"):
        with target.open("r+b") as file:
            file.truncate(int(share * target.stat().st_size) if how == "cut" else 0)
        return
    target.unlink()
    if how == "other":
        target.write_bytes(b"another one")
    elif how == "folder":
        target.mkdir()
