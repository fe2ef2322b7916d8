"""The pictures of a report: PNG bytes by matplotlib, readable in print, on a phone and by the colour-blind.

The same values give the same bytes: nothing in a picture is random, and no time is written into it.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from converters.record import LayerError
from edge.types import U8

COLORS = {"tflite": "#0072B2", "onnx": "#D55E00", "fake": "#555555"}
"""Blue and vermilion of the palette of Okabe and Ito (2008), which all kinds of colour vision tell apart."""
_MARKERS = {"tflite": "o", "onnx": "s", "fake": "^"}
_CHANNELS = ("#D55E00", "#009E73", "#0072B2")
"""Red, green and blue of the same palette; line styles differ, too."""
_STYLES = ("-", "--", ":")
_DPI = 110
_FONT = 13
_WORST = 15
_NAME = 44
_TILE = 128
_COLUMNS = 6
_MOST_TILES = 24


def plot_size_quality(
    points: Sequence[tuple[str, str, float, float, bool]], quality: str, limit: float | None
) -> bytes:
    """Draw the size of each variant beside the fall of its quality, the largest file on top.

    Two panels with one row for each variant, because most variants of a good model fall by nothing: as points of one
    plane they would cover each other.

    Args:
        points: name, runtime, size in bytes, fall of quality, and whether it was written.
        quality: what the fall is a fall of, for the axis.
        limit: largest fall that is allowed, None where nothing limits it.
    """
    rows = sorted(points, key=lambda point: (point[2], point[0]), reverse=True)
    figure, (sizes, falls) = _figure(9, 2.0 + 0.38 * len(rows), panels=2)
    for place, (_, runtime, size, fall, written) in enumerate(rows):
        color = COLORS.get(runtime, COLORS["fake"])
        inside = color if written else "white"
        sizes.barh(place, size / 1000, color=inside, edgecolor=color, linewidth=1.5, height=0.66)
        falls.plot(
            fall, place, _MARKERS.get(runtime, "^"), markersize=10, color=color, markerfacecolor=inside,
            markeredgewidth=2, clip_on=False,
        )  # fmt: skip
        for axes, value, words in ((sizes, size / 1000, f"{size / 1000:.0f}"), (falls, fall, f"{fall:.4f}")):
            axes.annotate(
                words, (value, place), xytext=(5 if axes is sizes else 10, 0), textcoords="offset points", va="center",
                fontsize=_FONT - 2, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
    names = [name if written else f"{name} (not written)" for name, *_, written in rows]
    sizes.set_yticks(range(len(rows)), names, fontsize=_FONT - 1)
    sizes.set_ylim(len(rows) - 0.4, -0.6)
    sizes.set_xlim(0, 1.25 * max(size / 1000 for _, _, size, _, _ in rows))
    sizes.set_xlabel("model file, kB")
    values = [fall for _, _, _, fall, _ in rows] + ([limit] if limit is not None else [])
    falls.set_xlim(*_span(values, 0.12, 0.35))
    falls.set_xlabel(f"fall of {quality}")
    falls.locator_params(axis="x", nbins=4)
    for axes in (sizes, falls):
        axes.yaxis.grid(visible=False)
    if limit is not None:
        falls.axvline(limit, color="#444444", linestyle="--", linewidth=1.2)
        falls.set_title(f"dashed: largest fall allowed, {limit:g}", fontsize=_FONT - 1, color="#444444")
    return _png(figure)


def plot_layers(layers: Sequence[LayerError], name: str, runtime: str) -> bytes:
    """Draw the quantisation error of the worst layers of a variant, worst on top.

    Args:
        layers: worst first; the first 15 are drawn.
        name: of the variant.
        runtime: of the variant.
    """
    shown = list(layers[:_WORST])
    figure, axes = _figure(9, 1.6 + 0.36 * len(shown))
    places = range(len(shown))
    axes.barh(places, [layer.error for layer in shown], color=COLORS.get(runtime), height=0.7)
    axes.set_yticks(places, [f"{shorten(layer.layer)}  {layer.op}" for layer in shown], fontsize=_FONT - 2)
    axes.invert_yaxis()
    for place, layer in zip(places, shown, strict=True):
        axes.annotate(
            f"{layer.error:.3g}", (layer.error, place), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=_FONT - 2,
        )  # fmt: skip
    worst = max((layer.error for layer in shown), default=0.0)
    axes.set_xlim(0, 1.15 * worst if worst > 0 and math.isfinite(worst) else 1.0)
    axes.set_xlabel("RMS error over RMS of its output")
    figure.suptitle(f"{name}: the worst {len(shown)} of {len(layers)} layers", fontsize=_FONT + 1)
    axes.yaxis.grid(visible=False)
    return _png(figure)


def plot_pixels(pictures: Sequence[U8]) -> bytes:
    """Draw how often each pixel value occurs in calibration pictures, channel by channel.

    Args:
        pictures: uint8 (H, W, 3) RGB, or (H, W) or (H, W, 1) in gray.
    """
    figure, axes = _figure(8, 3.6)
    gray = all(picture.ndim == 2 or picture.shape[2] == 1 for picture in pictures)
    names = ("gray",) if gray else ("red", "green", "blue")
    for channel, name in enumerate(names):
        counts = np.zeros(64, np.int64)
        for picture in pictures:
            plane = picture if picture.ndim == 2 else picture[..., min(channel, picture.shape[2] - 1)]
            counts += np.bincount(plane.reshape(-1) >> 2, minlength=64)
        color, style = ("#555555", "-") if gray else (_CHANNELS[channel], _STYLES[channel])
        share = 100 * counts / max(1, counts.sum())
        axes.step(np.arange(64) * 4 + 2, share, where="mid", color=color, linestyle=style, linewidth=2, label=name)
    axes.set_xlim(0, 256)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, 257, 64))
    axes.set_xlabel("pixel value")
    axes.set_ylabel("% of pixels")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return _png(figure)


def contact_sheet(pictures: Sequence[tuple[str, U8]]) -> bytes:
    """Lay up to 24 pictures out in rows of six, each fitted into a square, on gray.

    Args:
        pictures: names and uint8 RGB or gray pixels.
    """
    shown = pictures[:_MOST_TILES]
    columns = min(_COLUMNS, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    gap = 6
    sheet = np.full((rows * (_TILE + gap) + gap, columns * (_TILE + gap) + gap, 3), 200, np.uint8)
    for place, (_, picture) in enumerate(shown):
        tile = _tile(picture)
        top = gap + place // columns * (_TILE + gap) + (_TILE - tile.shape[0]) // 2
        left = gap + place % columns * (_TILE + gap) + (_TILE - tile.shape[1]) // 2
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    done, packed = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert done, "PNG encodes any uint8 picture"
    return packed.tobytes()


def shorten(name: str, length: int = _NAME) -> str:
    """Cut the middle out of a long name; both ends of a layer's name say which it is."""
    half = (length - 1) // 2
    return name if len(name) <= length else f"{name[:half]}…{name[-half:]}"


def _tile(picture: U8) -> U8:
    """Fit a picture into a square; a small one grows by whole pixels so that it stays sharp."""
    colored = (
        picture
        if picture.ndim == 3 and picture.shape[2] == 3
        else np.repeat(picture.reshape(*picture.shape[:2], 1), 3, 2)
    )
    scale = _TILE / max(colored.shape[:2])
    size = [max(1, min(_TILE, round(side * scale))) for side in colored.shape[1::-1]]
    how = cv2.INTER_NEAREST if scale >= 2 else cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile: U8 = cv2.resize(np.ascontiguousarray(colored), size, interpolation=how)  # type: ignore[assignment]
    return tile


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    """Open a figure of so many inches, without the state of pyplot; return it and its axes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": _FONT, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        made = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for axes in made:
        axes.tick_params(labelsize=_FONT - 1)
        axes.xaxis.label.set_fontsize(_FONT)
        axes.yaxis.label.set_fontsize(_FONT)
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure, made[0] if panels == 1 else made


def _png(figure: Any) -> bytes:
    packed = io.BytesIO()
    figure.savefig(packed, format="png", metadata={"Software": None})
    return packed.getvalue()


def _span(values: Sequence[float], below: float, above: float) -> tuple[float, float]:
    """Return limits of an axis with room around its values, in parts of their span."""
    smallest, largest = min(values), max(values)
    span = (largest - smallest) or max(abs(largest), 1e-3)
    return smallest - below * span, largest + above * span
