"""What a person typed behind --sink: its kind and its place, or a sentence with what was probably meant.

All that can be judged by the text alone is judged here, before any output is opened or emptied.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.settings import given_path, nearest
from edge.sinks import crops, folder, jsonl, video
from edge.sinks.options import split_options

FORMS = {
    "jsonl": "jsonl:PATH",
    "video": "video:PATH.webm",
    "png": "png:PATH.png",
    "folder": "folder:DIR",
    "crops": "crops:DIR",
    "window": "window:",
    "null": "null:",
}
"""Kind -> how it is written."""
OPTIONS: Mapping[str, Mapping[str, Callable[[str], float | str]]] = {
    "jsonl": jsonl.OPTIONS,
    "crops": crops.OPTIONS,
    "folder": folder.OPTIONS,
}
"""Kind -> its options; the others have none."""
SUFFIXES = {"video": video.SUFFIXES, "png": (".png",)}
"""Kind -> what its names end in; the others take any name."""
_BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".mp4": "video",
    ".avi": "video",
    ".mkv": "video",
    ".webm": "video",
    ".mov": "video",
    ".png": "png",
}
_WITHOUT_PLACE = ("window", "null")


class Given(NamedTuple):
    """A sink as it was typed: "jsonl:yard.jsonl?keep=5" -> "jsonl", "yard.jsonl", "yard.jsonl?keep=5"."""

    kind: str
    place: str
    rest: str


def split_sink(uri: str) -> Given:
    """Split "KIND:PATH?OPTIONS", once it is sure that the kind is known and that the rest can be one of its kind.

    Args:
        uri: as it was typed.

    Raises:
        ConfigError: an unknown kind, no place, an address, a path that cannot be, a suffix that the kind does not
            write, or an unknown or wrong option.
    """
    kind, colon, rest = uri.partition(":")
    shown = hide_password(uri)
    if not colon or kind not in FORMS:
        raise ConfigError(_unknown(uri))
    if "://" in rest or "://" in uri:
        raise ConfigError(f"sink {shown}: want a path, got an address; results are written to files of this machine")
    if kind in _WITHOUT_PLACE:
        if rest:
            raise ConfigError(
                f"sink {shown}: want nothing behind the colon, got '{hide_password(rest)}'; write {kind}:"
            )
        return Given(kind, "", "")
    if not rest:
        raise ConfigError(f"sink {shown}: want a path behind the colon, got an end; write {FORMS[kind]}")
    place, _ = split_options(shown, rest, OPTIONS.get(kind, {}))
    if kind == "jsonl" and place == "-":
        if rest != place:
            raise ConfigError(f"sink {shown}: want no options of standard output, got some; write jsonl:-")
        return Given(kind, place, rest)
    suffixes = SUFFIXES.get(kind, ())
    if suffixes and given_path(place, f"sink {shown}").suffix.lower() not in suffixes:
        why = ", which play in browsers and after a kill" if kind == "video" else ""
        meant = hide_password(f"{kind}:{_renamed(place, kind)}")
        raise ConfigError(
            f"sink {shown}: want a name that ends in {' or '.join(suffixes)}{why}, got '{hide_password(place)}'; "
            f"did you mean '{meant}'?"
        )
    given_path(place, f"sink {shown}")
    return Given(kind, place, rest)


def _unknown(uri: str) -> str:
    """Make the sentence for a sink without a kind that is known, with the one that was probably meant."""
    kind, colon, _ = uri.partition(":")
    shown = hide_password(uri)
    forms = ", ".join(FORMS.values())
    if not uri:
        return f"sink: want one of {forms}, got an empty text; write one of them"
    if "://" in uri:
        return f"sink '{shown}': want one of {forms}, got {kind[:40]}://, which is not supported; name a file or folder"
    meant = _meant(uri)
    got = f"'{kind[:40]}:'" if colon else "no kind in front"
    if meant:
        return f"sink '{shown}': want KIND:PATH, got {got}; did you mean '{hide_password(meant)}'?"
    return f"sink '{shown}': want one of {forms}, got {got}; put one of them in front"


def _meant(uri: str) -> str | None:
    """Return what was probably meant by a sink of no known kind; None where nothing that can be one is near."""
    word, colon, rest = uri.partition(":")
    name = Path(uri.partition("?")[0])
    if colon:
        kind = nearest(word, FORMS)
    elif uri in FORMS:
        kind, rest = uri, ""
    else:
        kind, rest = _BY_SUFFIX.get(name.suffix.lower(), None if name.suffix else "folder"), uri
    if kind is None:
        return None
    if not rest or kind in _WITHOUT_PLACE:
        return FORMS[kind]
    meant = f"{kind}:{_renamed(rest, kind)}"
    try:
        split_sink(meant)
    except ConfigError:
        return None
    return meant


def _renamed(place: str, kind: str) -> str:
    """Return a place with the suffix that its kind writes."""
    suffixes = SUFFIXES.get(kind, ())
    if not suffixes or place.lower().endswith(suffixes):
        return place
    place = place.rstrip("/")
    return f"{place[: len(place) - len(Path(place).suffix)]}{suffixes[0]}"
