"""JSON lines: the schema, and that no kill, restart, full disk or step of a clock loses what was written."""

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import edge.sinks.jsonl
from edge.errors import ConfigError, OutputError
from edge.sinks import Sink, closed, open_sink
from edge.sinks.lines import to_time
from edge.types import Detections, FrameResult, Gap, Tracks
from tests.output import RUN, a_result, an_output

ROOT = Path(__file__).parents[2]
NOON = datetime.now().replace(hour=12, minute=0, second=0, microsecond=0).timestamp()
DAY = 86_400.0


def result(index: int = 0, wall_s: float | None = NOON) -> FrameResult:
    return a_result(index, wall_s=wall_s)


def opened(rest: str | Path, **more):
    return open_sink(f"jsonl:{rest}", an_output(("person", "horse"), **more))


def write(path: str | Path, frames: int, **more) -> None:
    with opened(path, **more) as sink:
        for index in range(frames):
            sink.write(result(index))


def lines(path: Path) -> list[dict]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.splitlines()]


def frames(*paths: Path) -> list[int]:
    return [line["frame"] for path in paths for line in lines(path) if line["kind"] == "frame"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.count(".") > 1)


def child(body: str, *arguments: str, **options) -> subprocess.Popen:
    """Run Python that has `result` and `opened`."""
    code = "import sys; from tests.unit.test_jsonl_sink import *\n" + body
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, **options)


def test_the_lines_of_a_run_a_frame_and_each_gap(tmp_path):
    path = tmp_path / "a.jsonl"
    with opened(path) as sink:
        sink.write(result(3))
        sink.note(Gap("sink", 4, 8, 5, sink="video:a.mkv"), None)
        sink.note(Gap("clock", 9, 9, ms=-2500.0), NOON)
        sink.write(result(9, None))
        sink.note(Gap("source", 10, 10, ms=1234.0), NOON)
    run, first, lost, stepped, second, away = lines(path)
    noon = to_time(NOON)
    assert run == {
        "kind": "run", "schema": 1, "run": RUN.id, "camera": "yard", "time": noon, "version": "1.2.3",
        "source": "rtsp://***@yard/1", "frame_size": [160, 120],
        "bundles": {"detect": {"name": "nano", "sha256": "ab" * 32}}, "settings": {"budget_ms": 100.0},
    }  # fmt: skip
    assert first == {
        "kind": "frame", "run": RUN.id, "camera": "yard", "time": noon,
        "frame": 3, "t_ms": 300.0, "age_ms": 12.346, "stages_ms": {"decode": 1.235, "detect": 0.0}, "shed": ["embed"],
        "detections": [
            {"box": [10.0, 30.0, 50.0, 100.0], "score": 0.9123, "class": "person"},
            {"box": [70.13, 30.0, 110.0, 100.0], "score": 0.5, "class": "horse"},
        ],
        "tracks": [
            {"id": 7, "box": [10.0, 30.0, 50.0, 100.0], "class": "person", "score": 0.9, "coasting": False,
             "distance": 0.1235},
            {"id": 9, "box": [115.0, 40.0, 150.0, 110.0], "class": "5", "score": 0.8, "coasting": True,
             "distance": None},
        ],
    }  # fmt: skip
    keys = ["kind", "run", "camera", "time", "frame", "t_ms", "age_ms", "stages_ms", "shed", "detections", "tracks"]
    assert list(first) == keys
    assert list(first["tracks"][0]) == ["id", "box", "class", "score", "coasting", "distance"]
    head = {"kind": "gap", "run": RUN.id, "camera": "yard"}
    assert lost == head | {"time": None, "reason": "sink", "first_frame": 4, "last_frame": 8, "results": 5,
                           "sink": "video:a.mkv"}  # fmt: skip
    assert stepped == head | {"time": noon, "reason": "clock", "first_frame": 9, "step_ms": -2500.0}
    assert (second["time"], second["frame"]) == (None, 9)
    assert away == head | {"time": noon, "reason": "source", "first_frame": 10, "lost_ms": 1234.0}


def test_the_documentation_has_every_key_of_every_line():
    text = (ROOT / "docs" / "results.md").read_text()
    from edge.sinks import lines as schema

    for kind in (schema.RunLine, schema.GapLine, schema.Line, schema.Answered, schema.Found, schema.Followed):
        for name in kind.__struct_encode_fields__:
            assert f"`{name}`" in text, f"docs/results.md: {kind.__name__} has a key '{name}'"
    assert f"version {schema.SCHEMA}" in text


def test_times_are_iso_8601_in_utc_with_milliseconds():
    assert to_time(1_800_000_000.9996) == "2027-01-15T08:00:01.000Z"
    assert to_time(1_800_000_000.1234) == "2027-01-15T08:00:00.123Z"
    assert to_time(None) is None


def test_nothing_found_is_said_too(tmp_path):
    with opened(tmp_path / "a.jsonl") as sink:
        sink.write(FrameResult(result().frame, Detections.none(), Tracks.none()))
    line = lines(tmp_path / "a.jsonl")[1]
    assert (line["detections"], line["tracks"], line["time"]) == ([], [], None)


def test_lines_survive_kill_and_restarts_keep_them(tmp_path):
    path = tmp_path / "a.jsonl"
    seen = []
    for _ in range(2):
        before = path.stat().st_size if path.exists() else 0
        process = child("sink = opened(sys.argv[1])\nfor i in range(10**9): sink.write(result(i))", str(path))
        end = time.monotonic() + 20
        while not path.exists() or path.stat().st_size < before + 20_000:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert frames(path)[: len(seen)] == seen
        seen = frames(path)
    write(path, 1)
    assert [line["kind"] for line in lines(path)].count("run") == 3
    counts = np.flatnonzero(np.array(seen) == 0)
    assert len(counts) == 2
    assert seen == [*range(counts[1]), *range(len(seen) - counts[1])]


@pytest.mark.parametrize("torn", [b'{"kind":"frame","fra', b"\0" * 700, b'{"a":1}'])
def test_a_last_line_that_is_not_whole_is_cut_off_once(tmp_path, torn, caplog):
    path = tmp_path / "a.jsonl"
    write(path, 2)
    with path.open("ab") as file:
        file.write(torn)
    write(path, 1)
    assert frames(path) == [0, 1, 0]
    assert caplog.text.count(f"cut off a last line of {len(torn)} bytes") == 1
    write(path, 1)
    assert caplog.text.count("cut off") == 1


def test_a_very_long_torn_line_is_cut_to_the_line_before(tmp_path, monkeypatch):
    monkeypatch.setattr(closed, "CHUNK_BYTES", 64)
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" + b"x" * 1000)
    with opened(tmp_path / "a.jsonl"):
        assert (tmp_path / "a.jsonl").read_bytes() == b"{}\n"
    (tmp_path / "a.jsonl").write_bytes(b"{" + b"x" * 1000)
    with opened(tmp_path / "a.jsonl"):
        assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_file_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear Ada")
    with pytest.raises(ConfigError, match="want a file of JSON lines or none"):
        opened(tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "Dear Ada"


def test_files_of_others_that_look_like_parts_are_left_alone(tmp_path):
    for day in range(20):
        (tmp_path / f"a.202611{day:02}.jsonl").write_bytes(b"{}\n")
    before = names(tmp_path)
    write(f"{tmp_path}/a.jsonl?rotate_mb=0.001&keep=1", 3)
    write(tmp_path / "a.jsonl", 1, overwrite=True)
    assert set(before) <= set(names(tmp_path))


def test_overwriting_begins_with_the_first_frame(tmp_path):
    write(f"{tmp_path}/a.jsonl?rotate_mb=0.001", 3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with opened(tmp_path / "a.jsonl", overwrite=True) as sink:
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".lock"} == before
        sink.write(result(7))
    assert names(tmp_path) == ["a.jsonl"]
    assert frames(tmp_path / "a.jsonl") == [7]


def test_a_pipe_of_the_shell_has_no_name_but_its_link():
    reader, writer = os.pipe()
    with opened(f"/proc/self/fd/{writer}") as sink:
        sink.write(result())
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert [json.loads(line)["kind"] for line in pipe] == ["run", "frame"]


def test_half_a_line_on_a_standard_output_that_is_a_file_is_taken_back(tmp_path):
    body = (
        "import resource\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sink = opened('-')\n"
        "sink.write(result(0))\n"
        "most = os.fstat(1).st_size + 100\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))\n"
        "try:\n    sink.write(result(1))\nexcept OutputError:\n    pass\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "sink.write(result(2))\n"
    )
    with (tmp_path / "out").open("wb") as file:
        assert child(body, stdout=file).wait(30) == 0
    assert frames(tmp_path / "out") == [0, 2]


def test_a_closed_standard_output_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConfigError, match="want a standard output"):
        opened("-")


def test_two_runs_on_one_path_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a.jsonl")
    body = "sink = opened(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()"
    other = child(body, str(tmp_path / "a.jsonl"), stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"open\n"
        for name in ("a.jsonl", "link"):
            with pytest.raises(ConfigError, match="another edge-run writes there"):
                opened(tmp_path / name)
    finally:
        other.kill()
        other.wait()
    write(tmp_path / "a.jsonl", 1)
    assert names(tmp_path) == ["a.jsonl", "link"]


def test_overwrite_empties_the_file_and_its_parts(tmp_path):
    write(f"{tmp_path}/a.jsonl?rotate_mb=0.001", 9)
    assert len(parts(tmp_path)) > 1
    write(tmp_path / "a.jsonl", 2, overwrite=True)
    assert names(tmp_path) == ["a.jsonl"]
    assert frames(tmp_path / "a.jsonl") == [0, 1]


def test_parts_are_closed_at_a_size_numbered_compressed_and_none_is_lost(tmp_path):
    for _ in range(2):
        write(f"{tmp_path}/a.jsonl?rotate_mb=0.004", 30)
    found = parts(tmp_path)
    assert [path.name for path in found] == [f"a.part-{number:06}.jsonl.gz" for number in range(1, len(found) + 1)]
    assert frames(*found, tmp_path / "a.jsonl") == [*range(30), *range(30)]
    for path in (*found, tmp_path / "a.jsonl"):
        assert lines(path)[0]["kind"] == "run", "each part tells what it comes from"
    for path in found:
        assert 2000 < len(gzip.decompress(path.read_bytes())) <= 4000


def test_the_oldest_parts_go(tmp_path):
    write(f"{tmp_path}/a.jsonl?rotate_mb=0.001&keep=3&compress=0", 12)
    assert [path.name for path in parts(tmp_path)] == [
        "a.part-000009.jsonl",
        "a.part-000010.jsonl",
        "a.part-000011.jsonl",
    ]
    assert frames(*parts(tmp_path), tmp_path / "a.jsonl") == [8, 9, 10, 11]


def test_what_a_kill_left_of_a_part_is_finished_at_the_next_start(tmp_path):
    write(f"{tmp_path}/a.jsonl?rotate_mb=0.001&compress=0", 3)
    assert len(parts(tmp_path)) == 2
    (tmp_path / ".a.part-000001.jsonl.gz.part").write_bytes(b"half")
    (tmp_path / ".b.part-000001.jsonl.gz.part").write_bytes(b"of another output")
    write(tmp_path / "a.jsonl", 1)
    assert [path.name for path in parts(tmp_path)] == [
        ".b.part-000001.jsonl.gz.part", "a.part-000001.jsonl.gz", "a.part-000002.jsonl.gz"
    ]  # fmt: skip
    assert frames(*parts(tmp_path)[1:], tmp_path / "a.jsonl") == [0, 1, 2, 0]


def test_a_part_is_compressed_in_a_thread_and_close_does_not_wait_long(tmp_path, monkeypatch):
    started, go = threading.Event(), threading.Event()

    def slowly(*_: object) -> bool:
        started.set()
        go.wait(20)
        return False

    monkeypatch.setattr(closed.ClosedParts, "_compressed", slowly)
    monkeypatch.setattr(closed, "CLOSE_S", 0.0)
    with opened(f"{tmp_path}/a.jsonl?rotate_mb=0.001") as sink:
        for index in range(3):
            sink.write(result(index))
        assert started.wait(20)
        sink.write(result(3))
        go.set()
    assert frames(*parts(tmp_path), tmp_path / "a.jsonl") == [0, 1, 2, 3]


def test_a_part_ends_with_the_local_day_and_once(tmp_path):
    with opened(f"{tmp_path}/a.jsonl?compress=0") as sink:
        for index, wall_s in enumerate([NOON, NOON + DAY, NOON + DAY + 1, NOON + 5, NOON + DAY, None, NOON + 3 * DAY]):
            sink.write(result(index, wall_s))
    assert [frames(path) for path in parts(tmp_path)] == [[0]], "a clock that steps to and fro makes no parts"
    with opened(f"{tmp_path}/b.jsonl?compress=0&daily=0") as sink:
        for index in range(3):
            sink.write(result(index, NOON + index * DAY))
    assert frames(tmp_path / "b.jsonl") == [0, 1, 2]


def test_each_day_has_its_part(tmp_path, monkeypatch):
    monkeypatch.setattr(edge.sinks.jsonl, "DAY_S", 0.0)
    with opened(f"{tmp_path}/a.jsonl?compress=0") as sink:
        for index in range(4):
            sink.write(result(index, NOON + index * DAY / 2))
    assert [frames(path) for path in parts(tmp_path)] == [[0], [1, 2]]


def test_a_file_of_yesterday_is_closed_once_the_clock_is_known(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, 1)
    os.utime(path, (NOON - DAY, NOON - DAY))
    with opened(f"{path}?compress=0") as sink:
        for index, wall_s in enumerate([None, None, NOON]):
            sink.write(result(10 + index, wall_s))
    assert frames(*parts(tmp_path)) == [0, 10, 11]
    assert frames(path) == [12]


def test_a_part_that_cannot_be_closed_grows_on(tmp_path, monkeypatch, caplog):
    def refuse(_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(closed.ClosedParts, "add", refuse)
    write(f"{tmp_path}/a.jsonl?rotate_mb=0.001", 20)
    assert frames(tmp_path / "a.jsonl") == list(range(20))
    assert 1 <= caplog.text.count("could not be closed") <= 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("rotate_md=3", "did you mean 'rotate_mb'"),
        ("keep=0", "want keep to be a whole number from 1"),
        ("daily=yes", "want daily to be a whole number from 0 to 1, got 'yes'"),
        ("rotate_mb=nan", "want rotate_mb to be a number"),
        ("compress=", "got no value"),
    ],
)
def test_options_that_it_does_not_know_are_answered(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        opened(f"{tmp_path}/a.jsonl?{options}")
    assert not names(tmp_path)


def test_a_removed_file_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(edge.sinks.jsonl, "LOOK_S", 0.0)
    with opened(tmp_path / "a.jsonl") as sink:
        sink.write(result())
        (tmp_path / "a.jsonl").unlink()
        with pytest.raises(OutputError, match="No such file"):
            sink.write(result())
        (tmp_path / "a.jsonl").touch()
        with pytest.raises(OutputError, match="another file in its place"):
            sink.write(result())


def test_a_reader_of_standard_output_that_leaves_ends_the_run():
    body = """
sink, count = opened("-"), 0
while not sink.wants_stop and count < 10**5:
    sink.write(result(count)); count += 1
sink.close()
print("somebody prints after all")
sys.exit(0 if sink.wants_stop else 9)
"""
    process = child(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["kind"] == "run"
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""


def test_a_reader_of_a_fifo_that_stops_reading_or_leaves_does_not_hold_the_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(edge.sinks.jsonl, "PATIENCE_S", 0.01)
    os.mkfifo(tmp_path / "a")
    reader = os.open(tmp_path / "a", os.O_RDONLY | os.O_NONBLOCK)

    def fill(sink: Sink) -> None:
        for index in range(10_000):
            sink.write(result(index))

    with opened(tmp_path / "a") as sink, pytest.raises(OutputError, match="a reader that does not read"):
        fill(sink)
    with opened(tmp_path / "a") as sink:
        os.close(reader)
        with pytest.raises(OutputError, match="Broken pipe"):
            sink.write(result())
        assert not sink.wants_stop, "the other outputs go on"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk():
    with opened("/dev/full") as sink, pytest.raises(OutputError, match="No space left"):
        sink.write(result())


def test_half_a_line_is_cut_off_when_the_disk_fills(tmp_path):
    path = tmp_path / "a.jsonl"
    body = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
sink = opened(sys.argv[1])
try:
    for i in range(99): sink.write(result(i))
except OutputError as error:
    print(error)
"""
    out = child(body, str(path), stdout=subprocess.PIPE, text=True).communicate()[0]
    assert "want a place that can be written, got 'File too large'" in out
    assert frames(path) == [0, 1]


def test_compression_that_fails_keeps_the_plain_part(tmp_path, monkeypatch, caplog):
    def refuse(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(closed.ClosedParts, "_compressed", refuse)
    with caplog.at_level(logging.WARNING):
        write(f"{tmp_path}/a.jsonl?rotate_mb=0.001", 2)
    assert frames(*parts(tmp_path), tmp_path / "a.jsonl") == [0, 1]
    assert "could not be compressed: No space left" in caplog.text
