"""What a person wrote: TOML files, values in their ranges, words from a list, paths. One sentence for each mistake.

Configurations and recipes are `msgspec` structs whose fields have one of the types below, so that a range is stated
once, where the field is, and checked for every file and flag in the same way. A struct that compares two of its keys
raises `ValueError("keep_ms of at least coast_ms")` in `__post_init__`: what it wants, or "what it wants, got Y".
"""

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from edge.errors import ConfigError
from edge.limits import LimitError, read_file
from edge.wants import sentence, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 1_000_000
"""The largest TOML file that is read: a configuration or recipe has under two hundred lines."""
MOST_LISTED = 12
"""Words that a message lists where none of them resembles what was typed: a line of a terminal."""
RESEMBLING = 0.65
"""How alike two words must be, 0 to 1, for one to be a slip of the other, by `difflib`'s ratio: one wrong letter of
three is .67 and a slip ('lov' is 'low'); 'cat' and 'boat', .57, are two words."""
MOST_PATH_BYTES, MOST_NAME_BYTES = 4095, 255
"""Of a path and of each name in it: what Linux and its file systems take."""

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
PlainName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z",
        description="a plain name of letters, digits and _ . + - that begins with a letter, a digit or _",
    ),
]
"""A name that becomes part of a file's name: no separator, no leading dot, no space."""
PlainNameOrNone = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.+-]{0,99})?\Z",
        description="no text, or a plain name of letters, digits and _ . + -",
    ),
]
"""The same, where "" means none."""
Word = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_+-]{0,99}\Z",
        description="a plain name of letters, digits and _ + -, without a dot",
    ),
]
"""A plain name without a dot, of which longer names are made."""
Place = Annotated[
    str, msgspec.Meta(pattern=r"^[^\0]{0,4095}\Z", description="a path below 4,096 characters, without a zero byte")
]
"""A path as it is written in a file: file systems take no zero byte and less than 4,096 bytes."""

_T = TypeVar("_T")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file's keys and values, unchecked.

    Args:
        path: the file.
        what: begins the sentence of an error, as "config gate.toml".

    Raises:
        ConfigError: not readable, too large, no TOML, or nested or numbered beyond what Python reads.
    """
    try:
        return tomllib.loads(read_file(path, MOST_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{what}: want a readable TOML file, got '{error.strerror}'; check the path") from error
    except LimitError as error:
        raise ConfigError(f"{what}: {error}; give a TOML file") from error
    except RecursionError as error:
        raise ConfigError(f"{what}: want TOML with a few levels, got a very deep nesting; check the file") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of more digits than Python reads
        raise ConfigError(f"{what}: want TOML, got '{shown(error)}'; correct that place") from error


def convert(values: Mapping[str, Any], kind: type[_T], what: str, flags: Mapping[str, str] | None = None) -> _T:
    """Make a checked struct of keys and values.

    Args:
        values: as `read_toml` returns them.
        kind: a `msgspec.Struct`; its fields' types state the ranges.
        what: begins the sentence of an error, as "config gate.toml".
        flags: key -> the flag that its value came from, as "--frames"; a sentence about it begins with the flag.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type or out of its range.
    """
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as error:
        key, words = sentence(error, values, kind, did_you_mean)
        top = key.partition(".")[0].partition("[")[0]
        place = f"{what}: {key}" if key else what
        raise ConfigError(f"{(flags or {}).get(top, place)}: {words}") from error
    except UnicodeEncodeError as error:  # bytes that are no UTF-8, typed where a number belongs
        wrong = next((key for key, value in values.items() if isinstance(value, str) and not value.isascii()), "")
        place = (flags or {}).get(wrong, f"{what}: {wrong}" if wrong else what)
        raise ConfigError(f"{place}: want text in UTF-8, got other bytes; correct it") from error
    except RecursionError as error:
        raise ConfigError(f"{what}: want a few levels of tables, got a very deep nesting; check the file") from error


def number(text: str) -> int | float | str:
    """Read the number that a flag was given; a text that is none comes back, for `convert` to say what it wants."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:  # not this kind, or more digits than Python reads as a whole number
            continue
    return text


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word of a list that was probably meant: the same but for case, or within a few letters."""
    known = list(words)
    lower = {name.lower(): name for name in reversed(known)}
    found = difflib.get_close_matches(word[:MOST_NAME_BYTES].lower(), lower, n=1, cutoff=RESEMBLING)
    return lower[found[0]] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: "did you mean 'person'?", or the words there are."""
    known = list(words)
    meant = nearest(word, known)
    if meant is not None:
        return f"did you mean '{meant}'?"
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    return f"there are {', '.join(known[:MOST_LISTED]) or 'none'}{more}"


def given_path(text: str, what: str) -> Path:
    """Turn what a person typed into a path, with `~` replaced by the home folder.

    Args:
        text: as it was typed.
        what: begins the sentence of an error.

    Raises:
        ConfigError: an empty text, a NUL or unpaired surrogate character, a path or name longer than a file system
            takes, or the home of nobody.
    """
    if not text:
        raise ConfigError(f"{what}: want a path, got an empty text; write the path")
    if "\0" in text:
        raise ConfigError(f"{what}: want a path, got one with a NUL character; correct it")
    try:
        path = Path(text).expanduser()
        name = os.fsencode(path)
    except RuntimeError as error:
        raise ConfigError(
            f"{what}: want a path, got the home folder of a user who is not known here; write the folder itself"
        ) from error
    except UnicodeEncodeError as error:
        raise ConfigError(f"{what}: want a path, got one with a character that no file name has; correct it") from error
    longest = max(map(len, name.split(b"/")))
    if len(name) > MOST_PATH_BYTES or longest > MOST_NAME_BYTES:
        raise ConfigError(
            f"{what}: want a path of at most {MOST_PATH_BYTES} bytes and {MOST_NAME_BYTES} a name, got {len(name)} "
            f"and {longest}; give a shorter one"
        )
    return path
