"""What a person wrote: TOML files, values in their ranges, words from a list, paths. One sentence for each mistake.

Configurations and recipes are `msgspec` structs whose fields have one of the types below, so that a range is stated
once, where the field is, and checked for every file and flag in the same way.
"""

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from edge.errors import ConfigError
from edge.limits import LimitError, read_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 1_000_000
"""The largest TOML file that is read: a configuration or recipe has under two hundred lines."""
MOST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A part of a whole, or a score."""
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
"""A number above 0; infinity is none."""
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A number of at least 0; infinity is none."""
Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""How many, where none makes no sense."""
CountOrNone = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""How many, where 0 means none."""
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""Of a random generator; numpy and Keras take 32 bits."""
PlainName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z")]
"""A name that becomes part of a file's name: no separator, no leading dot, no space."""

_T = TypeVar("_T")
_PLACE = re.compile(r"(.*) - at `\$(.*)`\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file's keys and values, unchecked.

    Args:
        path: the file.
        what: begins the sentence of an error, as "config gate.toml".

    Raises:
        ConfigError: not readable, too large, no TOML, or nested or numbered beyond what Python reads.
    """
    try:
        return tomllib.loads(read_file(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{what}: want a readable TOML file, got '{error.strerror}'; check the path") from error
    except LimitError as error:
        raise ConfigError(f"{what}: {error}; give a TOML file") from error
    except RecursionError as error:
        raise ConfigError(f"{what}: want TOML with a few levels, got a very deep nesting; check the file") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of more digits than Python reads
        raise ConfigError(f"{what}: want TOML, got '{_short(error)}'; correct that place") from error


def convert(values: Mapping[str, Any], kind: type[_T], what: str) -> _T:
    """Make a checked struct of keys and values.

    Args:
        values: as `read_toml` returns them.
        kind: a `msgspec.Struct`; its fields' types state the ranges.
        what: begins the sentence of an error, as "config gate.toml".

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type or out of its range.
    """
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{what}: {_sentence(str(error), values, kind)}") from error
    except RecursionError as error:
        raise ConfigError(f"{what}: want a few levels of tables, got a very deep nesting; check the file") from error


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word of a list that was probably meant: the same but for case, or within a few letters."""
    known = list(words)
    lower = {name.lower(): name for name in reversed(known)}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return lower[found[0]] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: "did you mean 'person'?", or the words there are."""
    known = list(words)
    meant = nearest(word, known)
    return f"did you mean '{meant}'?" if meant else f"there are {', '.join(known) or 'none'}"


def given_path(text: str, what: str) -> Path:
    """Turn what a person typed into a path, with `~` replaced by the home folder.

    Args:
        text: as it was typed.
        what: begins the sentence of an error.

    Raises:
        ConfigError: a NUL character, a name longer than a file system takes, or the home of nobody.
    """
    if "\0" in text:
        raise ConfigError(f"{what}: want a path, got one with a NUL character; correct it")
    if len(text.encode("utf-8", "surrogateescape")) >= 4096 or any(
        len(part.encode("utf-8", "surrogateescape")) > 255 for part in text.split("/")
    ):
        raise ConfigError(f"{what}: want a path, got one of {len(text)} characters; file systems take less")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{what}: want a path, got the home folder of nobody; name the folder itself") from error


def _sentence(message: str, values: Mapping[str, Any], kind: Any) -> str:
    """Turn msgspec's message into "KEY: want X, got Y"."""
    placed = _PLACE.match(message)
    complaint, path = (placed[1], placed[2].lstrip(".")) if placed else (message, "")
    key = f"{path}: " if path else ""
    unknown = _UNKNOWN.match(complaint)
    if unknown:
        return f"{key}unknown key '{unknown[1]}'; {did_you_mean(unknown[1], _keys(kind, path))}"
    if complaint.startswith("Object missing required field"):
        return f"{key}want the key {complaint.rpartition(' ')[2]}, got a table without it; add it"
    want = complaint[0].lower() + complaint[1:]
    want = want.removeprefix("expected ").replace("`", "")
    got = _value(values, path)
    if ", got " in want:  # the type is wrong: msgspec says both
        return f"{key}want {want}; correct it"
    return f"{key}want {want}, got {_short(got)}; correct it"


def _value(values: Any, path: str) -> Any:
    """Return what stands at a path such as "track.confirm" or "sinks[2]"; the last part that can be followed."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        try:
            values = values[int(index)] if index else values[name]
        except (KeyError, IndexError, TypeError):
            break
    return values


def _keys(kind: Any, path: str) -> list[str]:
    """Return the keys that the struct at a path has; none if the path goes through a table of any names."""
    for name in re.findall(r"[^.\[\]]+", path):
        found = {field.encode_name: field.type for field in _fields(kind)}
        kind = _struct(found.get(name))
    return [field.encode_name for field in _fields(kind)]


def _fields(kind: Any) -> tuple[Any, ...]:
    return msgspec.structs.fields(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()


def _struct(kind: Any) -> Any:
    """Return the struct inside a type such as `Track`, `Track | None` or `tuple[Track, ...]`; None if there is none."""
    inner = getattr(kind, "__args__", ())
    found = [_struct(part) for part in inner] if inner else [kind if _fields(kind) else None]
    return next((part for part in found if part is not None), None)


def _short(value: object) -> str:
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a very large number"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
