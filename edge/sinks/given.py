"""What a person typed behind --sink: its kind and its place, or a sentence with the kind that was probably meant."""

from collections.abc import Collection
from pathlib import Path

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.settings import given_path, nearest

FORMS = {
    "jsonl": "jsonl:PATH",
    "video": "video:PATH",
    "png": "png:PATH",
    "folder": "folder:PATH",
    "crops": "crops:DIR",
    "window": "window:",
    "null": "null:",
}
"""Kind -> how it is written."""
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


def split_sink(uri: str, kinds: Collection[str]) -> tuple[str, str]:
    """Split "KIND:PATH", once it is sure that the kind is known and the place can be one.

    Args:
        uri: as it was typed.
        kinds: the kinds that there are.

    Raises:
        ConfigError: an unknown kind, no place, an address, or a path that cannot be.
    """
    kind, colon, rest = uri.partition(":")
    shown = hide_password(uri)
    if not colon or kind not in kinds:
        raise ConfigError(_unknown(uri, kinds))
    if "://" in rest or "://" in uri:
        raise ConfigError(f"sink {shown}: want a path, got an address; results are written to files of this machine")
    if kind in _WITHOUT_PLACE:
        if rest:
            raise ConfigError(
                f"sink {shown}: want nothing behind the colon, got '{hide_password(rest)}'; write {kind}:"
            )
        return kind, rest
    if not rest:
        raise ConfigError(f"sink {shown}: want a path behind the colon, got an end; write {FORMS.get(kind, kind)}")
    if rest != "-" or kind != "jsonl":
        place = rest.partition("?")[0] if kind in ("crops", "jsonl") else rest
        _check_encoding(given_path(place, f"sink {shown}"), kind, shown)
    return kind, rest


def _check_encoding(path: Path, kind: str, shown: str) -> None:
    """OpenCV, which writes films, takes names of UTF-8 alone."""
    if kind != "video":
        return
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"sink {shown}: want a name of UTF-8, got other bytes; give another") from error


def _unknown(uri: str, kinds: Collection[str]) -> str:
    """Make the sentence for a sink without a kind that is known, with the one that was probably meant."""
    kind, colon, rest = uri.partition(":")
    shown = hide_password(uri)
    forms = ", ".join(FORMS.get(name, f"{name}:PATH") for name in kinds)
    if not uri:
        return f"sink: want one of {forms}, got an empty text; write one of them"
    if "://" in uri:
        return f"sink '{shown}': want one of {forms}, got {kind[:40]}://, which is not supported; name a file or folder"
    meant = None
    if colon:
        near = nearest(kind, kinds)
        meant = f"{near}:{rest}" if near else None
    elif uri in kinds:
        meant = FORMS.get(uri, f"{uri}:")
    else:
        by_name = _BY_SUFFIX.get(Path(uri).suffix.lower()) or (None if Path(uri).suffix else "folder")
        meant = f"{by_name}:{uri}" if by_name in kinds else None
    got = f"'{kind[:40]}:'" if colon else "no kind in front"
    if meant:
        return f"sink '{shown}': want KIND:PATH, got {got}; did you mean '{hide_password(meant)}'?"
    return f"sink '{shown}': want one of {forms}, got {got}; put one of them in front"
