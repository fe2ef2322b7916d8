import pytest

from edge.errors import ConfigError
from edge.sinks import check_sink
from edge.sinks.given import FORMS


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
        ("a/film.mp4", "video:a/film.mp4"),
        ("film.avi", "video:film.avi"),
        ("film.mkv", "video:film.mkv"),
        ("film.webm", "video:film.webm"),
        ("film.mov", "video:film.mov"),
        ("last.png", "png:last.png"),
        ("drawn/", "folder:drawn/"),
        ("jsno:out", "jsonl:out"),
        ("VIDEO:film.mp4", "video:film.mp4"),
        ("window", "window:"),
        ("crops", "crops:DIR"),
    ],
)
def test_a_sink_without_its_kind_gets_the_kind_that_was_meant(uri: str, meant: str) -> None:
    assert refusal(uri).endswith(f"did you mean '{meant}'?")


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
        ("video:\udcff.mp4", "want a name of UTF-8, got other bytes"),
    ],
)
def test_what_cannot_be_a_sink_is_one_sentence_without_a_password(uri: str, words: str) -> None:
    assert words in refusal(uri)
    assert "secret" not in refusal(uri)


@pytest.mark.parametrize(
    "uri", ["jsonl:-", "jsonl:a", "video:a.mp4", "png:a.png", "folder:a", "crops:a?max_mb=5", "null:"]
)
def test_a_right_sink_is_split_and_nothing_is_made(uri: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert ":".join(check_sink(uri)) == uri
    assert not list(__import__("pathlib").Path().iterdir())


def test_every_kind_says_how_it_is_written() -> None:
    for kind, form in FORMS.items():
        place = "x.png" if kind == "png" else "x.mp4" if kind == "video" else "x"
        assert check_sink(f"{kind}:" if form.endswith(":") else f"{kind}:{place}")[0] == kind
