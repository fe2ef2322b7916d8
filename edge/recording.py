"""What a run tells of itself, and the outputs that are told."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from edge import __version__
from edge.bundle import Bundle
from edge.errors import ConfigError, OutputError
from edge.redact import hide_password, in_utf8
from edge.settings import given_path
from edge.sinks import Output, Sink, open_sink
from edge.sinks.given import split_sink
from edge.sinks.guarded import Outputs
from edge.sinks.place import real_path
from edge.sinks.profile import ProfileSink, is_plain
from edge.types import Run, UsedBundle
from edge.wallclock import WallClock

NOMINAL_FPS = 10.0
"""Frames a second of a source that tells none."""


def new_run(source: str, camera: str, bundles: Mapping[str, Bundle], settings: Mapping[str, object]) -> Run:
    """Begin a run: an id of its own, and all that its results depend on.

    Args:
        source: URI of the pictures.
        camera: name that its owner gave; "" = take it from the source.
        bundles: stage -> bundle.
        settings: plain values: strings, numbers, lists, tables.
    """
    return Run(
        id=secrets.token_hex(6),
        version=__version__,
        source=in_utf8(hide_password(source)),
        camera=in_utf8(camera or camera_name(source)),
        bundles={
            stage: UsedBundle(in_utf8(bundle.path.resolve().name), bundle.sha256) for stage, bundle in bundles.items()
        },
        settings=_hidden(settings),
    )


def camera_name(source: str) -> str:
    """Return a name for the camera behind a source: the host of a stream, the name of a file, else the source itself.

    "0?fps=30" -> "0", "rtsp://user:word@yard.local/1" -> "yard.local", "films/yard.mp4" -> "yard.mp4".
    """
    if "://" in source:
        try:
            return urlsplit(source).hostname or "stream"
        except ValueError:
            return "stream"
    device = hide_password(source).partition("?")[0].removesuffix(":")
    return PurePath(device).name or device


def open_outputs(
    uris: Sequence[str], output: Output, profile: Path | None = None, summary: Callable[[], dict[str, object]] = dict
) -> Outputs:
    """Open all that results are written to. Each fails alone from here on.

    Args:
        uris: of the sinks.
        output: what is known of the run.
        profile: file of the profile; None = none.
        summary: returns the figures of the profile.

    Raises:
        ConfigError: a wrong URI, a place that another process writes to, or one place for a sink and the profile.
        OutputError: the system refuses every one of them.
    """
    if profile is not None:
        _check_apart(profile, uris)
    openers: list[tuple[str, Path | None, Callable[[bool], Sink]]] = [
        (in_utf8(hide_password(uri)), _path_of(uri), _opener(uri, output)) for uri in uris
    ]
    if profile is not None:
        openers.append((in_utf8(f"profile:{profile}"), profile, lambda _: ProfileSink(profile, summary)))
    return Outputs(openers, WallClock())


def exit_code(signal_number: int, outputs: Outputs) -> int:
    """Return what a run ends with that no error ended.

    Lost results come before a signal: a camera's run ends by a signal alone, and whoever watches must hear of them.

    Args:
        signal_number: of the signal that asked for the end; 0 = none.
        outputs: closed.
    """
    if outputs.failed:
        return OutputError.exit_code
    return 128 + signal_number if signal_number else 0


def _check_apart(profile: Path, uris: Sequence[str]) -> None:
    """See that no sink has the profile's file, before one of them is emptied.

    Raises:
        ConfigError: one has it.
    """
    with suppress(OSError):  # of a working folder that is gone or a loop of links: whoever opens it says so
        place = real_path(profile)
        for uri in uris if is_plain(profile) else []:
            path = _path_of(uri)
            if path is not None and real_path(path) == place:
                raise ConfigError(
                    f"profile {profile}: want a file of its own, got that of sink {hide_password(uri)}; name another"
                )


def _opener(uri: str, output: Output) -> Callable[[bool], Sink]:
    def opener(again: bool) -> Sink:
        return open_sink(uri, replace(output, overwrite=output.overwrite and not again))

    return opener


def _path_of(uri: str) -> Path | None:
    """Return what a sink writes to; None for one that writes to no file."""
    place = split_sink(uri).place
    return given_path(place, f"sink {hide_password(uri)}") if place not in ("", "-") else None


def _hidden(values: Any) -> Any:
    """Return plain values with every password in a text hidden, and every text one that JSON can hold."""
    if isinstance(values, Mapping):
        return {key: _hidden(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_hidden(value) for value in values]
    return in_utf8(hide_password(values)) if isinstance(values, str) else values
