"""What a person wrote: TOML files, values in their ranges, words from a list, paths. One sentence for each mistake.

Configurations and recipes are `msgspec` structs whose fields have one of the types below, so that a range is stated
once, where the field is, and checked for every file and flag in the same way.
"""

import difflib
import re
import sys
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

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
BelowOne = Annotated[float, msgspec.Meta(ge=0, lt=1)]
"""A part that is taken away: something must be left."""
Rate = Annotated[float, msgspec.Meta(gt=0, le=1)]
"""Of learning: 0 learns nothing, and above 1 no net here stays finite."""
Pixels = Annotated[int, msgspec.Meta(ge=1, le=4096)]
"""A side of a model's picture; cameras give up to about 4,000, and models here take up to 416."""
_LETTERS = "plain letters, digits, _ . + and -, without a dot in front"
PlainName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z", description=f"a name of 1 to 100 {_LETTERS}")
]
"""A name that becomes part of a file's name: no separator, no leading dot, no space."""
PlainNameOrNone = Annotated[
    str,
    msgspec.Meta(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.+-]{0,99})?\Z", description=f"a name of up to 100 {_LETTERS}"),
]
"""The same, where "" means none."""
Word = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_+-]{0,99}\Z",
        description="a name of 1 to 100 plain letters, digits, _ + and -, without a dot",
    ),
]
"""A plain name without a dot, of which longer names are made."""
Place = Annotated[
    str, msgspec.Meta(pattern=r"^[^\0]{0,4095}\Z", description="a path below 4,096 characters, without a zero byte")
]
"""A path as it is written in a file: file systems take no zero byte and less than 4,096 bytes.

A pattern's description is what a message says in its place."""

_T = TypeVar("_T")
_PLACE = re.compile(r"(.*?) - at (`key` in )?`\$(.*)`\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_NO_WORD = re.compile(r"Invalid (?:enum )?value '(.*)'\Z", re.DOTALL)


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
    """Turn msgspec's message into "KEY: want X, got Y". Its text is all that it tells of an error."""
    placed = _PLACE.match(message)
    complaint, of_key, path = (placed[1], placed[2], placed[3].lstrip(".")) if placed else (message, None, "")
    key = f"{path}: " if path else ""
    unknown = _UNKNOWN.match(complaint)
    if unknown:
        return f"{key}unknown key '{_short(unknown[1])}'; {did_you_mean(unknown[1], _keys(kind, path))}"
    if complaint.startswith("Object missing required field"):
        return f"{key}want the key {complaint.rpartition(' ')[2]}, got a table without it; add it"
    no_word = _NO_WORD.match(complaint)
    if no_word:
        there = did_you_mean(no_word[1], _words(kind, path, of_key is not None))
        return f"{key}want one of the words that it may be, got '{_short(no_word[1])}'; {there}"
    want = complaint[0].lower() + complaint[1:]
    want = want.removeprefix("expected ").replace("`", "")
    if ", got " in want:  # the type is wrong: msgspec says both
        return f"{key}want {want}; correct it"
    if "matching regex" in want:
        metas = [meta for part in _at([kind], path) for meta in getattr(part, "__metadata__", ())]
        want = next((meta.description for meta in metas if meta.description), want)
    return f"{key}want {want}, got {_short(_value(values, path))}; correct it"


def _value(values: Any, path: str) -> Any:
    """Return what stands at a path such as "track.confirm" or "sinks[2]"; the last part that can be followed."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        try:
            values = values[int(index)] if index else values[name]
        except (KeyError, IndexError, TypeError):
            break
    return values


def _keys(kind: Any, path: str) -> list[str]:
    """Return the keys that the structs at a path have; none if the path goes through a table of any names."""
    return list(dict.fromkeys(field.encode_name for part in _plain(_at([kind], path)) for field in _fields(part)))


def _words(kind: Any, path: str, of_key: bool) -> list[str]:
    """Return the words that a value at a path may be, or its keys where `of_key`, or the tags of its structs."""
    before, _, last = path.rpartition(".")
    found = [part for top in _plain(_at([kind], path)) for part in (_plain(_inside(top, 0)) if of_key else [top])]
    words = [word for part in found if get_origin(part) is Literal for word in get_args(part)]
    tagged = [part.__struct_config__ for part in _plain(_at([kind], before)) if hasattr(part, "__struct_config__")]
    return words or [str(config.tag) for config in tagged if config.tag_field == last]


def _at(kinds: list[Any], path: str) -> list[Any]:
    """Return the types that a value at a path may have, with their ranges."""
    for name, index in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", path):
        parts = _plain(kinds)
        if index:
            kinds = [inner for part in parts for inner in _inside(part, -1)]
        else:
            kinds = [field.type for part in parts for field in _fields(part) if field.encode_name == name]
    return kinds


def _plain(kinds: list[Any]) -> list[Any]:
    """Return the types of unions one by one, without their ranges."""
    return [part for kind in kinds for part in _parts(kind)]


def _parts(kind: Any) -> list[Any]:
    if hasattr(kind, "__metadata__"):
        return _parts(kind.__origin__)
    if get_origin(kind) in (Union, types.UnionType):
        return [part for inner in get_args(kind) for part in _parts(inner)]
    return [kind]


def _inside(kind: Any, place: int) -> list[Any]:
    """Return what an array (`place` -1) or a table holds, or the type of its keys (0)."""
    if get_origin(kind) not in (tuple, list, dict):
        return []
    inner = [part for part in get_args(kind) if part is not ...]
    return [inner[place]]


def _fields(kind: Any) -> tuple[Any, ...]:
    return msgspec.structs.fields(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()


def _short(value: object) -> str:
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a very large number"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
