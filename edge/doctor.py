"""`edge doctor`: what is installed here, what would run, and how to mend what would not. Each thing is said once."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np
from tqdm import tqdm

from edge import __version__
from edge.asking import ASKING
from edge.backends import BACKENDS, how_to_install, runtime_installed
from edge.bar import bar
from edge.bundle import Bundle, Task, find_bundles, unreadable_bundles
from edge.errors import BundleError
from edge.folders import BUILD_FOLDER, bundle_for, data_folder
from edge.machine import describe, heat
from edge.sinks.vp8 import Vp8Error, library
from edge.trial import try_bundle

TAKEN_BY: dict[Task, str] = {
    "detect": "--detector",
    "embed": "--embedder",
    **{task: f"edge {task}" for task in ASKING},
}
"""Task -> what takes a bundle of it when none is named."""
NOTHING_RUNS = BundleError.exit_code
LOW_DISK_GB = 0.5
"""A film of a busy street takes about so much in a quarter of an hour."""

Mark = Literal["ok", "missing", "note"]


class Finding(msgspec.Struct, frozen=True):
    """One line: `missing` is what something needs, `note` what some do without."""

    mark: Mark
    words: str


def doctor() -> int:
    """Print what is here; returns 0 if a loop or a command of the models would run, else the code of bundles."""
    machine = describe()
    print(f"edge-run {__version__}, Python {platform.python_version()}, {machine.board}, {machine.system}")
    for finding in [*_packages(), *_runtimes(), _films()]:
        _print(finding)
    works: set[Task] = set()
    for task in bar(TAKEN_BY, unit=" bundles", delay=2):
        finding = _try_default(task)
        if finding.mark == "ok":
            works.add(task)
        with tqdm.external_write_mode():
            _print(finding)
    for finding in [*_broken(), *_cameras(), _display(), *_disk(), *_heat()]:
        _print(finding)
    runs = [
        *(["edge-run"] if {"detect", "embed"} <= works else []),
        *(TAKEN_BY[task] for task in ASKING if task in works),
    ]
    if runs:
        print(f"would run: {', '.join(runs)}")
        return 0
    print(
        "would run: nothing; 'make convert' on a workstation makes bundles, "
        "'edge bundle install FILE.zip' puts one here"
    )
    return NOTHING_RUNS


def _print(finding: Finding) -> None:
    print(f"{finding.mark:<8} {finding.words}", flush=True)


def _packages() -> Iterator[Finding]:
    yield Finding("ok", f"numpy {np.__version__}, OpenCV {cv2.__version__}, msgspec {msgspec.__version__}")


def _runtimes() -> Iterator[Finding]:
    """Name the runtimes; one is enough."""
    real = [runtime for runtime in BACKENDS if runtime != "fake"]
    some = any(map(runtime_installed, real))
    for runtime in real:
        if runtime_installed(runtime):
            yield Finding("ok", f"runtime {runtime}: {_versions(runtime)}")
        else:
            need = "for bundles of its kind" if some else "or another one"
            yield Finding("note" if some else "missing", f"runtime {runtime}: {how_to_install(runtime)}, {need}")


def _versions(runtime: str) -> str:
    packages = {"tflite": ("ai-edge-litert", "tflite-runtime"), "onnx": ("onnxruntime", "onnxruntime-gpu")}
    found = []
    for package in packages.get(runtime, ()):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found) or "installed"


def _films() -> Finding:
    try:
        library()
    except Vp8Error as error:
        return Finding("note", f"films: {error}; video: needs it, so install opencv-python or libvpx, or use folder:")
    return Finding("ok", "films: libvpx, for video:")


def _try_default(task: Task) -> Finding:
    """Open the bundle that would be taken for a task, in a process of its own, and compare its answer."""
    needed: Mark = "note" if task in ASKING else "missing"
    flag = TAKEN_BY[task]
    try:
        path = bundle_for(task, "")
    except BundleError:
        idle = _of_task(task)
        if idle:
            runtime = idle[0].manifest.runtime
            return Finding(needed, f"{flag}: {idle[0].path.name} needs {how_to_install(runtime)}")
        return Finding(needed, f"{flag}: no bundle for '{task}' in {BUILD_FOLDER} or {data_folder()}")
    try:
        return Finding("ok", f"{flag}: {path}, its answer is right with {try_bundle(path)}")
    except BundleError as error:
        return Finding(needed, f"{flag}: {error}")


def _of_task(task: Task) -> list[Bundle]:
    found = [bundle for folder in (BUILD_FOLDER, data_folder()) for bundle in find_bundles(folder)]
    return [bundle for bundle in found if bundle.manifest.task == task]


def _broken() -> Iterator[Finding]:
    for folder in (BUILD_FOLDER, data_folder()):
        for error in unreadable_bundles(folder):
            yield Finding("note", str(error))


def _cameras(devices: Path = Path("/dev")) -> Iterator[Finding]:
    """Name the cameras, and what would open one."""
    cameras = sorted(devices.glob("video*"))
    usable = [path for path in cameras if os.access(path, os.R_OK | os.W_OK)]
    if usable:
        yield Finding("ok", f"cameras: {', '.join(map(str, usable))}")
    elif not cameras:
        yield Finding("note", f"cameras: no {devices}/video*; plug one in, or give a stream or a film")
    for path in cameras:
        if path not in usable:
            yield Finding("missing", f"{path}: no right to use it; run 'sudo usermod -aG video $USER' and log in again")
    if importlib.util.find_spec("picamera2") is not None:
        yield Finding("ok", "picamera2: installed")
    else:
        yield Finding(
            "note", "picamera2: not installed; a Raspberry Pi's own camera needs 'apt install python3-picamera2'"
        )


def _display() -> Finding:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return Finding("ok", "display: set, for --show")
    return Finding("note", "display: not set; --show needs one, all else runs without")


def _disk() -> Iterator[Finding]:
    """Look at the places that results and bundles are written to."""
    for what, folder in (("results, here", Path.cwd()), ("bundles", data_folder())):
        there = next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))
        free_gb = shutil.disk_usage(there).free / 1e9
        if not os.access(there, os.W_OK | os.X_OK):
            yield Finding("note", f"{what}: {there} cannot be written; give another place or mend its rights")
        elif free_gb < LOW_DISK_GB:
            yield Finding("note", f"{what}: {free_gb:.1f} GB free in {folder}; free some")
        else:
            yield Finding("ok", f"{what}: {folder}, {free_gb:.0f} GB free")


def _heat() -> Iterator[Finding]:
    """Tell of heat and power, where this board tells."""
    now = heat()
    if now.throttled:
        yield Finding("note", f"clock: {now.throttled}; check cooling and the power supply")
    elif now.throttled is not None:
        yield Finding("ok", "clock: not throttled since the start")
    if now.celsius is not None:
        yield Finding("ok", f"temperature: {now.celsius:.0f} degrees Celsius")
