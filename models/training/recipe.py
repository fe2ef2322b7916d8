"""A training recipe: a TOML file read into one frozen struct of its family. An unknown key is an error."""

import hashlib
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parent.parent / "recipes"
"""Below it each family has a folder."""

_T = TypeVar("_T", bound="Part")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part of a recipe: immutable, an unknown key is an error."""


def read_recipe(path: Path, kind: type[_T]) -> _T:
    """Read and check one recipe.

    Args:
        path: the TOML file.
        kind: struct of the family, a subclass of `Part`.

    Raises:
        ConfigError: not readable, not TOML, an unknown or missing key, or a value of another type.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise ConfigError(f"recipe {path}: want a readable file, got '{error.strerror}'; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path}: want TOML, got '{error}'; correct that place") from error
    except msgspec.ValidationError as error:
        want = ", ".join(field.name for field in msgspec.structs.fields(kind))
        raise ConfigError(f"recipe {path}: want the keys {want}, got '{error}'; correct it") from error


def find_recipes(family: str) -> dict[str, Path]:
    """Return name -> file of all recipes in `models/recipes/FAMILY`, by name."""
    return {path.name.removesuffix(".toml"): path for path in sorted((RECIPES / family).glob("*.toml"))}


def find_recipe(family: str, name: str) -> Path:
    """Return the file of a recipe given by its path, or by its name in `models/recipes/FAMILY`.

    Raises:
        ConfigError: there is none.
    """
    known = find_recipes(family)
    if name in known:
        return known[name]
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    raise ConfigError(f"recipe '{name}': want a .toml file or one of {', '.join(known) or 'none yet'}, got neither")


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
