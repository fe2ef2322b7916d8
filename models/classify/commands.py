"""`python -m models zoo`, `zoo-report` and `ablation`."""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from edge.errors import ConfigError
from models.training.recipe import RECIPES, find_recipes

FAMILY = "zoo"
OUT = Path("build/zoo")
MODELS = Path("build/models")
ABLATION = Path("build/ablation")
BUNDLES = Path("build/bundles")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands of this family to those of `python -m models`."""
    training = commands.add_parser(
        "zoo", help="train the classifiers of Fashion-MNIST",
        description="Train classifiers of Fashion-MNIST, the quickest first, as long as the time left holds the next "
        "one by the seconds that its recipe tells. A finished model is left alone and leaves its time to others; a run "
        "that was killed goes on where it was.",
        epilog=f"recipes: {', '.join(find_recipes(FAMILY))}",
    )  # fmt: skip
    add = training.add_argument
    add(
        "names",
        nargs="*",
        metavar="RECIPE",
        help="train these, whatever they take: names, or .toml files on data of your own",
    )
    add("--minutes", type=float, default=60.0, metavar="N", help="of training on two cores (default: %(default)g)")
    add("--list", action="store_true", help="show what would be trained, and train nothing")
    add("--finished", action="store_true", help="print the names of finished models that can be converted soon")
    add("--most-parameters", type=float, default=2e6, metavar="N", help="for --finished (default: %(default)g)")
    add("--models", type=Path, default=MODELS, metavar="DIR", help="where models land (default: %(default)s)")
    training.set_defaults(run=_zoo, keras=True)
    data = commands.add_parser(
        "zoo-data", help="write what the converter needs of Fashion-MNIST",
        description="Write calibrate.npz and judge.npz, both of the validation part, and labels.txt for the converter.",
    )  # fmt: skip
    data.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="default: %(default)s")
    data.set_defaults(run=_data, keras=True)
    reporting = commands.add_parser(
        "zoo-report", help="compare the finished classifiers on one page",
        description="Judge finished models on the 10,000 test pictures, once each; print the comparison and write "
        "report.html with learning curves, confusion matrices and 50 random predictions.",
    )  # fmt: skip
    add = reporting.add_argument
    add("--models", type=Path, default=MODELS, metavar="DIR", help="where models are (default: %(default)s)")
    add("--bundles", type=Path, default=BUNDLES, metavar="DIR", help="where int8 bundles are (default: %(default)s)")
    add("--out", type=Path, default=OUT, metavar="DIR", help="default: %(default)s")
    reporting.set_defaults(run=_report, keras=True)
    study = commands.add_parser(
        "ablation", help="train a net with one thing changed at a time, and say what each is worth",
        description="Train the base and every row of a study, with every seed; print and write the table.",
    )  # fmt: skip
    add = study.add_argument
    add(
        "study",
        nargs="?",
        type=Path,
        default=RECIPES / "convnets" / "ablation.toml",
        help="a .toml file (default: %(default)s)",
    )
    add("--out", type=Path, default=ABLATION, metavar="DIR", help="models and table (default: %(default)s)")
    study.set_defaults(run=_ablation, keras=True)


def _zoo(options: argparse.Namespace) -> int:
    from models.classify.recipe import FASHION
    from models.classify.zoo import entries, finished_names, plan, train_all
    from models.data.class_folders import class_names

    if not options.minutes >= 0:
        raise ConfigError(f"--minutes: want a number of 0 or more, got {options.minutes:g}; correct it")
    if options.finished:
        print("\n".join(finished_names(options.models, options.most_parameters)))
        return 0
    every = entries(options.names)
    done = [entry.name for entry in every if entry.finished(options.models)]
    taken, left = (every, []) if options.names else plan(every, options.minutes, done)
    expected = sum(entry.seconds for entry in taken if entry.name not in done) / 60
    print(f"{len(taken)} models, {expected:.0f} minutes on two idle cores:")
    for entry in taken:
        takes = "finished " if entry.name in done else f"{entry.seconds / 60:5.1f} min"
        print(f"  {entry.name:26} {takes}  {entry.recipe.words}")
    if left:
        print(f"after these, if time is left of {options.minutes:g} minutes: {', '.join(e.name for e in left)}")
    if not options.list:
        train_all([*taken, *left], options.models, float("inf") if options.names else options.minutes)
        for entry in taken:
            if entry.recipe.data != FASHION:
                labels = class_names(Path(entry.recipe.data))
                print(f"next: {next_command(entry.name, options.models, entry.recipe.data, labels)}")
    return 0


def next_command(name: str, models: Path, data: str, labels: Sequence[str]) -> str:
    """Return the command that makes bundles of a model trained on a folder, to be pasted into a shell.

    Args:
        name: of the model.
        models: where it landed.
        data: the folder.
        labels: its classes, in the order of the model's answers.
    """
    return shlex.join(
        [
            ".venv/bin/python", "-m", "converters", "convert", str(models / name / "model.keras"),
            "--name", re.sub(r"[^\w-]", "_", name), "--task", "classify", "--fit", "letterbox", "--calibrate", data,
            "--labels", ",".join(labels),
        ]
    )  # fmt: skip


def _data(options: argparse.Namespace) -> int:
    from models.classify.zoo import write_data

    for path in write_data(options.out):
        print(path)
    return 0


def _report(options: argparse.Namespace) -> int:
    from models.classify.table import write_report

    page, lines = write_report(options.models, options.bundles, options.out)
    print("\n".join(lines))
    print(f"see {page}")
    return 0


def _ablation(options: argparse.Namespace) -> int:
    from models.classify.ablation import run_ablation, write_table

    study, outcomes = run_ablation(options.study, options.out)
    path, lines = write_table(options.out, study, outcomes)
    print("\n".join(lines))
    print(f"see {path}")
    return 0
