"""One TOML file -> one frozen struct. Flags of the command line override it; an unknown key is an error."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.settings import Count, Share, convert, did_you_mean, given_path, read_toml

DRAWN = ("clock", "count")
"""What can be drawn on pictures besides boxes: the time, and how many of each class are in sight."""

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e7)]
"""Up to three hours."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the configuration's parts: immutable, an unknown key is an error."""


class Track(_Section, frozen=True):
    """`[track]`: how detections become tracks.

    Attributes:
        metric: distance between embeddings; `bundle` = the one the embedder was judged with.
        appearance: how much looks count against place when a detection is given to a track, 0 to 1.
        start_score: a detection starts a track only from this score on; weaker ones can continue one.
        confirm: a new track is reported once it was seen in this many frames in a row.
        coast_ms: a track that is not seen is reported at its predicted place for so long.
        keep_ms: and can be found again for so long, milliseconds since it was last seen.
    """

    metric: Literal["bundle", "manhattan", "cosine"] = "bundle"
    appearance: Share = 0.5
    start_score: Share = 0.5
    confirm: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    coast_ms: Milliseconds = 500.0
    keep_ms: Milliseconds = 3000.0

    def __post_init__(self) -> None:
        if self.keep_ms < self.coast_ms:
            raise ValueError("keep_ms of at least coast_ms")


class Config(_Section, frozen=True):
    """The whole file. Every key has the name of its flag, but for `sinks`, a list, which is `--sink` many times.

    `--camera N` is short for a `source`; `--profile`, `--show` and `--quiet` are flags alone.

    Attributes:
        source: URI of the pictures, see `edge.sources`.
        detector: name or folder of a bundle; "" = the default one that is installed.
        embedder: name or folder of a bundle; "" = the default one that is installed.
        matcher: name or folder of the bundle of a head that tells whether two vectors are the same individual, or
            of an embedder trained for this camera, which then takes the embedder's place; "" = the embedder's metric.
        classes: labels that are wanted; none = all.
        threshold: detection scores must be above it; None = the detector bundle's own.
        budget_ms: largest age of a result.
        sinks: URIs of outputs, see `edge.sinks`.
        draw: what pictures and videos show besides boxes, some of `DRAWN`.
        name: what results call the camera; "" = taken from the source.
        overwrite: empty what older runs wrote instead of writing behind it or beside it.
        frames: stop after so many; None = at the source's end.
        pace: play a video file at its own speed, as a camera would.
        threads: cores for the models; None = all, at most 4.
        track: the `[track]` table.
    """

    source: str = ""
    detector: str = ""
    embedder: str = ""
    matcher: str = ""
    classes: tuple[str, ...] = ()
    threshold: Share | None = None
    budget_ms: Annotated[float, msgspec.Meta(ge=1, le=1e6)] = 100.0
    sinks: tuple[str, ...] = ()
    draw: tuple[str, ...] = ()
    name: str = ""
    overwrite: bool = False
    frames: Count | None = None
    pace: bool = False
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None
    track: Track = msgspec.field(default_factory=Track)


def read_config(path: str | Path) -> dict[str, object]:
    """Read a configuration file's keys and values, unchecked.

    Args:
        path: as it was typed.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    what = f"config {hide_password(str(path))}"
    return read_toml(given_path(str(path), what), what)


def check_drawn(words: Iterable[str], what: str = "draw", known: Sequence[str] = DRAWN) -> None:
    """Check what is to be drawn besides boxes.

    Args:
        words: as they were asked for.
        what: begins the sentence of an error: the flag, or the file and its key.
        known: those there are.

    Raises:
        ConfigError: an unknown word.
    """
    for word in words:
        if word not in known:
            raise ConfigError(f"{what}: unknown word '{hide_password(word)}'; {did_you_mean(word, known)}")


def make_config(values: Mapping[str, object], what: str = "config", flags: Mapping[str, str] | None = None) -> Config:
    """Check keys and values and make a configuration of them; missing keys take their defaults.

    Args:
        values: from the file and the flags.
        what: begins the sentence of an error.
        flags: key -> the flag that gave its value.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of its range.
    """
    config = convert(values, Config, what, flags)
    check_drawn(config.draw, (flags or {}).get("draw", f"{what}: draw"))
    return config
