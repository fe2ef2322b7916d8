"""`python -m converters convert`: recipes of Keras models -> bundles; what `make convert` calls."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from converters.convert import bundle_folder, convert_recipe
from converters.recipe import RECIPES, find_recipe, read_recipe
from edge.errors import ConfigError, EdgeError

OUT = Path("build") / "bundles"
"""Where `edge-run` looks for bundles first."""

_FAILED = 3
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 configuration, 3 a variant was refused, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return _convert(options)
    except EdgeError as error:
        print(f"converters: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("converters: interrupted; what was written is whole", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m converters", description="Keras models -> bundles for a device.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    convert = commands.add_parser(
        "convert",
        help="bring bundles up to date",
        description="Convert recipes; what is up to date is left alone, what is too far from Keras is not written.",
    )
    convert.add_argument("recipes", nargs="*", metavar="RECIPE", help="name in models/recipes, or a .toml file")
    convert.add_argument("--all", action="store_true", help="every recipe directly in models/recipes (the default)")
    convert.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where bundles go (default: %(default)s)")
    convert.add_argument(
        "--variants", default="", metavar="WORDS", help="some of the recipe's: int8,tflite,fp32-onnx... (default: all)"
    )
    convert.add_argument("--force", action="store_true", help="convert what is up to date, too")
    return parser


def _convert(options: argparse.Namespace) -> int:
    if options.recipes and options.all:
        raise ConfigError("--all: want it alone, got recipes beside it; give one or the other")
    paths = [find_recipe(name) for name in options.recipes] or sorted(RECIPES.glob("*.toml"))
    if not paths:
        raise ConfigError(f"recipes {RECIPES}: want at least one .toml file, got none; add one")
    for path in paths:
        read_recipe(path)  # a slip in the last recipe must not cost the time of all others
    wanted = tuple(word.strip() for word in options.variants.split(",") if word.strip())
    failed = 0
    with bundle_folder(options.out) as folder:
        for path in paths:
            try:
                failed += convert_recipe(path, folder, wanted, options.force, _say)
            except ConfigError:
                raise
            except EdgeError as error:
                _say(f"{path.stem}: NOT CONVERTED: {error}")
                failed += 1
            except OSError as error:
                raise ConfigError(
                    f"--out {folder}: want room for a bundle, got '{error.strerror}'; nothing of it was written"
                ) from error
    if failed:
        print(f"converters: {failed} failed; no file of these was written", file=sys.stderr)
    return _FAILED if failed else 0


def _say(line: str) -> None:
    print(line, flush=True)
