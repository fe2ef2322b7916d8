"""What a localizer can do, for a person: one line, and sheets of pictures with the true and the predicted box."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import boxes
from edge.bar import bar
from edge.sources.pictures import read_picture
from edge.types import F32, U8
from models.data.localized import Located, write_table
from models.localizer.data import Data
from models.localizer.recipe import LocalizerRecipe
from models.page import Block, Heading, Lines, Picture, Text, to_html
from models.training.run import CURVES_FILE
from models.training.scores import classification_scores

PAGE_FILE = "report.html"
HELD_OUT_FILE = "held-out.csv"
"""The pictures that judged, for the converter."""
TILE_PX = 240
PER_SHEET = 12
_ACROSS = 4
_BATCH = 64

GREEN, BLUE, RED = (60, 200, 60), (255, 110, 30), (40, 40, 235)
"""BGR: the true box, the predicted one, and what is wrong."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers to the validation pictures.

    Attributes:
        boxes: float32 (N, 4) xyxy in parts of the input.
        classes: int64 (N,) chosen.
        scores: float32 (N, C).
        ious: float32 (N,) with the true box.
        ms: for one picture, by Keras on this machine, of the fastest batch of 64: other programs only slow it down.
    """

    boxes: F32
    classes: NDArray[np.int64]
    scores: F32
    ious: F32
    ms: float


def judge(model: Any, data: Data) -> Judged:
    """Ask a model about the validation pictures."""
    images = data.valid.images
    model.predict_on_batch(images[:_BATCH])  # builds the graph
    parts, times_ns = [], []
    for start in bar(range(0, len(images), _BATCH), desc="judging", unit="batch"):
        before = time.monotonic_ns()
        parts.append(model.predict_on_batch(images[start : start + _BATCH]))
        times_ns.append((time.monotonic_ns() - before) / len(images[start : start + _BATCH]))
    found = np.concatenate([part["box"] for part in parts]).astype(np.float32)
    scores = np.concatenate([part["class"] for part in parts]).astype(np.float32)
    pairs = zip(found, data.valid.boxes, strict=True)
    ious = np.array([boxes.iou(a[None], b[None])[0, 0] for a, b in pairs], np.float32)
    return Judged(found, scores.argmax(axis=1), scores, ious, min(times_ns) / 1e6)


def summary(miou: float, accuracy: float, ms: float, train: int, valid: int) -> str:
    """Return the one line: "mIoU 57%, classification accuracy 91%, 0.13 ms, 2708 train, 676 valid"."""
    return f"mIoU {miou:.0%}, classification accuracy {accuracy:.0%}, {ms:.2f} ms, {train} train, {valid} valid"


def write_report(model: Any, data: Data, recipe: LocalizerRecipe, name: str, folder: Path) -> dict[str, Any]:
    """Judge a model, draw its sheets and write the page; print the one line.

    The learning curves are in the folder already.

    Returns:
        The figures: `miou`, `iou_above_half`, `summary`, and those of the classes.
    """
    judged = judge(model, data)
    figures = classification_scores(data.valid.classes, judged.scores, data.labels)
    miou = float(judged.ious.mean())
    line = summary(miou, figures["accuracy"], judged.ms, len(data.train.classes), len(data.valid.classes))
    print(f"{name}: {line}", flush=True)
    right = judged.classes == data.valid.classes
    order = np.argsort(judged.ious, kind="stable")
    middle = max(0, (len(order) - PER_SHEET) // 2)
    wrong = np.flatnonzero(~right)
    sheets = {
        "high IoU": order[::-1][:PER_SHEET],
        "middling IoU": order[middle : middle + PER_SHEET],
        "low IoU": order[:PER_SHEET],
        "wrong class": wrong[:PER_SHEET],
    }
    files = {}
    for title, rows in sheets.items():
        if len(rows):
            files[title] = f"{title.split()[0]}.png"
            sheet = draw_sheet([_tile(data, judged, row, recipe) for row in rows.tolist()])
            (folder / files[title]).write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    write_table(folder / HELD_OUT_FILE, data.valid_pictures)
    (folder / PAGE_FILE).write_text(_page(name, line, files, data.words, folder), "utf-8")
    return {
        **figures,
        "miou": miou,
        "iou_above_half": float((judged.ious > 0.5).mean()),
        "ms": judged.ms,
        "train": len(data.train.classes),
        "valid": len(data.valid.classes),
        "labels": list(data.labels),
        "left_out": list(data.words),
        "summary": line,
    }


def _tile(data: Data, judged: Judged, row: int, recipe: LocalizerRecipe) -> U8:
    picture = data.valid_pictures[row]
    pixels = read_picture(picture.path)
    height, width = pixels.shape[:2]
    scale = recipe.size / np.array([width, height] * 2, np.float32)
    if recipe.fit == "letterbox":
        scale[:] = scale.min()
    label, right = data.labels[judged.classes[row]], judged.classes[row] == data.valid.classes[row]
    return draw_tile(pixels, picture, judged.boxes[row] * recipe.size / scale, label, bool(right), judged.ious[row])


def draw_tile(pixels: U8, picture: Located, predicted: F32, label: str, right: bool, iou: float) -> U8:
    """Draw one picture of a sheet: true box green, predicted blue, label green or red, IoU in the top left corner.

    Args:
        pixels: uint8 (H, W, 3) RGB.
        picture: what is true of it.
        predicted: float32 (4,) xyxy pixels.
        label: predicted.
        right: whether it is the true one.
        iou: of the two boxes.

    Returns:
        uint8 (TILE_PX, TILE_PX, 3) BGR.
    """
    height, width = pixels.shape[:2]
    zoom = TILE_PX / max(height, width)
    tile = np.full((TILE_PX, TILE_PX, 3), 245, np.uint8)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    tile[: size[1], : size[0]] = cv2.resize(np.ascontiguousarray(pixels[..., ::-1]), size, interpolation=how)
    for box, color in ((np.array(picture.box), GREEN), (predicted, BLUE)):
        x0, y0, x1, y1 = np.clip(box * zoom, 0, TILE_PX - 1).round().astype(int).tolist()
        cv2.rectangle(tile, (x0, y0), (x1, y1), color, 2)
    _write(tile, f"{iou:.0%}", (4, 18), (30, 30, 30))
    _write(tile, label, (4, TILE_PX - 8), GREEN if right else RED)
    return tile


def draw_sheet(tiles: Sequence[U8]) -> U8:
    """Put tiles side by side, four in a row, with thin white lines between; uint8 (H, W, 3) BGR."""
    filled = [*tiles, *[np.full_like(tiles[0], 255)] * (-len(tiles) % min(_ACROSS, len(tiles)))]
    framed = [cv2.copyMakeBorder(t, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for t in filled]
    across = min(_ACROSS, len(tiles))
    rows = [np.hstack(framed[start : start + across]) for start in range(0, len(framed), across)]
    return np.asarray(np.vstack(rows), np.uint8)


def _write(tile: U8, words: str, place: tuple[int, int], color: tuple[int, int, int]) -> None:
    (width, height), _ = cv2.getTextSize(words, _FONT, 0.55, 1)
    x, y = place
    cv2.rectangle(tile, (x - 3, y - height - 4), (x + width + 3, y + 5), (255, 255, 255), cv2.FILLED)
    cv2.putText(tile, words, place, _FONT, 0.55, color, 1, cv2.LINE_AA)


def _page(name: str, line: str, files: dict[str, str], words: Sequence[str], folder: Path) -> str:
    blocks: list[Block] = [
        Text(line, lead=True),
        Text("Green box: the truth. Blue box: the answer. Label green: right, red: wrong. Number: IoU."),
    ]
    if words:
        blocks += [Heading("Left out"), Lines(tuple(words))]
    for title, file in {**files, "learning curves": CURVES_FILE}.items():
        blocks += [Heading(title[0].upper() + title[1:]), Picture(file, title)]
    pictures = {file: (folder / file).read_bytes() for file in (*files.values(), CURVES_FILE)}
    return to_html(name, blocks, pictures)
