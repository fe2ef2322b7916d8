"""What a bundle was made from: a measured tolerance, evidence of its own model, no bundle of another beside it."""

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from converters.convert import _strangers, bundle_folder
from converters.evidence import EVIDENCE_FILE, read_evidence, write_evidence
from converters.load import ConversionError
from converters.recipe import Recipe
from converters.record import Record
from converters.report import read_record, write_report
from converters.stamp import is_up_to_date
from converters.tolerance import FACTOR, LEAST, tolerance
from converters.verify import _parity
from edge.bundle import MOST_ERROR, Bundle, read_bundle, write_bundle
from edge.errors import ConfigError
from edge.whole import STAGING
from tests.conftest import fake_bundle, seal

ONE, OTHER = "1" * 64, "2" * 64


def remade(bundle: Bundle, basis: str, stamp: str = "", path: Path | None = None) -> Bundle:
    """Write a bundle again with another provenance."""
    origin = msgspec.structs.replace(bundle.manifest.provenance, basis=basis, recipe_sha256=stamp)
    manifest = msgspec.structs.replace(bundle.manifest, provenance=origin)
    return write_bundle(path or bundle.path, manifest, bundle.model_path.read_bytes(), bundle.golden_path.read_bytes())


def study(bundle: Bundle) -> Any:
    """Stand in for what `converters.study` knows: two parity examples and Keras' answers."""
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    inputs = [np.full(spec.shape, 40 * (n + 1), spec.dtype) for n in range(2)]
    answers = [[np.full(out.shape, 40 * (n + 1) / 255, np.float32)] for n in range(2)]
    return SimpleNamespace(
        reference=answers, parity=SimpleNamespace(inputs=lambda row: [inputs[row]]), parity_rows=[0, 1]
    )


def test_evidence_belongs_to_the_bundles_of_its_basis(tmp_path: Path) -> None:
    bundle = remade(fake_bundle(tmp_path, "embed"), ONE)
    report = tmp_path / "fake-embed.report"
    report.mkdir()
    write_evidence(report, study(bundle), ONE)
    (part,) = _parity(bundle)
    assert part.cosine_min == pytest.approx(1)
    assert part.inputs == 2
    write_evidence(report, study(bundle), OTHER)
    with pytest.raises(ConversionError, match=r"want the report of its own model .* got fake-embed\.report of another"):
        _parity(bundle)


def test_evidence_of_other_tensors_is_refused(tmp_path: Path) -> None:
    bundle = remade(fake_bundle(tmp_path, "embed"), ONE)
    known = study(bundle)
    known.reference = [[answer[0][:, :7]] for answer in known.reference]
    (tmp_path / "fake-embed.report").mkdir()
    write_evidence(tmp_path / "fake-embed.report", known, ONE)
    with pytest.raises(ConversionError, match="want answers of shape"):
        _parity(bundle)


def test_evidence_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="want the file that the conversion left"):
        read_evidence(tmp_path)
    (tmp_path / EVIDENCE_FILE).write_bytes(b"PK")
    with pytest.raises(ConfigError, match="zip archive"):
        read_evidence(tmp_path)


def workshop(said: list[str]) -> Any:
    recipe = Recipe(name="fake", task="embed", model="m", variants={}, size=None)
    return SimpleNamespace(recipe=recipe, basis=ONE, how=SimpleNamespace(say=said.append))


def test_bundles_of_another_model_are_removed_or_marked(tmp_path: Path) -> None:
    made = fake_bundle(tmp_path / "made", "embed")
    own = remade(made, ONE, path=tmp_path / "fake-fp32-tflite")
    remade(made, OTHER, path=tmp_path / "fake-fp16-tflite")
    old = remade(made, OTHER, path=tmp_path / "fake-int8-onnx")
    (old.path / "SHA256SUMS").unlink()  # of an earlier format: nobody knows what it was made from
    neighbour = remade(made, OTHER, path=tmp_path / "fake-2-fp32-tflite")
    said: list[str] = []
    assert set(_strangers(workshop(said), tmp_path, remove=False)) == {"fake-fp16-tflite", "fake-int8-onnx"}
    assert all("still there, but made from another model" in line for line in said)
    said.clear()
    assert _strangers(workshop(said), tmp_path, remove=True) == ()
    assert sorted(line.split(":")[0] for line in said) == ["fake-fp16-tflite", "fake-int8-onnx"]
    left = {path.name for path in tmp_path.iterdir()} - {"made"}
    assert left == {name for path in (own.path, neighbour.path) for name in (path.name, f"{path.name}.zip")}


def test_the_report_names_what_is_not_of_its_model(tmp_path: Path) -> None:
    record = Record(
        stem="fake", task="embed", source="m", facts=(), target="", max_drop=0.01, versions={}, calibration=None,
        calibration_range=(), findings=(), variants=(), basis=ONE, strangers=("fake-fp16-tflite",),
    )  # fmt: skip
    write_report(tmp_path, record, ())
    assert read_record(tmp_path) == record
    for name in ("report.md", "report.html"):
        assert "Not of this model, though they lie beside: fake-fp16-tflite" in (tmp_path / name).read_text()
    write_report(tmp_path, msgspec.structs.replace(record, strangers=()), ())
    assert "Not of this model" not in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("harm", ["", "stamp", "folder", "zip cut", "zip of another", "zip with more", "no zip"])
def test_a_bundle_is_up_to_date_only_when_it_and_its_zip_are_whole(tmp_path: Path, harm: str) -> None:
    made = fake_bundle(tmp_path / "made", "embed")
    bundle = remade(made, ONE, OTHER, tmp_path / "fake")
    archive = tmp_path / "fake.zip"
    if harm == "folder":
        bundle.model_path.write_bytes(bundle.model_path.read_bytes() + b" ")
    elif harm == "zip cut":
        archive.write_bytes(archive.read_bytes()[:-100])
    elif harm == "zip of another":
        remade(made, OTHER, OTHER, tmp_path / "b" / "fake")
        shutil.copy(tmp_path / "b" / "fake.zip", archive)
    elif harm == "zip with more":
        with zipfile.ZipFile(archive, "a") as packed:
            packed.writestr("fake/more", b"")
    elif harm == "no zip":
        archive.unlink()
    assert is_up_to_date(bundle.path, ONE if harm == "stamp" else OTHER) is (harm == "")


def test_a_killed_conversion_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"{STAGING}dead" / "new").mkdir(parents=True)
    with bundle_folder(tmp_path / "out"):
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("measured", "allowed"),
    [
        (None, LEAST["int8"][0]),
        (0.0, LEAST["int8"][0]),
        (LEAST["int8"][0] / FACTOR, LEAST["int8"][0]),
        (0.1, 0.15),
        (0.1801, 0.28),  # rounded up to two digits
        (0.5, MOST_ERROR),
        (float("inf"), MOST_ERROR),
    ],
)
def test_the_tolerance_follows_what_was_measured(measured: float | None, allowed: float) -> None:
    max_error, why = tolerance("int8", measured)
    assert max_error == pytest.approx(allowed)
    assert why.startswith(LEAST["int8"][1])
    assert 1.4 <= FACTOR <= 1.6
    assert MOST_ERROR < 0.42, "what one layer with its channels in another order gives, see converters.tolerance"


def test_a_sealed_bundle_of_the_tests_is_one(embedder: Bundle) -> None:
    before = embedder.sha256
    seal(embedder.path)
    assert read_bundle(embedder.path).sha256 == before
