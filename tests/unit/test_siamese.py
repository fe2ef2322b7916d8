"""Pairs without labels, what is read back of them, losses, and how a distance is judged."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

import keras

from edge.errors import ConfigError
from edge.sinks.crops import INDEX_FILE, Crop
from models.siamese.bases import build_base, efficientnet_lite0
from models.siamese.crops import read_crops
from models.siamese.heads import Head, head, over_pictures, over_vector_and_picture, over_vectors, tower
from models.siamese.judge import Pairs, best_threshold, pairs_apart, score
from models.siamese.losses import LOSSES
from models.siamese.mine import Rules, mine, write_pairs
from models.siamese.projection import Cached, Projection, whitened
from models.siamese.truth import NOBODY, identify, met
from models.training.recipe import find_recipes, read_recipe

ROOT = Path(__file__).parents[2]
EASY = Rules(apart=2, sharpness=0.0, pairs=60)


def crop_of(file: str, frame: int, box: tuple[float, ...], track: int = 1) -> Crop:
    x0, y0, x1, y1 = box
    return Crop(
        file=file, frame=frame, t_ms=100.0 * frame, track=track, klass="person", box=(x0, y0, x1, y1), score=0.9,
        sharpness=200.0, covered=0.0, cut=False,
    )  # fmt: skip


def write_recording(folder: Path, seen: dict[int, range], boxes: Callable[[int], tuple[float, ...]]) -> Path:
    """A recording of tracks, each in its colour with noise, in sight in these frames, 10 a second."""
    crops = []
    for track, frames in seen.items():
        (folder / str(track)).mkdir(parents=True)
        for frame in frames:
            random = np.random.default_rng((track, frame))
            color = np.array([40 * track % 256, 90, 255 - 40 * track % 256])
            picture = np.clip(color + random.normal(0, 30, (64, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{track}/{frame}.png"), picture)
            crops.append(crop_of(f"{track}/{frame}.png", frame, boxes(track), track))
    crops.sort(key=lambda crop: crop.frame)
    (folder / INDEX_FILE).write_bytes(b"".join(msgspec.json.encode(crop) + b"\n" for crop in crops))
    return folder


def aside(track: int) -> tuple[float, ...]:
    return (100.0 * track, 0.0, 100.0 * track + 32, 64.0)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """1 and 2 meet, 2 and 3 meet; 1 and 3 never do, so nobody knows whether they are one individual."""
    return write_recording(tmp_path / "r", {1: range(20), 2: range(10, 40), 3: range(30, 50)}, aside)


def test_yes_are_of_one_track_apart_and_no_of_two_that_met(recording: Path) -> None:
    mined = mine(recording, EASY)
    track, frame = (np.array([getattr(crop, name) for crop in mined.crops]) for name in ("track", "frame"))
    assert len(mined.yes) == len(mined.no) == 60
    assert (track[mined.yes[:, 0]] == track[mined.yes[:, 1]]).all()
    assert (np.abs(np.diff(frame[mined.yes], axis=1)) >= 2).all()
    assert {tuple(sorted(pair)) for pair in track[mined.no].tolist()} == {(1, 2), (2, 3)}
    gaps = np.abs(np.diff(frame[mined.no], axis=1))
    assert 0.2 < (gaps == 0).mean() < 0.8  # one frame and any time, so that a gap does not give the answer away


def test_two_boxes_that_always_overlap_may_be_one_individual(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / "r", {1: range(20), 2: range(20)}, lambda track: (3.0 * track, 0, 32, 64))
    with pytest.raises(ConfigError, match="want two tracks in one frame, got none"):
        mine(folder, EASY)


def test_pairs_written_are_read_back_as_groups_and_what_is_not_known_is_not_different(
    recording: Path, tmp_path: Path
) -> None:
    write_pairs(mine(recording, EASY), recording, tmp_path / "pairs")
    crops = read_crops(tmp_path / "pairs")
    track = np.array([int(path.name[1:7]) for path in crops.files])
    for group in np.unique(crops.groups):
        assert len(set(track[crops.groups == group].tolist())) == 1
    of_group = {int(group): int(track[crops.groups == group][0]) for group in np.unique(crops.groups)}
    apart = {tuple(sorted((of_group[a], of_group[b]))) for a, b in np.argwhere(crops.strangers).tolist()}
    assert apart == {(1, 2), (2, 3)}
    assert (len(crops.yes), len(crops.no)) == (60, 60)
    assert np.isfinite(crops.times_s).all()
    with pytest.raises(ConfigError, match="want a new folder"):
        write_pairs(mine(recording, EASY), recording, tmp_path / "pairs")


def test_a_no_that_contradicts_yes_is_left_out_and_counted(recording: Path, tmp_path: Path) -> None:
    write_pairs(mine(recording, EASY), recording, tmp_path / "pairs")
    flipped = tmp_path / "pairs" / "YES" / "00003"
    flipped.rename(tmp_path / "pairs" / "NO" / "from-YES-00003")
    assert "1 NO pairs left out, as YES pairs say otherwise" in read_crops(tmp_path / "pairs").words


def test_folders_of_identities(tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        (tmp_path / name).mkdir()
        for number in range(3):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((9, 9, 3), 50 * number, np.uint8))
    crops = read_crops(tmp_path)
    yes, no = crops.pairs(100, 0)
    assert (len(crops), len(yes), len(no)) == (6, 6, 9)
    (tmp_path / "carl").mkdir()
    with pytest.raises(ConfigError, match="carl: want pictures in every folder, got none"):
        read_crops(tmp_path)


def test_bad_input_is_named_and_counted(recording: Path, tmp_path: Path) -> None:
    damaged = recording / "2" / "12.png"
    damaged.write_bytes(b"no picture")
    assert "1 left out (1 unreadable)" in mine(recording, EASY).words[0]
    with pytest.raises(ConfigError, match=r"got none of 70 \(70 small\)"):
        mine(recording, msgspec.structs.replace(EASY, height_px=100.0))
    with pytest.raises(ConfigError, match="two crops at least 99 frames apart"):
        mine(recording, msgspec.structs.replace(EASY, apart=99))
    (recording / INDEX_FILE).write_bytes(b"")
    with pytest.raises(ConfigError, match="nobody was followed"):
        mine(recording, EASY)
    with pytest.raises(ConfigError, match="want pairs, got a recording"):
        read_crops(recording)
    (tmp_path / "p" / "YES" / "1").mkdir(parents=True)
    with pytest.raises(ConfigError, match="want two pictures, got 0"):
        read_crops(tmp_path / "p")


def test_pairs_of_one_picture_only_and_of_one_kind_only(tmp_path: Path) -> None:
    for name in "ab":
        for kind in ("YES", "NO"):
            (tmp_path / kind / "1").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / "1" / f"{name}.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ConfigError, match="want two different pictures, got the same one twice"):
        read_crops(tmp_path)
    for path in (tmp_path / "NO" / "1").iterdir():
        path.unlink()
    (tmp_path / "NO" / "1").rmdir()
    with pytest.raises(ConfigError, match="NO: want at least one folder"):
        read_crops(tmp_path)


def test_yes_of_one_frame_only(recording: Path, tmp_path: Path) -> None:
    write_pairs(mine(recording, EASY), recording, tmp_path / "pairs")
    names = [path.name for path in (tmp_path / "pairs").rglob("*.png")]
    (tmp_path / "pairs" / "times.json").write_bytes(msgspec.json.encode(dict.fromkeys(names, 1.5)))
    with pytest.raises(ConfigError, match="want crops of two moments, got those of one frame only"):
        read_crops(tmp_path / "pairs")


def test_commands_end_with_a_sentence_and_leave_nothing(tmp_path: Path, recording: Path) -> None:
    command = [sys.executable, "-m", "models", "pairs", "mine", str(recording), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--frames", "0:9"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "want two tracks in one frame, got none" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    (tmp_path / "rules.toml").write_text("aparte = 3\n")
    command += ["--rules", str(tmp_path / "rules.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "unknown key 'aparte'; did you mean 'apart'?" in done.stderr


def test_every_recipe_of_the_family_is_one() -> None:
    assert read_recipe(find_recipes("siamese")["on-the-spot"], Projection).dim == 128
    names = [read_recipe(path, Head).name for path in find_recipes("pairs").values()]
    assert len(set(names)) == len(names) == 12


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_wants_the_same_near_and_strangers_far_and_leaves_the_unknown_alone(name: str) -> None:
    strangers = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    groups = np.array([0, 0, 1, 1, 2, 2])
    loss = LOSSES[name](strangers)

    def of(angles: list[float]) -> float:
        return float(
            loss(groups, keras.ops.convert_to_tensor(np.stack([np.cos(angles), np.sin(angles)], 1), "float32"))
        )

    good, bad = of([0, 0.1, 3, 3.1, 1, 1]), of([0, 3, 0.1, 3.1, 1, 1])
    assert good < 0.5 < bad
    assert of([0, 0.1, 3, 3.1, 0, 0]) == pytest.approx(good, abs=1e-5)  # group 2 may be anybody


def test_the_projection_forgets_what_varies_within_individuals() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 30)
    who, noise = random.normal(0, 1, (8, 6))[groups], random.normal(0, 4, (240, 6))
    parts = {"colours": np.concatenate([who, noise], 1)[None].astype(np.float32)}
    cached = Cached(parts, groups, ~np.eye(8, dtype=bool))
    kernels, bias = whitened(cached, np.arange(240), Projection(name="x", components=12, dim=12, whiten=0.01))
    vectors = parts["colours"][0] @ kernels["colours"] + bias
    pairs = Pairs(np.stack(np.triu_indices(240, 1), 1), groups[np.stack(np.triu_indices(240, 1), 1)])

    def auc(values: np.ndarray) -> float:
        return score(np.linalg.norm(values[pairs.rows[:, 0]] - values[pairs.rows[:, 1]], axis=1), pairs).auc

    assert auc(parts["colours"][0]) < 0.7
    assert auc(vectors) > 0.97


def test_a_head_begins_as_the_manhattan_distance_and_does_not_care_for_order() -> None:
    random = np.random.default_rng(1)
    a, b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in random.random((2, 1, 20, 64)).astype(np.float32))
    same = np.asarray(head(64, Head(name="x", hidden=(8,)))([a[None], b[None]])).reshape(-1)
    distance = np.abs(a - b).sum(axis=-1).reshape(-1)
    np.testing.assert_array_equal(np.argsort(same), np.argsort(-distance))
    combined = head(64, Head(name="x", hidden=(8,), join="combined", start="random"))
    np.testing.assert_allclose(combined([a[None], b[None]]), combined([b[None], a[None]]), rtol=1e-5)


def test_all_forms_of_a_head_answer_the_same() -> None:
    picture = keras.Input((8, 8, 3), dtype="uint8", name="image")
    base = keras.Model(picture, keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(picture)))
    recipe = Head(name="x", hidden=(6,), start="random", before=5, pooling="max")
    shared = tower((6, 6, 4), recipe)
    inner = head(5, recipe)
    a, b = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8, 3)).astype(np.uint8)
    vectors = [np.asarray(shared(base(each))) for each in (a, b)]
    same = float(over_pictures(base, shared, inner)([a, b])["same"][0, 0])
    assert float(over_vector_and_picture(base, shared, inner, 5)([vectors[0], b])["same"][0, 0]) == pytest.approx(same)
    batch = [np.tile(vector, (7, 1))[None, None] for vector in vectors]
    many = np.asarray(over_vectors(inner, 5, 7)(batch)["same"])
    assert many.shape == (1, 7)
    np.testing.assert_allclose(many, same, rtol=1e-5)


def test_bases_want_weights_that_fit(tmp_path: Path) -> None:
    lite = efficientnet_lite0((64, 64, 3))
    assert lite.output_shape == (None, 2, 2, 1280)
    # what the network is published with, less its top of 1000 classes
    assert sum(int(np.prod(w.shape)) for w in lite.trainable_weights) == 4_652_008 - 1_281_000
    lite.save_weights(tmp_path / "lite.weights.h5")
    model = build_base("efficientnet-lite0", (64, 64), weights=tmp_path / "lite.weights.h5")
    vector = np.asarray(model(np.full((1, 64, 64, 3), 9, np.uint8))["embedding"])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConfigError, match="resnet50: want --weights FILE, got none"):
        build_base("resnet50")
    with pytest.raises(ConfigError, match="want those of mobilenetv2 without its top"):
        build_base("mobilenetv2", (64, 64), alpha=0.35, weights=tmp_path / "lite.weights.h5")


def test_a_judge_takes_the_threshold_from_other_identities() -> None:
    random = np.random.default_rng(2)
    who = np.repeat(np.arange(10), 12)
    times = np.tile(np.arange(12.0), 10)
    place = who * 1.0 + random.normal(0, 0.1, 120)
    pairs = pairs_apart(who, times, (0.0, 2.0))
    gap = np.abs(np.diff(times[pairs.rows], axis=1))
    assert ((gap > 0) & (gap <= 2)).all()
    distance = np.abs(np.diff(place[pairs.rows], axis=1))[:, 0].astype(np.float32)
    scores = score(distance, pairs, threshold=0.5)
    assert scores.accuracy > 0.97
    assert scores.auc > 0.99
    assert scores.eer < 0.03
    assert np.sum(scores.confusion) == len(pairs.rows)
    chance = score(random.random(len(distance)).astype(np.float32), pairs)
    assert abs(chance.accuracy - 0.5) < 0.05


def test_the_best_threshold_lies_between() -> None:
    cut, accuracy = best_threshold(np.array([0.1, 0.2, 0.6, 0.9], np.float32), np.array([True, True, False, False]))
    assert (cut, accuracy) == (pytest.approx(0.4), 1.0)


def test_identities_come_from_overlap_and_a_crop_of_nobody_has_none(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,5,0,0,10,20,1\n1,6,100,0,10,20,1\n2,5,0,0,10,20,0\n")
    boxes = [(0, 1.0), (0, 100.0), (0, 300.0), (1, 0.0)]
    crops = [crop_of("", frame, (left, 0.0, left + 10, 20.0)) for frame, left in boxes]
    who = identify(crops, tmp_path / "gt.txt")
    assert who.tolist() == [5, 6, NOBODY, NOBODY]
    assert met(crops, who)[5, 6]


@pytest.mark.parametrize(("yes", "no"), [(40, 12), (5, 40)])
def test_few_pairs_of_one_kind_still_make_batches_that_alternate(yes: int, no: int) -> None:
    from models.siamese.pair_training import _Pairs

    maps = np.zeros((50, 2), np.float32)
    kinds = [np.arange(2 * count).reshape(count, 2) % 50 for count in (yes, no)]
    batches = _Pairs(maps, kinds, Head(name="x", batch=64), epoch=None)
    for number in range(len(batches)):
        (left, right), same = batches[number]
        assert len(left) == len(right) == len(same)
        assert same[:, 0].tolist() == [1, 0] * (len(same) // 2)
    with pytest.raises(ConfigError, match="too few"):
        _Pairs(maps, [kinds[0], kinds[1][:0]], Head(name="x"), epoch=None)


def test_a_torn_last_decision_does_not_spoil_the_next(tmp_path: Path) -> None:
    from models.siamese.review import LOG_FILE, Review

    for kind in ("YES", "NO"):
        for name in ("a", "zwei Käfer"):
            (tmp_path / kind / name).mkdir(parents=True)
            for place in "01":
                cv2.imwrite(str(tmp_path / kind / name / f"{place}.png"), np.zeros((8, 8, 3), np.uint8))
    Review(tmp_path).decide("YES/a", "confirm")
    with (tmp_path / LOG_FILE).open("ab") as log:
        log.write(b'{"pair":"YES/a","act')
    Review(tmp_path).decide("NO/a", "confirm")
    assert {pair.decision for pair in Review(tmp_path).pairs} == {"confirm", ""}
