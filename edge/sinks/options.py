"""Options in the address of an output: "jsonl:PATH?rotate_mb=8&keep=5"."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.settings import did_you_mean


def split_options(
    uri: str, rest: str, readers: Mapping[str, Callable[[str], float | str]]
) -> tuple[str, dict[str, float | str]]:
    """Split what follows "KIND:" into the path and the options that were given.

    Args:
        uri: of the sink, for messages.
        rest: what follows "KIND:".
        readers: option -> function that reads its value and raises ValueError saying what it wants.

    Raises:
        ConfigError: an unknown option, or a value that its reader refuses.
    """
    place, _, query = rest.partition("?")
    options: dict[str, float | str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        shown = hide_password(key)
        if key not in readers:
            raise ConfigError(f"sink {uri}: unknown option '{shown}'; {did_you_mean(key, readers)}")
        try:
            options[key] = readers[key](value)
        except ValueError as error:
            got = f"'{hide_password(value)}'" if value else "no value"
            raise ConfigError(f"sink {uri}: want {key} to be {error}, got {got}; correct it") from error
    return place, options


def number(least: float, most: float) -> Callable[[str], float]:
    """Return a reader of numbers between two bounds, both included."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise ValueError(f"a number from {least:.12g} to {most:.12g}")
        return value

    return read


def whole_number(least: int, most: int) -> Callable[[str], float]:
    """Return a reader of whole numbers between two bounds, both included."""

    def read(text: str) -> float:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader of one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return read
