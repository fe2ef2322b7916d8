"""Wrong recipes and files cut while read, a few of each: `python -m tests.fuzz.recipes` runs many."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from converters.recipe import RECIPES as CONVERSIONS
from converters.recipe import Recipe as Conversion
from converters.recipe import TargetName
from converters.targets import TARGETS
from edge.errors import ConfigError, EdgeError
from edge.settings import convert, read_toml
from models.siamese.heads import Head
from models.siamese.mine import Rules
from models.siamese.projection import Projection
from models.training.recipe import changed, find_recipe, made_of, plain_name
from tests.fuzz.recipes import Case, failures, run_case


@pytest.mark.filterwarnings("ignore")
def test_no_wrong_recipe_and_no_file_that_is_cut_gives_a_traceback() -> None:
    assert failures(seed=1, recipes=500, cuts=100) == []


def test_what_is_no_answer_is_found() -> None:
    def broken(_: Path) -> None:
        raise KeyError("x")

    def two_lines(_: Path) -> None:
        raise EdgeError("a\nb")

    for read in (broken, two_lines):
        assert "case" in run_case(Case("case", Path(), read))
    assert run_case(Case("case", Path(), Path)) == ""


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        *(("projection", key, 0) for key in ("views", "dim", "stripes", "steps", "epochs", "patience", "components")),
        *(("projection", key, -1.0) for key in ("rate", "whiten", "held_out", "jitter", "centre")),
        *(("projection", key, 1) for key in ("groups", "crops")),
        ("projection", "rate", 1.5), ("projection", "jitter", 0.5), ("projection", "held_out", 1.0),
        ("projection", "size", [31, 64]), ("projection", "stripes", 7), ("projection", "name", "../../x"),
        *(("head", key, -8) for key in ("batch", "before", "decay", "at_once", "epochs", "patience", "rate", "seed")),
        ("head", "rate", 0.0), ("head", "dropout", 1.0), ("head", "hidden", [0]), ("head", "batch", 1),
        ("head", "name", ".x"), ("head", "base", "a\0b"),
        ("rules", "apart", 0), ("rules", "per_track", 1), ("rules", "covered", 1.1), ("rules", "frames", [5, 5]),
    ],
)  # fmt: skip
def test_every_number_of_the_siamese_recipes_has_a_range_and_every_name_is_plain(
    kind: str, key: str, value: object
) -> None:
    kinds: dict[str, type[Projection | Head | Rules]] = {"projection": Projection, "head": Head, "rules": Rules}
    named = {} if kind == "rules" else {"name": "a"}
    made_of(dict(named), kinds[kind], "recipe a")
    with pytest.raises(ConfigError, match=f"recipe a: {key}"):
        made_of({**named, key: value}, kinds[kind], "recipe a")


def test_a_projection_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="colours, tap: want one of them"):
        made_of({"name": "a", "colours": 0, "tap": ""}, Projection, "recipe a")


def test_flags_are_checked_like_what_is_read() -> None:
    recipe = made_of({"name": "a"}, Projection, "recipe a")
    assert changed(recipe, "--name", name="b").name == "b"
    assert changed(recipe, "--name", name=None) is recipe
    with pytest.raises(ConfigError, match="--name: name: want a name of 1 to 100"):
        changed(recipe, "--name", name="../x")


def test_names_of_recipes_that_are_nearly_right_are_guessed() -> None:
    with pytest.raises(ConfigError, match="did you mean 'on-the-spot'"):
        find_recipe("siamese", "on-the-sport")
    with pytest.raises(ConfigError, match="nobody"):
        find_recipe("siamese", "~nobody-of-this-name/x.toml")
    with pytest.raises(ConfigError, match="want a path of at most 4095 bytes"):
        find_recipe("siamese", "n" * 5000 + ".toml")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb", "\u00fc", "n" * 101])
def test_names_that_become_paths_are_plain(name: str) -> None:
    with pytest.raises(ConfigError, match="--name: name: want a name of 1 to 100"):
        plain_name(name, "--name")


def test_targets_of_recipes_are_those_that_there_are() -> None:
    assert set(get_args(TargetName)) == {"", *TARGETS}


def test_reading_conversions_leaves_memory_whole() -> None:
    """In a process of its own: msgspec's fault with a whole number beside a pair ends it at a garbage collection."""
    code = (
        "import gc, sys\nfrom pathlib import Path\nfrom converters.recipe import read_recipe\n"
        "for path in sys.argv[1:]:\n    read_recipe(Path(path)); gc.collect()"
    )
    paths = [str(path) for path in CONVERSIONS.glob("*.toml")]
    assert subprocess.run([sys.executable, "-c", code, *paths], check=False).returncode == 0


def test_a_variant_that_there_is_not_is_named_with_the_nearest() -> None:
    values = read_toml(CONVERSIONS / "nanodet-416.toml", "recipe a")
    with pytest.raises(ConfigError, match=r"variants: want .*, got 'fp32-tfite'; did you mean 'fp32-tflite'"):
        convert(values | {"variants": {"fp32-tfite": {"cosine_min": 0.9}}}, Conversion, "recipe a")
