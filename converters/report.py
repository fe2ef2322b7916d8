"""The report beside a model's bundles: `report.json`, `report.md`, `report.html` and their pictures; and the choice.

The same record and pictures give the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from converters import plots
from converters.page import blocks_of, last, leading
from converters.recipe import VARIANTS
from converters.record import Attempt, Record, VariantRecord
from converters.targets import TARGETS
from edge.errors import LimitError
from edge.limits import read_file
from edge.types import U8
from models.page import to_html, to_markdown

RECORD_FILE = "report.json"

_SHEET, _PIXELS, _SIZES = "calibration.png", "pixels.png", "size-quality.png"
_PICTURES = {
    _SIZES: "size of each variant's file, and how far its quality fell",
    _SHEET: "some of the pictures that calibrated",
    _PIXELS: "how often each pixel value occurs in the pictures shown",
}


def write_report(folder: Path, record: Record, pictures: Sequence[tuple[str, U8]]) -> None:
    """Write the record, and what a person reads of it, into a folder.

    Args:
        folder: made if missing; pictures of an earlier report that this one has not are removed.
        record: what came of the conversion.
        pictures: names and uint8 RGB or gray pixels of a few calibration examples. Without any, those of the
            report that is there stay, as long as the record speaks of calibration.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = _draw(record)
    if pictures:
        files[_SHEET] = plots.contact_sheet(pictures)
        files[_PIXELS] = plots.plot_pixels([picture for _, picture in pictures])
    elif record.calibration is not None:
        files |= {name: (folder / name).read_bytes() for name in (_SHEET, _PIXELS) if (folder / name).is_file()}
    words = {file: _PICTURES.get(file) or f"errors of layers, {file[len('layers-') : -4]}" for file in files}
    title = f"{record.stem}: conversion report"
    blocks = blocks_of(record, words)
    for old in folder.glob("*.png"):
        if old.name not in files and (old.name in _PICTURES or old.name.startswith("layers-")):
            old.unlink()
    texts = {
        RECORD_FILE: msgspec.json.format(msgspec.json.encode(record, order="deterministic"), indent=2) + b"\n",
        "report.md": to_markdown(title, blocks).encode(),
        "report.html": to_html(title, blocks, files).encode(),
    }
    for name, data in (files | texts).items():
        unfinished = folder / f".{name}"
        unfinished.write_bytes(data)
        unfinished.replace(folder / name)


def read_record(folder: Path) -> Record | None:
    """Read what `write_report` left; None where there is none, or one of another version of this program."""
    try:
        return msgspec.json.decode(read_file(folder / RECORD_FILE), type=Record)
    except (OSError, LimitError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # a report says what a conversion found; without an old one, the new one says less, not wrong


def merge(old: Record | None, new: Record) -> Record:
    """Add to a record what an earlier one knows of variants that were not made again.

    Args:
        old: of an earlier conversion, None = there is none. That of another model, task or data is left out.
        new: of this one.

    Returns:
        The new record with all variants, in the order of `VARIANTS`, without a choice.
    """
    new = replace(new, chosen="", why="")
    if old is None or (old.stem, old.basis, old.task) != (new.stem, new.basis, new.task):
        return replace(new, variants=_ordered(new.variants))
    again = {variant.name for variant in new.variants}
    kept = tuple(variant for variant in old.variants if variant.name not in again)
    merged = replace(new, variants=_ordered((*kept, *new.variants)))
    if new.calibration is None and any(_calibrated(variant) for variant in kept):
        findings = (*new.findings, *(finding for finding in old.findings if finding not in new.findings))
        calibrated = (old.calibration, old.calibration_range)
        merged = replace(merged, calibration=calibrated[0], calibration_range=calibrated[1], findings=findings)
    return merged


def choose(record: Record, target: str) -> tuple[str, str]:
    """Choose the bundle that a device should take.

    Of the variants that were written and whose metric fell by no more than `max_drop`: for a target the first in its
    order of preference for the task, see `converters.targets`; without one the smallest. Latency on a workstation
    plays no part.

    Args:
        record: what came of the conversion.
        target: key of `TARGETS`; "" = none.

    Returns:
        Name of the bundle, "" where none was written; and the reason, one sentence without a full stop.
    """
    written = [(variant, made) for variant in record.variants for made in [_passed(variant)] if made is not None]
    if not written:
        return "", "no variant was written"
    sound = [(variant, made) for variant, made in written if fall_of(made) <= record.max_drop]
    if not sound:
        variant, made = min(written, key=lambda pair: (fall_of(pair[1]), pair[1].size))
        return variant.bundle, f"it falls least, {_figures(made)}; none stays within {record.max_drop:g} of Keras"
    board = TARGETS.get(target)
    order = [str(name) for name in board.preference(record.task)] if board is not None else []
    ranked = sorted((pair for pair in sound if pair[0].name in order), key=lambda pair: order.index(pair[0].name))
    if board is not None and ranked:
        variant, made = ranked[0]
        passed_over = ", ".join(_why_not(record, name) for name in order[: order.index(variant.name)])
        words = f"the first choice for {board.words} that passed, {_figures(made)}"
        return variant.bundle, words + (f" ({passed_over})" if passed_over else "")
    variant, made = min(sound, key=lambda pair: (pair[1].size, pair[0].name))
    whose = f"none of the variants for {board.words} passed" if board is not None else "no target was named"
    return variant.bundle, f"the smallest that passed, as {whose}: {_figures(made)}"


def fall_of(made: Attempt) -> float:
    """Return how far the leading metric fell from Keras, or how much of an agreement is missing; 0 without a metric."""
    metric = leading(made)
    if metric is None:
        return 0.0
    return (1.0 if metric.keras is None else metric.keras) - metric.value


def _draw(record: Record) -> dict[str, bytes]:
    """Draw what the figures of a record show: file -> PNG bytes."""
    drawn: dict[str, bytes] = {}
    ended = [(variant, made) for variant in record.variants for made in [last(variant)] if made is not None]
    judged = [(variant, made) for variant, made in ended if made.size and made.metrics]
    compared = [(variant, made) for variant, made in ended if made.size and made.parity]
    if judged or compared:
        points = [
            (v.name, _runtime(v), float(m.size), fall_of(m) if judged else _cosine_fall(m), v.status == "written")
            for v, m in judged or compared
        ]
        quality = judged[0][1].metrics[0].name if judged else "the worst cosine"
        drawn[_SIZES] = plots.plot_size_quality(points, quality, record.max_drop if judged else None)
    for variant in record.variants:
        layers = next((made.layers for made in variant.attempts if made.layers), ())
        if layers:
            drawn[f"layers-{variant.name}.png"] = plots.plot_layers(layers, variant.name, _runtime(variant))
    return drawn


def _runtime(variant: VariantRecord) -> str:
    return variant.name.rpartition("-")[2]


def _cosine_fall(made: Attempt) -> float:
    return 1 - min((part.cosine_min for part in made.parity), default=1.0)


def _passed(variant: VariantRecord) -> Attempt | None:
    made = last(variant)
    return made if variant.status == "written" and made is not None and not made.complaint else None


def _figures(made: Attempt) -> str:
    """Say size and quality: "28 kB, accuracy 0.8506 (Keras 0.8502)"."""
    metric = leading(made)
    words = f"{made.size / 1000:.0f} kB"
    if metric is None:
        return f"{words}, worst cosine {1 - _cosine_fall(made):.5f}"
    beside = f" (Keras {metric.keras:.4f})" if metric.keras is not None else ""
    return f"{words}, {metric.name} {metric.value:.4f}{beside}"


def _why_not(record: Record, name: str) -> str:
    variant = next((variant for variant in record.variants if variant.name == name), None)
    if variant is None:
        return f"{name} was not made"
    made = _passed(variant)
    return f"{name} did not pass" if made is None else f"{name} fell by {fall_of(made):.4f}"


def _calibrated(variant: VariantRecord) -> bool:
    return any(known.name == variant.name and known.fitted for known in VARIANTS.values())


def _ordered(variants: Sequence[VariantRecord]) -> tuple[VariantRecord, ...]:
    order = [str(name) for name in VARIANTS]
    return tuple(sorted(variants, key=lambda v: (order.index(v.name) if v.name in order else len(order), v.name)))
