"""Sinks fail alone, are tried again, and what they lost is said once, written down, and told by the exit code."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest

import edge.sinks.guarded
import edge.sinks.place
from edge.errors import ConfigError, OutputError
from edge.recording import camera_name, exit_code, new_run, open_outputs
from edge.sinks import Sink
from edge.sinks.guarded import FIRST_PAUSE_S, LONGEST_PAUSE_S, Outputs
from edge.types import FrameResult
from edge.wallclock import WallClock
from tests.output import an_output
from tests.unit.test_jsonl_sink import lines, result

REFUSAL = OutputError("sink toy: want a place that can be written, got 'No space left on device'; give another place")


class Toy:
    """A sink that fails when it is told to.

    Attributes:
        taken: numbers of the frames it took.
        tries: monotonic times at which it was opened or tried to be.
    """

    wants_stop = False

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.refuses: Exception | None = None
        self.refuses_writing: Exception | None = None
        self.taken: list[int] = []
        self.tries: list[float] = []
        self.again: list[bool] = []
        self.closed = 0

    def open(self, again: bool) -> Sink:
        self.tries.append(self.now())
        self.again.append(again)
        if self.refuses:
            raise self.refuses
        return self

    def write(self, result: FrameResult) -> None:
        if self.refuses_writing:
            raise self.refuses_writing
        self.taken.append(result.frame.index)

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> "Toy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Clock:
    """Monotonic time that tests turn."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(edge.sinks.guarded.time, "monotonic", clock)
    return clock


def both(toy: Toy, tmp_path: Path) -> Outputs:
    """Return outputs: the toy, and JSON lines in `a.jsonl`."""
    from edge.sinks import open_sink

    uri = f"jsonl:{tmp_path}/a.jsonl"
    return Outputs([("toy", None, toy.open), (uri, None, lambda _: open_sink(uri, an_output()))], WallClock())


def test_one_that_fails_is_closed_said_once_tried_again_and_its_loss_is_told(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    toy = Toy(clock)
    with both(toy, tmp_path) as outputs:
        outputs.write(result(0))
        toy.refuses_writing = REFUSAL
        for index in range(1, 41):
            outputs.write(result(index))
            clock.s += 0.5
        assert toy.closed == len(toy.tries), "what failed is closed before it is opened again"
        toy.refuses_writing = None
        clock.s += 60
        outputs.write(result(41))
        outputs.write(result(42))
    assert toy.taken == [0, 41, 42]
    assert [b - a for a, b in zip(toy.tries[1:], toy.tries[2:], strict=False)][:3] == [2.0, 4.0, 8.0]
    assert toy.again == [False] + [True] * (len(toy.tries) - 1)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{REFUSAL}; the run goes on without it and tries it again", "sink toy: back; 40 results were lost"]
    every = lines(tmp_path / "a.jsonl")
    assert [line["frame"] for line in every if line["kind"] == "frame"] == list(range(43))
    (gap,) = [line for line in every if line["kind"] == "gap"]
    assert (gap["reason"], gap["sink"], gap["first_frame"], gap["last_frame"], gap["results"]) == (
        "sink", "toy", 1, 40, 40,
    )  # fmt: skip
    assert outputs.failed
    assert exit_code(0, outputs) == 5
    assert exit_code(15, outputs) == 5


def test_the_pause_has_an_upper_end_and_begins_anew_after_a_long_good_time(tmp_path: Path, clock: Clock) -> None:
    toy = Toy(clock)
    toy.refuses = REFUSAL
    with both(toy, tmp_path) as outputs:
        for index in range(400):
            outputs.write(result(index))
            clock.s += 1
        assert toy.tries[-1] - toy.tries[-2] == LONGEST_PAUSE_S
        toy.refuses = None
        for index in range(200):
            outputs.write(result(index))
            clock.s += 1
        toy.refuses_writing, toy.tries = REFUSAL, []
        for index in range(10):
            outputs.write(result(index))
            clock.s += FIRST_PAUSE_S
        assert toy.tries[1] - toy.tries[0] == 2 * FIRST_PAUSE_S


def test_what_is_still_away_at_the_end_is_told_too(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    toy = Toy(clock)
    toy.refuses = REFUSAL
    with both(toy, tmp_path) as outputs:
        for index in range(3):
            outputs.write(result(index))
    assert "3 results were lost until the end of the run" in caplog.text
    assert lines(tmp_path / "a.jsonl")[-1]["results"] == 3
    assert outputs.failed


def test_a_sink_tells_of_its_own_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.sinks.guarded, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(edge.sinks.jsonl, "LOOK_S", 0.0)
    (tmp_path / "d").mkdir()
    with open_outputs([f"jsonl:{tmp_path}/d/a.jsonl", "null:"], an_output()) as outputs:
        outputs.write(result(0))
        (tmp_path / "d").rename(tmp_path / "away")
        outputs.write(result(1))
        outputs.write(result(2))
        assert not (tmp_path / "d").exists(), "a folder that vanished is not made again"
        (tmp_path / "away").rename(tmp_path / "d")
        outputs.write(result(3))
    kinds = [line["kind"] for line in lines(tmp_path / "d" / "a.jsonl")]
    assert kinds == ["run", "frame", "run", "gap", "frame"]
    gap = lines(tmp_path / "d" / "a.jsonl")[3]
    assert (gap["first_frame"], gap["last_frame"], gap["results"]) == (1, 2, 2)


def test_a_folder_that_becomes_a_file_is_an_outage_and_no_typo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(edge.sinks.guarded, "FIRST_PAUSE_S", 0.0)
    (tmp_path / "d").mkdir()
    with open_outputs([f"folder:{tmp_path}/d/f", f"jsonl:{tmp_path}/a.jsonl"], an_output()) as outputs:
        outputs.write(result(0))
        (tmp_path / "d").rename(tmp_path / "away")
        (tmp_path / "d").touch()
        outputs.write(result(1))
        outputs.write(result(2))
        (tmp_path / "d").unlink()
        (tmp_path / "away").rename(tmp_path / "d")
        outputs.write(result(3))
    assert caplog.text.count("got 'Not a directory'") == 1
    assert exit_code(0, outputs) == 5
    every = lines(tmp_path / "a.jsonl")
    assert [line["frame"] for line in every if line["kind"] == "frame"] == [0, 1, 2, 3]
    assert [line["results"] for line in every if line["kind"] == "gap"] == [2]
    assert sorted(path.name for path in (tmp_path / "d" / "f").iterdir()) == ["run-0001", "run-0002"]


def test_gaps_that_a_sink_could_not_hear_are_told_when_it_is_back_oldest_first(tmp_path: Path, clock: Clock) -> None:
    path, away = tmp_path / "d" / "a.jsonl", tmp_path / "away"
    path.parent.mkdir()
    with open_outputs([f"jsonl:{path}", f"jsonl:{tmp_path}/b.jsonl"], an_output()) as outputs:
        outputs.write(result(0))
        path.parent.rename(away)
        for index in range(1, 104):
            clock.s += 0.5
            seen = result(index)
            outputs.write(replace(seen, frame=replace(seen.frame, lost_ns=index * 1_000_000)))
        away.rename(path.parent)
        clock.s += 60
        outputs.write(result(104))
        outputs.write(result(105))
    told = [line for line in lines(path) if line["kind"] == "gap"]
    late = [gap for gap in told if gap["reason"] == "source"][-100:]
    assert [gap["lost_ms"] for gap in late] == list(range(4, 104)), "the last 100, each once"
    assert told[-1]["reason"] == "sink", "what this sink lost itself ended last"
    assert told.index(late[0]) == len(told) - 101
    kinds = [line["kind"] for line in lines(path)]
    assert kinds[-2:] == ["frame", "frame"]


def test_a_run_starts_while_one_output_works_and_not_without_any(tmp_path: Path, clock: Clock) -> None:
    toy = Toy(clock)
    toy.refuses = REFUSAL
    with pytest.raises(OutputError, match="No space left"):
        Outputs([("toy", None, toy.open)], WallClock())
    with both(toy, tmp_path) as outputs:
        assert exit_code(0, outputs) == 0, "nothing is lost yet"
    with open_outputs([], an_output()) as outputs:
        outputs.write(result(0))
    assert not outputs.failed
    assert exit_code(2, outputs) == 130


def test_a_typo_ends_the_run_at_the_start_and_closes_what_was_opened(tmp_path: Path, clock: Clock) -> None:
    toy, wrong = Toy(clock), Toy(clock)
    wrong.refuses = ConfigError("sink wrong")
    with pytest.raises(ConfigError, match="sink wrong"):
        Outputs([("toy", None, toy.open), ("wrong", None, wrong.open)], WallClock())
    assert toy.closed == 1
    with pytest.raises(ConfigError, match="another edge-run writes there"):
        open_outputs([f"jsonl:{tmp_path}/a", f"jsonl:{tmp_path}/a"], an_output())


def test_overwriting_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.sinks.guarded, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(edge.sinks.jsonl, "LOOK_S", 0.0)
    path = tmp_path / "a.jsonl"
    path.write_text('{"old": 1}\n')
    with open_outputs([f"jsonl:{path}"], replace(an_output(), overwrite=True)) as outputs:
        outputs.write(result(0))
        path.rename(tmp_path / "b.jsonl")
        outputs.write(result(1))
        (tmp_path / "b.jsonl").rename(path)
        outputs.write(result(2))
    assert [line.get("frame") for line in lines(path)] == [None, 0, None, None, 2]


def test_nothing_is_written_under_the_name_of_a_disk_that_was_removed(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mounted = {Path("/"), tmp_path}
    monkeypatch.setattr(edge.sinks.place.os.path, "ismount", lambda path: Path(path) in mounted)
    toy = Toy(clock)
    with Outputs([("toy", tmp_path / "a.jsonl", toy.open)], WallClock()) as outputs:
        outputs.write(result(0))
        mounted.discard(tmp_path)
        for index in range(1, 9):
            clock.s += 5
            outputs.write(result(index))
        assert toy.taken == [0]
        assert len(toy.tries) == 1, "it is not even opened there"
        mounted.add(tmp_path)
        clock.s += 60
        outputs.write(result(9))
    assert toy.taken == [0, 9]
    assert f"no disk at {tmp_path}; connect it again" in caplog.text


def test_steps_of_the_clock_and_losses_of_the_source_are_written(tmp_path: Path, caplog) -> None:
    step, at = [0.0, 0.0, -3600.0, 0.0], iter([100.0, None, 5.0, 6.0, 7.0])
    wall = WallClock()
    wall.step_s = lambda: step.pop(0)  # type: ignore[method-assign]
    wall.at = lambda _: next(at)  # type: ignore[method-assign]
    from edge.sinks import open_sink

    uri = f"jsonl:{tmp_path}/a.jsonl"
    with Outputs([(uri, None, lambda _: open_sink(uri, an_output()))], wall) as outputs:
        for index in range(3):
            outputs.write(result(index))
        seen = result(3)
        outputs.write(replace(seen, frame=replace(seen.frame, lost_ns=2_000_000_000)))
    told = [(line["kind"], line["time"]) for line in lines(tmp_path / "a.jsonl")]
    first, second, third = "1970-01-01T00:01:40.000Z", "1970-01-01T00:00:05.000Z", "1970-01-01T00:00:06.000Z"
    assert told == [
        ("run", first), ("frame", first), ("frame", None), ("gap", second), ("frame", second), ("gap", third),
        ("frame", third),
    ]  # fmt: skip
    assert [line["step_ms"] for line in lines(tmp_path / "a.jsonl") if "step_ms" in line] == [-3_600_000.0]
    assert [line["lost_ms"] for line in lines(tmp_path / "a.jsonl") if "lost_ms" in line] == [2000.0]
    assert "the clock was set back by 3600.0 s" in caplog.text


def test_a_run_tells_its_source_and_settings_without_passwords() -> None:
    source = "rtsp://ada:s3cret@yard.local:554/1?token=s3cret"
    run = new_run(source, "", {}, {"source": source, "sinks": [f"jsonl:{source}"], "track": {"confirm": 3}})
    assert "s3cret" not in json.dumps([run.source, run.camera, run.settings])
    assert run.camera == "yard.local"
    assert run.settings["track"] == {"confirm": 3}
    assert len(run.id) == 12
    assert run.id != new_run(source, "", {}, {}).id


def test_bytes_that_are_no_utf8_are_written_out_and_never_stop_an_output(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b"caf\xe9")
    run = new_run(f"{odd}.mp4", odd, {}, {"sinks": (f"jsonl:{odd}",), "track": {"deep": [odd]}})
    shown = "caf\\udce9"
    assert (run.source, run.camera) == (f"{shown}.mp4", shown)
    assert run.settings == {"sinks": [f"jsonl:{shown}"], "track": {"deep": [shown]}}
    json.dumps(run.settings, ensure_ascii=False).encode()
    good = f"jsonl:{tmp_path}/good.jsonl"
    odd_ones = (f"jsonl:{tmp_path}/{odd}", f"png:{tmp_path}/{odd}.png", f"folder:{tmp_path}/{odd}-f",
                f"crops:{tmp_path}/{odd}-c?every_ms=0")  # fmt: skip
    with open_outputs([*odd_ones, good], an_output(), tmp_path / f"{odd}.json", dict) as outputs:
        outputs.write(result(0))
        for guard in outputs._guards[:-2] + outputs._guards[-1:]:
            guard._fail(REFUSAL)
            guard._miss(1)
    gaps = [line["sink"] for line in lines(tmp_path / "good.jsonl") if line["kind"] == "gap"]
    assert len(gaps) == 5
    assert all(shown in sink for sink in gaps)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_profile_in_the_place_of_a_sink_is_refused_and_nothing_is_lost(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "s.json").write_text('{"old": 1}\n')
    (tmp_path / "link.json").symlink_to("s.json")
    output = replace(an_output(), overwrite=overwrite)
    with pytest.raises(ConfigError, match="want a file of its own, got that of sink jsonl:"):
        open_outputs([f"jsonl:{tmp_path}/s.json?keep=3"], output, tmp_path / "link.json", dict)
    assert (tmp_path / "s.json").read_text() == '{"old": 1}\n'
    open_outputs(["jsonl:/dev/null", "null:"], output, Path("/dev/null"), dict).close()


@pytest.mark.parametrize(
    ("source", "name"),
    [("0", "0"), ("0?fps=30", "0"), ("/dev/video2", "video2"), ("films/yard.mp4", "yard.mp4"),
     ("pictures/", "pictures"), ("picamera:", "picamera"), ("http://u:p@10.0.0.7/x", "10.0.0.7"),
     ("rtsp://[broken", "stream")],
)  # fmt: skip
def test_a_camera_without_a_name_is_called_after_its_source(source: str, name: str) -> None:
    assert camera_name(source) == name
