import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from edge.errors import ConfigError
from edge.settings import (
    Count,
    CountOrNone,
    NotNegative,
    PlainName,
    Positive,
    Seed,
    Share,
    convert,
    did_you_mean,
    given_path,
    nearest,
    number,
    read_toml,
)


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    low: NotNegative = 0.0
    high: Positive = 1.0
    metric: Literal["bundle", "manhattan", "cosine"] = "bundle"

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError("high of at least low")


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: PlainName = "a"
    share: Share = 0.5
    count: Count | None = None
    many: CountOrNone = 0
    seed: Seed = 0
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    text: str = ""
    really: bool = False
    texts: tuple[str, ...] = ()
    pair: tuple[int, int] = (1, 2)
    some: Annotated[tuple[float, ...], msgspec.Meta(min_length=2)] = (0.0, 1.0)
    parts: tuple[Inner, ...] = ()
    table: dict[str, int] = {}
    inner: Inner = msgspec.field(default_factory=Inner)


class Needy(msgspec.Struct):
    name: str


def refusal(values: dict[str, object], **more: object) -> str:
    with pytest.raises(ConfigError) as caught:
        convert(values, Outer, "recipe a.toml", **more)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"count": 0}, "count: want a whole number of at least 1, got 0; correct it"),
        ({"count": "x"}, "count: want a whole number of at least 1, got 'x'; correct it"),
        ({"count": 1.5}, "count: want a whole number of at least 1, got 1.5; correct it"),
        ({"count": True}, "count: want a whole number of at least 1, got true; correct it"),
        ({"count": 2**31}, "count: want a whole number from 1 to 2147483647, got 2147483648; correct it"),
        ({"count": 10**5000}, "count: want a whole number from 1 to 2147483647, got a very large number; correct it"),
        ({"many": -1}, "many: want a whole number of at least 0, got -1; correct it"),
        ({"seed": 2**32}, "seed: want a whole number from 0 to 4294967295, got 4294967296; correct it"),
        ({"threads": 0}, "threads: want a whole number from 1 to 256, got 0; correct it"),
        ({"share": 1.01}, "share: want a number from 0 to 1, got 1.01; correct it"),
        ({"share": -0.01}, "share: want a number from 0 to 1, got -0.01; correct it"),
        ({"share": float("nan")}, "share: want a number from 0 to 1, got nan; correct it"),
        ({"share": 10**400}, "share: want a number from 0 to 1, got 1000"),
        ({"inner": {"high": 0}}, "inner.high: want a number above 0, got 0; correct it"),
        ({"inner": {"high": float("inf")}}, "inner.high: want a number above 0 and of at most 1000000000000, got inf"),
        ({"inner": {"low": -1}}, "inner.low: want a number of at least 0, got -1; correct it"),
        ({"inner": {"low": float("inf")}}, "inner.low: want a number from 0 to 1000000000000, got inf"),
        ({"inner": {"low": 3}}, "inner: want high of at least low, got { low = 3 }; correct it"),
        ({"inner": {"metric": "cosin"}}, "inner.metric: want 'bundle', 'manhattan' or 'cosine', got 'cosin'; did you"),
        ({"inner": {"metric": "x"}}, "inner.metric: want 'bundle', 'manhattan' or 'cosine', got 'x'; correct it"),
        ({"inner": {"hihg": 3}}, "inner: unknown key 'hihg'; did you mean 'high'?"),
        ({"inner": 3}, "inner: want a table, got 3; correct it"),
        ({"parts": [{}, {"low": "x"}]}, "parts[1].low: want a number of at least 0, got 'x'; correct it"),
        ({"parts": [{}, {"lov": 1}]}, "parts[1]: unknown key 'lov'; did you mean 'low'?"),
        ({"text": 3}, "text: want a text, got 3; write \"3\""),
        ({"text": [3]}, "text: want a text, got a list; correct it"),
        ({"really": "yes"}, "really: want true or false, got 'yes'; correct it"),
        ({"texts": "x"}, "texts: want a list in [ ] of texts, got 'x'; correct it"),
        ({"texts": ["a", 3]}, "texts[1]: want a text, got 3; write \"3\""),
        ({"pair": [1]}, "pair: want a list in [ ] of 2 whole numbers, got a list; correct it"),
        ({"some": [1]}, "some: want a list in [ ] of at least 2 numbers, got a list; correct it"),
        ({"table": {"a": "b"}}, "table[...]: want a whole number, got"),
        ({"textt": 1}, "unknown key 'textt'; did you mean 'text'?"),
        ({"q": 1}, "unknown key 'q'; there are name, share, count, many, seed, threads, text, really, texts, pair"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_answered_in_plain_words(values: dict[str, object], sentence: str) -> None:
    assert refusal(values).startswith(f"recipe a.toml: {sentence}")


def test_the_range_includes_its_ends() -> None:
    for values in ({"count": 1}, {"count": 2**31 - 1}, {"many": 0}, {"seed": 2**32 - 1}, {"share": 0}, {"share": 1}):
        convert(values, Outer, "x")
    convert({"inner": {"low": 0, "high": 1e12}}, Outer, "x")


def test_bytes_of_no_text_are_refused_where_a_number_belongs() -> None:
    assert (
        refusal({"text": "x", "count": "\udcff"})
        == "recipe a.toml: count: want text in UTF-8, got other bytes; correct it"
    )
    flags = {"count": "--count"}
    assert refusal({"count": "\udcff"}, flags=flags) == "--count: want text in UTF-8, got other bytes; correct it"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="x: want the key 'name', got a table without it; add it"):
        convert({}, Needy, "x")


@pytest.mark.parametrize("name", ["a", "_a", "7-b.c+d", "a" * 100])
def test_a_plain_name_is_taken(name: str) -> None:
    assert convert({"name": name}, Outer, "x").name == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "../a", "a/b", "a b", "a\n", "a" * 101, "ä"])
def test_a_name_that_is_no_plain_one_is_not_taken(name: str) -> None:
    assert "name: want a plain name of letters, digits and _ . + -" in refusal({"name": name})


def test_a_flag_is_named_in_place_of_the_file() -> None:
    flags = {"count": "--count"}
    assert refusal({"count": 0}, flags=flags) == "--count: want a whole number of at least 1, got 0; correct it"
    assert refusal({"many": -1}, flags=flags).startswith("recipe a.toml: many: ")


@pytest.mark.parametrize(
    ("text", "read"),
    [("3", 3), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0), ("abc", "abc"), ("", ""), ("9" * 5000, float("inf"))],
)
def test_a_flag_is_read_as_a_number_where_it_is_one(text: str, read: object) -> None:
    assert number(text) == read
    assert type(number(text)) is type(read)


def test_a_word_is_found_by_case_and_by_letters() -> None:
    words = ["person", "car", "traffic light"]
    assert [nearest(w, words) for w in ("Person", "persn", "PERSNO", "trafic light", "x", "")] == [
        "person", "person", "person", "traffic light", None, None,
    ]  # fmt: skip
    assert nearest("cat", ["boat"]) is None
    assert did_you_mean("Person", words) == "did you mean 'person'?"
    assert did_you_mean("x", words) == "there are person, car, traffic light"
    assert did_you_mean("x", []) == "there are none"


def test_a_long_list_of_words_is_cut() -> None:
    said = did_you_mean("x", [f"word{n}" for n in range(80)])
    assert said.endswith("word11 and 68 more")


def test_a_long_word_costs_no_time_and_no_room() -> None:
    assert len(refusal({"a" * 100_000: 1})) < 400
    assert len(refusal({"text": ["a" * 100_000]})) < 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got an empty text"),
        ("a\0b", "got one with a NUL character"),
        ("~nobody-of-this-name/x", "got the home folder of a user who is not known here"),
        ("a" * 256, "at most 4095 bytes and 255 a name, got 256 and 256"),
        ("ab/" * 1366, "at most 4095 bytes and 255 a name, got 4097 and 2"),
        ("\ud800", "got one with a character that no file name has"),
    ],
)
def test_a_path_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^source: want a path.*{words}"):
        given_path(text, "source")


def test_a_path_of_a_user_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anne")
    assert given_path("~/film.mp4", "source") == Path("/home/anne/film.mp4")
    assert given_path("a" * 255, "source").name == "a" * 255
    assert len(os.fsencode(given_path("a/" * 2047 + "a", "source"))) == 4095
    assert os.fsencode(given_path("\udcff", "source")) == b"\xff"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"budget_ms 3", "want TOML, got 'Expected '='"),
        (b"a = " + b"9" * 5000, "want TOML, got 'Exceeds the limit"),
        (b"a = \xff", "want TOML, got ''utf-8' codec"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "want TOML with a few levels, got a very deep nesting"),
        (b"a = '" + b"x" * 1_000_000 + b"'", "want at most 1.0 MB, got a file of 1.0 MB; give a TOML file"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(path, "config a.toml")
    assert str(caught.value).startswith(f"config a.toml: {words}")


def test_a_file_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config x: want a readable TOML file, got 'No such file or directory'"):
        read_toml(tmp_path / "x", "config x")
    with pytest.raises(ConfigError, match="config x: want a file, got a folder; give a TOML file"):
        read_toml(tmp_path, "config x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="config x: want a readable TOML file, got 'Too many levels"):
        read_toml(tmp_path / "loop", "config x")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(tmp_path / "a.toml", "x") == {"a": 1}
