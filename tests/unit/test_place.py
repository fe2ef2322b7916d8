"""Places of outputs: whose they are, and what comes next in them."""

import os
from pathlib import Path

import pytest

from edge.errors import ConfigError, OutputError
from edge.sinks import open_sink
from edge.sinks.place import claim, mount_of, next_part, next_run
from edge.sinks.sink import unwritable
from tests.output import an_output


def test_a_place_is_held_by_one_until_it_is_closed_and_nothing_is_left(tmp_path: Path) -> None:
    with claim(tmp_path / "a", "jsonl:a"):
        assert [path.name for path in tmp_path.iterdir()] == [".a.lock"]
        with pytest.raises(ConfigError, match="sink x: want a place of its own"):
            claim(tmp_path / "a", "x")
        claim(tmp_path / "b", "x").close()
    assert not list(tmp_path.iterdir())
    held = claim(tmp_path / "a", "x")
    held.close()
    with claim(tmp_path / "a", "x"):
        held.close()
        assert (tmp_path / ".a.lock").exists(), "a second close takes nothing from others"


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".a.lock").touch()
    claim(tmp_path / "a", "x").close()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_others_made_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    first = claim(tmp_path / "d" / "a", "x")
    (tmp_path / "d").rename(tmp_path / "away")
    (tmp_path / "d").mkdir()
    with claim(tmp_path / "d" / "a", "x"):
        first.close()
        assert (tmp_path / "d" / ".a.lock").exists()


@pytest.mark.parametrize("kind", ["jsonl:{}", "png:{}.png", "folder:{}", "crops:{}"])
def test_a_link_that_leads_to_itself_is_answered(tmp_path: Path, kind: str) -> None:
    for name in ("a", "a.png"):
        (tmp_path / name).symlink_to(tmp_path / name)
    with pytest.raises((ConfigError, OutputError), match=r"symbolic links|File exists|leads to none"):
        open_sink(kind.format(tmp_path / "a"), an_output())


def test_parts_count_on_from_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "yard.mkv"
    assert next_part(path) == path
    path.touch()
    assert next_part(path) == tmp_path / "yard-2.mkv"
    for name in ("yard-2.mkv", "yard-9.mkv", "yard-12.mp4", "garden-40.mkv", "yard-07.mkv", "yard-x.mkv"):
        (tmp_path / name).touch()
    assert next_part(path) == tmp_path / "yard-10.mkv"
    path.unlink()
    assert next_part(path) == tmp_path / "yard-10.mkv", "in the order of the runs"


def test_runs_count_on_from_the_largest(tmp_path: Path) -> None:
    assert next_run(tmp_path).name == "run-0001"
    (tmp_path / "run-0009").mkdir()
    (tmp_path / "run-0020").touch()
    (tmp_path / "run-30").mkdir()
    assert next_run(tmp_path).name == "run-0010"
    (tmp_path / "run-12345").mkdir()
    assert next_run(tmp_path).name == "run-12346"


def test_the_mount_of_a_path_is_the_nearest_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) in (tmp_path, Path("/")))
    assert mount_of(tmp_path / "a" / "b.jsonl") == tmp_path
    assert mount_of(tmp_path) == tmp_path
    assert mount_of(tmp_path.parent) == Path("/")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, OutputError) for code in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "ENODEV", "ENXIO")),
        *((code, OutputError) for code in ("ESTALE", "ENOENT", "EFBIG")),
        *((code, ConfigError) for code in ("ENAMETOOLONG", "EISDIR", "ENOTDIR", "ELOOP")),
    ],
)
def test_a_refusal_of_the_system_is_told_from_a_typo(code: str, kind: type[Exception]) -> None:
    import errno

    number = getattr(errno, code)
    error = unwritable("jsonl:a", OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert os.strerror(number) in str(error)
