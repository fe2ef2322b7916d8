"""A `Record` laid out as a page of `models.page`."""

from collections.abc import Mapping

from converters.record import Attempt, Record, VariantRecord
from edge.bundle import Metric
from models.page import Block, Heading, Lines, Picture, Table, Text

_MOST_METRICS = 16
_HEX = 16


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
    if record.strangers:
        made.append(Text(f"Not of this model, though they lie beside: {', '.join(record.strangers)}."))
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
