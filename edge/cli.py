"""The commands: `edge-run` runs the loop; `edge`, see `edge.commands`, looks after bundles."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import cv2
import msgspec

from edge import __version__
from edge.announce import say_opening, say_running
from edge.budget import Budget
from edge.chosen import choose
from edge.config import Config, make_config, read_config
from edge.errors import ConfigError, EdgeError
from edge.flags import Parser, check_camera, given, labels, utf8
from edge.interrupt import stop_on_signal
from edge.loop import run
from edge.model import open_model
from edge.profiler import Profiler
from edge.recording import NOMINAL_FPS, exit_code, new_run, open_outputs
from edge.redact import hide_password
from edge.settings import number
from edge.sinks import Output, Sink, check_sink
from edge.sinks.profile import profile_path
from edge.sinks.progress import ProgressSink
from edge.sources import Source, looks_like_source, open_source
from edge.sources.source import quiet_opencv
from edge.stages.compare import Compare
from edge.stages.detect import Detect
from edge.stages.embed import Embed
from edge.stages.match import Match

MAX_THREADS = 4
"""Models of this size gain nothing from more."""

_USAGE = "edge-run [CONFIG.toml] [--camera N | --source URI] [options]"
_EXAMPLES = """\
URI: 0, /dev/video0, picamera:, file.mp4, a folder of pictures, rtsp://..., http://...
sinks: jsonl:PATH (- = standard output), video:PATH.webm, png:PATH.png, folder:DIR, crops:DIR, null:

examples:
  edge-run --camera 0 --show
  edge-run --source yard.mp4 --classes person,horse --sink jsonl:yard.jsonl
  edge-run gate.toml --budget-ms 60 --sink video:gate.webm --profile gate.json
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
    _open_closed()
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


def _open_closed() -> None:
    """Open what the caller closed, as `2>&-` does, and let it lead nowhere.

    The next file that is opened would get the number of standard error, and libraries would write into it. Python's own
    standard output stays None, so that results for it are refused.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free: this one
    if sys.stderr is None:  # print would write to standard output instead
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - stays open


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
    add("config", nargs="?", metavar="CONFIG.toml", help="settings; flags override them")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--camera", metavar="N", help="short for --source N")
    where.add_argument("--source", metavar="URI", help="where the pictures come from")
    add("--detector", metavar="BUNDLE", help="name or folder of a bundle (default: the one installed)")
    add("--embedder", metavar="BUNDLE", help="the same ('edge bundle list' has the names)")
    add("--matcher", metavar="BUNDLE", help="trained for this camera: a head over pairs, or an embedder")
    add("--classes", metavar="A,B", help="labels that are wanted (default: all)")
    add("--threshold", type=number, metavar="X", help="detection scores must be above X (default: the bundle's)")
    add("--budget-ms", type=number, metavar="X", help="largest age of a result, milliseconds (default: 100)")
    add("--sink", action="append", metavar="URI", help="where results go; may be given more than once")
    add("--draw", metavar="A,B", help="what pictures show besides boxes: clock, count")
    add("--overwrite", action="store_true", default=None, help="empty what older runs wrote there")
    add("--name", type=utf8, metavar="NAME", help="what results call the camera (default: taken from the source)")
    add("--frames", type=number, metavar="N", help="stop after N frames")
    add("--pace", action="store_true", default=None, help="play a video at its own speed, as a camera would")
    add("--threads", type=number, metavar="N", help="cores for the models (default: all, at most 4)")
    add("--profile", nargs="?", const="profile.json", metavar="FILE", help="write the profile (profile.json)")
    add("--show", action="store_true", help="open a window with the result; q closes it")
    add("--quiet", action="store_true", help="say nothing at the start, draw no progress bar")
    add("--version", action="version", version=f"edge-run {__version__}")
    return parser


def _edge_run(arguments: Sequence[str] | None) -> int:
    flags = _run_parser().parse_args(arguments)
    config = _merge(flags)
    sinks = [*config.sinks, *(["window:"] if flags.show else [])]
    for uri in sinks:
        check_sink(uri)
    profile = None if flags.profile is None else profile_path(flags.profile)
    chosen = choose(config, "--classes" if flags.classes is not None else f"{_what(flags)}: classes")
    cv2.setNumThreads(1)  # the cores belong to the models
    quiet_opencv()
    threads = config.threads or min(MAX_THREADS, len(os.sched_getaffinity(0)))
    profiler = Profiler(int(config.budget_ms * 1e6))
    with contextlib.ExitStack() as open_things:
        enter = open_things.enter_context
        if not flags.quiet:
            say_opening(config.source)
        source = enter(open_source(config.source, pace=config.pace))
        detector = enter(open_model(chosen.detector, "detect", threads))
        embedder = enter(open_model(chosen.embedder, "embed", threads))
        detect = Detect(detector, config.classes, config.threshold)
        embed = Embed(embedder)
        models = {"detect": detector, "embed": embedder}
        if chosen.pairing is not None:
            models["pair"] = enter(open_model(chosen.pairing, "pair", threads))
        compare = None if chosen.pairing is None else Compare(models["pair"], embed.dim)
        match = Match(config.track, embed.metric, embed.dim, compare)
        bundles = {stage: model.bundle for stage, model in models.items()}
        told = new_run(config.source, config.name, bundles, msgspec.to_builtins(config))
        output = Output(detector.bundle.manifest.labels, source.fps or NOMINAL_FPS, told, config.overwrite, config.draw)
        outputs = enter(open_outputs(sinks, output, profile, lambda: profiler.summary(source.dropped)))
        told_of: list[Sink] = [outputs]
        if not flags.quiet:
            say_running(source, list(models.values()), threads, outputs.places, config.budget_ms)
            total = min((n for n in (source.frames, config.frames) if n is not None), default=None)
            told_of.append(enter(ProgressSink(total, source.live)))
        budget = Budget(int(config.budget_ms * 1e6), embed.crop_ns)
        stop = enter(stop_on_signal(source))
        open_things.callback(_print_profile, profiler, source)
        run(source, detect, embed, match, told_of, budget, profiler, stop.event, config.frames)
    return exit_code(stop.signal, outputs)


def _merge(flags: argparse.Namespace) -> Config:
    """Lay the flags that were given over the file.

    Raises:
        ConfigError: no such file, a value that is wrong, or no source.
    """
    values = _read_file(flags.config) if flags.config is not None else {}
    source = flags.source
    if flags.camera is not None:
        source = check_camera(flags.camera)
    laid = {
        "source": source,
        "classes": None if flags.classes is None else labels(flags.classes),
        "sinks": flags.sink,
        "draw": None if flags.draw is None else tuple(word.strip() for word in flags.draw.split(",")),
        "name": flags.name,
        **given(flags, ("detector", "embedder", "matcher", "threshold", "budget_ms", "frames")),
        **given(flags, ("pace", "threads", "overwrite")),
    }
    laid = {key: value for key, value in laid.items() if value is not None}
    config = make_config(
        values | laid, _what(flags), {key: "--sink" if key == "sinks" else f"--{key.replace('_', '-')}" for key in laid}
    )
    if not config.source and "source" not in values | laid:
        raise ConfigError("source: want --camera N or --source URI, got neither; try: edge-run --camera 0")
    return config


def _what(flags: argparse.Namespace) -> str:
    """Return how a sentence about the configuration begins."""
    return "config" if flags.config is None else f"config {hide_password(flags.config)}"


def _read_file(text: str) -> dict[str, object]:
    """Read the configuration file; a word that is no such file's name is probably meant for --source."""
    if not text.lower().endswith(".toml") and looks_like_source(text):
        shown = hide_password(text)
        raise ConfigError(f"config '{shown}': want a .toml file, got a source; did you mean '--source {shown}'?")
    return read_config(text)


def _print_profile(profiler: Profiler, source: Source) -> None:
    """Print the table, whatever ended the run."""
    if profiler.frames:
        print(profiler.table(source.dropped), file=sys.stderr)
