"""The parser of both commands: a wrong flag is one sentence, which shows no password and has the nearest right word."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.settings import did_you_mean, nearest, number
from edge.sources import is_camera


class _WholeError(argparse.ArgumentError):
    """Its message says what to do."""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `ConfigError` in place of printing its usage and leaving."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more | {"exit_on_error": False})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what is not known here rather than in the parser above, which knows other flags.

        Raises:
            ConfigError: an unknown flag or word, or a flag without its value.
        """
        try:
            known, unknown = super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            ours = isinstance(error, _WholeError) or isinstance(error.__context__, argparse.ArgumentTypeError)
            self._fail(f"{_flag(error.argument_name)}{error.message}", "" if ours else self._see())
        if unknown:
            self._refuse(unknown[0])
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong.

        Raises:
            ConfigError: always.
        """
        self._fail(message, self._see())

    def _fail(self, message: str, todo: str) -> NoReturn:
        for word in sys.argv[1:]:
            message = message.replace(word, hide_password(word)) if word else message
        raise ConfigError(f"{message}; {todo}" if todo else message)

    def _see(self) -> str:
        return f"'{self.prog} --help' lists what there is"

    def _refuse(self, word: str) -> NoReturn:
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        if not word.startswith("-") or word == "-":
            self._fail(f"want no further words, got '{hide_password(word)}'", self._see())
        name = word.partition("=")[0]
        meant = nearest(name, flags)
        todo = f"did you mean '{meant}'?" if meant else self._see()
        self._fail(f"unknown flag '{hide_password(name)}'", todo)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a word that is none of an action's choices; argparse calls this for every value."""
        if action.choices is not None and value not in action.choices:
            words = list(map(str, action.choices))
            raise _WholeError(action, f"want one of these words, got '{value}'; {did_you_mean(value, words)}")


def positive(text: str) -> int:
    """Read a flag's whole number of at least 1; an `argparse` type.

    Raises:
        argparse.ArgumentTypeError: something else.
    """
    value = number(text)
    if not isinstance(value, int) or not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"want a whole number of at least 1, got '{text[:60]}'; correct it")
    return value


def utf8(text: str) -> str:
    """Return a flag's text; an `argparse` type.

    Raises:
        argparse.ArgumentTypeError: bytes that are no UTF-8, which no line of JSON can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError("want text in UTF-8, got other bytes; correct it") from error
    return text


def labels(text: str) -> tuple[str, ...]:
    """Split "person, horse" into words.

    Raises:
        ConfigError: there are none.
    """
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise ConfigError(f"--classes: want labels such as person,horse, got '{text}'; leave the flag out for all")
    return words


def check_camera(text: str) -> str:
    """Return what --camera was given.

    Raises:
        ConfigError: a file or folder, or nothing.
    """
    if not is_camera(text):
        shown = hide_password(text)
        todo = f"for a file or folder write: --source {shown}" if text.strip() else "try: --camera 0"
        raise ConfigError(f"--camera: want a camera such as 0, /dev/video0 or picamera:, got '{shown}'; {todo}")
    return text


def given(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return the flags among `names` that were given, by name."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _flag(name: str | None) -> str:
    """Return how a sentence about a flag begins; argparse names the short and the long form: "-n/--name"."""
    return f"{name.rpartition('/')[2]}: " if name else ""
