"""The profile of a run as a file."""

import json
import os
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
        assert not list(tmp_path.iterdir()), "the check leaves nothing, and what was left is swept"
        sink.write(result())
        assert not list(tmp_path.iterdir()), "an older profile is not replaced by one of no frame"
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


@pytest.mark.parametrize(
    ("path", "words"), [("none/p.json", "make it first"), (".", "got a folder"), ("a" * 300, "at most 4095 bytes")]
)
def test_a_typo_is_answered_before_anything_is_opened(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        profile_path(f"{tmp_path}/{path}")
    assert not list(tmp_path.iterdir())
