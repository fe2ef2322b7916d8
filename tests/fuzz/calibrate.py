"""What the converter's job does with calibration data, without the conversion: read, fit and hash a few examples."""

import os
import sys
from pathlib import Path

from converters.readers import take_examples
from converters.recipe import Pictures, Recipe
from edge.bundle import Preprocess, TensorSpec
from edge.errors import EdgeError

SIDE, COUNT = 16, 4


def main(arguments: list[str]) -> int:
    """Take examples from a place; returns the exit code, as `converters.cli.main` does."""
    screen = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # as in a job, whose libraries are not heard
    try:
        _take(Path(arguments[0]))
    except EdgeError as error:
        os.dup2(screen, 2)
        print(f"converters: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        os.dup2(screen, 2)
    return 0


def _take(place: Path) -> None:
    specs = (TensorSpec(name="image", dtype="uint8", shape=(1, SIDE, SIDE, 3)),)
    recipe = Recipe(name="x", task="classify", model="", variants={}, preprocess=Preprocess(fit="stretch"))
    wanted = Pictures(source=str(place), count=COUNT, at_most=True)
    examples = take_examples([(place, wanted)], specs, recipe)
    for number in range(len(examples)):
        examples.inputs(number)
        examples.picture(number)
        examples.sha256(number)
