"""One TOML file -> one frozen struct. Flags of the command line override it; an unknown key is an error."""

import sys
from pathlib import Path
from typing import Literal

import msgspec

from edge.errors import ConfigError, LimitError
from edge.limits import read_file
from edge.redact import hide_password

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 1_000_000
"""A configuration has about thirty keys."""


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
    appearance: float = 0.5
    start_score: float = 0.5
    confirm: int = 3
    coast_ms: float = 500.0
    keep_ms: float = 3000.0

    def __post_init__(self) -> None:
        _between("track.appearance", self.appearance, 0, 1)
        _between("track.start_score", self.start_score, 0, 1)
        _between("track.confirm", self.confirm, 1, 1000)
        _between("track.coast_ms", self.coast_ms, 0, 1e7)
        _between("track.keep_ms", self.keep_ms, self.coast_ms, 1e7)


class Config(_Section, frozen=True):
    """The whole file. Every key has the name of its flag.

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
    threshold: float | None = None
    budget_ms: float = 100.0
    sinks: tuple[str, ...] = ()
    frames: int | None = None
    pace: bool = False
    threads: int | None = None
    track: Track = msgspec.field(default_factory=Track)

    def __post_init__(self) -> None:
        _between("budget_ms", self.budget_ms, 1, 1e6)
        if self.threshold is not None:
            _between("threshold", self.threshold, 0, 1)
        if self.frames is not None:
            _between("frames", self.frames, 1, 2**62)
        if self.threads is not None:
            _between("threads", self.threads, 1, 256)


def read_config(path: Path) -> dict[str, object]:
    """Read a configuration file's keys and values, unchecked.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    name = f"config {hide_password(str(path))}"
    try:
        return tomllib.loads(read_file(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        reason = error.strerror
        raise ConfigError(f"{name}: want a readable TOML file, got '{reason}'; check the path") from error
    except LimitError as error:
        raise ConfigError(f"{name}: {error}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: want TOML, got '{error}'; mend the file") from error


def make_config(values: dict[str, object]) -> Config:
    """Check keys and values and make a configuration of them; missing keys take their defaults.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of its range.
    """
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        part = Track if "$.track" in str(error) else Config
        raise ConfigError(f"config: {error}; the keys there are {', '.join(part.__struct_fields__)}") from error


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}: want {low:g} to {high:g}, got {value:g}")
