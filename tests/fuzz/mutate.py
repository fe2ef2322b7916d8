"""Changes to bytes, JSON trees and protobuf messages; all of them follow a `random.Random` alone."""

import json
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

INTEGERS = (
    *(0, 1, -1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 10**9, 2**31 - 1, 2**31, -(2**31)),
    *(2**32 - 1, 2**32, 2**53, 2**63 - 1, -(2**63), 2**64, 10**30),
)
FLOATS = (0.0, -0.0, 1e-300, -1.0, 0.5, 1e9, 1e38, 1e300, -1e300, float("inf"), -float("inf"), float("nan"))
STRINGS = (
    *("", " ", "x", "a" * 100_000, "../../up", "/etc/passwd", "..", ".", "a/b", "a\\b", ".hidden", "con"),
    *("\x1b[31mred\x1b[0m", "two\nlines", "nul\0", "\u202eright to left", "\ud800", "\U0001f40e" * 300, "%s%n{0}{a}"),
    *("1e999", "null", "bundle.json", "golden.npz", "SHA256SUMS", "float32", "uint8"),
)
NESTED = 100_000
"""Depth of what is nested deeply: more than a parser that calls itself can bear."""

_ENDS = 512
"""Bytes at either end of a file, where headers and directories lie."""


class Pairs(list[Any]):
    """A JSON object as a list of [key, value], so that a key may stand in it twice."""


class Raw(str):
    """JSON text that is written as it is."""


def file_name(random: Random) -> str:
    """Return a strange name that a disk takes."""
    name = random.choice(STRINGS).replace("/", "_").replace("\0", "_")
    return name.encode("utf-8", "replace")[:150].decode("utf-8", "ignore")


Tree = Any
Change = tuple[bytes, str]
"""What became of the data, and what was done in words."""


def parse_tree(text: str | bytes) -> Tree:
    """Read JSON into lists, `Pairs` and plain values."""
    return json.loads(text, object_pairs_hook=lambda pairs: Pairs([key, value] for key, value in pairs))


def dump_tree(tree: Tree) -> str:
    """Write it; NaN, infinities and numbers of any size are written as Python does."""
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, Pairs):
        return "{" + ", ".join(f"{json.dumps(key)}: {dump_tree(value)}" for key, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(dump_tree(value) for value in tree) + "]"
    return json.dumps(tree)


def mutate_tree(tree: Tree, random: Random) -> str:
    """Change one place of a tree, and say which and how.

    Args:
        tree: `Pairs` or a list; changed in place.
        random: chooses.
    """
    slots = list(_slots(tree, ""))
    if not slots:
        return "nothing"
    container, index, path = random.choice(slots)
    value = container[index][1] if isinstance(container, Pairs) else container[index]
    what = random.choices(("value", "other", "structure"), (5, 3, 3))[0]
    if what == "value":
        new = _another(value, random)
    elif what == "other":
        new = _strange(random)
    else:
        return f"{path}: {_restructure(container, index, value, slots, random)}"
    _set(container, index, new)
    return f"{path}: {_short(value)} -> {_short(new)}"


def _slots(tree: Tree, path: str) -> Iterator[tuple[Any, int, str]]:
    if isinstance(tree, Pairs):
        for index, (key, value) in enumerate(tree):
            yield tree, index, f"{path}.{key}".lstrip(".")
            yield from _slots(value, f"{path}.{key}".lstrip("."))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield tree, index, f"{path}.{index}".lstrip(".")
            yield from _slots(value, f"{path}.{index}".lstrip("."))


def _set(container: Any, index: int, value: Tree) -> None:
    if isinstance(container, Pairs):
        container[index][1] = value
    else:
        container[index] = value


def _another(value: Tree, random: Random) -> Tree:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice((*INTEGERS, value + 1, value - 1, -value, value * 2, value * 1000))
    if isinstance(value, float):
        return random.choice((*FLOATS, -value, value * 2, value * 1e6, value + 1))
    if isinstance(value, str):
        place = random.randint(0, len(value))
        return random.choice((*STRINGS, value[:place], value + "x", value.upper(), value[:place] + "\x1b\n" + value))
    if isinstance(value, Pairs):
        return random.choice((Pairs(), Pairs(value[::-1]), Pairs(value[: len(value) // 2]), Pairs(value + value)))
    if isinstance(value, list):
        several = value * (200_000 // max(1, len(dump_tree(value))))
        return random.choice(([], value[::-1], value[:1], value + value, several, [*value, _strange(random)]))
    return _strange(random)


def _strange(random: Random) -> Tree:
    """Return a value of any type."""
    kind = random.randrange(7)
    if kind == 0:
        return random.choice(INTEGERS)
    if kind == 1:
        return random.choice(FLOATS)
    if kind == 2:
        return random.choice(STRINGS)
    if kind == 3:
        return random.choice((None, True, False, [], Pairs(), [[]], [None], Pairs([["", None]])))
    if kind == 4:
        return [random.choice(INTEGERS) for _ in range(random.choice((1, 2, 3, 4, 5, 33)))]
    if kind == 5:
        depth = random.choice((50, 500, 2000, NESTED))
        return Raw("[" * depth + "]" * depth) if random.random() < 0.5 else Raw('{"a":' * depth + "1" + "}" * depth)
    return Raw(random.choice(("1e999", "-1e999", "0x10", "nan", "Infinity", "'x'", "9" * 5000, "1." + "0" * 5000, "")))


def _restructure(container: Any, index: int, value: Tree, slots: list[Any], random: Random) -> str:
    what = random.choice(("remove", "double", "rename", "add", "swap", "wrap"))
    if what == "remove":
        del container[index]
    elif what == "double":
        container.insert(index, list(container[index]) if isinstance(container, Pairs) else value)
    elif what == "rename" and isinstance(container, Pairs):
        container[index][0] = random.choice(STRINGS)
    elif what == "add":
        container.append([random.choice(STRINGS), value] if isinstance(container, Pairs) else _strange(random))
    elif what == "swap":
        other, place, path = random.choice(slots)
        theirs = other[place][1] if isinstance(other, Pairs) else other[place]
        _set(container, index, parse_tree(_plain(theirs)))
        return f"becomes a copy of {path}"
    else:
        _set(container, index, random.choice(([value], Pairs([["config", value]]), [value, value])))
    return what


def _plain(tree: Tree) -> str:
    try:
        text = dump_tree(tree)
        json.loads(text)
    except (ValueError, RecursionError):
        return "null"
    return text


def _short(value: Tree) -> str:
    text = ascii(value) if isinstance(value, str) else dump_tree(value)
    return text if len(text) <= 40 else f"{text[:30]}... ({len(text)} characters)"


def mutate_text(text: str, random: Random) -> str:
    """Change JSON as text: cut it, or put something between its parts."""
    place = random.randint(0, len(text))
    middle = random.choice(("", ",", "}", "[", '"', "\ufeff", "\0", "//", text[:50], "\u2028", "NaN"))
    return random.choice((text[:place], text[:place] + middle + text[place:], "\ufeff" + text, text + text))


def mutate_bytes(data: bytes, random: Random, times: int = 0) -> Change:
    """Change bytes in one to four places.

    Args:
        data: at least one byte.
        random: chooses.
        times: how many places; 0 = some.
    """
    said = []
    for _ in range(times or random.choice((1, 1, 2, 4))):
        data, words = _change(data or b"\0", random)
        said.append(words)
    return data, ", ".join(said)


def _place(size: int, random: Random) -> int:
    """Choose a place; every other time near one of the ends."""
    if size > 2 * _ENDS and random.random() < 0.5:
        return random.randrange(_ENDS) if random.random() < 0.6 else size - 1 - random.randrange(_ENDS)
    return random.randrange(size)


def _change(data: bytes, random: Random) -> Change:
    size = len(data)
    place = _place(size, random)
    length = min(random.choice((1, 2, 4, 8, 16, 64, 512, 4096)), size - place)
    part = data[place : place + length]
    what = random.choices(("bit", "integer", "block", "cut", "grow"), (4, 6, 3, 1, 1))[0]
    if what == "bit":
        changed = bytes([data[place] ^ (1 << random.randrange(8))])
        return data[:place] + changed + data[place + 1 :], f"a bit of byte {place}"
    if what == "integer":
        return set_integer(data, place, random)
    if what == "cut":
        return data[:place], f"cut at {place} of {size}"
    if what == "grow":
        more = random.choice((part * 64, random.randbytes(64), b"\0" * 70_000, data))
        return data[:place] + more + data[place:], f"{len(more)} bytes put in at {place}"
    how = random.choice(("zeros", "ones", "noise", "gone", "elsewhere"))
    other = _place(size, random)
    block = {
        "zeros": b"\0" * length,
        "ones": b"\xff" * length,
        "noise": random.randbytes(length),
        "gone": b"",
        "elsewhere": data[other : other + length],
    }[how]
    return data[:place] + block + data[place + length :], f"{length} bytes at {place}: {how}"


def set_integer(data: bytes, place: int, random: Random, width: int = 0, big: bool | None = None) -> Change:
    """Overwrite an integer with an extreme one.

    Args:
        data: to be changed.
        place: first byte.
        random: chooses the value.
        width: bytes; 0 = any.
        big: byte order; None = any.
    """
    width = width or random.choice((1, 2, 4, 4, 4, 8))
    order = ">" if (random.random() < 0.5 if big is None else big) else "<"
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
    near = int.from_bytes(data[place : place + width], "big" if order == ">" else "little")
    value = random.choice((*INTEGERS, near + 1, near - 1, near * 2, near << 8)) % (1 << (8 * width))
    packed = struct.pack(order + letter, value)
    return (data[:place] + packed + data[place + width :])[: max(len(data), place)], f"integer at {place} = {value}"


Field = tuple[int, int, Any]
"""Number, wire type and value of a field of a protobuf message."""


def parse_message(data: bytes) -> list[Field] | None:
    """Read the fields of a protobuf message; None where the bytes are none."""
    fields: list[Field] = []
    place = 0
    try:
        while place < len(data):
            key, place = _varint(data, place)
            number, kind = key >> 3, key & 7
            if not number:
                return None
            if kind == 0:
                value, place = _varint(data, place)
                fields.append((number, kind, value))
                continue
            if kind == 2:
                size, place = _varint(data, place)
            else:
                size = {1: 8, 5: 4}[kind]
            if place + size > len(data):
                return None
            fields.append((number, kind, data[place : place + size]))
            place += size
    except (IndexError, KeyError):
        return None
    return fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise IndexError


def _encode(value: int) -> bytes:
    value %= 1 << 64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def dump_message(fields: list[Field]) -> bytes:
    """Write the fields of a protobuf message."""
    out = bytearray()
    for number, kind, value in fields:
        out += _encode(number << 3 | kind)
        out += _encode(value) if kind == 0 else (_encode(len(value)) if kind == 2 else b"") + value
    return bytes(out)


def mutate_message(data: bytes, random: Random, path: str = "") -> Change:
    """Change one field of a protobuf message, somewhere inside; the sizes around it stay right."""
    fields = parse_message(data)
    if not fields:
        return mutate_bytes(data or b"\0", random, 1)
    index = random.randrange(len(fields))
    number, kind, value = fields[index]
    path = f"{path}.{number}".lstrip(".")
    if kind == 2 and random.random() < 0.85:
        new, words = _mutate_part(value, random, path)
        fields[index] = (number, kind, new)
        return dump_message(fields), words
    what = random.choice(("remove", "double", "swap", "many", "value", "value"))
    if what == "remove":
        del fields[index]
    elif what == "double":
        fields.insert(index, fields[index])
    elif what == "swap":
        other = random.randrange(len(fields))
        fields[index], fields[other] = (number, *fields[other][1:]), (fields[other][0], kind, value)
    elif what == "many":
        fields[index:index] = [fields[index]] * min(2000, 200_000 // max(1, len(value) if kind else 1))
    elif kind == 0:
        new = random.choice(INTEGERS)
        fields[index] = (number, kind, new)
        what = f"{value} -> {new}"
    else:
        new, what = mutate_bytes(value or b"\0", random, 1)
        size = {1: 8, 5: 4}.get(kind, len(new))
        fields[index] = (number, kind, new.ljust(size, b"\0")[:size])
    return dump_message(fields), f"field {path}: {what}"


def _mutate_part(value: bytes, random: Random, path: str) -> Change:
    """Change what a field holds: a message, JSON, a text or bytes."""
    if value[:1] == b"{":
        try:
            tree = parse_tree(value)
        except ValueError:
            pass
        else:
            words = mutate_tree(tree, random)
            return dump_tree(tree).encode(), f"field {path}: {words}"
    if parse_message(value) and random.random() < 0.95:
        return mutate_message(value, random, path)
    text = value.decode("latin-1")
    if text.isprintable() and random.random() < 0.5:
        new = random.choice(STRINGS)
        return new.encode("utf-8", "surrogatepass"), f"field {path}: {_short(text)} -> {_short(new)}"
    data, words = mutate_bytes(value or b"\0", random, 1)
    return data, f"field {path}: {words}"
