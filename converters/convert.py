"""One recipe -> its bundles and a report: what is up to date stays, what is not is tried until it passes or is named.

Every step that runs TensorFlow or a converted file is a job in a child process (`converters.job`); this process only
decides what comes next, and writes.
"""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from converters.assets import source_path
from converters.attempt import Outcome, attempt
from converters.evidence import write_evidence
from converters.job import DEFAULT_LIMITS, Limits, run_limited, walled
from converters.load import ConversionError, Origin
from converters.pack import write_staged
from converters.plots import shorten
from converters.recipe import VARIANTS, Recipe, Settings, Variant, choose_variants
from converters.record import Attempt, LayerError, Record, VariantRecord
from converters.remedy import next_settings
from converters.report import choose, merge, read_record, write_report
from converters.stamp import basis, is_up_to_date, note_refusal, refusal, stamp
from converters.study import Places, Study, read_study, study
from converters.targets import run_legacy
from edge.bundle import MANIFEST_FILE, peek_bundle, remove_bundle
from edge.errors import BundleError, ConfigError
from edge.whole import staging, sweep

Say = Callable[[str], None]

REPORT_SUFFIX = ".report"
"""The report of a model lies beside its bundles, in a folder named after both."""

ATTEMPTS = 9
"""As many as the ladder of `converters.remedy` has steps."""

_LOCK = ".converting"
_NAMED_LAYERS = 3
_DECODING_TASKS = ("detect", "localize")


@dataclass(frozen=True, slots=True)
class How:
    """What a person may choose for any conversion.

    Attributes:
        variants: names or kinds, see `choose_variants`; empty = all of the recipe.
        runtimes: the same for runtimes.
        force: convert what is up to date again.
        limits: on each job.
        attempts: how often a calibrated variant is tried, at most; 1 = no remedy.
        say: receives one line for each variant.
    """

    say: Say
    variants: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    force: bool = False
    limits: Limits = DEFAULT_LIMITS
    attempts: int = ATTEMPTS


@dataclass(frozen=True, slots=True)
class _Workshop:
    """What all variants of a model share while they are made."""

    recipe: Recipe
    study: Study
    folder: Path
    basis: str
    how: How

    def stamp(self, variant: Variant) -> str:
        """Return the hash over all that one bundle is made from."""
        return stamp(self.recipe, variant, self.basis)


@contextmanager
def bundle_folder(folder: Path) -> Iterator[Path]:
    """Make the folder of bundles, alone in it, without what a killed conversion left.

    Raises:
        ConfigError: it cannot be written, or another conversion is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise ConfigError(
            f"--out {folder}: want a folder to write into, got '{error.strerror}'; choose another"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"--out {folder}: want no other conversion there, got one at work; wait for it"
            ) from error
        sweep(folder)
        sweep(Path(tempfile.gettempdir()))
        yield folder


def convert_recipe(recipe: Recipe, origin: Origin, base: Path, folder: Path, how: How) -> int:
    """Bring the bundles of one recipe up to date.

    Args:
        recipe: what to make.
        origin: the Keras model.
        base: folder that the recipe's paths are relative to.
        folder: where bundles live.
        how: what the person chose.

    Returns:
        How many variants failed that the recipe does not mark as optional.

    Raises:
        EdgeError: the recipe, its model or its data are not usable.
        OSError: a bundle could not be written.
    """
    chosen = choose_variants(recipe.variants, how.variants, how.runtimes)
    if not chosen:
        raise ConfigError(
            f"{recipe.stem}: want some of its variants, {', '.join(recipe.variants)}, got none of them; name others"
        )
    foundation = basis(recipe, origin, base)
    todo = []
    for variant in chosen:
        name, current = recipe.bundle_name(variant), stamp(recipe, variant, foundation)
        if how.force:
            todo.append(variant)
        elif is_up_to_date(folder / name, current):
            how.say(f"{name}: up to date")
        elif reason := refusal(folder, name, current):
            how.say(f"{name}: not written before, optional: {reason}; try again with --force")
        else:
            todo.append(variant)
    if not todo:
        return 0
    with staging(Path(tempfile.gettempdir())) as bench:
        # Jobs leave their files there, and write nowhere else.
        how = changed(how, limits=changed(how.limits, writable=(bench,), walls=walled(origin)))
        workshop = _study(recipe, origin, base, foundation, any(v.fitted for v in todo), bench, how)
        made = [_convert_variant(workshop, variant, folder) for variant in todo]
    whole = not how.variants and not how.runtimes and any(record.status == "written" for record in made)
    _report(workshop, made, folder, _strangers(workshop, folder, whole))
    return sum(record.status == "failed" for record in made)


def _study(
    recipe: Recipe, origin: Origin, base: Path, foundation: str, calibrated: bool, bench: Path, how: How
) -> _Workshop:
    """Open, check and trace the model and ask Keras for its answers, in a job."""
    before = time.monotonic()
    places = Places(
        calibration=tuple((source_path(place.source, base), place) for place in recipe.calibration),
        parity=tuple((source_path(place.source, base), place) for place in recipe.parity),
        metric=source_path(recipe.metric, base) if recipe.metric else None,
    )
    findings = run_limited(study, how.limits, recipe.stem, origin, recipe, places, calibrated, bench)
    for finding in findings:
        how.say(f"{recipe.stem}: {finding.severity}: {finding.words}")
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise ConversionError(f"{len(errors)} error{'s' if len(errors) > 1 else ''} in model or data, named above")
    known = read_study(bench)
    how.say(
        f"{recipe.stem}: {known.facts.source}, task {recipe.task}; asked Keras about "
        f"{len(known.metric)} examples, {time.monotonic() - before:.0f} s"
    )
    return _Workshop(recipe, known, bench, foundation, how)


def _convert_variant(workshop: _Workshop, variant: Variant, folder: Path) -> VariantRecord:
    """Make one variant, write it if an attempt passed, and say how it went."""
    recipe, say = workshop.recipe, workshop.how.say
    name, optional = recipe.bundle_name(variant), recipe.variants[variant.name].optional
    attempts, passed, staged = _try(workshop, variant)
    if passed is not None:
        bundle = write_staged(staged, folder / name)
        last = attempts[-1]
        say(_line(name, bundle.model_path.stat().st_size, last, len(attempts)))
        return VariantRecord(
            name=variant.name, bundle=name, status="written", attempts=tuple(attempts), latency_ms=passed.latency_ms,
            latency_words=passed.latency_words, minimum_runtime=passed.minimum_runtime,
        )  # fmt: skip
    reason = _reason(attempts)
    if optional:
        note_refusal(folder, name, workshop.stamp(variant), reason)
    older = "; an older one is still there" if (folder / name).is_dir() else ""
    say(f"{name}: NOT WRITTEN{', optional' if optional else ''}: {reason}{older}")
    status: Literal["refused", "failed"] = "refused" if optional else "failed"
    return VariantRecord(name=variant.name, bundle=name, status=status, attempts=tuple(attempts))


def _try(workshop: _Workshop, variant: Variant) -> tuple[list[Attempt], Outcome | None, Path]:
    """Make attempts until one passes or none is left to try."""
    recipe, name = workshop.recipe, workshop.recipe.bundle_name(variant)
    settings = (recipe.variants[variant.name].settings or Settings()) if variant.calibrated else None
    if variant.kind == "dynamic" and recipe.calibration:
        settings = Settings()
    attempts: list[Attempt] = []
    tried: list[tuple[Settings, float]] = []
    layers: tuple[LayerError, ...] = ()
    while True:
        staged = workshop.folder / f"attempt-{len(attempts)}" / name
        shutil.rmtree(staged.parent, ignore_errors=True)
        staged.parent.mkdir()
        outcome: Outcome | None = None
        begun = time.monotonic()
        try:
            outcome = run_limited(
                attempt, workshop.how.limits, name, workshop.folder, variant, settings, workshop.stamp(variant),
                workshop.basis, staged,
            )  # fmt: skip
            made = outcome.attempt
            if not made.complaint and variant.runtime == "tflite" and recipe.target == "pi5-legacy":
                run_legacy(staged)
        except ConversionError as error:
            words = settings.words(variant) if settings else ""
            parts = (outcome.attempt.parity, outcome.attempt.metrics) if outcome else ((), ())
            made = Attempt(
                settings=words,
                seconds=time.monotonic() - begun,
                complaint=str(error),
                parity=parts[0],
                metrics=parts[1],
            )
        attempts.append(made)
        if not made.complaint:
            return attempts, outcome, staged
        dead = outcome is None or outcome.hopeless
        if settings is None or (dead and not settings.wide) or len(attempts) >= workshop.how.attempts:
            return attempts, None, staged
        layers = layers or made.layers
        tried.append((settings, outcome.quality if outcome is not None else 0.0))
        following = next_settings(variant, tried, layers, recipe.task in _DECODING_TASKS)
        if following is None:
            return attempts, None, staged
        settings = following


def _line(name: str, size: int, made: Attempt, attempts: int) -> str:
    """Say in one line what was written."""
    worst = min(part.cosine_min for part in made.parity)
    parts = [f"{name}: {size / 1000:.0f} kB, cosine >= {worst:.5f}"]
    parts += [f"{metric.name} {metric.value:.4f}" for metric in made.metrics[:1]]
    parts += [f"attempt {attempts}: {made.settings}"] if attempts > 1 else []
    return ", ".join([*parts, f"{made.seconds:.0f} s"])


def _reason(attempts: list[Attempt]) -> str:
    """Say why no attempt passed: what the first one lacked, and the layers that quantisation hurts most."""
    first = attempts[0]
    words = first.complaint
    layers = next((made.layers for made in attempts if made.layers), ())
    if layers:
        named = ", ".join(f"{shorten(layer.layer)} ({layer.op}, {layer.error:.2f})" for layer in layers[:_NAMED_LAYERS])
        words += f"; worst layers: {named}"
    if len(attempts) > 1:
        words += f"; {len(attempts) - 1} remedies tried, none was enough"
    return words


def _strangers(workshop: _Workshop, folder: Path, remove: bool) -> tuple[str, ...]:
    """Find bundles of this name that were made from another model or other data, and remove them if all are made anew.

    Args:
        workshop: whose name and basis.
        folder: where bundles live.
        remove: False to leave them where they are.

    Returns:
        Names of those that are still there.

    Raises:
        OSError: one cannot be removed.
    """
    left = []
    for variant in VARIANTS.values():
        path = folder / workshop.recipe.bundle_name(variant)
        if not (path / MANIFEST_FILE).is_file() or _basis_of(path) == workshop.basis:
            continue
        if remove:
            remove_bundle(path)
            workshop.how.say(f"{path.name}: removed, it was made from another model or other data")
        else:
            workshop.how.say(f"{path.name}: still there, but made from another model or other data")
            left.append(path.name)
    return tuple(left)


def _basis_of(path: Path) -> str:
    """Return the hash of the model and data that a bundle was made from; "" for one of another format."""
    try:
        return peek_bundle(path).manifest.provenance.basis
    except BundleError:
        return ""


def _report(workshop: _Workshop, made: list[VariantRecord], folder: Path, strangers: tuple[str, ...]) -> None:
    """Write the report and the evidence beside the bundles."""
    known, recipe = workshop.study, workshop.recipe
    record = Record(
        stem=recipe.stem,
        basis=workshop.basis,
        task=recipe.task,
        source=known.facts.source,
        facts=tuple(known.lines),
        target=recipe.target,
        max_drop=recipe.max_drop,
        versions=known.versions,
        calibration=known.calibrated_by,
        calibration_range=known.ranges,
        findings=known.findings,
        variants=tuple(made),
        strangers=strangers,
    )
    beside = folder / f"{recipe.stem}{REPORT_SUFFIX}"
    beside.mkdir(exist_ok=True)
    record = merge(read_record(beside), record)
    chosen, why = choose(record, recipe.target)
    record = replace(record, chosen=chosen, why=why)
    write_report(beside, record, known.sheet)
    write_evidence(beside, known, workshop.basis)
    workshop.how.say(f"{recipe.stem}: take {chosen or 'nothing'}: {why}; report: {beside / 'report.html'}")
