"""A head over pairs, through the fake runtime, and in the match stage and the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.backends.fake import Program, closeness
from edge.bundle import FORMAT, Bundle, Golden, Manifest, Provenance, TensorSpec, write_bundle
from edge.cli import main_run
from edge.config import Track
from edge.errors import BundleError
from edge.golden import make_golden
from edge.model import open_model
from edge.stages.compare import Compare
from edge.stages.match import Match
from tests.unit.test_match import BLUE, RED, World


def pair_bundle(folder: Path, dim: int, at_once: int = 4) -> Bundle:
    shape = (1, 1, at_once, dim)
    inputs = [np.random.default_rng(seed).random(shape, np.float32) for seed in (0, 1)]
    outputs = closeness(*inputs)
    manifest = Manifest(
        format=FORMAT, name="fake-pair", task="pair", runtime="fake", variant="fp32", model_file="model.json",
        inputs=tuple(TensorSpec(name=name, dtype="float32", shape=shape) for name in "ab"),
        outputs=(TensorSpec(name="same", dtype="float32", shape=(1, at_once)),), threshold=0.5,
        golden=Golden(max_error=1e-6, why="the same arithmetic on every machine"),
        provenance=Provenance(keras="none", weights=(), recipe_sha256=""),
    )  # fmt: skip
    golden = make_golden(manifest, inputs, None, outputs)
    return write_bundle(folder / "fake-pair", manifest, msgspec.json.encode(Program("closeness")), golden)


def test_all_pairs_are_measured_in_batches_of_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    queries, gallery = random.random((5, 6), np.float32), random.random((7, 6), np.float32)
    pairs = random.integers(0, 5, 11), random.integers(0, 7, 11)
    with open_model(pair_bundle(tmp_path, 6).path, "pair", 1) as model:
        compare = Compare(model, 6)
        want = 1 - np.exp(-np.abs(queries[pairs[0]] - gallery[pairs[1]]).sum(axis=1))
        np.testing.assert_allclose(compare(queries, gallery, pairs), want, rtol=1e-5)
        assert compare(queries, gallery, (pairs[0][:0], pairs[1][:0])).shape == (0,)
        with pytest.raises(BundleError, match=r"want a head over two inputs \(1, 1, pairs, 48\)"):
            Compare(model, 48)


def test_the_match_stage_follows_by_a_head(tmp_path: Path) -> None:
    with open_model(pair_bundle(tmp_path, 3).path, "pair", 1) as model:
        world = World(confirm=1)
        world.match = Match(Track(confirm=1), "manhattan", 3, Compare(model, 3))
        for step in range(8):
            tracks = world.step([(100 + 4 * step, 100, RED), (400, 300 - 4 * step, BLUE)])
        assert tracks.ids.tolist() == [1, 2]
        assert tracks.distance[0] == pytest.approx(0.0, abs=1e-6)


def test_edge_run_takes_a_head_or_an_embedder_as_its_matcher(
    tmp_path: Path,
    detector: Bundle,
    embedder: Bundle,
    squares_video: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    film, out = squares_video(frames=12), tmp_path / "out.jsonl"
    common = ["--source", str(film), "--detector", str(detector.path), "--budget-ms", "10000", "--sink", f"jsonl:{out}"]
    head = pair_bundle(tmp_path, 48)
    assert main_run([*common, "--embedder", str(embedder.path), "--matcher", str(head.path)]) == 0
    frames = map(json.loads, out.read_text().splitlines()[1:])
    followed = [track for frame in frames for track in frame["tracks"]]
    measured = [track["distance"] for track in followed if track["distance"] is not None]
    assert measured
    assert all(0 <= distance <= 1 for distance in measured)
    assert main_run([*common, "--matcher", str(embedder.path)]) == 0
    assert main_run([*common, "--embedder", str(embedder.path), "--matcher", str(embedder.path)]) == 2
    assert "leave one of them out" in capsys.readouterr().err
    assert main_run([*common, "--embedder", str(embedder.path), "--matcher", str(detector.path)]) == 3
    narrow = pair_bundle(tmp_path / "narrow", 6)
    assert main_run([*common, "--embedder", str(embedder.path), "--matcher", str(narrow.path)]) == 3
