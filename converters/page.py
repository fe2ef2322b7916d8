"""A `Record` as a page: blocks of text, tables and pictures, written as Markdown or as one HTML file.

The HTML holds its pictures, runs no script and asks nothing of a network, so it can be mailed and read on a phone.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from converters.record import Attempt, Record, VariantRecord
from edge.bundle import Metric

_MOST_METRICS = 16
_HEX = 16

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --line: #cfcfcf; --soft: #f3f4f6; --good: #00664b;
  --bad: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --line: #44484d; --soft: #22262b;
  --good: #4fd1a5; --bad: #ff9e66; } }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.lead { background: var(--soft); border-left: 4px solid var(--good); padding: .8rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; overflow-wrap: normal; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: left; vertical-align: top; }
th { background: var(--soft); } td.number, th.number { text-align: right; white-space: nowrap; }
td.text { min-width: 11rem; } td.name { white-space: nowrap; }
.bad { color: var(--bad); } .good { color: var(--good); }
img { max-width: 100%; height: auto; background: white; border-radius: 6px; }
.wide img { min-width: 36rem; }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section."""

    words: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `lead` is the one that a hurried reader must see."""

    words: str
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; columns of figures are set to the right, `long` ones hold sentences."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: frozenset[int] = frozenset()
    long: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG beside the page, with what it shows for who cannot see it; one with letters scrolls on a phone."""

    file: str
    words: str
    lettered: bool = True


Block = Heading | Text | Lines | Table | Picture


def blocks_of(record: Record, pictures: Mapping[str, str]) -> list[Block]:
    """Lay out a record.

    Args:
        record: what came of the conversion.
        pictures: file -> what it shows: "calibration.png" and "pixels.png" go to the calibration, the rest stand
            after the attempts.
    """
    made: list[Block] = [Text(_first_words(record), lead=True)]
    if record.findings:
        made += [Heading("What the checks found"), Lines(tuple(f"{f.severity}: {f.words}" for f in record.findings))]
    made += _variants(record, pictures)
    made += _metrics(record)
    made += _parity(record)
    made += _attempts(record)
    layers = [Picture(file, words) for file, words in pictures.items() if file.startswith("layers-")]
    if layers:
        made += [Heading("Layers that quantisation hurts most"), *layers]
    made += _calibration(record, pictures)
    made += [Heading("Model"), Lines((f"source: {record.source}", f"task: {record.task}", *record.facts))]
    versions = tuple((package, version) for package, version in sorted(record.versions.items()))
    made += [Heading("Made with"), Table(("package", "version"), versions)]
    return made


def leading(made: Attempt) -> Metric | None:
    """Return the metric that decides, if the task has one."""
    return made.metrics[0] if made.metrics else None


def last(variant: VariantRecord) -> Attempt | None:
    """Return the attempt that a variant ended with: the one that passed, or else the last that was run."""
    return variant.attempts[-1] if variant.attempts else None


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown, pictures by name."""
    parts = [f"# {title}"]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"## {block.words}")
        elif isinstance(block, Text):
            parts.append(f"**{_plain(block.words)}**" if block.lead else _plain(block.words))
        elif isinstance(block, Lines):
            parts.append("\n".join(f"* {_plain(item)}" for item in block.items))
        elif isinstance(block, Picture):
            parts.append(f"![{_plain(block.words)}]({block.file})")
        else:
            rule = ["---:" if place in block.figures else "---" for place in range(len(block.head))]
            rows = [block.head, tuple(rule), *block.rows]
            parts.append("\n".join("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows))
    return "\n\n".join(parts) + "\n"


def to_html(title: str, blocks: Sequence[Block], files: Mapping[str, bytes]) -> str:
    """Write blocks as one HTML file.

    Args:
        title: of the page.
        blocks: in order.
        files: PNG bytes of every picture.
    """
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h2>{html.escape(block.words)}</h2>")
        elif isinstance(block, Text):
            parts.append(f"<p{' class=lead' if block.lead else ''}>{html.escape(block.words)}</p>")
        elif isinstance(block, Lines):
            parts.append("<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in block.items) + "</ul>")
        elif isinstance(block, Picture):
            data = base64.b64encode(files[block.file]).decode()
            image = f'<img alt="{html.escape(block.words)}" src="data:image/png;base64,{data}">'
            parts.append(f"<p{' class=wide' if block.lettered else ''}>{image}</p>")
        else:
            parts.append(_html_table(block))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _html_table(table: Table) -> str:
    def kind(place: int) -> str:
        return "number" if place in table.figures else "text" if place in table.long else "name"

    head = "".join(f"<th class={kind(place)}>{html.escape(cell)}</th>" for place, cell in enumerate(table.head))
    rows = []
    for row in table.rows:
        cells = []
        for place, cell in enumerate(row):
            mark = {"written": " good", "passed": " good", "failed": " bad", "refused": " bad"}.get(cell, "")
            cells.append(f'<td class="{kind(place)}{mark}">{html.escape(cell)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _plain(words: str) -> str:
    """Keep a cell of Markdown in its cell."""
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*")


def _first_words(record: Record) -> str:
    if record.chosen:
        return f"Take {record.chosen}: {record.why}."
    return f"No bundle to take: {record.why or 'no variant was written'}."


def _variants(record: Record, pictures: Mapping[str, str]) -> list[Block]:
    rows = []
    for variant in record.variants:
        attempt = last(variant)
        worst = min((part.cosine_min for part in attempt.parity), default=None) if attempt else None
        metric = leading(attempt) if attempt else None
        rows.append(
            (
                variant.name + (" (chosen)" if variant.bundle == record.chosen else ""),
                variant.status,
                f"{attempt.size / 1000:.0f}" if attempt and attempt.size else "",
                "" if worst is None else f"{worst:.5f}",
                "" if metric is None else f"{metric.value:.4f}",
                "" if metric is None or metric.keras is None else f"{metric.keras:.4f}",
                "" if variant.latency_ms is None else f"{variant.latency_ms:.2f}",
                variant.minimum_runtime,
            )
        )
    measured = next((m for v in record.variants for m in [leading(v.attempts[-1]) if v.attempts else None] if m), None)
    name = measured.name if measured else "task metric"
    head = ("variant", "status", "kB", "worst cosine", name, "of Keras", "host ms", "TFLite from")
    made: list[Block] = [Heading("Variants"), Table(head, tuple(rows), frozenset({2, 3, 4, 5, 6}))]
    words = sorted({variant.latency_words for variant in record.variants if variant.latency_words})
    if words:
        made.append(
            Text(
                f"Host ms: median of one run on the workstation ({'; '.join(words)}). It is a host figure, not a "
                "verdict for the board: run 'edge profile BUNDLE' there."
            )
        )
    made += [Picture(file, words) for file, words in pictures.items() if file == "size-quality.png"]
    return made


def _metrics(record: Record) -> list[Block]:
    """Set the metrics of all variants beside Keras'; of very many, the first and those that fell most."""
    columns = [(v.name, a.metrics) for v in record.variants for a in [last(v)] if a is not None and a.metrics]
    if not columns:
        return []
    names = list(dict.fromkeys(metric.name for _, metrics in columns for metric in metrics))
    found = {(name, metric.name): metric for name, metrics in columns for metric in metrics}

    def fall(name: str) -> float:
        here = [found[column, name] for column, _ in columns if (column, name) in found]
        return max((metric.keras - metric.value for metric in here if metric.keras is not None), default=0.0)

    half = _MOST_METRICS // 2
    kept = names if len(names) <= _MOST_METRICS else names[:half] + sorted(names[half:], key=fall, reverse=True)[:half]
    rows = []
    for name in kept:
        here = [found.get((column, name)) for column, _ in columns]
        known = next(metric for metric in here if metric is not None)
        keras = "" if known.keras is None else f"{known.keras:.4f}"
        rows.append((name, str(known.examples), keras, *("" if m is None else f"{m.value:.4f}" for m in here)))
    head = ("metric", "examples", "Keras", *(column for column, _ in columns))
    made: list[Block] = [Heading("Task"), Table(head, tuple(rows), frozenset(range(1, len(head))))]
    if len(kept) < len(names):
        made.append(
            Text(f"Of {len(names)} metrics, these are the first and those that fell most; all are in report.json.")
        )
    most = f"at most {record.max_drop:g}"
    return [*made, Text(f"The first metric may fall by {most} from Keras; of an agreement, {most} may be missing.")]


def _parity(record: Record) -> list[Block]:
    rows = tuple(
        (
            variant.name, part.output, f"{part.cosine_min:.6f}", f"{part.cosine_limit:g}", f"{part.max_abs:.3g}",
            str(part.inputs),
        )
        for variant in record.variants
        for attempt in [last(variant)]
        if attempt is not None
        for part in attempt.parity
    )  # fmt: skip
    if not rows:
        return []
    head = ("variant", "output", "worst cosine", "must reach", "largest difference", "examples")
    return [Heading("Tensors against Keras"), Table(head, rows, frozenset({2, 3, 4, 5}))]


def _attempts(record: Record) -> list[Block]:
    rows = []
    for variant in record.variants:
        for number, attempt in enumerate(variant.attempts, 1):
            metric = leading(attempt)
            rows.append(
                (
                    f"{variant.name} {number}" if len(variant.attempts) > 1 else variant.name,
                    attempt.settings or "none to set",
                    "failed" if attempt.complaint else "passed",
                    "" if metric is None else f"{metric.name} {metric.value:.4f}",
                    attempt.complaint,
                    f"{attempt.seconds:.0f}",
                )
            )
    head = ("attempt", "settings", "result", "task", "why not", "s")
    return [Heading("Attempts"), Table(head, tuple(rows), frozenset({5}), frozenset({1, 3, 4}))]


def _calibration(record: Record, pictures: Mapping[str, str]) -> list[Block]:
    seen = record.calibration
    if seen is None:
        return []
    items = [
        f"from: {seen.words}",
        f"examples: {seen.examples}",
        f"sha256 of all: {seen.sha256[:_HEX]}…",
        f"seed: {seen.seed}",
        *(f"input {n}: values {low:.4g} to {high:.4g}" for n, (low, high) in enumerate(record.calibration_range)),
    ]
    shown = [
        Picture(file, words, lettered=file != "calibration.png")
        for file, words in pictures.items()
        if file in ("calibration.png", "pixels.png")
    ]
    return [Heading("Calibration"), Lines(tuple(items)), *shown]
