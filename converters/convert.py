"""One recipe -> its bundles: what is up to date stays, what is not is packed, what fails is named.

TensorFlow is imported only when a variant has to be made.
"""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters.assets import asset_weights, source_path
from converters.calibration import Picture, describe, take_all, to_tensors
from converters.load import ConversionError, Tensor, Traced, load_model, trace
from converters.pack import Judges, ParityError, make_judges, pack, tool_versions
from converters.quiet import hush_tensorflow, quiet
from converters.recipe import Pictures, Recipe, Variant, choose_variants, read_recipe
from converters.stamp import is_up_to_date, note_refusal, refusal, stamp
from edge.bundle import Bundle, OutputParity, Provenance
from edge.errors import ConfigError

Say = Callable[[str], None]

_LOCK = ".converting"


@dataclass(frozen=True, slots=True)
class _Workshop:
    """What all variants of a recipe share while they are made."""

    recipe: Recipe
    traced: Traced
    judges: Judges
    calibration: list[Tensor]
    words: str
    stamp: str


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
        for left in folder.glob(".*-*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)  # `write_bundle` stages in .<bundle>-<random>
        yield folder


def convert_recipe(path: Path, folder: Path, wanted: tuple[str, ...], force: bool, say: Say) -> int:
    """Bring the bundles of one recipe up to date.

    Args:
        path: the recipe.
        folder: where bundles live.
        wanted: words for variants, see `choose_variants`.
        force: convert what is up to date again.
        say: receives one line for each variant.

    Returns:
        How many variants failed that the recipe does not mark as optional.

    Raises:
        EdgeError: the recipe, its model or its pictures are not usable.
        OSError: a bundle could not be written.
    """
    recipe = read_recipe(path)
    current = stamp(path, recipe)
    todo = []
    for variant in choose_variants(recipe, wanted):
        name = recipe.bundle_name(variant)
        if force:
            todo.append(variant)
        elif is_up_to_date(folder / name, current):
            say(f"{name}: up to date")
        elif reason := refusal(folder, name, current):
            say(f"{name}: not written before, optional: {reason}; try again with --force")
        else:
            todo.append(variant)
    if not todo:
        return 0
    workshop = _open_workshop(path, recipe, todo, current, say)
    return sum(_convert_variant(workshop, variant, folder, say) for variant in todo)


def _open_workshop(path: Path, recipe: Recipe, todo: Sequence[Variant], current: str, say: Say) -> _Workshop:
    """Load the model, trace it, read the pictures and ask Keras for its answers."""
    before = time.monotonic()
    calibrating = take_all(_places(recipe.calibration, path))
    judging = take_all(_places(recipe.parity, path), {p.sha256 for part in calibrating for p in part})
    hush_tensorflow()
    with quiet():
        traced = trace(load_model(recipe), recipe)
        inputs = _tensors(recipe, traced, judging, recipe.parity)
        judges = make_judges(recipe, traced, judging[0][0], inputs)
        needed = any(variant.calibrated for variant in todo)
        calibration = _tensors(recipe, traced, calibrating, recipe.calibration) if needed else []
    say(f"{recipe.stem}: loaded, asked Keras about {len(inputs)} inputs, {time.monotonic() - before:.0f} s")
    return _Workshop(recipe, traced, judges, calibration, describe(calibrating, recipe.calibration), current)


def _places(places: Sequence[Pictures], path: Path) -> list[tuple[Path, Pictures]]:
    return [(source_path(pictures.source, path), pictures) for pictures in places]


def _tensors(
    recipe: Recipe, traced: Traced, taken: Sequence[Sequence[Picture]], places: Sequence[Pictures]
) -> list[Tensor]:
    return [
        tensor
        for pictures, place in zip(taken, places, strict=True)
        for tensor in to_tensors(pictures, traced.inputs[0], recipe.preprocess, recipe.task, place)
    ]


def _convert_variant(workshop: _Workshop, variant: Variant, folder: Path, say: Say) -> int:
    """Make one variant and say how it went; return 1 for a failure that counts."""
    recipe, before = workshop.recipe, time.monotonic()
    name, rules = recipe.bundle_name(variant), recipe.variants[variant.name]
    try:
        with quiet():
            bundle, parity = _make(workshop, variant, folder)
    except (ConversionError, ParityError) as error:
        if rules.optional:
            note_refusal(folder, name, workshop.stamp, str(error))
        say(f"{name}: NOT WRITTEN{', optional' if rules.optional else ''}: {error}")
        return 0 if rules.optional else 1
    say(_line(bundle, parity, time.monotonic() - before))
    return 0


def _make(workshop: _Workshop, variant: Variant, folder: Path) -> tuple[Bundle, tuple[OutputParity, ...]]:
    """Convert, prove and write one variant."""
    from converters.to_onnx import quantize, to_onnx
    from converters.to_tflite import to_tflite

    recipe, traced = workshop.recipe, workshop.traced
    if variant.runtime == "tflite":
        model = to_tflite(traced, variant.kind, workshop.calibration)
    else:
        model = to_onnx(traced)
        if variant.kind == "int8":
            model = quantize(model, traced.inputs[0].name, workshop.calibration)
    origin = Provenance(
        keras=recipe.model,
        weights=tuple(asset_weights(name) for name in recipe.weights),
        recipe_sha256=workshop.stamp,
        calibration=workshop.words if variant.calibrated else "",
        versions=tool_versions(variant),
    )
    return pack(folder, recipe, variant, model, traced, workshop.judges, origin)


def _line(bundle: Bundle, parity: Sequence[OutputParity], seconds: float) -> str:
    """Say in one line what was written."""
    worst, furthest = min(part.cosine_min for part in parity), max(part.max_abs for part in parity)
    size = bundle.model_path.stat().st_size / 1000
    return f"{bundle.path.name}: {size:.0f} kB, cosine >= {worst:.5f}, difference <= {furthest:.3g}, {seconds:.0f} s"
