"""Where the system refuses `edge bundle` and `edge profile`: code 5, and 2 only where another name would mend it."""

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

import edge.bundle_profile
import edge.commands
from edge.bundle_profile import check_writable, write_profile
from edge.cli import main_edge, main_run
from edge.errors import ConfigError, OutputError
from models.training.archive import writable

CODES = [(errno.ENOSPC, 5), (errno.EROFS, 5), (errno.EACCES, 5), (errno.EIO, 5), (errno.ENOTDIR, 2), (errno.ELOOP, 2)]


@pytest.mark.parametrize(("number", "code"), CODES)
@pytest.mark.parametrize(("action", "called"), [("install", "install_bundle"), ("remove", "remove_named")])
def test_a_refusal_of_the_system_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action: str,
    called: str,
    number: int,
    code: int,
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(edge.commands, called, refuse)
    assert main_edge(["bundle", action, "some.zip"]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"got '{os.strerror(number)}'; " in said


@pytest.mark.parametrize(("number", "code"), CODES)
def test_figures_and_models_that_cannot_be_written_say_whose_fault_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    kind = OutputError if code == 5 else ConfigError
    monkeypatch.setattr(edge.bundle_profile, "staging", refuse)
    with pytest.raises(kind, match="want to write the figures"):
        check_writable(tmp_path / "p.json")
    monkeypatch.setattr(edge.bundle_profile.msgspec.json, "encode", lambda _: b"{}")
    monkeypatch.setattr(edge.bundle_profile, "write_file", refuse)
    with pytest.raises(kind, match="want to write the figures"):
        write_profile(tmp_path / "p.json", None)  # type: ignore[arg-type]
    with pytest.raises(kind, match="want a place to write"), writable(tmp_path):
        refuse()


def test_a_name_that_is_no_utf8_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9")
    for main, words in ((main_run, ["--camera", "0"]), (main_edge, ["classify", "pictures"])):
        assert main([*words, "--name", name]) == 2
        assert capsys.readouterr().err == "edge: --name: want text in UTF-8, got other bytes; correct it\n"
