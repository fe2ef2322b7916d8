import numpy as np
import pytest

from edge.bundle import Decoder, Quantization, TensorSpec
from edge.decode import boxes, nanodet

ALL = np.arange(3, dtype=np.int32)


def head(cells: int, stride: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        f"cls_{stride}": rng.random((1, cells, 3)).astype(np.float32),
        f"reg_{stride}": rng.normal(0, 2, (1, cells, 4 * 8)).astype(np.float32),
    }


def specs(arrays: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, TensorSpec]]:
    return {n: (a, TensorSpec(name=n, dtype=a.dtype.name, shape=a.shape)) for n, a in arrays.items()}


def slow_nanodet(arrays: dict[str, np.ndarray], strides: list[int], bins: int, threshold: float) -> set[tuple]:
    """The definition, cell by cell: the distance of a side is the expectation of its distribution."""
    found = set()
    for stride in strides:
        scores, sides = arrays[f"cls_{stride}"][0], arrays[f"reg_{stride}"][0]
        columns = round(len(scores) ** 0.5)
        for cell, row in enumerate(scores):
            for klass, score in enumerate(row):
                if score <= threshold:
                    continue
                x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride
                left, top, right, bottom = (
                    sum(i * np.exp(v) for i, v in enumerate(side)) / sum(np.exp(v) for v in side) * stride
                    for side in sides[cell].reshape(4, bins).astype(float)
                )
                box = (x - left, y - top, x + right, y + bottom)
                found.add((klass, round(float(score), 4), *(round(v, 1) for v in box)))
    return found


def as_set(candidates: tuple[np.ndarray, np.ndarray, np.ndarray]) -> set[tuple]:
    return {
        (int(k), round(float(s), 4), *(round(float(v), 1) for v in box)) for box, s, k in zip(*candidates, strict=True)
    }


def test_nanodet_is_the_definition_cell_by_cell() -> None:
    rng = np.random.default_rng(3)
    arrays = head(64, 8, rng) | head(16, 16, rng)
    how = Decoder(name="nanodet", strides=(8, 16), bins=8)
    got = as_set(nanodet(specs(arrays), how, 64, 0.9, ALL))
    assert got == slow_nanodet(arrays, [8, 16], 8, 0.9)
    assert len(got) > 5


def test_only_wanted_classes_are_decoded_and_keep_their_numbers() -> None:
    arrays = head(16, 8, np.random.default_rng(0))
    _, scores, classes = nanodet(
        specs(arrays), Decoder(name="nanodet", strides=(8,), bins=8), 32, 0.5, np.array([2], np.int32)
    )
    assert set(classes.tolist()) == {2}
    assert len(scores) == (arrays["cls_8"][0, :, 2] > 0.5).sum()


def test_boxes_are_taken_as_they_are() -> None:
    arrays = {
        "boxes": np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]], np.float32),
        "scores": np.array([[[0.1, 0.2, 0.3], [0.9, 0.1, 0.8]]], np.float32),
    }
    found, scores, classes = boxes(specs(arrays), Decoder(name="boxes"), 64, 0.5, ALL)
    assert found.tolist() == [[5, 6, 7, 8], [5, 6, 7, 8]]
    assert classes.tolist() == [0, 2]
    assert scores.tolist() == pytest.approx([0.9, 0.8])


def test_quantised_scores_are_compared_in_their_own_steps() -> None:
    stored = np.array([[[-128, 0, 127]]], np.int8)  # 0, 0.502, 1.0 at scale 1/255
    step = Quantization(scale=1 / 255, zero_point=-128)
    outputs = {
        "boxes": (np.zeros((1, 1, 4), np.float32), TensorSpec(name="boxes", dtype="float32", shape=(1, 1, 4))),
        "scores": (stored, TensorSpec(name="scores", dtype="int8", shape=(1, 1, 3), quantization=step)),
    }
    _, scores, classes = boxes(outputs, Decoder(name="boxes"), 64, 0.5, ALL)
    assert classes.tolist() == [1, 2]
    assert scores.tolist() == pytest.approx([128 / 255, 1.0])
