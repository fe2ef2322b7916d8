"""What each ingredient of a convolutional net is worth: one base, and rows that change one thing each.

The changes of a row are keys of the base's own recipe; for layers, `set` changes keys of every layer of a kind and
`swap` puts other layers in the place of a kind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import keras
import msgspec
import numpy as np

from edge.errors import ConfigError
from edge.settings import Seed
from edge.whole import write_file
from models.classify.data import pictures_of
from models.classify.jobs import CONFUSION_FILE, job_of
from models.classify.recipe import Recipe
from models.page import Block, Heading, Picture, Table, Text, to_html, to_markdown
from models.training.archive import writable
from models.training.recipe import Part, made_of, read_recipe
from models.training.run import CURVES_FILE, Figures, train

BASE = "base"


Title = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,+% -]{0,99}\Z",
        description="a name of 1 to 100 plain letters, digits, spaces and _ . , + % -",
    ),
]
"""Of a row: a folder's name that reads like words."""


class Row(Part, frozen=True):
    """One change.

    Attributes:
        name: of the row, for folder and table.
        group: heading it stands under.
        change: keys of the recipe with other values; a table such as `optimizer` is merged, not replaced.
        set: kind of layer -> keys with other values.
        swap: kind of layer -> layers in its place; [] leaves it out.
    """

    name: Title
    group: str
    change: dict[str, Any] = msgspec.field(default_factory=dict)
    set: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    swap: dict[str, list[dict[str, Any]]] = msgspec.field(default_factory=dict)


class Ablation(Part, frozen=True):
    """A study.

    Attributes:
        words: what it says, for the table.
        seeds: each row is trained once with each of them: weights, order and augmentation differ, the split does not.
        base: what the rows differ from.
        rows: the changes.
    """

    words: str
    seeds: Annotated[tuple[Seed, ...], msgspec.Meta(min_length=1)]
    base: dict[str, Any]
    rows: tuple[Row, ...]

    def complaints(self) -> Iterator[str]:
        """See `Part.complaints`."""
        names = [BASE, *(row.name for row in self.rows)]
        for name in names:
            if names.count(name) > 1:
                yield f"rows: want each name once, and none called {BASE}, got '{name}' twice; rename one"
        for row in self.rows:
            for kind in (*row.set, *row.swap):
                if kind not in _kinds(self.base):
                    yield f"row {row.name}: want a kind of layer of the base, got '{kind}'; correct it"


@dataclass(frozen=True)
class Outcome:
    """What came of a row.

    Attributes:
        row: the change; None for the base.
        results: figures of each seed.
    """

    row: Row | None
    results: tuple[Figures, ...]

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Validation accuracy of each seed."""
        return tuple(figures["valid"]["accuracy"] for figures in self.results)

    @property
    def mean(self) -> float:
        """Mean validation accuracy over the seeds."""
        return float(np.mean(self.accuracies))


def read_ablation(path: Path) -> tuple[Ablation, dict[str, Recipe]]:
    """Read a study and the recipe of each of its rows, by name, `base` first.

    Raises:
        ConfigError: not readable, no seed, a row that is no recipe, or a name that is no folder's.
    """
    study = read_recipe(path, Ablation)
    what = f"recipe {path}"
    recipes = {BASE: made_of(study.base, Recipe, f"{what}: base")}
    for row in study.rows:
        try:
            merged = _merge(study.base, row.change)
        except RecursionError as error:
            raise ConfigError(
                f"{what}: row {row.name}: want a few levels of tables, got a very deep nesting; check the file"
            ) from error
        made_of(merged, Recipe, f"{what}: row {row.name}")  # so that its layers are some
        recipes[row.name] = made_of(_with_layers(merged, row), Recipe, f"{what}: row {row.name}")
    return study, recipes


def run_ablation(path: Path, folder: Path) -> tuple[Ablation, list[Outcome]]:
    """Train every row with every seed, seed by seed, on the pictures of its recipe; what is finished is left alone.

    Args:
        path: of the study.
        folder: where the models land.

    Raises:
        ConfigError: see `read_ablation`, `pictures_of` and `models.training.run.train`.
        FetchError: Fashion-MNIST could not be fetched.
    """
    study, recipes = read_ablation(path)
    pictures = {}
    for recipe in recipes.values():
        if _source(recipe) not in pictures:
            pictures[_source(recipe)] = pictures_of(recipe)
    rows = {BASE: None, **{row.name: row for row in study.rows}}
    figures: dict[str, list[Figures]] = {name: [] for name in recipes}
    for seed in study.seeds:
        for name, recipe in recipes.items():
            seen = pictures[_source(recipe)]
            job = job_of(f"{name}-{seed}", recipe, path.read_text("utf-8"), seen, folder, seed=seed)
            figures[name].append(train(job).figures)
            keras.backend.clear_session()
    return study, [Outcome(row, tuple(figures[name])) for name, row in rows.items()]


def table(outcomes: list[Outcome]) -> list[tuple[str, str, str, str, str, str]]:
    """Return rows: group, name, mean accuracy, difference from the base in points, worst class by F1, seconds."""
    base = outcomes[0]
    made = []
    for outcome in outcomes:
        f1 = outcome.results[0]["valid"]["f1_per_class"]
        worst = min(f1, key=f1.__getitem__)
        gaps = [100 * (ours - theirs) for ours, theirs in zip(outcome.accuracies, base.accuracies, strict=True)]
        made.append(
            (
                outcome.row.group if outcome.row else "",
                outcome.row.name if outcome.row else BASE,
                f"{100 * outcome.mean:.2f}",
                " / ".join(f"{gap:+.2f}" for gap in gaps) if outcome.row else "",
                f"{worst} {f1[worst]:.3f}",
                f"{np.mean([figures['seconds'] for figures in outcome.results]):.0f}",
            )
        )
    return made


def write_table(folder: Path, study: Ablation, outcomes: list[Outcome]) -> tuple[Path, list[str]]:
    """Write `ablation.md` and `ablation.html`, with learning curves and confusion matrix of base and best row.

    Returns:
        The page, and the table as Markdown lines.

    Raises:
        ConfigError: the folder cannot be written.
    """
    rows = table(outcomes)
    head = ("", "change", "validation accuracy, %", "points from base, each seed", "worst class, F1", "s")
    spread = max(abs(value - outcomes[0].mean) for value in outcomes[0].accuracies)
    words = (
        f"{study.words}; seeds {', '.join(map(str, study.seeds))}; the base itself varies by {100 * spread:.2f} points."
    )
    best = max(outcomes, key=lambda outcome: outcome.mean)
    blocks: list[Block] = [Text(words, lead=True), Table(head, tuple(rows), frozenset({2, 3, 5}))]
    files = {}
    for outcome in dict.fromkeys((id(outcomes[0]), id(best))):
        found = next(o for o in outcomes if id(o) == outcome)
        name = found.row.name if found.row else BASE
        blocks.append(Heading(name))
        f1 = found.results[0]["valid"]["f1_per_class"]
        blocks.append(
            Table(("class", "F1"), tuple((label, f"{value:.3f}") for label, value in f1.items()), frozenset({1}))
        )
        for file in (CURVES_FILE, CONFUSION_FILE):
            files[f"{name}-{file}"] = (folder / f"{name}-{study.seeds[0]}" / file).read_bytes()
            blocks.append(Picture(f"{name}-{file}", f"{file.removesuffix('.png')} of {name}"))
    page = folder / "ablation.html"
    markdown = to_markdown("Ablation", blocks[:2])
    with writable(folder):
        write_file(folder / "ablation.md", markdown.encode())
        write_file(page, to_html("What each ingredient is worth", blocks, files).encode())
    return page, markdown.splitlines()


def _source(recipe: Recipe) -> tuple[object, ...]:
    """Return what decides which pictures a recipe trains on."""
    return recipe.data, recipe.size, recipe.color, recipe.labels


def _kinds(base: Mapping[str, Any]) -> list[str]:
    """Return the kinds of the base's layers, as far as it has any: whether it is a recipe is not known yet."""
    layers = base.get("layers")
    if not isinstance(layers, list):
        return []
    return [layer["kind"] for layer in layers if isinstance(layer, dict) and "kind" in layer]


def _with_layers(values: Mapping[str, Any], row: Row) -> dict[str, Any]:
    """Return a recipe's values with the layers that a row sets and swaps."""
    layers = []
    for layer in values["layers"]:
        layers += row.swap.get(layer["kind"], [{**layer, **row.set.get(layer["kind"], {})}])
    return {**values, "layers": layers}


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in change.items()
    }
    return {**base, **both}
