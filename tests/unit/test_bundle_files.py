"""SHA256SUMS over the whole folder, old formats, zips, and what `edge bundle` does with names."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    SUMS_FILE,
    Bundle,
    files,
    find_bundles,
    format_sums,
    install_bundle,
    parse_sums,
    peek_bundle,
    read_bundle,
    unreadable_bundles,
)
from edge.cli import main_edge, main_run
from edge.errors import BundleError, LimitError
from edge.whole import REPLACING, STAGING, replace_folder
from tests.conftest import fake_bundle, seal


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data folder of a user of this test alone, whose working folder has no bundles."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "data" / "edge-run" / "bundles"


def edge(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main_edge([*map(str, words)])
    said = capsys.readouterr()
    assert said.err.count("\n") <= 1 or words[:2] == ("bundle", "list"), said.err
    return code, said.out, said.err


def test_sha256sum_itself_finds_the_bundle_whole(detector: Bundle) -> None:
    done = subprocess.run(["sha256sum", "-c", "--strict", SUMS_FILE], cwd=detector.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("OK") == 3


def test_the_identity_is_that_of_every_byte(tmp_path: Path) -> None:
    one, same, other = (
        fake_bundle(tmp_path / n, "embed", name=name) for n, name in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert one.sha256 == same.sha256 == read_bundle(one.path).sha256
    assert one.sha256 != other.sha256


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("labels",), ["tall", "blob"]),
        (("decoder", "threshold"), 0.99),
        (("decoder", "nms_iou"), 0.1),
        (("golden", "max_error"), 0.2),
        (("metrics",), [{"name": "AP50", "value": 1.0, "examples": 10}]),
        (("preprocess", "color"), "bgr"),
    ],
)
def test_a_change_of_the_manifest_is_found(detector: Bundle, path: tuple[str, ...], value: object) -> None:
    manifest = json.loads((detector.path / MANIFEST_FILE).read_bytes())
    inside = manifest
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    (detector.path / MANIFEST_FILE).write_text(json.dumps(manifest))
    for read in (read_bundle, peek_bundle):
        with pytest.raises(BundleError, match=r"bundle\.json with sha256"):
            read(detector.path)


@pytest.mark.parametrize("name", [MANIFEST_FILE, "model.json", GOLDEN_FILE, SUMS_FILE])
def test_a_missing_file_is_named(detector: Bundle, name: str) -> None:
    (detector.path / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        read_bundle(detector.path)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "weights.bin", "a\x1bb"])
def test_a_file_that_is_not_listed_is_named(detector: Bundle, name: str) -> None:
    (detector.path / name).write_bytes(b"")
    with pytest.raises(BundleError, match="alone, got") as caught:
        read_bundle(detector.path)
    assert "\x1b" not in str(caught.value)
    seal(detector.path)  # to list it is not enough: a bundle has three files
    with pytest.raises(BundleError, match=r"no such file|plain characters|dot in front"):
        read_bundle(detector.path)


@pytest.mark.parametrize("name", [MANIFEST_FILE, "model.json", GOLDEN_FILE, SUMS_FILE])
@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_no_file_is_refused_and_never_waited_for(
    detector: Bundle, tmp_path: Path, name: str, kind: str
) -> None:
    place = detector.path / name
    place.rename(tmp_path / "moved")
    if kind == "link":
        place.symlink_to(tmp_path / "moved")
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    with pytest.raises(BundleError, match=r"want a file, got a (link|folder|fifo)"):
        read_bundle(detector.path)


@pytest.mark.parametrize("version", [1, 2, 4, 10**30])
def test_a_bundle_of_another_format_is_one_sentence(detector: Bundle, version: int) -> None:
    manifest = json.loads((detector.path / MANIFEST_FILE).read_bytes()) | {"format": version, "model_sha256": "x"}
    (detector.path / MANIFEST_FILE).write_text(json.dumps(manifest))
    (detector.path / SUMS_FILE).unlink()
    todo = "install a newer edge-run" if version > 3 else "convert the bundle again"
    with pytest.raises(BundleError, match=f"want format 3, got .*; {todo}"):
        read_bundle(detector.path)
    seal(detector.path)
    with pytest.raises(BundleError, match="want format 3"):
        read_bundle(detector.path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"0" * 64 + b" a\n",
        b"0" * 64 + b"  a",
        b"0" * 64 + b"  ../a\n",
        b"0" * 64 + b"  b\n" + b"0" * 64 + b"  a\n",
        b"0" * 64 + b"  a\n" + b"1" * 64 + b"  a\n",
        b"A" * 64 + b"  a\n",
        b"\xff" * 64 + b"  a\n",
    ],
)
def test_sums_that_the_converter_would_not_have_written(detector: Bundle, text: bytes) -> None:
    (detector.path / SUMS_FILE).write_bytes(text)
    with pytest.raises(BundleError, match=SUMS_FILE):
        read_bundle(detector.path)


def test_sums_are_read_as_they_are_written() -> None:
    sums = {"b": "1" * 64, "a": "0" * 64}
    assert parse_sums(format_sums(sums)) == sums
    with pytest.raises(LimitError):
        parse_sums(format_sums(sums)[:-1])


def repack(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(archive) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    change(files)
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda files: files.update({"fake-detect/extra": b"x"}), "not listed"),
        (lambda files: files.update({"other/extra": b"x"}), "one folder"),
        (lambda files: files.update({"fake-detect/in/golden.npz": b"x"}), "not listed"),
        (lambda files: files.update({"../evil": b"x"}), "dot in front"),
        (lambda files: files.update({"/etc/evil": b"x"}), "dot in front"),
        (lambda files: files.pop("fake-detect/golden.npz"), "is missing"),
        (lambda files: files.pop(f"fake-detect/{SUMS_FILE}"), f"with {SUMS_FILE}"),
        (lambda files: files.update({f"fake-detect/{SUMS_FILE}": b"x" * 20_000}), "at most"),
        (lambda files: files.update({"fake-detect/model.json": b"x"}), "sha256"),
        (lambda files: files.clear(), "one folder"),
    ],
)
def test_a_wrong_zip_installs_nothing(detector: Bundle, tmp_path: Path, change: Callable, says: str) -> None:
    archive, home = detector.path.with_name("fake-detect.zip"), tmp_path / "home"
    repack(archive, change)
    with pytest.raises(BundleError, match=says) as caught:
        install_bundle(archive, home)
    assert STAGING not in str(caught.value)
    assert not list(home.iterdir())


def test_a_zip_that_unfolds_to_much_more_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "zeros.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/SHA256SUMS", b"")
        packed.writestr("a/model.tflite", bytes(100_000_000))
    with pytest.raises(BundleError, match="unfold"):
        install_bundle(archive, tmp_path / "home")


def test_what_fails_its_proof_is_not_installed_and_the_older_one_stays(detector: Bundle, tmp_path: Path) -> None:
    archive, home = detector.path.with_name("fake-detect.zip"), tmp_path / "home"
    before = install_bundle(archive, home)

    def refuse(path: Path) -> None:
        raise BundleError(f"bundle {path}: want an answer, got a segmentation fault; take another")

    with pytest.raises(BundleError, match=f"bundle {archive}: want an answer"):
        install_bundle(archive, home, refuse)
    assert read_bundle(home / "fake-detect").sha256 == before.sha256
    assert [path.name for path in home.iterdir()] == ["fake-detect"]


def test_a_full_disk_changes_nothing(
    detector: Bundle, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = detector.path.with_name("fake-detect.zip")
    assert edge(capsys, "bundle", "install", archive)[0] == 0
    before = read_bundle(home / "fake-detect").sha256

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("edge.bundle.files._copy", full)
    code, _, error = edge(capsys, "bundle", "install", archive)
    assert (code, "No space left" in error, "nothing was changed" in error) == (5, True, True)
    assert read_bundle(home / "fake-detect").sha256 == before
    assert [path.name for path in home.iterdir()] == ["fake-detect"]


def _install(archive: Path, home: Path) -> None:
    install_bundle(archive, home)


def test_installations_at_once_all_succeed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    zips = [fake_bundle(tmp_path / n, task).path for n, task in (("a", "detect"), ("b", "detect"), ("c", "embed"))]
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_install, args=(path.with_name(f"{path.name}.zip"), home)) for path in (*zips, *zips)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 6
    assert sorted(path.name for path in home.iterdir()) == ["fake-detect", "fake-embed"]
    assert all(read_bundle(bundle.path) for bundle in find_bundles(home))


def test_what_a_kill_left_is_swept_brought_back_and_never_listed(detector: Bundle, tmp_path: Path) -> None:
    home = tmp_path / "home"
    archive = detector.path.with_name("fake-detect.zip")
    install_bundle(archive, home)
    left = home / f"{STAGING}dead" / "new"
    left.parent.mkdir()
    shutil.copytree(home / "fake-detect", left)
    room = home / f".fake-detect{REPLACING}"
    room.mkdir()
    (home / "fake-detect").rename(room / "old")  # killed between two renames
    assert [bundle.path for bundle in find_bundles(home)] == [home / "fake-detect"]
    install_bundle(archive, home)
    assert [path.name for path in home.iterdir()] == ["fake-detect"]


def test_a_bundle_is_brought_back_when_it_is_opened_by_its_path(detector: Bundle) -> None:
    room = detector.path.with_name(f".{detector.path.name}{REPLACING}")
    room.mkdir()
    detector.path.rename(room / "old")
    assert read_bundle(detector.path).sha256 == detector.sha256


def test_a_bundle_that_is_replaced_while_it_is_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = fake_bundle(tmp_path, "embed", name="place")
    newer = fake_bundle(tmp_path / "newer", "detect", name="newer")
    read_sums = files._read_sums

    def read_sums_then_replace(path: Path) -> dict[str, str]:
        sums = read_sums(path)
        if newer.path.exists():
            replace_folder(newer.path, read.path)
        return sums

    monkeypatch.setattr(files, "_read_sums", read_sums_then_replace)
    assert read_bundle(read.path).manifest.name == "newer"


def test_old_bundles_are_no_candidates_and_are_said(detector: Bundle, embedder: Bundle) -> None:
    (detector.path / SUMS_FILE).unlink()
    (detector.path / MANIFEST_FILE).write_text('{"format": 2}')
    folder = detector.path.parent
    assert [bundle.path.name for bundle in find_bundles(folder)] == ["fake-embed"]
    (error,) = unreadable_bundles(folder)
    assert "want format 3, got 2" in str(error)


def install(capsys: pytest.CaptureFixture[str], bundle: Bundle) -> None:
    assert edge(capsys, "bundle", "install", bundle.path.with_name(f"{bundle.path.name}.zip"))[0] == 0


def test_a_name_is_enough_everywhere(
    home: Path, detector: Bundle, embedder: Bundle, squares_video: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    install(capsys, detector)
    install(capsys, embedder)
    assert '"decoder"' in edge(capsys, "bundle", "show", "fake-detect")[1]
    assert "its answer is right" in edge(capsys, "bundle", "verify", "fake-detect")[1]
    words = ["--source", str(squares_video(frames=3)), "--budget-ms", "10000", "--sink", "null:"]
    assert main_run([*words, "--detector", "fake-detect", "--embedder", "fake-embed"]) == 0
    assert main_run([*words, "--detector", "fake-detect", "--matcher", "fake-embed"]) == 0
    capsys.readouterr()
    assert main_run([*words, "--detector", "shop"]) == 3
    assert "there are fake-detect, fake-embed" in capsys.readouterr().err
    assert main_run([*words, "--detector", "fake-detct"]) == 3
    assert "did you mean 'fake-detect'?" in capsys.readouterr().err
    assert main_run([*words, "--matcher", "fake-embd"]) == 3


def test_a_folder_of_that_name_here_is_meant_before_one_that_is_installed(
    home: Path, detector: Bundle, embedder: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    install(capsys, detector)
    shutil.copytree(embedder.path, "fake-detect")
    assert '"embedding": {' in edge(capsys, "bundle", "show", "fake-detect")[1]


def test_an_unknown_name_where_nothing_is_installed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, right in (("horse", 3), ("a\x1bb", 3), (".", 3), ("x" * 5000, 2), ("", 2)):
        code, _, error = edge(capsys, "bundle", "show", name)
        assert code == right
        assert "\x1b" not in error
    assert "edge bundle install" in edge(capsys, "bundle", "verify", "horse")[2]


def test_list_marks_what_would_run(
    home: Path, detector: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(capsys, detector)
    install(capsys, fake_bundle(tmp_path / "more", "detect", name="zz-detect"))
    (home / "broken").mkdir()
    (home / "broken" / MANIFEST_FILE).write_text('{"format": 1}')
    code, out, error = edge(capsys, "bundle", "list")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "runs: --detector" in lines["fake-detect"]
    assert "runs:" not in lines["zz-detect"]
    assert lines["zz-detect"].split()[1:4] == ["detect", "fake", "fp32"]
    assert error.startswith("not usable: ")
    assert "got 1" in error


def test_remove_takes_the_bundle_its_zip_and_its_figures(
    home: Path, detector: Bundle, embedder: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    install(capsys, detector)
    install(capsys, embedder)
    figures = home / "fake-detect.profile-board.json"
    figures.write_text("{}")
    code, out, _ = edge(capsys, "bundle", "remove", "fake-detect")
    assert (code, out) == (0, f"removed {home / 'fake-detect'}, {figures}\n")
    assert [path.name for path in home.iterdir()] == ["fake-embed"]
    code, _, error = edge(capsys, "bundle", "remove", "fake-detect")
    assert code == 3
    assert "did you mean 'fake-embed'?" in error
    assert edge(capsys, "bundle", "remove", home / "fake-embed")[0] == 0


def test_remove_leaves_alone_what_is_elsewhere(
    home: Path, detector: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(parents=True)
    (home / "linked").symlink_to(detector.path)
    build = Path("build/bundles")
    build.mkdir(parents=True)
    shutil.copytree(detector.path, build / "made")
    (home / "no-bundle").mkdir()
    for given, says in (
        (detector.path, "got one elsewhere"),
        ("made", "make convert"),
        (home / ".." / "bundles" / ".." / "x", "elsewhere"),
        ("no-bundle", "got another"),
        ("..", "got another"),
    ):
        code, _, error = edge(capsys, "bundle", "remove", given)
        assert code == 3, given
        assert says in error, given
    assert (build / "made").is_dir()
    assert (home / "no-bundle").is_dir()
    assert edge(capsys, "bundle", "remove", "linked")[0] == 0
    assert read_bundle(detector.path)


def test_a_newer_bundle_removes_the_figures_of_the_older_one(
    home: Path, detector: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    install(capsys, detector)
    kept, old = home / "fake-detect-2.profile-board.json", home / "fake-detect.profile-board.json"
    kept.write_text("{}")
    old.write_text("{}")
    install(capsys, detector)
    assert kept.is_file()
    assert not old.exists()


def test_a_stored_answer_of_other_tensors_is_refused(detector: Bundle) -> None:
    with np.load(detector.golden_path) as held:
        arrays = {name: held[name] for name in held.files}
    arrays["places_0"] = arrays["places_0"][::-1]
    with detector.golden_path.open("wb") as file:
        np.savez(file, **arrays)
    seal(detector.path)
    from edge.model import open_model

    with pytest.raises(BundleError, match="ascending places of output 'boxes'"):
        open_model(detector.path, None, 1)
