"""Mistakes in flags and configurations."""

import itertools
import json
from collections.abc import Callable, Iterator
from random import Random

from edge.cli import main_edge, main_run
from edge.config import Config, Track
from edge.sinks.given import FORMS
from tests.mistakes.judge import Case
from tests.mistakes.world import World, without_privilege

NUMBERS = ("0", "-1", "abc", "", " ", "1e400", "nan", "inf", "-inf", "9" * 5000, "-" + "9" * 5000, "0x10", "1,5",
           "\u00bd", "3 4", "\0", "\udcff", "1e-400x", "true", "[1]")  # fmt: skip
"""None of these is right for --frames, --threads, --budget-ms or --threshold, but for those of `RIGHT`."""
RIGHT = {"--threshold": ("0",)}
CLASSES = ("Blob", "blbo", "", ",", "unicorn", "b" * 10_000, "\0", "blob;tall", "\x1b[2J", "\udcff")
VALUES = ("0", "-1", "1e400", "nan", "true", '"text"', '""', "[]", "[[]]", "[1, \"a\"]", "{}", "{ a = 1 }", "9" * 5000,
          "1979-05-27", "'\\u0000'", "inf", '"' + "x" * 5000 + '"', "[[[[[[[[[[[[[[1]]]]]]]]]]]]]]")  # fmt: skip
KEYS = Config.__struct_fields__
TRACK = Track.__struct_fields__
_RUN_FLAGS = ("--source", "--detector", "--embedder", "--matcher", "--classes", "--threshold", "--budget-ms", "--sink",
              "--draw", "--overwrite", "--name", "--frames", "--pace", "--threads", "--profile", "--quiet")  # fmt: skip
_WITHOUT_VALUE = ("--overwrite", "--pace", "--quiet", "--profile")
DRAW = ("Clock", "clok", "", ",", "clock,", "clock,x", "\0", "\x1b[2J", "\udcff", "c" * 10_000)
CAMERAS = ("\udcff", "\0", "\x1b[2J", "", "n" * 10_000, "a\nb")
"""Odd names of a camera; any text is one."""


def wrong_flag(random: Random, world: World) -> Case:
    """Make one mistake in the flags of `edge-run`."""
    words = _right(world)
    kind = random.choice(
        ("number", "number", "path", "path", "path", "sink", "classes", "draw", "typo", "cut", "two", "extra")
    )
    harmless = False
    if kind == "number":
        flag = random.choice(("--frames", "--threads", "--budget-ms", "--threshold"))
        value = random.choice([number for number in NUMBERS if number not in RIGHT.get(flag, ())])
        words += [f"{flag}={value}"]
        name = f"{flag} {value[:20]!a}"
    elif kind == "path":
        name, words, harmless = _odd_path(random, world, words)
    elif kind == "sink":
        odd = random.choice(list(world.odd))
        sink = random.choice((*FORMS, "jsno", ""))
        words += [f"--sink={sink}:{world.odd[odd]}" if sink else f"--sink={world.odd[odd]}"]
        words += random.choice(([], ["--overwrite"]))
        name, harmless = f"--sink {sink}:{odd}", True
    elif kind == "classes":
        value = random.choice(CLASSES)
        words += [f"--classes={value}"]
        name = f"--classes {value[:20]!a}"
    elif kind == "draw":
        value = random.choice(DRAW)
        words += [f"--draw={value}", f"--name={random.choice(CAMERAS)}", "--sink=jsonl:drawn.jsonl"]
        name = f"--draw {value[:20]!a}"
    elif kind == "typo":
        flag = random.choice(_RUN_FLAGS)
        word = _mistyped(flag, random)
        words += [word, "1"]
        name, harmless = f"{flag} as {word}", any(known.startswith(word) for known in _RUN_FLAGS)
    elif kind == "cut":
        flag = random.choice([flag for flag in _RUN_FLAGS if flag not in _WITHOUT_VALUE])
        words += [flag]
        name = f"{flag} without its value"
    elif kind == "two":
        words += [f"--camera={random.choice(('0', 'x', ''))}"]
        name = "two sources"
    else:
        words += [random.choice(("a", "--", "-", "-x", "---", "config.toml")), random.choice(("b", "", "-"))]
        name = "more words"
    return Case(f"edge-run {name}", main_run, words, harmless, without_privilege)


def odd_sinks(world: World) -> Iterator[Case]:
    """Put each odd path behind each kind of output, with a good output in front of it and one behind."""
    for number, (kind, odd) in enumerate(itertools.product(FORMS, world.odd)):
        before, after = (f"--sink=jsonl:{side}-{number}.jsonl" for side in ("before", "after"))
        suffix = {"video": ".webm", "png": ".png"}.get(kind, "")
        for end in {"", suffix}:
            words = [*_right(world), "--frames=2", before, f"--sink={kind}:{world.odd[odd]}{end}", after]
            yield Case(f"edge-run --sink {kind}:{odd}{end}", main_run, words, True, without_privilege)


def wrong_config(random: Random, world: World) -> Case:
    """Make one mistake in a configuration file."""
    text, name, harmless = _wrong_text(random, world)
    path = world.folder / "case.toml"
    path.write_bytes(text)
    return Case(f"config {name}", main_run, [str(path), "--quiet"], harmless, without_privilege)


def wrong_command(random: Random, world: World) -> Case:
    """Make one mistake in the words of `edge`."""
    odd = random.choice(list(world.odd))
    text = world.odd[odd]
    bundle = str(world.classifier)
    forms: dict[str, list[str]] = {
        "install": ["bundle", "install", f"{text}"],
        "show": ["bundle", "show", text],
        "verify": ["bundle", "verify", text],
        "remove": ["bundle", "remove", text],
        "profile": ["profile", text],
        "profile --runs": ["profile", bundle, f"--runs={random.choice(NUMBERS)}"],
        "profile --seconds": ["profile", bundle, f"--seconds={random.choice(NUMBERS)}"],
        "classify": ["classify", text, "--bundle", bundle],
        "classify --bundle": ["classify", str(world.picture), f"--bundle={text or 'x'}"],
        "classify --frames": ["classify", str(world.picture), "--bundle", bundle, f"--frames={random.choice(NUMBERS)}"],
        "classify --sink": ["classify", str(world.picture), "--bundle", bundle, f"--sink={text}"],
        "classify --camera": ["classify", f"--camera={text}", "--bundle", bundle],
        "localize": ["localize", text, "--bundle", bundle],
        "command": [_mistyped(random.choice(("bundle", "doctor", "profile", "classify")), random), text],
        "action": ["bundle", _mistyped(random.choice(("list", "show", "install")), random), text],
        "flag": ["classify", str(world.picture), "--bundle", bundle, _mistyped("--threads", random), "2"],
        "nothing": random.choice(([], ["bundle"], ["bundle", "show"], ["profile"], ["classify"])),
    }
    name = random.choice(list(forms))
    harmless = name in ("classify", "flag") or (name == "show" and odd == "folder")
    return Case(f"edge {name}, {odd}", main_edge, forms[name], harmless, without_privilege)


def _right(world: World) -> list[str]:
    return [
        "--source", str(world.film), "--detector", str(world.detector), "--embedder", str(world.embedder), "--quiet",
    ]  # fmt: skip


def _odd_path(random: Random, world: World, words: list[str]) -> tuple[str, list[str], bool]:
    flag = random.choice(("--source", "--camera", "--detector", "--embedder", "--matcher", "--profile", "config"))
    odd = random.choice(list(world.odd))
    text = world.odd[odd]
    if flag == "config":
        return f"config {odd}", [text, *words], False
    if flag in ("--source", "--camera"):
        words = words[2:]
    # An empty name of a bundle is the default one; there is none here. An odd name may be a good one for a profile.
    return f"{flag} {odd}", [*words, f"{flag}={text}"], flag == "--profile" or (flag != "--source" and not text)


def _mistyped(word: str, random: Random) -> str:
    """Leave out, double, exchange or change a letter."""
    place = random.randrange(2, len(word))
    change: Callable[[], str] = random.choice(
        (
            lambda: word[:place] + word[place + 1 :],
            lambda: word[:place] + word[place] + word[place:],
            lambda: word[:place] + "q" + word[place + 1 :],
            lambda: word.upper(),
        )
    )
    return change()


def _wrong_text(random: Random, world: World) -> tuple[bytes, str, bool]:
    """Return the text of a configuration with a mistake, words for it, and whether it may be right all the same."""
    keys = {"source": str(world.film), "detector": str(world.detector), "embedder": str(world.embedder)}
    right = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    kind = random.choice(("value", "value", "track", "track", "key", "path", "path", "text"))
    if kind == "value":
        key, value = random.choice(KEYS), random.choice(VALUES)
        rest = "".join(line + "\n" for line in right.splitlines() if not line.startswith(f"{key} "))
        return f"{key} = {value}\n{rest}".encode(), f"{key} = {value[:20]}", True
    if kind == "track":
        key, value = random.choice(TRACK), random.choice(VALUES)
        return f"{right}[track]\n{key} = {value}\n".encode(), f"track.{key} = {value[:20]}", True
    if kind == "key":
        key = _mistyped(random.choice(KEYS), random)
        return f"{key} = 1\n{right}".encode(), f"key {key}", False
    if kind == "path":
        key, odd = random.choice(("source", "detector", "embedder", "matcher", "sinks")), random.choice(list(world.odd))
        value = json.dumps(world.odd[odd].encode("utf-8", "replace").decode())
        rest = "".join(line + "\n" for line in right.splitlines() if not line.startswith(f"{key} "))
        value = f"[{value}]" if key == "sinks" else value
        return f"{key} = {value}\n{rest}".encode(), f"{key} {odd}", True
    texts = {
        "deep": b"a = " + b"[" * 20_000 + b"]" * 20_000,
        "deep tables": b"[" + b".".join([b"a"] * 5000) + b"]\nb = 1",
        "deep inline": b"a = " + b"{a=" * 3000 + b"1" + b"}" * 3000,
        "bytes": bytes(random.randrange(256) for _ in range(200)),
        "NUL": b"a = \0",
        "half": right.encode()[: random.randrange(5, len(right) - 5)],
        "twice": right.encode() * 2,
        "large": b"#" * 2_000_000,
        "utf-16": right.encode("utf-16"),
        "json": json.dumps(keys).encode(),
        "a film": world.film.read_bytes(),
        "digits": b"frames = " + b"9" * 5000,
    }
    name = random.choice(list(texts))
    return texts[name], f"text {name}", False
