"""`python -m models pairs ...` and `python -m models embed ...`."""

import argparse
from pathlib import Path
from typing import Any

from edge.errors import ConfigError
from edge.settings import did_you_mean
from edge.whole import staging, sweep
from models.siamese.mine import Rules, mine, write_pairs
from models.training.recipe import changed, find_recipe, find_recipes, read_recipe

FAMILY, PAIRS = "siamese", "pairs"
"""Folders of recipes: for projections, and for heads."""


def default_folder() -> Path:
    """Return where models land; looked up late, since it takes Keras."""
    from models.training.run import MODELS

    return MODELS


def add_commands(commands: Any) -> None:
    """Add `pairs` and `embed` to the parser's subcommands."""
    pairs = commands.add_parser("pairs", help="same or different: mine, review, train, judge").add_subparsers(
        dest="pairs", required=True
    )
    _add_mine(pairs)
    _add_review(pairs)
    _add_judge(pairs)
    _add_pair_train(pairs)
    embed = commands.add_parser("embed", help="embedders: build one, or train one on the spot").add_subparsers(
        dest="embed", required=True
    )
    _add_build(embed)
    _add_train(embed)


def _add_mine(pairs: Any) -> None:
    command = pairs.add_parser("mine", help="make YES and NO pairs of a recording, with no labels")
    command.add_argument("recording", type=Path, metavar="DIR", help="folder of edge-run --sink crops:DIR")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for YES and NO")
    command.add_argument("--rules", type=Path, metavar="FILE.toml", help="which crops and pairs; flags override it")
    _add_frames(command)
    for name, words in (
        ("apart", "frames between the crops of a YES pair, at least"),
        ("pairs", "of each kind, at most"),
        ("seed", "chooses"),
    ):
        command.add_argument(f"--{name}", type=int, metavar="N", help=words)
    command.set_defaults(run=_mine)


def _mine(options: argparse.Namespace) -> int:
    rules = read_recipe(options.rules, Rules) if options.rules else Rules()
    given = {name: getattr(options, name) for name in ("frames", "apart", "pairs", "seed")}
    rules = changed(rules, "pairs mine", **given)
    mined = mine(options.recording, rules)
    write_pairs(mined, options.recording, options.out)
    print("\n".join((*mined.words, f"written to {options.out}")))
    return 0


def _add_review(pairs: Any) -> None:
    command = pairs.add_parser("review", help="open a page in the browser to confirm, flip or delete pairs by keyboard")
    command.add_argument("folder", type=Path, metavar="DIR", help="what mine wrote")
    command.add_argument("--port", type=int, default=8321, help="on this machine (default: %(default)s; 0 = any)")
    command.add_argument("--no-browser", action="store_true", help="print the address only")
    command.set_defaults(run=_review)


def _review(options: argparse.Namespace) -> int:
    import webbrowser

    from models.siamese.review import Review, serve

    def ready(address: str) -> None:
        print(f"{address}  (Ctrl-C ends it; every decision is saved at once)", flush=True)
        if not options.no_browser:
            webbrowser.open(address)

    serve(Review(options.folder), options.port, ready)
    return 0


def _add_build(embed: Any) -> None:
    command = embed.add_parser("build", help="write an embedder without its top as .keras, to convert or to train on")
    command.add_argument("--base", default="mobilenetv2", help="mobilenetv2, resnet50 or efficientnet-lite0")
    command.add_argument("--size", type=_size, default=(224, 224), metavar="HxW", help="input (default: 224x224)")
    command.add_argument("--alpha", type=float, default=1.0, metavar="X", help="width of MobileNetV2 (default: 1)")
    command.add_argument("--pooling", choices=("avg", "max", "none"), default="avg", help="default: %(default)s")
    command.add_argument("--weights", type=Path, metavar="FILE", help="Keras weights without the top")
    command.add_argument("--out", type=Path, required=True, metavar="FILE.keras", help="where to write it")
    command.set_defaults(run=_build, keras=True)


def _build(options: argparse.Namespace) -> int:
    from models.siamese.bases import BASES, build_base
    from models.training.archive import writable

    if options.base not in BASES:
        raise ConfigError(
            f"base '{options.base}': want one of {', '.join(BASES)}, got another; {did_you_mean(options.base, BASES)}"
        )
    if options.out.suffix != ".keras":
        raise ConfigError(f"out {options.out}: want a name that ends in .keras, got '{options.out.suffix}'; mend it")
    model = build_base(options.base, options.size, options.alpha, options.pooling, options.weights)
    sweep(options.out.parent)
    with writable(options.out), staging(options.out.parent) as work:
        model.save(work / options.out.name)
        (work / options.out.name).replace(options.out)
    print(f"{options.out}: {model.count_params():,} parameters, {model.output_shape}")
    return 0


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if not 1 <= len(sides) <= 2 or not all(side.isdigit() for side in sides):
        raise ConfigError(f"size: want HEIGHTxWIDTH in pixels, got '{text}'; write 128x64")
    return int(sides[0]), int(sides[-1])


def _add_train(embed: Any) -> None:
    command = embed.add_parser("train", help="train a projection on pairs of this camera")
    command.add_argument("recipe", metavar="RECIPE", help=f"{', '.join(_recipes())}, or a .toml file")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="YES/NO pairs, or a folder for each")
    command.add_argument("--name", help="of the model (default: the recipe's)")
    command.add_argument("--out", type=Path, metavar="DIR", help="where models land (default: build/models)")
    command.set_defaults(run=_train, keras=True)


def _recipes() -> list[str]:
    return list(find_recipes(FAMILY))


def _train(options: argparse.Namespace) -> int:
    from models.siamese.crops import read_crops
    from models.siamese.projection import Projection, train_projection

    path = find_recipe(FAMILY, options.recipe)
    recipe = read_recipe(path, Projection)
    recipe = changed(recipe, "embed train --name", name=options.name)
    crops = read_crops(options.data)
    print(crops.words)
    result = train_projection(recipe, path.read_text("utf-8"), crops, options.out or default_folder())
    print(f"{'trained' if result.trained else 'up to date'}: {result.path / 'model.keras'}")
    print(f"{result.figures['whole_seconds']} s in all, threshold {result.figures['threshold']:.4f} (cosine distance)")
    return 0


def _add_pair_train(pairs: Any) -> None:
    known = ", ".join(find_recipes(PAIRS))
    command = pairs.add_parser("train", help="train heads over pairs, and judge them in one table")
    command.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"{known}, or a .toml file; none = all")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="YES/NO pairs, or a folder for each")
    command.add_argument("--out", type=Path, metavar="DIR", help="where models land (default: build/models)")
    command.add_argument("--recording", type=Path, metavar="DIR", help="judge on this recording")
    command.add_argument("--truth", type=Path, metavar="gt.txt", help="its ground truth")
    command.add_argument("--table", type=Path, metavar="FILE.json", help="write all figures")
    _add_frames(command)
    command.set_defaults(run=_pair_train, keras=True)


def _pair_train(options: argparse.Namespace) -> int:
    from models.siamese.crops import read_crops
    from models.siamese.evaluate import judge, read_trial, table, write_results
    from models.siamese.heads import Head
    from models.siamese.pair_training import distances, train_pair

    if (options.recording is None) != (options.truth is None):
        raise ConfigError("pairs train: want --recording and --truth together, got one of them; give both or none")
    paths = [find_recipe(PAIRS, name) for name in options.recipes or find_recipes(PAIRS)]
    recipes = [read_recipe(path, Head) for path in paths]
    crops = read_crops(options.data)
    print(crops.words)
    trial = None
    if options.truth:
        trial = read_trial(options.recording, options.truth, changed(Rules(), "--frames", frames=options.frames))
        print(trial.words)
    results = []
    for path, recipe in zip(paths, recipes, strict=True):
        result = train_pair(recipe, path.read_text("utf-8"), crops, options.out or default_folder())
        print(f"{'trained' if result.trained else 'up to date'}: {result.path / 'model.keras'}")
        if trial is not None:
            between = distances(result, trial.crops, recipe)
            figures = judge(trial, recipe.name, between, float(result.figures["threshold"]))
            results.append(figures | {key: result.figures[key] for key in ("seconds", "parameters", "epochs")})
            print(table(results[-1:]), end="")
            if options.table:  # after each, so that a night's work is never lost
                write_results(results, trial.words, options.table)
    if results:
        print(table(results), end="")
    return 0


def _add_judge(pairs: Any) -> None:
    command = pairs.add_parser("judge", help="judge distances on a recording whose ground truth is known")
    command.add_argument("recording", type=Path, metavar="DIR", help="folder of edge-run --sink crops:DIR?every_ms=100")
    command.add_argument("distances", nargs="+", metavar="[METRIC@]PATH", help="bundle or trained model")
    command.add_argument("--truth", type=Path, required=True, metavar="gt.txt", help="MOTChallenge ground truth")
    command.add_argument("--mined", type=Path, metavar="DIR", help="take each distance's threshold from these pairs")
    command.add_argument("--without", type=_frames, metavar="A:B", help="leave out who is seen in these frames")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="write all figures")
    command.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw pairs that the last one got right, wrong")
    _add_frames(command)
    command.set_defaults(run=_judge, keras=True)


def _judge(options: argparse.Namespace) -> int:
    from models.siamese.crops import read_crops
    from models.siamese.distances import measure, mined_threshold
    from models.siamese.evaluate import judge, read_trial, table, write_results
    from models.siamese.judge import GAPS_S, best_threshold
    from models.siamese.sheet import draw_sheet, write_sheet

    trial = read_trial(
        options.recording, options.truth, changed(Rules(), "--frames", frames=options.frames), options.without
    )
    print(trial.words)
    crops = read_crops(options.mined) if options.mined else None
    results = []
    for what in options.distances:
        measured = measure(what, trial.crops)
        threshold = mined_threshold(what, crops) if crops else measured.threshold
        results.append(judge(trial, what, measured.between, threshold))
    print(table(results), end="")
    if options.out:
        write_results(results, trial.words, options.out)
    if options.sheet:
        pairs = trial.pairs(GAPS_S["6 s and more"])
        distances = measured.between(pairs.rows)
        cut = best_threshold(distances, pairs.same)[0] if threshold != threshold else threshold
        write_sheet(draw_sheet(trial.crops, pairs, distances, cut), options.sheet)
    return 0


def _add_frames(command: argparse.ArgumentParser) -> None:
    command.add_argument("--frames", type=_frames, metavar="A:B", help="only frames from A to before B")


def _frames(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not colon or not (first or "0").isdigit() or not (last or "0").isdigit():
        raise ConfigError(f"frames: want A:B, two numbers, got '{text}'; for the first minute at 10/s write 0:600")
    return int(first or 0), int(last or 1 << 62)
