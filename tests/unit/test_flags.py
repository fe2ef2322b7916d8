"""Wrong flags, as both commands answer them."""

import pytest

from edge.cli import main_edge, main_run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--frmes", "3"], "unknown flag '--frmes'; did you mean '--frames'?"),
        (["--frmes=3"], "unknown flag '--frmes'; did you mean '--frames'?"),
        (["--qqqqqq"], "unknown flag '--qqqqqq'; 'edge-run --help' lists what there is"),
        (["a.toml", "b"], "want no further words, got 'b'; 'edge-run --help' lists what there is"),
        (["--camera"], "--camera: expected one argument; 'edge-run --help' lists what there is"),
        (["--camera", "0", "--source", "x"], "--source: not allowed with argument --camera; 'edge-run --help' lists"),
        (["--threads", "abc", "--source", "x"], "--threads: want a whole number from 1 to 256, got 'abc'; correct it"),
        (["--threads", "1e400", "--source", "x"], "--threads: want a whole number from 1 to 256, got inf; correct it"),
        (["--frames", "0", "--source", "x"], "--frames: want a whole number of at least 1, got 0; correct it"),
        (["--budget-ms", "0", "--source", "x"], "--budget-ms: want a number from 1 to 1000000, got 0; correct it"),
        (["--classes", "", "--source", "x"], "--classes: want labels such as person,horse, got ''; leave the flag out"),
        (
            ["--camera", "yard.mp4"],
            "--camera: want a camera such as 0, /dev/video0 or picamera:, got 'yard.mp4'; for",
        ),
        (["--camera", ""], "--camera: want a camera such as 0, /dev/video0 or picamera:, got ''; try: --camera 0"),
        (["yard.mp4"], "config 'yard.mp4': want a .toml file, got a source; did you mean '--source yard.mp4'?"),
        (["--source", "x", "--draw", "clok"], "--draw: unknown word 'clok'; did you mean 'clock'?"),
        ([], "source: want --camera N or --source URI, got neither; try: edge-run --camera 0"),
    ],
)
def test_edge_run_answers_in_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_run(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"edge: {sentence}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bundel", "list"], "COMMAND: want one of these words, got 'bundel'; did you mean 'bundle'?"),
        (["bundle", "shwo", "x"], "ACTION: want one of these words, got 'shwo'; did you mean 'show'?"),
        (["bundle", "show"], "the following arguments are required: BUNDLE; 'edge bundle show --help' lists"),
        (["bundle", "show", "a", "b"], "want no further words, got 'b'; 'edge bundle show --help' lists"),
        (["classify", "x", "--treads", "3"], "unknown flag '--treads'; did you mean '--threads'?"),
        (["classify", "x", "--draw", "clok"], "--draw: unknown word 'clok'; did you mean 'clock'?"),
        (["classify", "x", "--sink", "null:", "--sink", "video:a.mp4"], "sink video:a.mp4: want a name that ends in"),
        (["classify", "x", "--frames", "0"], "--frames: want a whole number of at least 1, got '0'; correct it"),
        (["profile", "x", "--runs", "9" * 5000], "--runs: want a whole number of at least 1, got '999"),
    ],
)
def test_edge_answers_in_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_edge(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"edge: {sentence}")
    assert error.count("\n") == 1


def test_labels_may_be_written_with_blanks() -> None:
    from edge.flags import labels

    assert labels("person, traffic light ,") == ("person", "traffic light")
