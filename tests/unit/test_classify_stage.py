"""What a classifier's and a localizer's outputs mean, whatever their shape and number format."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import fake_bundle

from edge.bundle import Quantization, TensorSpec
from edge.decode import class_scores, localizer_outputs
from edge.errors import BundleError
from edge.model import Model, open_model
from edge.profiler import ANSWER_STAGES, StageClock
from edge.stages.classify import Classify, Localize
from edge.types import Frame


def spec(name: str, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        ([[0.2, 0.7, 0.1]], [0.2, 0.7, 0.1]),
        ([[0.8]], [0.2, 0.8]),  # one sigmoid: of the second class
        ([[0.0]], [1.0, 0.0]),
        ([[0.9, 0.8]], [0.9, 0.8]),  # several labels at once stay as they are
        ([[-1.0, 0.0, 2.0]], [0.0420, 0.1142, 0.8438]),  # logits: softmax
        ([[3.0]], [0.0474, 0.9526]),  # one logit: sigmoid
        ([[[[500.0, 499.0]]]], [0.7311, 0.2689]),
    ],
)
def test_scores_are_told_from_logits(values: list, scores: list[float]) -> None:
    np.testing.assert_allclose(class_scores(np.array(values, np.float32)), scores, atol=1e-4)


@pytest.mark.parametrize(
    ("specs", "places"),
    [
        ((spec("box", 1, 4), spec("class", 1, 2)), (0, 1)),
        ((spec("class", 1, 2), spec("somewhere", 1, 4)), (1, 0)),
        ((spec("kinds", 1, 4), spec("my_box", 1, 4)), (1, 0)),
        ((spec("class", 1, 3),), (0, 0)),
    ],
)
def test_the_box_is_found_among_the_outputs(specs: tuple[TensorSpec, ...], places: tuple[int, int]) -> None:
    assert localizer_outputs(specs) == places


def test_a_quantised_box_is_the_same_box(tmp_path: Path) -> None:
    """int8 outputs are turned into real numbers with each output's own scale."""
    image = np.zeros((96, 192, 3), np.uint8)
    image[24:72, 48:144] = (30, 30, 220)
    frame = Frame(0, 0, image)
    with open_model(fake_bundle(tmp_path, "localize").path, "localize", 1) as model:
        want, scores = Localize(model)(frame, StageClock(ANSWER_STAGES))
        scales = (Quantization(scale=1 / 255, zero_point=-128), Quantization(scale=1 / 256, zero_point=-128))
        outputs = tuple(
            msgspec.structs.replace(output, dtype="int8", quantization=how)
            for output, how in zip(model.bundle.manifest.outputs, scales, strict=True)
        )
        manifest = msgspec.structs.replace(model.bundle.manifest, outputs=outputs)

        class Stored:
            description = "int8"

            def invoke(self, inputs: list) -> list:
                real = model.backend.invoke(inputs)
                return [
                    np.clip(np.round(value / how.scale) + how.zero_point, -128, 127).astype(np.int8)
                    for value, how in zip(real, scales, strict=True)
                ]

            def close(self) -> None: ...

        bundle = type(model.bundle)(model.bundle.path, manifest)
        got, stored = Localize(Model(bundle, Stored(), model.pictures, 0))(frame, StageClock(ANSWER_STAGES))
    np.testing.assert_allclose(want.boxes, [[48, 24, 144, 72]], atol=2)
    np.testing.assert_allclose(got.boxes, want.boxes, atol=192 / 255)  # half a step at each end of a scaled side
    np.testing.assert_allclose(stored, scores, atol=1 / 256)
    assert got.classes.tolist() == [2]


def test_a_bundle_that_cannot_answer_is_refused(tmp_path: Path) -> None:
    with open_model(fake_bundle(tmp_path, "classify").path, None, 1) as model:
        few = msgspec.structs.replace(model.bundle.manifest, labels=("red", "green"))
        bundle = type(model.bundle)(model.bundle.path, few)
        with pytest.raises(BundleError, match="want 3 labels for its 3 output values, got 2"):
            Classify(Model(bundle, model.backend, model.pictures, 0))
        with pytest.raises(BundleError, match="want a box of 4 numbers and a class"):
            Localize(model)
