"""`edge classify` and `edge localize`: one model is asked about pictures, a video or a camera."""

import argparse
import contextlib
import os
import sys

import cv2

from edge.announce import say_opening, say_running
from edge.answer import Tally, answer
from edge.bundle import Manifest, Task
from edge.chosen import ready
from edge.config import check_drawn
from edge.flags import check_camera, positive, utf8
from edge.folders import bundle_for
from edge.interrupt import stop_on_signal
from edge.model import open_model
from edge.recording import NOMINAL_FPS, exit_code, new_run, open_outputs
from edge.sinks import Output, Sink, check_sink
from edge.sinks.progress import ProgressSink
from edge.sinks.sink import class_name
from edge.sinks.text import TextSink
from edge.sources import Source, open_source
from edge.sources.source import quiet_opencv
from edge.stages.classify import Classify, Localize

ASKING: tuple[Task, ...] = ("classify", "localize")
"""The commands, which are named after the task of the bundle they take."""

MAX_THREADS = 4
"""Models of this size gain nothing from more."""

_WHAT = {
    "classify": "say of which class each picture is",
    "localize": "say what the one object of each picture is, and where",
}
_EPILOG = """\
SOURCE: a picture, a folder of pictures, a video, 0 or /dev/video0, picamera:, rtsp://..., http://...
sinks: jsonl:PATH (- = standard output), video:PATH.webm, folder:DIR (a JPEG each), png:PATH.png (last frame), null:

examples:
  edge {command} pictures/ --sink jsonl:answers.jsonl --sink folder:drawn
  edge {command} yard.mp4 --bundle build/bundles/NAME --sink video:answers.webm
  edge {command} --camera 0 --show
"""


def add_asking(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the two commands to those of `edge`."""
    for command in ASKING:
        words = _WHAT[command]
        parser = commands.add_parser(
            command, help=words, description=f"{words[0].upper()}{words[1:]}.", epilog=_EPILOG.format(command=command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("source", nargs="?", metavar="SOURCE", help="where the pictures come from")
        where.add_argument("--camera", metavar="N", help="short for the SOURCE N")
        add = parser.add_argument
        add("--bundle", default="", metavar="BUNDLE", help="name or folder of a bundle (default: the one installed)")
        add("--sink", action="append", default=[], metavar="URI", help="where results go; may be given more than once")
        add("--draw", metavar="clock", help="write the time on pictures")
        add("--overwrite", action="store_true", help="empty what older runs wrote there")
        words = "what results call the camera (default: taken from the source)"
        add("--name", type=utf8, default="", metavar="NAME", help=words)
        add("--frames", type=positive, metavar="N", help="stop after N frames")
        add("--threads", type=positive, metavar="N", help="cores for the model (default: all, at most 4)")
        add("--pace", action="store_true", help="play a video at its own speed, as a camera would")
        add("--show", action="store_true", help="open a window with the result; q closes it")
        add("--quiet", action="store_true", help="print the summary alone")


def ask(flags: argparse.Namespace) -> int:
    """Run `edge classify` or `edge localize`; returns the exit code.

    Raises:
        BundleError: no bundle for the task, or not one that can be trusted.
        SourceError: nothing to read, or the source was lost.
        ConfigError: an output that makes no sense.
        OutputError: the system refuses every output.
    """
    task: Task = flags.command
    uri = flags.source if flags.camera is None else check_camera(flags.camera)
    for sink in _uris(flags):
        check_sink(sink)
    draw = (flags.draw,) if flags.draw else ()
    check_drawn(draw, "--draw", ("clock",))  # there is one object: nothing to count
    bundle = bundle_for(task, flags.bundle)
    ready(bundle, task)
    quiet_opencv()
    cv2.setNumThreads(1)  # the cores belong to the model
    threads = flags.threads or min(MAX_THREADS, len(os.sched_getaffinity(0)))
    tally = Tally()
    with contextlib.ExitStack() as open_things:
        enter = open_things.enter_context
        if not flags.quiet:
            say_opening(uri)
        source = enter(open_source(uri, pace=flags.pace))
        model = enter(open_model(bundle, task, threads))
        stage = Localize(model) if task == "localize" else Classify(model)
        manifest = model.bundle.manifest
        settings = {key: value for key, value in vars(flags).items() if key not in ("command", "source", "camera")}
        told = new_run(uri, flags.name, {task: model.bundle}, {"source": uri, **settings})
        output = Output(manifest.labels, source.fps or NOMINAL_FPS, told, flags.overwrite, draw)
        outputs = enter(open_outputs(_uris(flags), output))
        sinks: list[Sink] = [outputs, *_for_people(flags, source, output, open_things)]
        if source.live and not flags.quiet:
            say_running(source, [model], threads, outputs.places or ["standard output"])
        stop = enter(stop_on_signal(source))
        open_things.callback(_print_summary, manifest, tally, source)
        answer(source, stage, sinks, tally, stop.event, flags.frames)
    return exit_code(stop.signal, outputs)


def _for_people(
    flags: argparse.Namespace, source: Source, output: Output, open_things: contextlib.ExitStack
) -> list[Sink]:
    """Return what is shown besides the outputs: words, and a bar."""
    sinks: list[Sink] = []
    if not flags.quiet and "jsonl:-" not in flags.sink:
        sinks.append(TextSink(output.labels, source.live))
    total = min((n for n in (source.frames, flags.frames) if n is not None), default=None)
    return [*sinks, open_things.enter_context(ProgressSink(total, source.live))]


def _uris(flags: argparse.Namespace) -> list[str]:
    return [*flags.sink, *(["window:"] if flags.show else [])]


def _print_summary(manifest: Manifest, tally: Tally, source: Source) -> None:
    """Print one line, whatever ended the run: what was found, how fast, and how good the model is known to be."""
    if not tally.frames:
        return
    classes = ", ".join(f"{n} {class_name(manifest.labels, index)}" for index, n in tally.classes.most_common())
    parts = [f"{tally.frames} frames: {classes}", f"{tally.model.percentile_ns(50) / 1e6:.2f} ms in the model"]
    if source.dropped:
        parts.append(f"{source.dropped} {'dropped' if source.live else 'could not be read'}")
    known = [f"{m.name} {m.value:.1%}" for m in manifest.metrics if m.name in ("mIoU", "accuracy")]
    if known:
        examples = next(m.examples for m in manifest.metrics if m.name in ("mIoU", "accuracy"))
        parts.append(f"when converted {', '.join(known)} of {examples} examples")
    print("; ".join(parts), file=sys.stderr)
