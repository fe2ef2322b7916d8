"""Hostile files do nothing without --trust, and honest ones still open; see `tests/hostile`.

`HOSTILE=all` opens every file fenced and unfenced, types the commands, and proves each file by the plain library.
"""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf_keras")

from tests.hostile.bundles import honest_bundle
from tests.hostile.case import Case
from tests.hostile.corpus import CASES
from tests.hostile.drive import HONEST_FILE, Outcome, Range, shooting_range
from tests.hostile.honest import HONEST, SLOW

EVERYTHING = os.environ.get("HOSTILE") == "all"
SECONDS = 60
_AT_ONCE, _FENCED_EVERY, _TYPED_EVERY = 50, 12, 40
_SMALL = ("torch", "data", "bundle")
"""Kinds whose opening takes no TensorFlow."""
HARMLESS_HERE = (
    "sly-compile-config",  # only training reads what is hostile in it, and nothing here trains
    "both-h5-zip-hostile",  # by its first bytes it is HDF5, and that half is harmless
)
"""May be opened, although a careless library falls for them."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    with shooting_range(tmp_path_factory.mktemp("hostile"), list(CASES)) as made:
        yield made


@pytest.fixture(scope="module")
def files(place: Range) -> dict[str, Path]:
    return {name: place.make(case) for name, case in CASES.items()}


def complaint(case: Case, outcome: Outcome) -> str:
    """Say what is wrong with what came of a hostile file; "" = nothing."""
    if outcome.did:
        return f"{case.name} did: {', '.join(sorted(outcome.did))}"
    if outcome.end not in ("refused", "opened"):
        return f"{case.name} {outcome.end}: {outcome.type} {outcome.text[-300:]}"
    if "unforeseen" in outcome.text or "Traceback" in outcome.text:
        return f"{case.name} was not foreseen: {outcome.text[-300:]}"
    refused = outcome.end == "refused" or "refused: " in outcome.text
    if not case.dud and case.proof and not refused and case.name not in HARMLESS_HERE:
        return f"{case.name} was opened: {outcome.text[:300]}"
    controls = [sign for sign in outcome.text if unicodedata.category(sign) in ("Cc", "Cf") and sign != "\n"]
    return f"{case.name} prints {controls}" if controls else ""


def check(place: Range, files: dict[str, Path], how: str, cases: list[Case]) -> None:
    found = [complaint(case, place.open(case, files[case.name], how, SECONDS)) for case in cases]
    assert not [words for words in found if words]


def check_unfenced(place: Range, files: dict[str, Path], cases: list[Case]) -> None:
    found = []
    for start in range(0, len(cases), _AT_ONCE):
        part = cases[start : start + _AT_ONCE]
        outcomes = place.open_many([(case, files[case.name]) for case in part], SECONDS)
        found += [complaint(case, outcome) for case, outcome in zip(part, outcomes, strict=True)]
    assert not [words for words in found if words]


def test_there_are_enough_of_them_and_of_all_kinds() -> None:
    assert len(CASES) >= 300
    assert {case.kind for case in CASES.values()} == {"model", "torch", "data", "bundle"}
    assert len([case for case in CASES.values() if not case.dud]) >= 200


def test_the_watch_sees_what_a_hostile_file_does(place: Range, files: dict[str, Path]) -> None:
    """Otherwise all other tests here would pass on anything."""
    for name, done in (
        ("k3-bytecode-function", "made canary"),
        ("sm-op-write-file", "wrote canary"),
        ("k2-named-urlopen", "connected"),
        ("k2-named-read", "opened secret"),
        ("k2-named-rmtree", "removed victim"),
    ):
        assert done in place.open(CASES[name], files[name], "prove", SECONDS).did, name


def test_no_model_file_does_anything_though_nothing_fences_it(place: Range, files: dict[str, Path]) -> None:
    """The reading of a file alone keeps it from doing anything."""
    check_unfenced(place, files, [case for case in CASES.values() if case.kind == "model"])


def test_no_torch_file_archive_or_bundle_does_anything(place: Range, files: dict[str, Path]) -> None:
    check_unfenced(place, files, [case for case in CASES.values() if case.kind in _SMALL])


def test_no_file_does_anything_in_a_job(place: Range, files: dict[str, Path]) -> None:
    """As a person runs it; a few of them, or all with HOSTILE=all."""
    models = [case for case in CASES.values() if case.kind == "model"]
    check(place, files, "job", models if EVERYTHING else models[::_FENCED_EVERY])


def test_no_file_does_anything_when_it_is_converted_or_installed(place: Range, files: dict[str, Path]) -> None:
    cases = list(CASES.values())
    check(place, files, "whole", cases[:: _TYPED_EVERY if not EVERYTHING else 5])


@pytest.mark.skipif(not EVERYTHING, reason="takes minutes; HOSTILE=all runs it")
def test_the_files_are_hostile_indeed(place: Range, files: dict[str, Path]) -> None:
    """Trusted, each does what it was made for; what does not says why."""
    wrong = []
    for case in CASES.values():
        did = place.open(case, files[case.name], "prove", SECONDS).did
        if bool(did) == bool(case.dud):
            wrong.append(f"{case.name}: {sorted(did)}, noted as '{case.dud}'")
    assert not wrong


def test_honest_files_open(place: Range, tmp_path: Path) -> None:
    names = [name for name in HONEST if EVERYTHING or name not in SLOW]
    assert len(names) >= 25
    wrong = []
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        case = Case(HONEST_FILE, lambda _, __: Path(), "model", "")
        outcome = place.open(case, HONEST[name](folder), "job", SECONDS)
        if outcome.end != "opened" or "refused: " in outcome.text.replace("refused: int8 and int16x8", ""):
            wrong.append(f"{name}: {outcome.end} {outcome.type} {outcome.text[-400:]}")
    assert not wrong


def test_an_honest_bundle_opens(place: Range, tmp_path: Path) -> None:
    """The bundle that the hostile ones were made from."""
    case = Case(HONEST_FILE, lambda _, __: Path(), "bundle", "")
    outcome = place.open(case, honest_bundle(tmp_path), "bare", SECONDS)
    assert (outcome.end, outcome.did) == ("opened", frozenset()), outcome.text
