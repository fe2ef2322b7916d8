"""The profile of a run as a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge.sinks.profile
from edge.errors import ConfigError, OutputError
from edge.sinks.profile import ProfileSink, profile_path
from edge.whole import STAGING
from tests.unit.test_jsonl_sink import result


def test_it_is_rewritten_whole_while_a_run_goes_on_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{STAGING}dead").mkdir()
    frames = 0
    with ProfileSink(tmp_path / "p.json", lambda: {"frames": frames}) as sink:
        held = [tmp_path / ".p.json.lock"]
        assert list(tmp_path.iterdir()) == held, "the check leaves nothing, and what was left is swept"
        sink.write(result())
        assert list(tmp_path.iterdir()) == held, "an older profile is not replaced by one of no frame"
        frames = 1
        sink.write(result())
        assert json.loads((tmp_path / "p.json").read_text()) == {"frames": 1}
        frames = 2
        sink.write(result())
        assert json.loads((tmp_path / "p.json").read_text()) == {"frames": 1}, "not every frame"
        monkeypatch.setattr(edge.sinks.profile, "EVERY_S", 0.0)
        for frames in (3, 4):
            sink._due_s = 0
            sink.write(result())
            assert sink._thread is not None
            sink._thread.join()
            assert json.loads((tmp_path / "p.json").read_text()) == {"frames": frames}
        frames = 5
    assert json.loads((tmp_path / "p.json").read_text()) == {"frames": 5}
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_a_refusal_is_an_output_error_at_once_or_with_the_next_frame_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    sink, late = ProfileSink(tmp_path / "p.json", dict), ProfileSink(tmp_path / "q.json", dict)
    late.write(result())
    monkeypatch.setattr(edge.sinks.profile, "write_file", refuse)
    with pytest.raises(OutputError, match="got 'No space left on device'"):
        sink.write(result())
    late._due_s = 0
    late.write(result())
    assert late._thread is not None
    late._thread.join()
    with pytest.raises(OutputError, match="got 'No space left on device'"):
        late.write(result())
    with pytest.raises(OutputError, match="got 'No space left on device'"):
        late.close()


def test_a_pipe_is_written_once_at_the_end_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    reader = os.open(tmp_path / "p", os.O_RDONLY | os.O_NONBLOCK)
    with ProfileSink(tmp_path / "p", lambda: {"frames": 1}) as sink:
        sink.write(result())
    assert json.loads(os.read(reader, 1000)) == {"frames": 1}
    os.close(reader)
    assert (tmp_path / "p").is_fifo()


def test_a_pipe_without_a_reader_is_an_error_and_no_long_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(OutputError, match="No such device or address"):
        ProfileSink(tmp_path / "p", dict).close()


def test_the_name_of_an_open_pipe_is_written_as_typed() -> None:
    reader, writer = os.pipe()
    path = profile_path(f"/dev/fd/{writer}")  # as `>(cat)` gives it
    with ProfileSink(path, lambda: {"frames": 1}) as sink:
        sink.write(result())
    os.close(writer)
    assert json.loads(os.read(reader, 1000)) == {"frames": 1}
    os.close(reader)


def test_a_profile_of_standard_output_goes_behind_what_is_there(tmp_path: Path) -> None:
    code = "from edge.sinks.profile import *; ProfileSink(profile_path('/dev/stdout'), lambda: {'frames': 1}).close()"
    with (tmp_path / "all.txt").open("w") as all_of_it:
        all_of_it.write("lines\n")
        all_of_it.flush()
        subprocess.run([sys.executable, "-c", code], stdout=all_of_it, check=True)
    assert (tmp_path / "all.txt").read_text() == 'lines\n{\n  "frames": 1\n}\n'


def test_a_file_has_one_writer_until_it_is_closed(tmp_path: Path) -> None:
    sink = ProfileSink(tmp_path / "p.json", lambda: {"frames": 1})
    (tmp_path / "other.json").symlink_to("p.json")
    for path in (tmp_path / "p.json", tmp_path / "other.json"):
        with pytest.raises(ConfigError, match="another edge-run writes there"):
            ProfileSink(path, dict)
    sink.close()
    with ProfileSink(tmp_path / "p.json", lambda: {"frames": 2}):
        sink.close()
        assert json.loads((tmp_path / "p.json").read_text()) == {"frames": 1}, "closed once, it writes no more"


def test_a_profile_that_cannot_be_written_lets_go_of_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    sink = ProfileSink(tmp_path / "p.json", dict)
    monkeypatch.setattr(edge.sinks.profile, "write_file", refuse)
    with pytest.raises(OutputError):
        sink.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        ProfileSink(tmp_path / "gone" / "p.json", dict)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "words"), [("none/p.json", "make it first"), (".", "got a folder"), ("a" * 300, "give a shorter one")]
)
def test_a_typo_is_answered_before_anything_is_opened(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        profile_path(f"{tmp_path}/{path}")
    assert not list(tmp_path.iterdir())
