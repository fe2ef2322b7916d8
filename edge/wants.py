"""What a struct wants of a value, in words: `msgspec` finds the mistake, the field's own type says what is right."""

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

MOST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""
MOST_SAID = 10**9
"""A larger upper bound only keeps absurd numbers out; it is said of those alone."""

_KEY = re.compile(r"Invalid enum value '(.*)' - at `key` in `\$(.*)`\Z", re.DOTALL)
_PLACE = re.compile(r"(.*) - at `\$(.*)`\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_SINGLE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Any: "a value"}
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}


def sentence(
    error: msgspec.ValidationError,
    values: Mapping[str, Any],
    kind: Any,
    did_you_mean: Callable[[str, Iterable[str]], str],
) -> tuple[str, str]:
    """Turn msgspec's error into the key and "want X, got Y; do Z".

    Args:
        error: what `msgspec.convert` raised.
        values: what it was to convert.
        kind: into what.
        did_you_mean: ends the sentence about an unknown word; given it and the words there are.
    """
    message = str(error)
    if of_table := _KEY.match(message):  # a table whose keys are words of a list
        key = of_table[2].lstrip(".")
        tables = [get_args(_bare(part)) for part in _alternatives(_type_at(kind, key))]
        words = [str(word) for arguments in tables if arguments for word in get_args(arguments[0])]
        return key, f"unknown key '{shown(of_table[1])}'; {did_you_mean(of_table[1], words)}"
    placed = _PLACE.match(message)
    complaint, key = (placed[1], placed[2].lstrip(".")) if placed else (message, "")
    here = _type_at(kind, key)
    if unknown := _UNKNOWN.match(complaint):
        return key, f"unknown key '{shown(unknown[1])}'; {did_you_mean(unknown[1], _keys(here))}"
    if missing := _MISSING.match(complaint):
        return key, f"want the key '{missing[1]}', got a table without it; add it"
    got = _value_at(values, key)
    if isinstance(error.__cause__, ValueError):  # a struct compared its keys
        said = complaint if ", got " in complaint else f"{complaint}, got {named(got)}"
        return key, f"want {said}; correct it"
    return key, f"want {want(here, got)}, got {named(got)}; {_advice(here, got, did_you_mean)}"


def want(kind: Any, got: object = None) -> str:
    """Say in words what a type takes: "a whole number from 1 to 1000", "'manhattan' or 'cosine'".

    Args:
        kind: a type of a struct's field.
        got: the value in its place; says whether a bound that is seldom met matters.
    """
    parts = [_want_one(part, got) for part in _alternatives(kind)]
    return " or ".join(dict.fromkeys(parts)) or "nothing"


def named(value: object) -> str:
    """Return a value for "got ...", as a person would write it, of its kind where it is long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{shown(value)}'"
    if isinstance(value, Mapping):
        return "{ " + shown(", ".join(f"{key} = {named(part)}" for key, part in value.items())) + " }"
    if isinstance(value, Sequence):
        return "a list"
    return shown(value)


def shown(value: object) -> str:
    """Return the text of a value, cut to what a message may repeat."""
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a very large number"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _advice(kind: Any, got: object, did_you_mean: Callable[[str, Iterable[str]], str]) -> str:
    kinds = [_bare(part) for part in _alternatives(kind)]
    if kinds == [str] and isinstance(got, (int, float)) and not isinstance(got, bool):
        return f'write "{shown(got)}"'
    words = [str(word) for part in kinds if get_origin(part) is Literal for word in get_args(part)]
    meant = did_you_mean(got, words) if words and isinstance(got, str) else ""
    return meant if meant.endswith("?") else "correct it"


def _want_one(kind: Any, got: object) -> str:
    metas: list[msgspec.Meta] = []
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        metas += more
    described = next((meta.description for meta in metas if meta.description), None)
    if described:
        return described
    origin = get_origin(kind) or kind
    if origin is Literal:
        words = [repr(word) if isinstance(word, str) else str(word) for word in get_args(kind)]
        return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    if _is_struct(origin) or origin in (dict, Mapping):
        return "a table"
    if origin in (tuple, list, Sequence, set, frozenset):
        return _want_list(kind, metas)
    return f"{_SINGLE.get(origin, 'another kind of value')}{_bounds(metas, got)}"


def _want_list(kind: Any, metas: Sequence[msgspec.Meta]) -> str:
    inner = [part for part in get_args(kind) if part is not Ellipsis]
    fixed = get_origin(kind) is tuple and Ellipsis not in get_args(kind)
    few = len(inner) if fixed else next((meta.min_length for meta in metas if meta.min_length), None)
    many = None if fixed else next((meta.max_length for meta in metas if meta.max_length), None)
    count = f" of {few}" if fixed else f" of at least {few}" if few else f" of at most {many}" if many else ""
    of = _bare(inner[0]) if inner and len(set(inner)) == 1 else None
    what = f" {_MANY[of]}" if of in _MANY else ""
    return f"a list in [ ]{count or (' of' if what else '')}{what}"


def _bounds(metas: Iterable[msgspec.Meta], got: object) -> str:
    low, above, high, below = (
        next((value for meta in metas if (value := getattr(meta, name)) is not None), None)
        for name in ("ge", "gt", "le", "lt")
    )
    top = high if high is not None else below
    if top is not None and top >= MOST_SAID and not (isinstance(got, (int, float)) and got > top):
        high = below = None
    if low is not None and high is not None:
        return f" from {_plain(low)} to {_plain(high)}"
    parts = [
        f"of at least {_plain(low)}" if low is not None else "",
        f"above {_plain(above)}" if above is not None else "",
        f"of at most {_plain(high)}" if high is not None else "",
        f"below {_plain(below)}" if below is not None else "",
    ]
    words = " and ".join(filter(None, parts))
    return f" {words}" if words else ""


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _type_at(kind: Any, key: str) -> Any:
    """Return the type at a key such as "track.confirm" or "sinks[2]"; None where the way is not known."""
    for name, index in _STEP.findall(key):
        found = [_inner(part, name, index) for part in _alternatives(kind)]
        kinds = [part for part in found if part is not None]
        kind = Union[tuple(kinds)] if kinds else None  # noqa: UP007, of a list
    return kind


def _inner(kind: Any, name: str, index: str) -> Any:
    kind = _bare(kind)
    arguments = [part for part in get_args(kind) if part is not Ellipsis]
    if _is_struct(kind):
        config = kind.__struct_config__
        if config.tag_field == name:  # the key that says which struct of a union it is
            return Literal[config.tag]
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}.get(name)
    if not arguments:
        return None
    if get_origin(kind) in (dict, Mapping):
        return arguments[-1]
    return arguments[min(int(index), len(arguments) - 1)] if index.isdigit() else arguments[0]


def _value_at(values: Any, key: str) -> Any:
    """Return what stands at a key; the last part that can be followed."""
    for name, index in _STEP.findall(key):
        try:
            values = values[int(index)] if index.isdigit() else values[name or index]
        except (KeyError, IndexError, TypeError):
            break
    return values


def _alternatives(kind: Any) -> list[Any]:
    """Return the types of a union but for None, which no TOML file can write."""
    if get_origin(kind) in (Union, types.UnionType):
        return [inner for part in get_args(kind) for inner in _alternatives(part)]
    return [] if kind is None or kind is type(None) else [kind]


def _keys(kind: Any) -> list[str]:
    """Return the keys that a struct has; those of all where a union has several."""
    structs = [_bare(part) for part in _alternatives(kind)]
    return [field.encode_name for part in structs if _is_struct(part) for field in msgspec.structs.fields(part)]


def _bare(kind: Any) -> Any:
    return _bare(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
