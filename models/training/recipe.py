"""A training recipe: a TOML file read into one frozen struct of its family. An unknown key is an error."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.settings import PlainName, convert, did_you_mean, given_path, read_toml

RECIPES = Path(__file__).parent.parent / "recipes"
"""Below it each family has a folder."""

Width = Annotated[int, msgspec.Meta(ge=1, le=16_384)]
"""Units or channels of a layer: four times the 4,096 of VGG16, the widest net here."""
Window = Annotated[int, msgspec.Meta(ge=1, le=256)]
"""Side or step of what slides over a picture, pixels: no map here is larger."""
Few = Annotated[int, msgspec.Meta(ge=1, le=1000)]
"""Of what one step holds at once, or of layers in a row: a thousand are beyond any memory here."""

_T = TypeVar("_T", bound="Part")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part of a recipe: immutable, an unknown key is an error, each value in the range of its type."""

    def complaints(self) -> Iterator[str]:
        """Name what must hold between several values and does not: "KEY: want X, got Y; do Z"."""
        yield from ()


class _Named(msgspec.Struct):
    name: PlainName


def read_recipe(path: Path, kind: type[_T]) -> _T:
    """Read and check one recipe.

    Args:
        path: the TOML file.
        kind: struct of the family, a subclass of `Part`.

    Raises:
        ConfigError: not readable, not TOML, an unknown or missing key, a value of another type or out of its range, or
            values that contradict each other.
    """
    what = f"recipe {path}"
    return made_of(read_toml(path, what), kind, what)


def made_of(values: dict[str, Any], kind: type[_T], what: str) -> _T:
    """Make a checked recipe of keys and values; `what` begins the sentence of an error.

    Raises:
        ConfigError: as `read_recipe`.
    """
    recipe = convert(values, kind, what)
    for complaint in recipe.complaints():
        raise ConfigError(f"{what}: {complaint}")
    return recipe


def changed(recipe: _T, what: str, **given: object) -> _T:
    """Lay the values that were given (not None) over a recipe, and check it like one that was read.

    Raises:
        ConfigError: as `read_recipe`, in a sentence that begins with `what`.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if not values:
        return recipe
    return made_of({**msgspec.to_builtins(recipe), **values}, type(recipe), what)


def plain_name(name: str, what: str) -> str:
    """Return a name that becomes a folder's.

    Raises:
        ConfigError: it has a separator, a leading dot or the like; the sentence begins with `what`.
    """
    return convert({"name": name}, _Named, what).name


def find_recipes(family: str) -> dict[str, Path]:
    """Return name -> file of all recipes in `models/recipes/FAMILY`, by name."""
    return {path.name.removesuffix(".toml"): path for path in sorted((RECIPES / family).glob("*.toml"))}


def find_recipe(family: str, name: str) -> Path:
    """Return the file of a recipe given by its path, or by its name in `models/recipes/FAMILY`.

    Raises:
        ConfigError: there is no recipe of that name, or no path. Whether a file can be read, reading it says.
    """
    return named_recipe(name, find_recipes(family), "a .toml file or a recipe's name")


def named_recipe(name: str, known: Mapping[str, Path], want: str) -> Path:
    """Return the file of a recipe given by its path, or by its name.

    Args:
        name: as it was typed.
        known: name -> file.
        want: what may be given, for the sentence of an error.

    Raises:
        ConfigError: there is no recipe of that name, or no path. Whether a file can be read, reading it says.
    """
    if name in known:
        return known[name]
    if name.endswith(".toml"):
        return given_path(name, f"recipe '{name}'")
    raise ConfigError(f"recipe '{name}': want {want}, got something else; {did_you_mean(name, known)}")


def fingerprint(*parts: NDArray[Any] | Part | str) -> str:
    """Return a SHA-256 in hexadecimal over arrays (dtype, shape, values), recipes and words, in order.

    A recipe counts by its values: comments and the order of keys change nothing.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}\n".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")
        else:
            digest.update(part.encode() if isinstance(part, str) else msgspec.json.encode(part, order="deterministic"))
        digest.update(b"\0")
    return digest.hexdigest()
