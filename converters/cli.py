"""`python -m converters`: Keras models -> bundles for a device; what `make convert` calls."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from converters.convert import ATTEMPTS, How, bundle_folder, convert_recipe
from converters.facts import facts_of
from converters.flags import CALIBRATING, judged_by, origin_of, recipe_of
from converters.inspect import describe
from converters.job import MEGABYTES, SECONDS, Limits, run_limited, walled
from converters.load import Origin
from converters.recipe import RECIPES, Recipe, find_recipe, read_recipe
from converters.targets import TARGETS
from converters.verify import verify
from edge.bundle import Task
from edge.errors import ConfigError, EdgeError
from edge.flags import Parser
from edge.redact import printable

OUT = Path("build") / "bundles"
"""Where `edge-run` looks for bundles first."""

_FAILED = 3
_INTERRUPTED = 130
_EXAMPLES = """examples:
  python -m converters convert                                  all recipes of models/recipes
  python -m converters convert my.h5 --calibrate pictures/      any Keras model
  python -m converters convert my.keras --calibrate pictures/ --task classify \\
      --metric-data labelled/ --target pi5 --variants fp32,dynamic,int8 --max-drop 0.01"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 configuration, 3 a variant or a model was refused, 130 interrupted."""
    try:
        options = _parser().parse_args(arguments)
        code: int = options.run(options)
    except EdgeError as error:
        print(f"converters: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("converters: interrupted; what was written is whole", file=sys.stderr)
        return _INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m converters", description="Keras models -> bundles for a device.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_convert(commands)
    inspect = commands.add_parser("inspect", help="say what is in a model and what would be done with it")
    inspect.set_defaults(run=_inspect)
    inspect.add_argument("models", nargs=1, metavar="MODEL", help=".keras, .h5, SavedModel folder or module:function")
    inspect.add_argument("--size", type=_size, metavar="HxW", help="of the pictures, where the model takes any")
    checking = commands.add_parser("verify", help="check a bundle again, from what it records")
    checking.set_defaults(run=_verify)
    checking.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle")
    checking.add_argument("--metric-data", type=Path, metavar="DIR", help="labelled examples to judge the task with")
    checking.add_argument("--legacy", action="store_true", help="load it in tflite-runtime 2.14 as well")
    for command in (inspect, checking):
        _add_common(command)
    return parser


def _add_convert(commands: "argparse._SubParsersAction[Parser]") -> None:
    convert = commands.add_parser(
        "convert",
        help="bring bundles up to date",
        description="Convert recipes, or one Keras model. What is up to date is left alone; what is too far from "
        "Keras is not written. The report lies beside the bundles.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    convert.set_defaults(run=_convert)
    add = convert.add_argument
    add("models", nargs="*", metavar="MODEL", help="recipe (name or .toml), .keras, .h5, SavedModel, module:function")
    add("--all", action="store_true", help="every recipe directly in models/recipes (the default)")
    add("--out", type=Path, default=OUT, metavar="DIR", help="where bundles go (default: %(default)s)")
    add(
        "--variants",
        type=_words,
        default=(),
        metavar="LIST",
        help="of fp32,fp16,dynamic,int8,int16x8,u8s8 (default: by target)",
    )
    add("--runtimes", type=_words, default=(), metavar="LIST", help="of tflite,onnx (default: both)")
    add("--force", action="store_true", help="convert what is up to date, too")
    add(
        "--attempts", type=int, default=ATTEMPTS, metavar="N", help="to quantise well (default: %(default)s; 1 = plain)"
    )
    _add_common(convert)
    add = convert.add_argument_group("judging").add_argument
    add("--metric-data", type=Path, metavar="PATH", help="labelled examples to judge the task with")
    add("--target", choices=sorted(TARGETS), default="", help="board: which variants, and what must load them")
    add("--max-drop", type=float, metavar="X", help="largest fall of the metric (default: the recipe's, or 0.01)")
    add("--min-agreement", type=float, metavar="X", help="with Keras (default: the recipe's, or reported only)")
    model = convert.add_argument_group("for a model without a recipe")
    convert.set_defaults(model_flags=_add_model_flags(model))


def _add_model_flags(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    """Add the flags whose answers a recipe has in it, and return them."""
    add = group.add_argument
    return [
        add("--calibrate", type=Path, metavar="PATH", help="folder, video or .npz to calibrate and to compare with"),
        add("--calibration-count", type=int, default=CALIBRATING, metavar="N", help="at most (default: %(default)s)"),
        add("--task", choices=get_args(Task), help="what the device uses it for (default: guessed from the model)"),
        add("--name", default="", help="first part of the bundles' names (default: the file's)"),
        add("--labels", default="", metavar="FILE", help="class names, one a line, or words with commas between"),
        add("--size", type=_size, metavar="HxW", help="of the pictures, where the model takes any"),
        add("--fit", choices=("letterbox", "stretch"), help="how a picture fits (default: letterbox to detect)"),
        add("--color", choices=("rgb", "bgr"), default="rgb", help="order the model wants (default: %(default)s)"),
        add("--mean", type=_numbers, default=(0.0,), metavar="R,G,B", help="subtracted from a pixel of 0..255"),
        add("--std", type=_numbers, default=(1.0,), metavar="R,G,B", help="then divided by"),
        add(
            "--input",
            choices=("uint8", "float32"),
            default="uint8",
            help="type of picture inputs (default: %(default)s)",
        ),
        add("--decoder", default="", metavar="NAME", help="of edge.decode, for task detect"),
        add("--metric", choices=("manhattan", "cosine"), default="manhattan", help="distance of embeddings"),
        add("--threshold", type=float, default=0.5, metavar="P", help="same from here on, for task pair"),
        add("--seed", type=int, default=0, help="chooses the calibration examples (default: %(default)s)"),
    ]


def _add_common(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="defines custom layers; runs behind the same walls as --trust",
    )
    add(
        "--trust",
        action="store_true",
        help="run what the model file names: code stored in it (Lambda layers), functions, any operator; it still may "
        "not write outside a scratch folder, connect or start a program",
    )
    add("--time-limit", type=float, default=SECONDS, metavar="S", help="for each step (default: %(default).0f s)")
    add("--memory-limit", type=float, default=MEGABYTES, metavar="MB", help="for each step (default: %(default)s)")


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(part.isdigit() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"want HEIGHTxWIDTH in pixels, as 224x224, got '{text}'")
    return int(parts[0]), int(parts[-1])


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"want one number or three, with commas between, got '{text}'") from error
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"want one number or three, with commas between, got '{text}'")
    return numbers


def _convert(options: argparse.Namespace) -> int:
    if options.models and options.all:
        raise ConfigError("--all: want it alone, got models beside it; give one or the other")
    work = _work(options)
    limits = Limits(options.time_limit, options.memory_limit)
    # What a function of a person's own reads when it is called cannot be known here: it is always called again.
    force = options.force or any(":" in name for name in options.models)
    how = How(_say, options.variants, options.runtimes, force, limits, options.attempts)
    failed = 0
    with bundle_folder(options.out) as folder:
        for recipe, origin, base in work:
            try:
                failed += convert_recipe(recipe, origin, base, folder, how)
            except ConfigError:
                raise
            except EdgeError as error:
                _say(f"{recipe.stem}: NOT CONVERTED: {error}")
                failed += 1
            except OSError as error:
                raise ConfigError(
                    f"--out {folder}: want room for a bundle, got '{error.strerror}'; nothing of it was written"
                ) from error
    if failed:
        print(f"converters: {failed} failed and written to no file", file=sys.stderr)
    return _FAILED if failed else 0


def _work(options: argparse.Namespace) -> list[tuple[Recipe, Origin, Path]]:
    """List what to convert: recipe, model, and the folder that the recipe's paths are relative to.

    All recipes are read first: a slip in the last one must not cost the time of all others.
    """
    if len(options.models) == 1 and _is_model(options.models[0]):
        origin = origin_of(options)
        limits = Limits(options.time_limit, options.memory_limit, walls=walled(origin))
        facts = run_limited(facts_of, limits, "opening the model", origin)
        recipe = recipe_of(options, facts)
        if not options.task:
            _say(f"{recipe.stem}: task '{recipe.task}', guessed from the model; if it is another, say so with --task")
        return [(recipe, origin, Path())]
    for flag in options.model_flags:
        if getattr(options, flag.dest) != flag.default:
            raise ConfigError(
                f"{flag.option_strings[0]}: want it with a model, got a recipe, which says it; change that"
            )
    paths = [find_recipe(name) for name in options.models] or sorted(RECIPES.glob("*.toml"))
    if not paths:
        raise ConfigError(f"recipes {RECIPES}: want at least one .toml file, got none; add one")
    recipes = [judged_by(read_recipe(path), options, f"recipe {path}") for path in paths]
    return [(recipe, recipe_origin(recipe, path), path.parent) for recipe, path in zip(recipes, paths, strict=True)]


def recipe_origin(recipe: Recipe, path: Path) -> Origin:
    """Return the model of a recipe read from `path`."""
    model = recipe.model if ":" in recipe.model else str(path.parent / recipe.model)
    imports = tuple(path.parent / file for file in recipe.imports)
    return Origin(model, recipe.arguments, imports, recipe.trust)


def _is_model(name: str) -> bool:
    """Tell a model from the name of a recipe."""
    return Path(name).suffix in (".keras", ".h5", ".hdf5") or Path(name).is_dir() or ":" in name


def _inspect(options: argparse.Namespace) -> int:
    origin = origin_of(options)
    limits = Limits(options.time_limit, options.memory_limit, walls=walled(origin))
    for line in run_limited(describe, limits, "opening the model", origin, options.size):
        _say(line)
    return 0


def _verify(options: argparse.Namespace) -> int:
    limits = Limits(options.time_limit, options.memory_limit)
    verify(options.bundle, options.metric_data, options.legacy, limits, _say)
    _say(f"{options.bundle}: all checks passed")
    return 0


def _say(line: str) -> None:
    print(printable(line), flush=True)
