"""`edge`: ask a classifier or localizer, look after bundles, and tell what this machine has."""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tqdm import tqdm

from edge import __version__
from edge.asking import ASKING, add_asking, ask
from edge.backends import BACKENDS, runtime_installed
from edge.bundle import Task, find_bundles, install_bundle, read_manifest
from edge.bundle_profile import check_writable, profile_bundle, profile_path, table, thread_counts, write_profile
from edge.errors import ConfigError, EdgeError
from edge.flags import Parser
from edge.folders import BUILD_FOLDER, bundle_for, data_folder
from edge.machine import describe
from edge.model import open_model


def _edge_parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        "edge", description="Ask a model, look after bundles, and tell what this machine has."
    )
    parser.add_argument("--version", action="version", version=f"edge-run {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="tell what is installed here and which bundles edge-run would take")
    bundle = commands.add_parser("bundle", help="install, list, show or verify model bundles")
    actions = bundle.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the bundles that edge-run finds by itself")
    for action, what, text in (
        ("install", "FILE.zip", "check a bundle made by 'make convert' and put it into this user's data folder"),
        ("show", "BUNDLE", "print what the bundle says of its model"),
        ("verify", "BUNDLE", "check every byte, load the model, and compare its answer with the stored one"),
    ):
        actions.add_parser(action, help=text, description=text).add_argument("path", type=Path, metavar=what)
    _add_profile(commands)
    add_asking(commands)
    return parser


def _add_profile(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    words = "measure a bundle on this machine, and write the figures into its folder"
    add = commands.add_parser("profile", help=words, description=words).add_argument
    add("path", type=Path, metavar="BUNDLE", help="bundle folder")
    add("--runs", type=_positive, default=300, metavar="N", help="per number of threads (default: %(default)s)")
    add("--threads", type=_positive, metavar="T", help="measure with T threads only (default: 1 to all cores)")
    add("--seconds", type=_positive, default=20, metavar="S", help="at most, per number of threads (default: 20)")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number from 1 on, got '{text}'")
    return int(text)


def edge(arguments: Sequence[str] | None) -> int:
    """Run one of the commands; returns its exit code."""
    flags = _edge_parser().parse_args(arguments)
    commands = {"list": _list, "install": _install, "show": _show, "verify": _verify}
    if flags.command == "doctor":
        _doctor()
    elif flags.command == "profile":
        return _profile(flags)
    elif flags.command in ASKING:
        return ask(flags)
    else:
        commands[flags.action](flags)
    return 0


def _profile(flags: argparse.Namespace) -> int:
    machine = describe()
    path = profile_path(flags.path, machine)
    read_manifest(flags.path)
    check_writable(path)
    counts = [flags.threads] if flags.threads else thread_counts(machine.cores)
    with tqdm(total=len(counts) * flags.runs, unit=" runs", leave=False, delay=2, disable=None) as bar:

        def progress(threads: int, done: int, wanted: int) -> None:
            bar.set_description(f"{threads} threads", refresh=False)
            bar.update(counts.index(threads) * wanted + done - bar.n)

        profile, whole = profile_bundle(flags.path, counts, flags.runs, flags.seconds, progress)
    print(table(profile))
    if not whole:
        print("interrupted: what was measured is above, nothing was written", file=sys.stderr)
        return 128 + signal.SIGINT
    write_profile(path, profile)
    print(f"written to {path}")
    return 0


def _list(_: argparse.Namespace) -> None:
    for folder in (BUILD_FOLDER, data_folder()):
        for bundle in find_bundles(folder):
            manifest = bundle.manifest
            mark = "preferred" if manifest.preferred else ""
            size_kb = bundle.model_path.stat().st_size // 1024 if bundle.model_path.exists() else 0
            print(f"{manifest.task:<8}{manifest.runtime:<8}{size_kb:>8} KB  {bundle.path}  {mark}".rstrip())


def _install(flags: argparse.Namespace) -> None:
    try:
        bundle = install_bundle(flags.path, data_folder())
    except OSError as error:
        raise ConfigError(
            f"install: want room for the bundle in {data_folder()}, got '{error.strerror}'; nothing was changed"
        ) from error
    print(f"installed {bundle.path}")


def _show(flags: argparse.Namespace) -> None:
    print(msgspec.json.format(msgspec.json.encode(read_manifest(flags.path)), indent=2).decode())


def _verify(flags: argparse.Namespace) -> None:
    with open_model(flags.path, None, threads=1) as model:
        print(f"{flags.path}: whole, and its answer is right with {model.backend.description}")


def _doctor() -> None:
    print(f"edge-run {__version__}, Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    print(f"cores {len(os.sched_getaffinity(0))}")
    for package in ("numpy", "opencv-python", "ai-edge-litert", "tflite-runtime", "onnxruntime", "picamera2"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            print(f"{package} {importlib.metadata.version(package)}")
    for runtime in BACKENDS:
        print(f"runtime {runtime}: {'here' if runtime_installed(runtime) else 'not installed'}")
    defaults: tuple[tuple[Task, str], ...] = (
        *(("detect", "--detector"), ("embed", "--embedder")),
        *((task, f"edge {task}") for task in ASKING),
    )
    for task, flag in defaults:
        try:
            print(f"{flag}: {bundle_for(task, '')}")
        except EdgeError as error:
            print(f"{flag}: {error}")
