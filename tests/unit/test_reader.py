"""Readers of JSON lines: the documented one beside a run that closes and compresses parts, and the benchmark's."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import read_result
from edge.errors import ConfigError

ROOT = Path(__file__).parents[2]
Lines = Callable[[str], Iterator[dict[str, Any]]]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the code of docs/results.md defines; it has run once, in a folder without results."""
    text = (ROOT / "docs" / "results.md").read_text().partition("## Reading")[2]
    code = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def text(*frames: int, run: str = "a") -> bytes:
    every = [{"kind": "frame", "run": run, "time": None, "frame": frame, "tracks": [1, 2]} for frame in frames]
    return b"".join(json.dumps(line).encode() + b"\n" for line in every)


def part(number: int) -> Path:
    return Path(f"yard.part-{number:06}.jsonl")


def packed(number: int) -> Path:
    return Path(f"{part(number)}.gz")


def pack(number: int) -> None:
    """Compress a part as a run does: the packed one is whole before the plain one goes."""
    packed(number).write_bytes(gzip.compress(part(number).read_bytes()))
    part(number).unlink()


def rotate(number: int, *frames: int) -> None:
    """Close the file as a part and begin a new one."""
    Path("yard.jsonl").rename(part(number))
    Path("yard.jsonl").write_bytes(text(*frames))


def numbers(lines: Iterator[dict[str, Any]]) -> list[int]:
    return [line["frame"] for line in lines if line["kind"] == "frame"]


def test_every_line_of_every_part_is_read_once(reader: dict[str, Any]) -> None:
    packed(1).write_bytes(gzip.compress(text(0, 1)))
    packed(2).write_bytes(gzip.compress(text(2)))
    part(2).write_bytes(text(2))  # a kill came before the plain one was removed
    part(3).write_bytes(text(3))
    Path("yard.jsonl").write_bytes(text(4) + b'{"kind":"event"}\n{"kind":"fra')
    Path("yard.20261101.jsonl").write_bytes(text(99))  # of somebody else
    assert numbers(reader["lines"]("yard.jsonl")) == [0, 1, 2, 3, 4]


def test_the_documented_code_prints_a_line_a_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                   reader: dict[str, Any]) -> None:  # fmt: skip
    assert capsys.readouterr().out == "", "there is no file yet"
    Path("yard.jsonl").write_bytes(text(0, 1))
    exec("for line in lines('yard.jsonl'): print(line['time'], len(line['tracks']))", reader)
    assert capsys.readouterr().out == "None 2\n" * 2


def test_a_part_that_is_compressed_between_the_look_and_the_opening_is_read(reader: dict[str, Any]) -> None:
    for number in (1, 2):
        part(number).write_bytes(text(number))
    Path("yard.jsonl").write_bytes(text(3))
    lines = reader["lines"]("yard.jsonl")
    assert next(lines)["frame"] == 1
    pack(1)
    pack(2)
    assert numbers(lines) == [2, 3]


def test_a_part_that_is_removed_meanwhile_is_passed_over(reader: dict[str, Any]) -> None:
    for number in (1, 2):
        part(number).write_bytes(text(number))
    Path("yard.jsonl").write_bytes(text(3))
    lines = reader["lines"]("yard.jsonl")
    assert next(lines)["frame"] == 1
    part(2).unlink()
    assert numbers(lines) == [3]


def test_rotations_in_the_middle_of_reading_lose_and_double_nothing(reader: dict[str, Any]) -> None:
    part(1).write_bytes(text(0, 1))
    Path("yard.jsonl").write_bytes(text(2))
    lines = reader["lines"]("yard.jsonl")
    assert next(lines)["frame"] == 0
    rotate(2, 3)
    rotate(3, 4)
    pack(2)
    assert next(lines)["frame"] == 1
    assert next(lines)["frame"] == 2
    rotate(4, 5)
    assert numbers(lines) == [3, 4, 5]


@pytest.mark.parametrize("calls", range(7))
def test_a_rotation_at_any_look_loses_nothing(calls: int, reader: dict[str, Any]) -> None:
    """The file is closed right before the n-th opening or look for parts."""
    part(1).write_bytes(text(0))
    Path("yard.jsonl").write_bytes(text(1))
    seen, rotated = 0, False

    def before(name: str) -> Callable[..., Any]:
        whole = reader["glob"].glob if name == "glob" else reader[name]

        def wrapped(*arguments: str) -> Any:
            nonlocal seen, rotated
            if seen == calls:
                rotated = True
                rotate(2, 2)
            seen += 1
            return whole(*arguments)

        return wrapped

    class Globbing:
        escape = staticmethod(reader["glob"].escape)
        glob = staticmethod(before("glob"))

    opening = before("opened")
    reader["opened"], reader["glob"] = opening, Globbing
    found = numbers(reader["lines"]("yard.jsonl"))
    assert rotated
    assert found in ([0, 1, 2], [0, 1]), "what was written before the reader began is read, and nothing twice"


def test_accuracy_is_judged_on_the_last_run_with_its_closed_parts(tmp_path: Path, reader: dict[str, Any]) -> None:
    packed(9).write_bytes(gzip.compress(text(0, 1, run="older") + text(0, run="b")))
    part(10).write_bytes(text(1, run="b"))
    packed(10).write_bytes(gzip.compress(text(1, run="b")))
    Path("yard.jsonl").write_bytes(text(2, run="b") + b'{"kind":"frame","ru')
    assert [frame["frame"] for frame in read_result(tmp_path / "yard.jsonl")] == [0, 1, 2]
    packed(10).unlink()
    assert [frame["frame"] for frame in read_result(Path("yard.jsonl"))] == [0, 1, 2]
    packed(3).write_bytes(gzip.compress(text(0, 1)))
    assert [frame["frame"] for frame in read_result(packed(3))] == [0, 1], "a part alone"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text(5, 6), "want a whole run, got one from frame 5 on; run again with a larger keep="),
        (b'{"kind":"run"}\n', "want lines of frames, got none; give the file of a run"),
        (b"", "want lines of frames, got none"),
    ],
)
def test_a_run_without_its_beginning_is_not_judged(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_result(path)
