"""The flags of `python -m converters convert MODEL` -> a recipe, for a model that has none."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from converters.facts import Facts
from converters.load import Origin
from converters.parity import COSINES
from converters.recipe import (
    VARIANTS,
    Embedding,
    Kind,
    Pictures,
    Recipe,
    Rules,
    VariantName,
    check_recipe,
    choose_variants,
)
from converters.targets import TARGETS
from edge.bundle import Decoder, Preprocess, Task, TensorSpec
from edge.errors import ConfigError

TASKLESS_COSINES: dict[Kind, float] = {**COSINES, "dynamic": 0.98, "int8": 0.95, "u8s8": 0.95, "int16x8": 0.98}
"""`COSINES` for a model of task `other`, which nothing but its tensors can judge."""

CALIBRATING = 200
"""Examples that calibrate, at most; from 100 on nothing changed in the models measured (docs/converting.md)."""
CALIBRATING_SHARE = 2 / 3
"""Part of the examples that calibrates where the rest must judge."""
JUDGING = 200
"""Examples that judge where no labelled ones are given, at most."""


def origin_of(options: argparse.Namespace) -> Origin:
    """Return the model that the command names.

    Raises:
        ConfigError: a file of --import is not there.
    """
    for file in options.imports:
        if not Path(file).is_file():
            raise ConfigError(f"--import {file}: want a Python file, got none; check the path")
    return Origin(options.models[0], {}, tuple(Path(file) for file in options.imports), options.trust)


def recipe_of(options: argparse.Namespace, facts: Facts) -> Recipe:
    """Make the recipe of a model from the flags, and from what the model says of itself.

    Args:
        options: of `converters.cli`.
        facts: of the model.

    Raises:
        ConfigError: flags that contradict each other or the model.
    """
    task = options.task or guess_task(facts)
    size = _size(options, facts)
    preprocess = None if task == "other" and size is None else _preprocess(options, facts, task)
    target = TARGETS[options.target] if options.target else None
    cosines = TASKLESS_COSINES if task == "other" else COSINES
    names = _variants(options, list(target.variants) if target is not None else list(VARIANTS))
    data = str(options.calibrate.resolve()) if options.calibrate else ""
    share = 1.0 if options.metric_data else CALIBRATING_SHARE
    count = options.calibration_count
    calibrating = Pictures(source=data, count=count, at_most=True, share=share, seed=options.seed)
    recipe = Recipe(
        name=options.name or _name(options.models[0]),
        task=task,
        model=options.models[0],
        variants={name: Rules(cosine_min=None if task == "embed" else cosines[VARIANTS[name].kind]) for name in names},
        size=size if size is None or size[0] != size[1] else size[0],
        preprocess=preprocess,
        calibration=(calibrating,) if data else (),
        parity=(Pictures(source=data, count=JUDGING, at_most=True, seed=options.seed),) if data else (),
        imports=tuple(str(file) for file in options.imports),
        trust=options.trust,
        labels=_labels(options.labels),
        input=options.input,
        decoder=Decoder(name=options.decoder) if options.decoder else None,
        embedding=Embedding(metric=options.metric) if task == "embed" else None,
        threshold=options.threshold,
    )
    return judged_by(recipe, options, options.models[0])


def judged_by(recipe: Recipe, options: argparse.Namespace, where: str) -> Recipe:
    """Return a recipe whose target, limits and judging data are those of the flags that were given.

    Raises:
        ConfigError: values that contradict each other, in a sentence that begins with `where`.
    """
    if options.metric_data:
        recipe = replace(recipe, metric=str(options.metric_data.resolve()))
    if options.max_drop is not None:
        variants = {name: replace(rules, max_drop=None) for name, rules in recipe.variants.items()}
        recipe = replace(recipe, max_drop=options.max_drop, variants=variants)
    if options.min_agreement is not None:
        recipe = replace(recipe, min_agreement=options.min_agreement)
    if options.target:
        runtimes = TARGETS[options.target].runtimes
        variants = {name: rules for name, rules in recipe.variants.items() if VARIANTS[name].runtime in runtimes}
        recipe = replace(recipe, target=options.target, variants=variants)
    check_recipe(recipe, where)
    return recipe


def guess_task(facts: Facts) -> Task:
    """Tell from its tensors what a model is for; "other" where they do not say.

    A softmax, or one sigmoid, over one picture is a classifier; one sigmoid over two inputs says whether they are the
    same; four numbers and a class are a localizer; one bare vector of a picture is an embedding.
    """
    pictures = [spec for spec in facts.inputs if _is_image(spec)]
    widths = sorted(spec.shape[-1] for spec in facts.outputs if len(spec.shape) == 2)
    flat = len(widths) == len(facts.outputs)
    if len(pictures) == 2 and widths == [1] and flat:
        return "pair"
    if len(pictures) != 1 or not flat:
        return "other"
    if len(widths) == 2 and 4 in widths:
        return "localize"
    activations = set(facts.activations)
    if len(widths) == 1 and activations & {"softmax", "sigmoid"}:
        return "classify"
    return "embed" if len(widths) == 1 and widths[0] >= 32 else "other"


def _is_image(spec: TensorSpec) -> bool:
    return len(spec.shape) == 4 and spec.shape[3] in (1, 3)


def _size(options: argparse.Namespace, facts: Facts) -> tuple[int, int] | None:
    if options.size:
        return int(options.size[0]), int(options.size[1])
    image = next((spec for spec in facts.inputs if _is_image(spec)), None)
    if image is None:
        return None
    if min(image.shape[1:3]) < 1:
        raise ConfigError(f"{options.models[0]}: want --size HEIGHTxWIDTH, as the model takes any size; give it")
    return image.shape[1], image.shape[2]


def _preprocess(options: argparse.Namespace, facts: Facts, task: Task) -> Preprocess:
    image = next((spec for spec in facts.inputs if _is_image(spec)), None)
    gray = image is None or image.shape[3] == 1
    return Preprocess(
        fit=options.fit or ("letterbox" if task == "detect" else "stretch"),
        color="gray" if gray else options.color,
        mean=options.mean,
        std=options.std,
    )


def _variants(options: argparse.Namespace, default: Sequence[VariantName]) -> list[VariantName]:
    """Choose from all there are where the person names any, else from the target's own."""
    chosen = choose_variants(list(VARIANTS) if options.variants else default, options.variants, options.runtimes)
    names = [variant.name for variant in chosen if options.calibrate or not variant.calibrated]
    if not names:
        raise ConfigError(
            "--variants: want at least one that can be made, got none; name others, or give --calibrate for int8"
        )
    return names


def _labels(given: str) -> tuple[str, ...]:
    """Read class names: a text file with one on each line, or words with commas between."""
    words = given.split(",")
    if len(words) == 1 and Path(given).is_file():
        try:
            words = Path(given).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--labels {given}: want a text file in UTF-8, got '{error}'; save it so") from error
    return tuple(word.strip() for word in words if word.strip())


def _name(model: str) -> str:
    """Make a plain word of the model's file or function."""
    stem = model.rpartition(":")[2] if ":" in model else Path(model).name.split(".")[0]
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem).strip("-")
    return plain.lower() or "model"
