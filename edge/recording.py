"""What a run tells of itself, and the outputs that are told."""

import secrets
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from edge import __version__
from edge.bundle import Bundle
from edge.redact import hide_password
from edge.types import Run, UsedBundle

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
        source=hide_password(source),
        camera=camera or camera_name(source),
        bundles={stage: UsedBundle(bundle.path.resolve().name, bundle.sha256) for stage, bundle in bundles.items()},
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
    device = hide_password(source).partition("?")[0]
    return PurePath(device).name or device


def _hidden(values: Any) -> Any:
    """Return plain values with every password in a text hidden."""
    if isinstance(values, Mapping):
        return {key: _hidden(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_hidden(value) for value in values]
    return hide_password(values) if isinstance(values, str) else values
