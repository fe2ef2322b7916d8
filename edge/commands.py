"""`edge`: ask a classifier or localizer, look after bundles, and tell what this machine has."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge import __version__
from edge.asking import ASKING, add_asking, ask
from edge.backends import how_to_install, runtime_installed
from edge.bar import bar
from edge.bundle import find_bundles, install_bundle, peek_bundle, read_manifest, unreadable_bundles
from edge.bundle_profile import check_writable, profile_bundle, profile_path, table, thread_counts, write_profile
from edge.doctor import TAKEN_BY, doctor
from edge.errors import BundleError, refusal
from edge.flags import Parser, positive
from edge.folders import BUILD_FOLDER, bundle_for, data_folder, named_bundle, remove_named
from edge.machine import describe
from edge.redact import printable
from edge.settings import given_path
from edge.trial import try_bundle


def _edge_parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        "edge", description="Ask a model, look after bundles, and tell what this machine has."
    )
    parser.add_argument("--version", action="version", version=f"edge-run {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="tell what is installed here and which bundles edge-run would take")
    bundle = commands.add_parser("bundle", help="install, list, show, verify or remove model bundles")
    actions = bundle.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the bundles that edge-run finds by itself")
    for action, what, text in (
        ("install", "FILE.zip", "check a bundle made by 'make convert' and put it into this user's data folder"),
        ("show", "BUNDLE", "print what the bundle says of its model"),
        ("verify", "BUNDLE", "check every byte, load the model, and compare its answer with the stored one"),
        ("remove", "BUNDLE", "remove a bundle from this user's data folder; asks nothing"),
    ):
        words = f"{text}. A BUNDLE is a name that 'edge bundle list' prints, or a folder." if what == "BUNDLE" else text
        actions.add_parser(action, help=text, description=words).add_argument("bundle", metavar=what)
    _add_profile(commands)
    add_asking(commands)
    return parser


def _add_profile(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    words = "measure a bundle on this machine, and write the figures beside its folder"
    add = commands.add_parser("profile", help=words, description=words).add_argument
    add("bundle", metavar="BUNDLE", help="name or folder of a bundle")
    add("--runs", type=positive, default=300, metavar="N", help="per number of threads (default: %(default)s)")
    add("--threads", type=positive, metavar="T", help="measure with T threads only (default: 1 to all cores)")
    add("--seconds", type=positive, default=20, metavar="S", help="at most, per number of threads (default: 20)")


def edge(arguments: Sequence[str] | None) -> int:
    """Run one of the commands; returns its exit code."""
    flags = _edge_parser().parse_args(arguments)
    commands = {"list": _list, "install": _install, "show": _show, "verify": _verify, "remove": _remove}
    if flags.command == "doctor":
        return doctor()
    if flags.command == "profile":
        return _profile(flags)
    if flags.command in ASKING:
        return ask(flags)
    commands[flags.action](flags)
    return 0


def _profile(flags: argparse.Namespace) -> int:
    machine = describe()
    bundle = named_bundle(flags.bundle)
    path = profile_path(bundle, machine)
    read_manifest(bundle)
    check_writable(path)
    counts = [flags.threads] if flags.threads else thread_counts(machine.cores)
    with bar(total=len(counts) * flags.runs, unit=" runs", delay=2) as drawn:

        def progress(threads: int, done: int, wanted: int) -> None:
            drawn.set_description(f"{threads} threads", refresh=False)
            drawn.update(counts.index(threads) * wanted + done - drawn.n)

        profile, whole = profile_bundle(bundle, counts, flags.runs, flags.seconds, progress)
    print(table(profile))
    if not whole:
        print("interrupted: what was measured is above, nothing was written", file=sys.stderr)
        return 128 + signal.SIGINT
    write_profile(path, profile)
    print(printable(f"written to {path}"))
    return 0


def _list(_: argparse.Namespace) -> None:
    """Print a line for each bundle, and mark the ones that would run; say of what else lies there why it cannot."""
    taken = {path.resolve(): flag for flag, path in _defaults() if path is not None}
    for folder in (BUILD_FOLDER, data_folder()):
        found = find_bundles(folder)
        if found:
            print(printable(f"{folder}:"))
        for bundle in found:
            manifest, flag = bundle.manifest, taken.get(bundle.path.resolve())
            size_kb = bundle.model_path.stat().st_size // 1024
            runtime = manifest.runtime if runtime_installed(manifest.runtime) else f"{manifest.runtime}, not installed"
            mark = f"runs: {flag}" if flag else ""
            line = (
                f"  {bundle.path.name:<40} {manifest.task:<9}{runtime:<8}{manifest.variant:<9}{size_kb:>8} KB  {mark}"
            )
            print(printable(line.rstrip()))
    for folder in (BUILD_FOLDER, data_folder()):
        for error in unreadable_bundles(folder):
            print(f"not usable: {error}", file=sys.stderr)


def _defaults() -> list[tuple[str, Path | None]]:
    """Return what would run for each task: flag or command, and the bundle, None where there is none."""
    defaults: list[tuple[str, Path | None]] = []
    for task, flag in TAKEN_BY.items():
        try:
            defaults.append((flag, bundle_for(task, "")))
        except BundleError:
            defaults.append((flag, None))
    return defaults


def _install(flags: argparse.Namespace) -> None:
    archive, proven = given_path(flags.bundle, "install"), ""

    def prove(unpacked: Path) -> None:
        nonlocal proven
        runtime = peek_bundle(unpacked).manifest.runtime
        if runtime_installed(runtime):
            proven = f", its answer is right with {try_bundle(unpacked)}"
        else:
            proven = f", not tried: it needs {how_to_install(runtime)}"

    try:
        bundle = install_bundle(archive, data_folder(), prove)
    except OSError as error:
        raise refusal(
            error,
            f"install: want room for the bundle in {data_folder()}, got '{error.strerror}'; nothing was changed, make "
            "room or set XDG_DATA_HOME to another folder",
        ) from error
    print(printable(f"installed {bundle.path}{proven}"))


def _show(flags: argparse.Namespace) -> None:
    bundle = peek_bundle(named_bundle(flags.bundle))
    print(msgspec.json.format(msgspec.json.encode(bundle.manifest), indent=2).decode())
    print(f"sha256 of the bundle: {bundle.sha256}", file=sys.stderr)


def _verify(flags: argparse.Namespace) -> None:
    path = named_bundle(flags.bundle)
    print(printable(f"{path}: whole, and its answer is right with {try_bundle(path)}"))


def _remove(flags: argparse.Namespace) -> None:
    try:
        removed = remove_named(flags.bundle)
    except OSError as error:
        raise refusal(
            error, f"remove: want {data_folder()} writable, got '{error.strerror}'; check the disk and its rights"
        ) from error
    print(printable(f"removed {', '.join(map(str, removed))}"))
