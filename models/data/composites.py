"""Pictures for a localizer where none can be fetched: garments of Fashion-MNIST laid over parts of photographs.

Two classes at a random place, size, turn, tint and light, in pictures of several shapes, with the box of what is
really visible. A photograph, and every other one of the same scene, serves either training or validation; so does a
garment: validation takes those of Fashion-MNIST's test part. The layout is that of Oxford-IIIT Pet:
`train/images/*.jpg`, `train/annotations/xmls/*.xml`, and the same in `valid`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, SourceError
from edge.sources.pictures import read_picture
from edge.types import U8
from edge.whole import replace_folder, staging, sweep
from models.data import fashion_mnist
from models.weights import fetch

Part = Literal["train", "valid"]

CLASSES = ("Sneaker", "Bag")
"""Unlike enough that a person never errs, and neither fills its box."""

SCENES: dict[Part, tuple[tuple[str, ...], ...]] = {
    "train": (
        *(("aero1.jpg", "aero3.jpg"), ("aloeL.jpg", "aloeR.jpg"), ("apple.jpg", "orange.jpg")),
        *(("basketball1.png", "basketball2.png"), ("board.jpg",), ("box_in_scene.png",), ("building.jpg",)),
        *(("butterfly.jpg",), ("ela_original.jpg",), ("graf1.png", "graf3.png"), ("licenseplate_motion.jpg",)),
        *(("left01.jpg", "left06.jpg", "left13.jpg", "right03.jpg", "right07.jpg"), ("left.jpg", "right.jpg")),
        *(("messi5.jpg",), ("rubberwhale1.png", "rubberwhale2.png"), ("smarties.png",), ("squirrel_cls.jpg",)),
    ),
    "valid": (
        *(("baboon.jpg",), ("chicky_512.png",), ("fruits.jpg",), ("home.jpg",), ("leuvenA.jpg", "leuvenB.jpg")),
        ("stuff.jpg",),
    ),
}
"""Photographs of `opencv-doc-pictures`; those of one scene stand together, and a scene is on one side only."""

SHAPES = ((160, 120), (120, 160), (144, 144), (192, 128), (128, 192))
"""Width and height of the pictures made, pixels."""

SIDE = (0.3, 0.8)
"""Longer side of the garment's 28 x 28 picture, in parts of the picture's shorter side."""

VISIBLE = 96
"""Opacity, of 255, from which a pixel belongs to the object's box."""


@dataclass(frozen=True, slots=True)
class Composite:
    """One picture made.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        box: xyxy whole pixels, x1 and y1 just outside.
        label: of `CLASSES`.
    """

    image: U8
    box: tuple[int, int, int, int]
    label: str


def write_composites(
    folder: Path, train: int, valid: int, seed: int, tick: Callable[[], object] = lambda: None
) -> None:
    """Write both parts; the folder appears whole or not at all, and replaces one of the same name.

    Args:
        folder: to make.
        train: pictures of the training part, half of each class.
        valid: of the validation part.
        seed: the same seed makes the same pictures.
        tick: called after each picture.

    Raises:
        FetchError: photographs or garments could not be had.
        ConfigError: no room, or counts below 2.
    """
    if min(train, valid) < 2:
        raise ConfigError(f"composites: want at least 2 pictures in each part, got {train} and {valid}; ask for more")
    photographs = fetch("opencv-doc-pictures")
    try:
        sweep(folder.parent)
        with staging(folder.parent) as work:
            parts: tuple[tuple[Part, int], ...] = (("train", train), ("valid", valid))
            for number, (part, count) in enumerate(parts):
                _write_part(work / part, part, count, np.random.default_rng((seed, number)), photographs, tick)
            replace_folder(work, folder)
    except OSError as error:
        raise ConfigError(
            f"composites {folder}: want a folder with room for {(train + valid) // 100 + 1} MB, got "
            f"'{error.strerror}'; nothing was changed"
        ) from error


def _write_part(
    folder: Path, part: Part, count: int, random: np.random.Generator, photographs: Path, tick: Callable[[], object]
) -> None:
    scenes = [[_read(photographs / name) for name in scene] for scene in SCENES[part]]
    pictures, labels = fashion_mnist.load("train" if part == "train" else "test")
    garments = [pictures[labels == fashion_mnist.LABELS.index(name)] for name in CLASSES]
    for name in ("images", "annotations/xmls"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        kind = number % len(CLASSES)
        scene = scenes[random.integers(len(scenes))]
        made = compose(
            scene[random.integers(len(scene))], garments[kind][random.integers(len(garments[kind]))], CLASSES[kind],
            random,
        )  # fmt: skip
        stem = f"{made.label.lower()}_{number:05}"
        encoded = cv2.imencode(".jpg", made.image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        (folder / "images" / f"{stem}.jpg").write_bytes(encoded.tobytes())
        (folder / "annotations" / "xmls" / f"{stem}.xml").write_text(_xml(f"{stem}.jpg", made), "utf-8")
        tick()


def compose(photograph: U8, garment: U8, label: str, random: np.random.Generator) -> Composite:
    """Lay a garment over a random part of a photograph.

    Args:
        photograph: uint8 (H, W, 3) BGR.
        garment: uint8 (28, 28), bright on black.
        label: of the garment.
        random: decides everything.
    """
    width, height = SHAPES[random.integers(len(SHAPES))]
    ground = _part_of(photograph, width, height, random)
    while True:
        side = random.uniform(*SIDE) * min(width, height)
        cover, opacity = _garment(garment, side, random)
        rows, columns = opacity.shape
        left, top = random.integers(0, max(1, width - columns + 1)), random.integers(0, max(1, height - rows + 1))
        if columns <= width and rows <= height:
            break
    place = ground[top : top + rows, left : left + columns].astype(np.float32)
    weight = (opacity.astype(np.float32) / 255)[..., None]
    ground[top : top + rows, left : left + columns] = (place * (1 - weight) + cover * weight).astype(np.uint8)
    seen = np.argwhere(opacity >= VISIBLE)
    (y0, x0), (y1, x1) = seen.min(axis=0).tolist(), (seen.max(axis=0) + 1).tolist()
    box = (int(left) + x0, int(top) + y0, int(left) + x1, int(top) + y1)
    return Composite(_in_another_light(ground, random), box, label)


def _part_of(photograph: U8, width: int, height: int, random: np.random.Generator) -> U8:
    """Cut out a random part of the wanted shape, mirrored half of the time."""
    rows, columns = photograph.shape[:2]
    largest = min(columns / width, rows / height)
    zoom = random.uniform(0.45, 1.0) * largest
    part_width, part_height = int(width * zoom), int(height * zoom)
    left, top = random.integers(0, columns - part_width + 1), random.integers(0, rows - part_height + 1)
    part = photograph[top : top + part_height, left : left + part_width]
    if random.random() < 0.5:
        part = part[:, ::-1]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _garment(garment: U8, side: float, random: np.random.Generator) -> tuple[NDArray[np.float32], U8]:
    """Enlarge, turn and tint a garment; return colours (H, W, 3) 0..255 and opacity (H, W), with a thin empty rim."""
    solid = _silhouette(garment)
    scale = side / 28
    out = int(np.ceil(side * 1.45))
    turn = np.asarray(cv2.getRotationMatrix2D((13.5, 13.5), random.uniform(-25, 25), scale), np.float64)
    turn[:, 2] += (out - 1) / 2 - 13.5
    if random.random() < 0.5:
        garment, solid = garment[:, ::-1].copy(), solid[:, ::-1].copy()
    shade = np.asarray(cv2.warpAffine(garment, turn, (out, out), flags=cv2.INTER_CUBIC), np.float32)
    opacity = np.asarray(cv2.warpAffine(solid, turn, (out, out), flags=cv2.INTER_LINEAR), np.uint8)
    tint = random.uniform(0.25, 1.0, 3)
    cover = (random.uniform(0, 50) + shade[..., None] * tint).clip(0, 255).astype(np.float32)
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cover[inside], opacity[inside]


def _silhouette(garment: U8) -> U8:
    """Return what of a garment hides the ground: its pixels, and the holes that no path from outside reaches."""
    body = (garment > 12).astype(np.uint8)
    outside = np.pad(1 - body, 1, constant_values=1)
    _, regions = cv2.connectedComponents(outside, connectivity=4)
    filled = np.where(regions[1:-1, 1:-1] == regions[0, 0], 0, 255).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats((filled > 0).astype(np.uint8), connectivity=8)
    if count > 2:  # specks of dust beside the garment would enlarge its box
        filled[parts != 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())] = 0
    return filled


def _in_another_light(image: U8, random: np.random.Generator) -> U8:
    """Change brightness, contrast and colour of the light, let it fall off to one side, and add a sensor's noise."""
    height, width = image.shape[:2]
    pixels = image.astype(np.float32)
    pixels = (pixels - 128) * random.uniform(0.65, 1.25) + 128 + random.uniform(-35, 35)
    pixels = pixels * random.uniform(0.88, 1.12, 3).astype(np.float32)
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = random.uniform(0, 2 * np.pi)
    fall = 1 + random.uniform(0, 0.3) * (np.cos(angle) * x + np.sin(angle) * y)
    pixels = pixels * fall.astype(np.float32)[..., None]
    pixels = pixels + random.normal(0, random.uniform(0, 6), pixels.shape).astype(np.float32)
    if random.random() < 0.3:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.3, 1.0)), np.float32)
    return pixels.clip(0, 255).astype(np.uint8)


def _xml(name: str, made: Composite) -> str:
    height, width = made.image.shape[:2]
    corners: Sequence[tuple[str, int]] = tuple(zip(("xmin", "ymin", "xmax", "ymax"), made.box, strict=True))
    box = "".join(f"<{side}>{value}</{side}>" for side, value in corners)
    return (
        f"<annotation><filename>{name}</filename>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        f"<object><name>{made.label}</name><bndbox>{box}</bndbox></object></annotation>\n"
    )


def _read(path: Path) -> U8:
    """Read a photograph as OpenCV does: uint8 (H, W, 3) BGR."""
    try:
        return np.asarray(cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2BGR), np.uint8)
    except SourceError as error:
        raise ConfigError(str(error)) from error
