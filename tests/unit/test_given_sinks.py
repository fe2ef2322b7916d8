import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main_run
from edge.errors import ConfigError
from edge.sinks import SINKS, check_sink, video
from edge.sinks.given import FORMS
from edge.sinks.vp8 import Vp8Error
from tests.conftest import fake_bundle


def no_library() -> None:
    raise Vp8Error("want libvpx, got none")


def refusal(uri: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_sink(uri)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("out.jsonl", "jsonl:out.jsonl"),
        ("out.json", "jsonl:out.json"),
        ("OUT.NDJSON", "jsonl:OUT.NDJSON"),
        ("film.mp4", "video:film.webm"),
        ("film.avi", "video:film.webm"),
        ("film.mkv", "video:film.mkv"),
        ("film.webm", "video:film.webm"),
        ("film.mov", "video:film.webm"),
        ("last.png", "png:last.png"),
        ("drawn/", "folder:drawn/"),
        ("jsno:out", "jsonl:out"),
        ("VIDEO:film.mp4", "video:film.webm"),
        ("out.jsonl?keep=3", "jsonl:out.jsonl?keep=3"),
        ("jsno:", "jsonl:PATH"),
        ("winow:1", "window:"),
        ("video", "video:PATH.webm"),
        ("png", "png:PATH.png"),
        ("video:film.mp4", "video:film.webm"),
        ("video:film.avi", "video:film.webm"),
        ("video:film", "video:film.webm"),
        ("video:.mp4", "video:.mp4.webm"),
        ("png:last", "png:last.png"),
        ("png:last.jpg/", "png:last.png"),
        ("window", "window:"),
        ("crops", "crops:DIR"),
    ],
)
def test_a_suggestion_is_what_was_meant_and_is_itself_accepted(
    uri: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    assert refusal(uri).endswith(f"did you mean '{meant}'?")
    assert check_sink(meant)


@pytest.mark.parametrize("uri", ["out.jsonl?kep=3", "a\0b", "~nobody-of-this-name/x.png", "n" * 300, "jsno:a?keep=x"])
def test_nothing_is_suggested_that_would_be_refused_again(uri: str) -> None:
    assert "did you mean" not in refusal(uri)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "sink: want one of jsonl:PATH, video:PATH"),
        ("x.txt", "got no kind in front; put one of them in front"),
        ("smoke:x", "got 'smoke:'; put one of them in front"),
        ("rtsp://anne:secret@host/x", "got rtsp://, which is not supported"),
        ("jsonl:http://host/x", "want a path, got an address"),
        ("jsonl:", "want a path behind the colon, got an end; write jsonl:PATH"),
        ("window:1", "want nothing behind the colon, got '1'; write window:"),
        ("jsonl:a\0b", "got one with a NUL character"),
        ("png:~nobody-of-this-name/x.png", "home folder of a user who is not known"),
        ("folder:" + "a" * 256, "255 a name"),
        ("video:a.mp4", "want a name that ends in .webm or .mkv, which play in browsers and after a kill, got 'a.mp4'"),
        ("png:a.jpg", "want a name that ends in .png, got 'a.jpg'"),
        ("video:a.webm?fps=3", "unknown option 'fps'"),
        ("png:a?b.png", "unknown option 'b.png'"),
        ("jsonl:y?kep=3", "unknown option 'kep'; did you mean 'keep'?"),
        ("jsonl:y?rotate_mb=0", "want rotate_mb to be a number from 0.001 to 1000000, got '0'"),
        ("crops:c?max_md=3", "unknown option 'max_md'; did you mean 'max_mb'?"),
        ("crops:c?every_ms=-1", "want every_ms to be a number from 0 to 1000000000, got '-1'"),
        ("crops:?max_mb=3", "want a path, got an empty text"),
        ("folder:d?format=gif", "want format to be jpg or png, got 'gif'"),
        ("jsonl:-?keep=3", "want no options of standard output"),
        ("crops:nowhere/c", "want an existing folder, got no nowhere"),
        ("folder:nowhere/f", "want an existing folder, got no nowhere"),
        ("video:nowhere/f.webm", "want an existing folder, got no nowhere"),
    ],
)
def test_what_cannot_be_a_sink_is_one_sentence_without_a_password(uri: str, words: str) -> None:
    assert words in refusal(uri)
    assert "secret" not in refusal(uri)


@pytest.mark.parametrize(
    "uri",
    ["jsonl:-", "jsonl:a", "video:a.webm", "video:\udcff.mkv", "png:A.PNG", "folder:a", "crops:a?max_mb=5", "null:"],
)
def test_a_right_sink_is_split_and_nothing_is_made(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kind, place, rest = check_sink(uri)
    assert (f"{kind}:{rest}", place) == (uri, rest.partition("?")[0])
    assert not list(tmp_path.iterdir())


def test_every_kind_says_how_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    assert list(FORMS) == list(SINKS)
    for kind, form in FORMS.items():
        assert check_sink(form).kind == kind


@pytest.mark.parametrize("kind", ["crops", "folder"])
def test_a_link_that_leads_to_no_folder_is_a_mistake(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for link, target in (("loop", "loop"), ("dangling", "nowhere")):
        Path(link).symlink_to(target)
        assert "want a folder, got a link that leads to none" in refusal(f"{kind}:{link}")


def test_what_a_machine_lacks_is_known_before_any_output_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(video, "library", no_library)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "want libvpx, got none; install opencv-python or libvpx, or use folder:" in refusal("video:a.webm")
    assert "want a display, got none" in refusal("window:")


def a_run(folder: Path) -> list[str]:
    """Return the words of a run over one picture, with bundles of the fake runtime."""
    assert cv2.imwrite(str(folder / "a.png"), np.zeros((20, 20, 3), np.uint8))
    bundles = {task: str(fake_bundle(folder / task, task).path) for task in ("detect", "embed")}
    return ["--source", "a.png", "--detector", bundles["detect"], "--embedder", bundles["embed"], "--quiet"]


def test_names_that_are_no_utf_8_are_written_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = [f"--sink={uri}" for uri in ("jsonl:y.jsonl", "video:\udcff.webm", "png:\udcff.png", "jsonl:\udcff")]
    assert main_run([*a_run(tmp_path), *outputs]) == 0
    run = json.loads(Path("y.jsonl").read_text().splitlines()[0])
    assert run["settings"]["sinks"][1] == r"video:\udcff.webm"
    assert Path("\udcff").read_bytes() == Path("y.jsonl").read_bytes()
    Path("\udcff.webm").rename("plain.webm")
    assert cv2.VideoCapture("plain.webm").read()[0]


@pytest.mark.parametrize("wrong", ["video:a.mp4", "video:a", "png:a", "jsonl:z?kep=3", "crops:c?max_md=3",
                                   "folder:f?format=gif", "jsno:x", "jsonl:", "crops:nowhere/c"])  # fmt: skip
def test_a_later_typo_leaves_an_earlier_output_as_it_was(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = a_run(tmp_path)
    older = b'{"kind":"run"}\n'
    Path("y.jsonl").write_bytes(older)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main_run([*words, "--overwrite", "--sink", "jsonl:y.jsonl", "--sink", wrong]) == 2
    assert Path("y.jsonl").read_bytes() == older
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert capsys.readouterr().err.count("\n") == 1
