"""`edge profile`: how fast a bundle is on this very machine, and what it costs to start and to hold.

Each number of threads is measured in a process of its own, so that start and memory are those of one model alone.
The figures go beside the bundle's folder, whose files are what they were, and a newly installed bundle removes them.
"""

import errno
import importlib.metadata
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from edge import __version__
from edge.backends import open_backend
from edge.bundle import PROFILE_MARK, read_bundle
from edge.errors import BundleError, EdgeError, refusal
from edge.golden import check_golden, golden_inputs, read_golden
from edge.machine import Heat, Machine, describe, heat, resident_mb
from edge.model import guarded, preprocessor_of
from edge.profiler import Histogram
from edge.redact import printable
from edge.whole import staging, sweep, write_file

FRAME_SHAPE = (720, 1280)
"""Height and width of the picture that is preprocessed: what most cameras give."""
WARM_UP = 3
"""Runs before the clock counts; the first ones find their memory and their kernels."""

_TELL_NS = 100_000_000

Progress = Callable[[int, int, int], None]
"""Told (threads, runs done, runs wanted) now and then."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of many runs, milliseconds; percentiles are right to 0.8 %, the maximum is exact."""

    runs: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class ThreadsProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured with one number of threads.

    Attributes:
        threads: cores that the runtime may use.
        cold_start_ms: from the start of a process to a model that gave its stored answer.
        first_run_ms: the model's first run.
        resident_mb: most memory the process held, 10^6 bytes; None = not known.
        invoke: the model alone.
        preprocess: a picture of `FRAME_SHAPE` into the input tensor; None for a model that takes no picture.
    """

    threads: int
    cold_start_ms: float
    first_run_ms: float
    resident_mb: float | None
    invoke: Timing
    preprocess: Timing | None


class BundleProfile(msgspec.Struct, frozen=True, kw_only=True):
    """`<bundle>.profile-<board>.json`: a bundle on a machine.

    Attributes:
        bundle: name of its folder.
        bundle_sha256: identity of the bundle that was measured.
        date: day, YYYY-MM-DD.
        runtime: what ran it, with its version.
        versions: package -> version of what else takes part.
        machine: where.
        frame: height and width of the picture that was preprocessed.
        before: heat at the start.
        after: heat at the end.
        results: by number of threads.
    """

    bundle: str
    bundle_sha256: str
    date: str
    runtime: str
    versions: dict[str, str]
    machine: Machine
    frame: tuple[int, int]
    before: Heat
    after: Heat
    results: tuple[ThreadsProfile, ...]


def thread_counts(cores: int) -> list[int]:
    """List the numbers of threads to measure: each up to 4, then doubling, and all cores."""
    return [n for n in range(1, cores + 1) if n <= 4 or n == cores or n & (n - 1) == 0]


def profile_bundle(
    path: Path, threads: Sequence[int], runs: int, seconds: float, progress: Progress
) -> tuple[BundleProfile, bool]:
    """Measure a bundle here.

    Args:
        path: its folder.
        threads: numbers of threads to measure with.
        runs: for each number of threads, at most.
        seconds: the same, wall time.
        progress: told of every number of threads.

    Returns:
        What was measured, and whether that is all: Ctrl-C ends the measurement early.

    Raises:
        BundleError: the bundle cannot be read, loaded or trusted here.
        KeyboardInterrupt: Ctrl-C, and nothing had been measured yet.
    """
    bundle = read_bundle(path)
    before = heat()
    results: list[ThreadsProfile] = []
    runtime, whole = "", True
    for number in threads:
        result, whole = _in_child(path, number, runs, seconds, progress)
        if result is not None:
            runtime = result[0]
            results.append(result[1])
        if not whole:
            break
    if not results:
        raise KeyboardInterrupt
    made = BundleProfile(
        bundle=printable(path.resolve().name),
        bundle_sha256=bundle.sha256,
        date=time.strftime("%Y-%m-%d"),
        runtime=runtime,
        versions={"edge-run": __version__, **_versions()},
        machine=describe(),
        frame=FRAME_SHAPE,
        before=before,
        after=heat(),
        results=tuple(results),
    )
    return made, whole


def profile_path(path: Path, machine: Machine) -> Path:
    """Return where the figures of a machine go, beside the bundle: `NAME.profile-raspberry-pi-4-model-b.json`."""
    slug = re.sub(r"[^a-z0-9]+", "-", machine.board.lower()).strip("-")
    folder = Path(os.path.realpath(path))  # a loop of links is an error elsewhere, in a sentence
    return folder.with_name(f"{folder.name}{PROFILE_MARK}{slug or 'machine'}.json")


def check_writable(path: Path) -> None:
    """Find out before a long measurement whether its file can be written.

    Raises:
        OutputError: the system refuses it.
        ConfigError: a folder has its name.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder of that name")
        sweep(path.parent)
        with staging(path.parent):
            pass
    except OSError as error:
        raise refusal(error, _unwritable(path, error)) from error


def write_profile(path: Path, profile: BundleProfile) -> None:
    """Write the figures; the file is there whole or not at all.

    Raises:
        OutputError: the system refuses it.
        ConfigError: a folder has its name.
    """
    try:
        write_file(path, msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n")
    except OSError as error:
        raise refusal(error, _unwritable(path, error)) from error


def table(profile: BundleProfile) -> str:
    """Return the figures as the command prints them."""
    machine, versions = profile.machine, ", ".join(f"{name} {number}" for name, number in profile.versions.items())
    known = [machine.cpu] if machine.cpu != machine.board else []
    known += [f"{machine.cores} cores"]
    known += [] if machine.dot_product is None else [f"int8 dot product: {'yes' if machine.dot_product else 'no'}"]
    known += [f"governor {machine.governor}"] if machine.governor else []
    lines = [
        f"{profile.bundle} on {machine.board}, {', '.join(known)}; {machine.system}",
        f"{profile.runtime}; {versions}; {profile.date}",
        "threads"
        + "".join(f"{word:>9}" for word in ("start", "first", "p50", "p95", "p99", "max"))
        + f"{'prep p50':>10}{'prep p95':>10}{'MB':>7}{'runs':>7}",
    ]
    for row in profile.results:
        t, p = row.invoke, row.preprocess
        figures = [row.cold_start_ms, row.first_run_ms, t.p50_ms, t.p95_ms, t.p99_ms, t.max_ms]
        prepared = [f"{p.p50_ms:>10.2f}", f"{p.p95_ms:>10.2f}"] if p is not None else [f"{'-':>10}"] * 2
        memory = f"{row.resident_mb:>7.0f}" if row.resident_mb is not None else f"{'-':>7}"
        lines.append(
            f"{row.threads:>7}" + "".join(f"{ms:>9.2f}" for ms in figures) + "".join(prepared) + memory + f"{t.runs:>7}"
        )
    height, width = profile.frame
    lines.append(f"times in ms; start: of a process until the model is proven; prep: a {width} x {height} picture")
    return "\n".join(lines + _warnings(profile))


def _warnings(profile: BundleProfile) -> list[str]:
    """Say what makes the figures doubtful."""
    said = []
    before, after = profile.before, profile.after
    if before.celsius is not None and after.celsius is not None:
        said.append(f"temperature: {before.celsius:.0f} C before, {after.celsius:.0f} C after")
    if after.throttled:
        said.append(f"warning: {after.throttled}; the figures are those of a slowed machine")
    if profile.machine.governor not in ("", "performance"):
        said.append(f"note: with governor '{profile.machine.governor}' the clock may start low and rise under load")
    return said


def _in_child(
    path: Path, threads: int, runs: int, seconds: float, progress: Progress
) -> tuple[tuple[str, ThreadsProfile] | None, bool]:
    """Measure one number of threads in a process of its own; None where Ctrl-C came before the first run."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    started_ns = time.monotonic_ns()
    child = context.Process(target=_child, args=(path, threads, runs, seconds, started_ns, there), daemon=True)
    child.start()
    there.close()
    whole = True
    try:
        while True:
            try:
                kind, value = here.recv()
            except KeyboardInterrupt:
                whole = False
                here.send("stop")
                continue
            if kind == "progress":
                progress(threads, value, runs)
            elif kind == "raised":
                raise value
            else:
                return value, whole
    except (EOFError, OSError) as error:
        child.join()
        code = child.exitcode or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        raise BundleError(
            f"bundle {path}: want a run with {threads} threads, got an end of the process {how}; this runtime and this "
            "model do not go together here, take another variant"
        ) from error
    finally:
        here.close()
        child.kill()
        child.join()


def _child(path: Path, threads: int, runs: int, seconds: float, started_ns: int, parent: Connection) -> None:
    """Open, prove and measure; runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and asks for what there is
    try:
        with guarded(path):
            done = _measure(path, threads, runs, seconds, started_ns, parent)
        parent.send(("done", done))
    except EdgeError as error:
        parent.send(("raised", error))
    parent.close()


def _measure(
    path: Path, threads: int, runs: int, seconds: float, started_ns: int, parent: Connection
) -> tuple[str, ThreadsProfile] | None:
    cv2.setNumThreads(1)  # the cores belong to the model, as in the loop
    bundle = read_bundle(path)
    backend = open_backend(bundle, threads)
    tensors = golden_inputs(bundle.manifest, read_golden(bundle))
    before = time.monotonic_ns()
    backend.invoke(tensors)
    first_ns = time.monotonic_ns() - before
    check_golden(bundle, backend)
    cold_ns = time.monotonic_ns() - started_ns
    pictures = preprocessor_of(bundle)
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME_SHAPE, 3), np.uint8)
    invoke, preprocess = Histogram(), Histogram()
    told = time.monotonic_ns()
    until = told + int(seconds * 1e9)
    for number in range(-WARM_UP, runs):
        before = time.monotonic_ns()
        if pictures is not None:
            pictures.fit(frame)
        prepared = time.monotonic_ns()
        backend.invoke(tensors)
        after = time.monotonic_ns()
        if number >= 0:
            preprocess.add(prepared - before)
            invoke.add(after - prepared)
        if after - told > _TELL_NS:
            told = after
            if parent.poll():
                break  # the only word there is means stop
            parent.send(("progress", max(0, number + 1)))
        if after > until and number >= 0:
            break
    backend_words = backend.description
    backend.close()
    if not invoke.count:
        return None
    measured = ThreadsProfile(
        threads=threads,
        cold_start_ms=round(cold_ns / 1e6, 1),
        first_run_ms=round(first_ns / 1e6, 3),
        resident_mb=resident_mb(),
        invoke=_timing(invoke),
        preprocess=_timing(preprocess) if pictures is not None else None,
    )
    return backend_words, measured


def _timing(histogram: Histogram) -> Timing:
    parts: dict[str, Any] = {f"p{p}_ms": round(histogram.percentile_ns(p) / 1e6, 3) for p in (50, 95, 99)}
    return Timing(runs=histogram.count, max_ms=round(histogram.max_ns / 1e6, 3), **parts)


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("numpy",)} | {"opencv": cv2.__version__}


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"profile {path}: want to write the figures beside the bundle, got '{error.strerror}'; copy the bundle to a "
        "folder that you may write to and profile that"
    )
