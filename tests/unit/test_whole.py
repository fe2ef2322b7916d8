"""Folders and files replaced whole: by kill -9 before every step, by several at once, on disks that can less."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge import whole
from edge.whole import recover, replace_folder, staging, sweep, write_file

ROOT = Path(__file__).parents[2]


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=60)


def versions(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def make(folder: Path, text: str) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text(text)
    (folder / "sub" / "b").write_text(text)
    return folder


def put(folder: Path, text: str) -> None:
    with staging(folder.parent) as work:
        replace_folder(make(work / folder.name, text), folder)


def no_exchange(code: int) -> object:
    def refuse(one: Path, other: Path) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize("mender", ["recover", "sweep"])
@pytest.mark.parametrize(
    ("action", "mode"),
    [
        ("replace", "exchange"), ("replace", "two-renames"), ("replace", "overlay"), ("first", "exchange"),
        ("write", "exchange"), ("recover", "exchange"), ("sweep", "exchange"),
    ],
)  # fmt: skip
def test_kill_before_every_step_loses_nothing_and_leaves_nothing(
    tmp_path: Path, action: str, mode: str, mender: str
) -> None:
    done = run("-m", "tests.unit.killed_at_every_step", str(tmp_path / "home"), action, mode, mender)
    assert done.returncode == 0, done.stderr[-2000:]
    counted = json.loads(done.stdout)
    assert counted["kills"] >= 10
    if action == "replace":  # by exchange, not even a reader that does not recover sees a gap
        assert (counted["missing"] == 0) == (mode == "exchange")


def test_module_needs_no_more_than_the_standard_library() -> None:
    done = run("-c", "import sys, edge.whole; print({'numpy', 'cv2', 'msgspec'} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("code", [0, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV])
def test_new_folder_takes_the_place_of_the_old(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if code:
        monkeypatch.setattr(whole, "_exchange", no_exchange(code))
    for text in ("one", "two", "three"):
        put(tmp_path / "bundle", text)
        assert versions(tmp_path / "bundle") == {"a": text, "sub/b": text}
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_exchange_is_the_systems_own(tmp_path: Path) -> None:
    one, other = make(tmp_path / "one", "1"), make(tmp_path / "other", "2")
    before = one.stat().st_ino, other.stat().st_ino
    try:
        whole._exchange(one, other)
    except OSError as error:
        pytest.skip(f"this disk cannot: {error}")
    assert (other.stat().st_ino, one.stat().st_ino) == before


def test_error_between_the_two_renames_brings_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "bundle", "old")
    monkeypatch.setattr(whole, "_exchange", no_exchange(errno.EINVAL))
    rename = Path.rename

    def broken(self: Path, target: Path) -> Path:
        if target.name == "bundle" and self.name == "new":
            raise OSError(errno.EIO, "broken disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match="broken disk"):
        put(tmp_path / "bundle", "new")
    assert versions(tmp_path / "bundle") == {"a": "old", "sub/b": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_a_dead_process_moved_away_is_back_before_another_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / ".bundle.edge-replace"
    for name in ("old", "new", "copy"):
        make(room / name, name)
    monkeypatch.setattr(whole, "_exchange", no_exchange(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        put(tmp_path / "bundle", "newer")
    assert versions(tmp_path / "bundle") == {"a": "old", "sub/b": "old"}
    monkeypatch.undo()
    make(room / "new", "left")
    put(tmp_path / "bundle", "newer")
    assert versions(tmp_path / "bundle") == {"a": "newer", "sub/b": "newer"}
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_error_that_is_no_lack_of_exchange_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "bundle", "old")
    monkeypatch.setattr(whole, "_exchange", no_exchange(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        put(tmp_path / "bundle", "new")
    assert versions(tmp_path / "bundle") == {"a": "old", "sub/b": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_files_and_names_are_on_the_disk_before_they_take_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the exchange must not leave a new folder of empty files."""
    put(tmp_path / "bundle", "old")
    steps: list[str] = []
    fsync, exchange = os.fsync, whole._exchange

    def noted(file: int) -> None:
        steps.append(Path(f"/proc/self/fd/{file}").readlink().name)
        fsync(file)

    def noted_exchange(one: Path, other: Path) -> None:
        steps.append("exchange")
        exchange(one, other)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(whole, "_exchange", noted_exchange)
    put(tmp_path / "bundle", "new")
    at = steps.index("exchange")
    assert {"a", "b", "sub", "bundle"} <= set(steps[:at])
    assert tmp_path.name in steps[at:]
    steps.clear()
    write_file(tmp_path / "file", b"data")
    assert steps == ["file", tmp_path.name]


def test_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = make(tmp_path / "elsewhere", "theirs")
    for link_to in (target, tmp_path / "nowhere"):
        (tmp_path / "bundle").symlink_to(link_to)
        put(tmp_path / "bundle", "new")
        assert not (tmp_path / "bundle").is_symlink()
        assert versions(tmp_path / "bundle") == {"a": "new", "sub/b": "new"}
        assert versions(target) == {"a": "theirs", "sub/b": "theirs"}
        shutil.rmtree(tmp_path / "bundle")


def test_file_is_never_taken_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(NotADirectoryError):
        put(tmp_path / "bundle", "new")
    assert (tmp_path / "bundle").read_text() == "mine"
    with pytest.raises(NotADirectoryError):
        replace_folder(tmp_path / "bundle", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_folder_one_stands_in_can_be_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "bundle", "old")
    (tmp_path / ".bundle.edge-replace").mkdir()
    monkeypatch.chdir(tmp_path / "bundle")
    recover(Path())
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_recovery_waits_for_a_living_process_and_sweep_passes_it_by(tmp_path: Path) -> None:
    """While a process is between its two renames nobody else may undo them."""
    folder, room = tmp_path / "bundle", tmp_path / ".bundle.edge-replace"
    put(folder, "old")
    with whole._replacing(folder):
        make(room / "new", "new")
        folder.rename(room / "old")
        sweep(tmp_path)
        reader = subprocess.Popen(
            [sys.executable, "-c", "import sys; from pathlib import Path; from edge import whole; "
             f"whole.recover(Path({str(folder)!r})); print(Path({str(folder)!r}, 'a').read_text())"],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(0.3)
        assert not folder.exists()
        (room / "new").rename(folder)
    assert reader.communicate(timeout=30)[0].strip() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


WRITER = """
import sys
import tempfile
from pathlib import Path
from edge import whole
from tests.unit.killed_at_every_step import fill, no_exchange
folder, text, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if mode == "two-renames":
    whole._exchange = no_exchange
for _ in range(25):
    whole.sweep(folder.parent)
    with whole.staging(folder.parent) as work:
        whole.replace_folder(fill(work / "bundle", text), folder)
    whole.recover(folder)
"""


@pytest.mark.parametrize("mode", ["exchange", "two-renames"])
def test_several_at_once_take_turns(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "bundle"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(folder)]
    writers = [
        subprocess.Popen([*command, text, mode], env=environment, stderr=subprocess.PIPE)
        for text in ("one", "two", "three")
    ]
    for writer in writers:
        words = writer.communicate(timeout=60)[1]
        assert writer.returncode == 0, words
    assert len(set(versions(folder).values())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_sweep_takes_the_dead_and_leaves_the_living(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from edge.whole import staging\n"
        "with staging(Path(sys.argv[1])) as work:\n"
        "    (work / 'half').write_text('x'); print(work, flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert other.stdout is not None
        work = Path(other.stdout.readline().strip())
        assert work.parent.parent == tmp_path
        sweep(tmp_path)
        assert (work / "half").is_file()
    finally:
        other.kill()
        other.communicate()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sweep_takes_what_earlier_versions_left_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / f"{whole.STAGING}k3j_x", "left by TemporaryDirectory")
    kept = ("bundle", ".tiny.training", ".edge-replace", "..edge-replace", "...edge-replace", "edge-staging-mine")
    for name in kept:
        make(tmp_path / name, "mine")
        make(tmp_path / name / "old", "mine")
        make(tmp_path / name / "new", "mine")
    (tmp_path / f"{whole.STAGING}file").write_text("mine")
    (tmp_path / f"{whole.STAGING}link").symlink_to(tmp_path / "bundle")
    sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([*kept, f"{whole.STAGING}file", f"{whole.STAGING}link"])
    assert len(versions(tmp_path / "bundle")) == 6
    sweep(tmp_path / "missing")


def test_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    room = make(tmp_path / f"{whole.STAGING}odd", "x")
    (room / "lock").symlink_to(tmp_path / "elsewhere")
    sweep(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_in_a_shared_folder_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In /tmp another user may have laid out a room that would replace this user's folder."""
    for name in (f"{whole.STAGING}theirs", ".bundle.edge-replace"):
        make(tmp_path / name / "new", "theirs")
        make(tmp_path / name / "old", "theirs")
    make(tmp_path / "bundle", "mine")
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    sweep(tmp_path)
    recover(tmp_path / "bundle")
    with pytest.raises(PermissionError):
        put(tmp_path / "bundle", "new")
    assert versions(tmp_path / "bundle") == {"a": "mine", "sub/b": "mine"}
    assert (tmp_path / f"{whole.STAGING}theirs").is_dir()
    monkeypatch.undo()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_disk_without_locks(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, what: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(whole.fcntl, "flock", refuse)
    put(tmp_path / "bundle", "one")
    put(tmp_path / "bundle", "two")
    assert versions(tmp_path / "bundle") == {"a": "two", "sub/b": "two"}
    with staging(tmp_path) as work:
        sweep(tmp_path)  # nobody can tell who lives
        assert work.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_broken_lock_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, what: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(whole.fcntl, "flock", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        put(tmp_path / "bundle", "one")


def test_what_cannot_be_brought_back_is_an_error_only_where_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of bundles that this user may not write to can be read all the same."""
    folder, room = tmp_path / "bundle", tmp_path / ".bundle.edge-replace"
    make(room / "old", "old")
    make(folder, "new")

    def read_only(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(whole, "_claim", read_only)
        recover(folder)
        shutil.rmtree(folder)
        with pytest.raises(PermissionError):
            recover(folder)
    recover(folder)
    assert versions(folder) == {"a": "old", "sub/b": "old"}


def test_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "file", b"one")
    write_file(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"two"
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "missing" / "file", b"one")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write_file(tmp_path / "file", b"three")
    assert (tmp_path / "file").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    """A staging folder is closed to other users; what leaves it is not."""
    before = os.umask(0o022)
    try:
        write_file(tmp_path / "file", b"one")
        put(tmp_path / "bundle", "new")
        with staging(tmp_path) as work:
            replace_folder(work, tmp_path / "itself")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "bundle").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "itself").stat().st_mode & 0o777 == 0o755


def test_folders_without_the_right_to_write_are_swept_too() -> None:
    code = (
        "import os, sys; from pathlib import Path; from edge.whole import STAGING, sweep\n"
        "os.geteuid() or os.setuid(65534)  # root needs no rights\n"
        "home = Path(sys.argv[1]); inner = home / (STAGING + 'x') / 'new' / 'deep'; inner.mkdir(parents=True)\n"
        "(inner / 'file').write_text('x'); inner.chmod(0o500); inner.parent.chmod(0)\n"
        "sweep(home); sys.exit(len(list(home.iterdir())))"
    )
    with tempfile.TemporaryDirectory() as home:  # pytest's own folder is closed to other users
        Path(home).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", code, home], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60
        )
    assert done.returncode == 0
