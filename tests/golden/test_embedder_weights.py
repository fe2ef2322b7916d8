"""The Keras embedder against the same weights in torch, see data/README.md."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra [convert]")

from models.embedder import DIM, MEAN_RGB, STD_RGB, Pixels, Pooling, mobilenet_v2
from models.weights import FetchError, fetch

REFERENCE = Path(__file__).parent / "data" / "mobilenetv2_reference.npz"
PICTURES = ("astronaut_96x96", "coffee_224x224", "chelsea_128x64", "astronaut_97x97")

TOLERANCE = 1e-4
"""Values lie in 0..6 and the reference was computed in float64, so the difference is our own float32 rounding
through 53 layers: measured 1.5e-5 at most for means, 2.6e-5 for maxima; four times that leaves room for another
processor's order of adding. Padding on the wrong side or the wrong epsilon shows as 0.1 and more."""


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return fetch("mobilenet-v2")
    except FetchError as error:
        pytest.skip(f"no weights: {error}")


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    with np.load(REFERENCE) as stored:
        return dict(stored)


def vector(reference: dict[str, Any], picture: str, pooling: Pooling | None, pixels: Pixels, weights: Path) -> Any:
    image = reference[f"image_{picture}"][None]
    if pixels == "normalised":
        image = (image - np.asarray(MEAN_RGB)) / np.asarray(STD_RGB)
    model = mobilenet_v2(image.shape[1:3], pooling, pixels, weights=weights)
    return np.asarray(model(image.astype("uint8" if pixels == "uint8" else "float32"), training=False)["embedding"])


@pytest.mark.parametrize("picture", PICTURES)
def test_features_equal_torch(weights: Path, reference: dict[str, Any], picture: str) -> None:
    features = vector(reference, picture, None, "uint8", weights)[0]
    assert features.shape[-1] == DIM
    assert np.abs(features.mean((0, 1)) - reference[f"avg_{picture}"]).max() <= TOLERANCE
    assert np.abs(features.max((0, 1)) - reference[f"max_{picture}"]).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("pooling", "pixels"), [("avg", "uint8"), ("max", "uint8"), ("avg", "float32"), ("avg", "normalised")]
)
def test_vectors_equal_torch(weights: Path, reference: dict[str, Any], pooling: Pooling, pixels: Pixels) -> None:
    got = vector(reference, "chelsea_128x64", pooling, pixels, weights)
    assert got.shape == (1, DIM)
    assert np.abs(got[0] - reference[f"{pooling}_chelsea_128x64"]).max() <= TOLERANCE


def test_unit_length_changes_the_length_only(weights: Path, reference: dict[str, Any]) -> None:
    got = np.asarray(
        mobilenet_v2((128, 64), unit_length=True, weights=weights)(reference["image_chelsea_128x64"][None])["embedding"]
    )
    wanted = reference["avg_chelsea_128x64"]
    assert np.abs(got[0] - wanted / np.linalg.norm(wanted)).max() <= TOLERANCE / np.linalg.norm(wanted)
