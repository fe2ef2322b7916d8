"""The commands: `edge-run` runs the loop; `edge`, see `edge.commands`, looks after bundles."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec

from edge import __version__
from edge.budget import Budget
from edge.bundle import read_manifest
from edge.config import Config, make_config, read_config
from edge.errors import ConfigError, EdgeError
from edge.flags import Parser
from edge.folders import bundle_for, named_bundle
from edge.interrupt import stop_on_signal
from edge.loop import run
from edge.model import open_model
from edge.profiler import Profiler
from edge.recording import NOMINAL_FPS, new_run
from edge.sinks import Output, Sink, open_sink
from edge.sinks.progress import ProgressSink
from edge.sources import Source, open_source
from edge.stages.compare import Compare
from edge.stages.detect import Detect
from edge.stages.embed import Embed
from edge.stages.match import Match

MAX_THREADS = 4
"""Models of this size gain nothing from more."""

_USAGE = "edge-run [CONFIG.toml] [--camera N | --source URI] [options]"
_EXAMPLES = """\
URI: 0, /dev/video0, picamera:, file.mp4, a folder of pictures, rtsp://..., http://...
sinks: jsonl:PATH (- = standard output), video:PATH, png:PATH, folder:PATH, crops:DIR, null:

examples:
  edge-run --camera 0 --show
  edge-run --source yard.mp4 --classes person,horse --sink jsonl:yard.jsonl
  edge-run gate.toml --budget-ms 60 --sink video:gate.mp4 --profile gate.json
"""


def main_run(arguments: Sequence[str] | None = None) -> int:
    """Run the command `edge-run`; returns its exit code."""
    return _guarded(_edge_run, arguments)


def main_edge(arguments: Sequence[str] | None = None) -> int:
    """Run the command `edge`; returns its exit code."""
    from edge.commands import edge  # a loop that starts needs none of it

    return _guarded(edge, arguments)


def _guarded(command: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None) -> int:
    """Turn an error that the user can mend into one sentence and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return command(arguments)
    except EdgeError as error:
        print(f"edge: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output has gone. Leave nothing for the interpreter to flush into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run_parser() -> argparse.ArgumentParser:
    def formatter(prog: str) -> argparse.HelpFormatter:
        return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=100)

    parser: argparse.ArgumentParser = Parser(
        "edge-run",
        usage=_USAGE,
        description="Detect, embed and match what a camera sees, every frame, inside a latency budget.",
        epilog=_EXAMPLES,
        formatter_class=formatter,
    )
    add = parser.add_argument
    add("config", nargs="?", type=Path, metavar="CONFIG.toml", help="settings; flags override them")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--camera", metavar="N", help="short for --source N")
    where.add_argument("--source", metavar="URI", help="where the pictures come from")
    add("--detector", metavar="BUNDLE", help="name or folder of a bundle (default: the one installed)")
    add("--embedder", metavar="BUNDLE", help="the same ('edge bundle list' has the names)")
    add("--matcher", metavar="BUNDLE", help="trained for this camera: a head over pairs, or an embedder")
    add("--classes", metavar="A,B", help="labels that are wanted (default: all)")
    add("--threshold", type=float, metavar="X", help="detection scores must be above X (default: the bundle's)")
    add("--budget-ms", type=float, metavar="X", help="largest age of a result, milliseconds (default: 100)")
    add("--sink", action="append", metavar="URI", help="where results go; may be given more than once")
    add("--overwrite", action="store_true", default=None, help="empty what older runs wrote there")
    add("--name", metavar="NAME", help="what results call the camera (default: taken from the source)")
    add("--frames", type=int, metavar="N", help="stop after N frames")
    add("--pace", action="store_true", default=None, help="play a video at its own speed, as a camera would")
    add("--threads", type=int, metavar="N", help="cores for the models (default: all, at most 4)")
    add("--profile", nargs="?", const="profile.json", metavar="FILE", help="write the profile (profile.json)")
    add("--show", action="store_true", help="open a window with the result; q closes it")
    add("--version", action="version", version=f"edge-run {__version__}")
    return parser


def _edge_run(arguments: Sequence[str] | None) -> int:
    flags = _run_parser().parse_args(arguments)
    config = _merge(flags)
    if not config.source:
        raise ConfigError("source: want --camera N or --source URI, got neither; try: edge-run --camera 0")
    sinks = [*config.sinks, *(["window:"] if flags.show else [])]
    if flags.profile:
        _check_writable(Path(flags.profile))
    cv2.setNumThreads(1)  # the cores belong to the models
    threads = config.threads or min(MAX_THREADS, len(os.sched_getaffinity(0)))
    profiler = Profiler(int(config.budget_ms * 1e6))
    with contextlib.ExitStack() as open_things:
        enter = open_things.enter_context
        detector = enter(open_model(bundle_for("detect", config.detector), "detect", threads))
        embedding, pairing = _looks(config)
        embedder = enter(open_model(embedding, "embed", threads))
        detect = Detect(detector, config.classes, config.threshold)
        embed = Embed(embedder)
        models = {"detect": detector, "embed": embedder}
        if pairing is not None:
            models["pair"] = enter(open_model(pairing, "pair", threads))
        compare = None if pairing is None else Compare(models["pair"], embed.dim)
        match = Match(config.track, embed.metric, embed.dim, compare)
        source = enter(open_source(config.source, pace=config.pace))
        bundles = {stage: model.bundle for stage, model in models.items()}
        told = new_run(config.source, config.camera_name, bundles, msgspec.to_builtins(config))
        output = Output(detector.bundle.manifest.labels, source.fps or NOMINAL_FPS, told, config.overwrite)
        outputs: list[Sink] = [enter(open_sink(uri, output)) for uri in sinks]
        total = min((n for n in (source.frames, config.frames) if n is not None), default=None)
        outputs.append(enter(ProgressSink(total, source.live)))
        budget = Budget(int(config.budget_ms * 1e6), embed.crop_ns)
        stop = enter(stop_on_signal(source))
        open_things.callback(_print_profile, profiler, source, flags.profile)
        run(source, detect, embed, match, outputs, budget, profiler, stop.event, config.frames)
    return 128 + stop.signal if stop.signal else 0


def _merge(flags: argparse.Namespace) -> Config:
    """Lay the flags that were given over the file."""
    values = read_config(flags.config) if flags.config else {}
    given = {
        "source": flags.camera if flags.camera is not None else flags.source,
        "classes": tuple(flags.classes.split(",")) if flags.classes else None,
        "sinks": flags.sink,
        "camera_name": flags.name,
        **{key: getattr(flags, key) for key in ("detector", "embedder", "matcher", "threshold", "budget_ms", "frames")},
        **{key: getattr(flags, key) for key in ("pace", "threads", "overwrite")},
    }
    return make_config(values | {key: value for key, value in given.items() if value is not None})


def _looks(config: Config) -> tuple[Path, Path | None]:
    """Return the bundle of the embedder, and that of a head over pairs where there is one.

    Raises:
        ConfigError: two embedders are named.
        BundleError: as `bundle_for` and `read_manifest`.
    """
    matcher = named_bundle(config.matcher) if config.matcher else None
    if matcher is None or read_manifest(matcher).task != "embed":
        return bundle_for("embed", config.embedder), matcher
    if config.embedder:
        raise ConfigError(
            f"matcher {matcher}: want a head over pairs beside --embedder, got another embedder; leave one of them out"
        )
    return matcher, None


def _check_writable(path: Path) -> None:
    """Find out before a long run whether its profile can be written at the end."""
    try:
        path.open("a").close()
    except OSError as error:
        raise ConfigError(f"profile {path}: want a writable file, got '{error.strerror}'; check the path") from error


def _print_profile(profiler: Profiler, source: Source, path: str | None) -> None:
    """Print the table and write the file, whatever ended the run."""
    if profiler.frames:
        print(profiler.table(source.dropped), file=sys.stderr)
    if path:
        text = msgspec.json.format(msgspec.json.encode(profiler.summary(source.dropped)), indent=2)
        try:
            Path(path).write_bytes(text + b"\n")
        except OSError as error:
            raise ConfigError(f"profile {path}: want a writable file, got '{error.strerror}'; free the disk") from error
