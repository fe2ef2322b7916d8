"""`python -m models composites` and `python -m models localizer`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge.bar import bar
from edge.errors import ConfigError
from models.training.recipe import changed, find_recipe, find_recipes, plain_name, read_recipe

if TYPE_CHECKING:  # a command that trains nothing starts without Keras
    from models.localizer.recipe import LocalizerRecipe

COMPOSITES = Path("build/composites")
FAMILY = "localizer"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands to those of `python -m models`."""
    words = "make pictures for a localizer: garments of Fashion-MNIST laid over photographs"
    making = commands.add_parser("composites", help=words, description=f"{words[0].upper()}{words[1:]}.")
    making.add_argument("--out", type=Path, default=COMPOSITES, metavar="DIR", help="default: %(default)s")
    making.add_argument("--train", type=int, default=8000, metavar="N", help="pictures to train with (%(default)s)")
    making.add_argument("--valid", type=int, default=1000, metavar="N", help="pictures to validate with (%(default)s)")
    making.add_argument("--seed", type=int, default=0, metavar="N", help="another seed makes other pictures")
    making.set_defaults(run=_composites)
    known = ", ".join(find_recipes(FAMILY))
    training = commands.add_parser(
        "localizer", help="train localizers: what is it, and where", description=
        "Train localizers. A finished one is left alone; a run that was killed goes on where it was.",
        epilog=f"recipes: {known}. Without a name, all that are finished are compared.",
    )  # fmt: skip
    add = training.add_argument
    add("names", nargs="*", metavar="RECIPE", help="a name of models/recipes/localizer, or a .toml file")
    add("--data", metavar="PLACE", help="folder in Oxford-IIIT Pet layout, or .csv: file,x0,y0,x1,y1,label")
    add("--valid", metavar="PLACE", help="the same, to validate with (default: a part of --data)")
    add("--epochs", type=int, metavar="N", help="of the heads, at most")
    add("--name", metavar="NAME", help="of the model (default: the recipe's)")
    add("--finish", action="store_true", help="end runs that were begun: the best epoch so far becomes the model")
    add("--out", type=Path, metavar="DIR", help="where models land (default: build/models)")
    training.set_defaults(run=_train, keras=True)


def _composites(options: argparse.Namespace) -> int:
    from models.data.composites import write_composites

    with bar(total=options.train + options.valid, unit=" pictures") as shown:
        write_composites(options.out, options.train, options.valid, options.seed, shown.update)
    print(f"{options.train} pictures in {options.out / 'train'}, {options.valid} in {options.out / 'valid'}")
    return 0


def _train(options: argparse.Namespace) -> int:
    from models.localizer.recipe import LocalizerRecipe
    from models.localizer.training import train_localizer
    from models.training.run import MODELS

    folder = options.out or MODELS
    if options.name and len(options.names) != 1:
        raise ConfigError(f"--name: want it with one recipe, got {len(options.names)}; train them one by one")
    valid = options.valid if options.valid is not None or options.data is None else ""
    for name in options.names:
        path = find_recipe(FAMILY, name)
        recipe = read_recipe(path, LocalizerRecipe)
        recipe = changed(recipe, "localizer", data=options.data, valid=valid, epochs=options.epochs)
        called = plain_name(options.name or path.stem, f"localizer {options.name or path.stem}")
        result = train_localizer(called, recipe, path.read_text("utf-8"), folder, options.finish)
        print(f"{result.path}: {'trained' if result.trained else 'finished before'}; see {result.path / 'report.html'}")
        print(_next(result.path, recipe, result.figures["labels"]))
    _compare(folder)
    return 0


def _next(path: Path, recipe: "LocalizerRecipe", labels: list[str]) -> str:
    """Return the command that converts a finished localizer."""
    from models.localizer.report import HELD_OUT_FILE

    taken = Path(recipe.data)
    pictures = taken.parent if taken.suffix == ".csv" else taken / "images"
    return (
        f"next: python -m converters convert {path / 'model.keras'} --task localize --name {path.name} "
        f"--labels {','.join(labels)} --fit {recipe.fit} --calibrate {pictures} --metric-data {path / HELD_OUT_FILE}"
    )


def _compare(folder: Path) -> None:
    """Print the finished localizers side by side."""
    from models.training.run import read_result

    rows = []
    for path in sorted(folder.glob("*/figures.json")):
        figures = read_result(path.parent).figures
        if "miou" in figures:
            rows.append((path.parent.name, figures))
    if rows:
        print(
            f"{'model':<26}{'parameters':>12}{'mIoU':>8}{'IoU>.5':>8}{'accuracy':>10}{'ms':>8}{'epochs':>8}{'min':>7}"
        )
    for name, f in rows:
        print(
            f"{name:<26}{f['parameters']:>12,}{f['miou']:>8.1%}{f['iou_above_half']:>8.1%}{f['accuracy']:>10.1%}"
            f"{f['ms']:>8.2f}{f['epochs']:>8}{f['seconds'] / 60:>7.1f}"
        )
