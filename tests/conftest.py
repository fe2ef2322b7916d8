"""Bundles for the `fake` runtime and a video of coloured squares, made fresh for every test that asks."""

from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.backends.fake import PROGRAMS, Program
from edge.bundle import (
    FORMAT,
    SUMS_FILE,
    Bundle,
    Decoder,
    Embedding,
    Golden,
    Manifest,
    Preprocess,
    Provenance,
    TensorSpec,
    format_sums,
    sha256,
    write_bundle,
)
from edge.golden import PHOTO_SHAPE, make_golden

DETECTOR_SIZE, EMBEDDER_SIZE = 96, 32
FAKE_PROGRAMS = {"detect": "blobs", "embed": "mean_colors", "classify": "colors", "localize": "bright_spot"}
FAKE_OUTPUTS = {
    "detect": ("boxes", "scores"),
    "embed": ("embedding",),
    "classify": ("class",),
    "localize": ("box", "class"),
}
FAKE_LABELS = {
    "detect": ("blob", "tall"),
    "embed": (),
    "classify": ("red", "green", "blue"),
    "localize": ("red", "green", "blue"),
}


def fake_bundle(folder: Path, task: str, *, busy_ms: float = 0.0, name: str = "", dim: int = 48) -> Bundle:
    """Write a bundle of the fake runtime: blobs on a dark ground, embedded, classified or located by their colours."""
    size = EMBEDDER_SIZE if task == "embed" else DETECTOR_SIZE
    program = Program(FAKE_PROGRAMS[task], busy_ms)
    image = np.zeros((size, size, 3), np.uint8)
    image[8:20, 8:20] = (200, 40, 40)
    outputs = PROGRAMS[program.program](image[None])
    names = FAKE_OUTPUTS[task]
    manifest = Manifest(
        format=FORMAT,
        name=name or f"fake-{task}",
        task=task,
        runtime="fake",
        variant="fp32",
        model_file="model.json",
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(1, size, size, 3)),),
        outputs=tuple(TensorSpec(name=n, dtype="float32", shape=o.shape) for n, o in zip(names, outputs, strict=True)),
        preprocess=Preprocess(fit="stretch" if task == "embed" else "letterbox", pad_value=0),
        golden=Golden(max_error=1e-6, why="the same arithmetic on every machine"),
        provenance=Provenance(keras="none", weights=(), recipe_sha256=""),
        labels=FAKE_LABELS[task],
        decoder=Decoder(name="boxes", threshold=0.5) if task == "detect" else None,
        embedding=Embedding(dim=dim, unit_length=False) if task == "embed" else None,
    )
    photo = np.random.default_rng(0).integers(0, 256, (*PHOTO_SHAPE, 3), np.uint8)
    golden = make_golden(manifest, [image], photo, outputs)
    return write_bundle(folder / manifest.name, manifest, msgspec.json.encode(program), golden)


def seal(folder: Path) -> None:
    """Write SHA256SUMS anew, as a forger would: every file of the folder is then as listed."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != SUMS_FILE]
    (folder / SUMS_FILE).write_bytes(format_sums({path.name: sha256(path.read_bytes()) for path in files}))


@pytest.fixture
def detector(tmp_path: Path) -> Bundle:
    return fake_bundle(tmp_path / "bundles", "detect")


@pytest.fixture
def embedder(tmp_path: Path) -> Bundle:
    return fake_bundle(tmp_path / "bundles", "embed")


def square_positions(frame: int) -> list[tuple[int, int]]:
    """Top left corners of the red and the blue square, which cross in the middle of the picture."""
    return [(10 + 4 * frame, 40), (250 - 4 * frame, 90)]


@pytest.fixture
def squares_video(tmp_path: Path) -> Callable[..., Path]:
    """Make a 320 x 240 video of a red and a blue 40 x 40 square on black, 20 fps."""

    def make(frames: int = 60, name: str = "squares.avi") -> Path:
        path = tmp_path / name
        codec = "MJPG" if name.endswith(".avi") else "mp4v"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 20.0, (320, 240))
        for frame in range(frames):
            image = np.zeros((240, 320, 3), np.uint8)
            for (x, y), color in zip(square_positions(frame), ((40, 40, 230), (230, 40, 40)), strict=True):
                image[y : y + 40, max(x, 0) : x + 40] = color  # BGR
            writer.write(image)
        writer.release()
        return path

    return make
