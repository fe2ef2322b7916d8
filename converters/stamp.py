"""One hash over all that a bundle is made from, and what was made or refused under it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from converters.assets import asset_sha256, is_asset, source_path
from converters.calibration import source_files
from converters.load import module_files
from converters.recipe import Recipe
from edge.bundle import read_bundle
from edge.errors import BundleError

CONVERTER = 1
"""Raise it when the same recipe shall give another file; every bundle is then made again."""

_REFUSED = ".refused"


def stamp(path: Path, recipe: Recipe) -> str:
    """Return the hash of the recipe's text, the model's source, weights, pictures, and this converter's version.

    Raises:
        ConfigError: pictures that the recipe names are not there.
    """
    whole = hashlib.sha256()
    for part in _parts(path, recipe):
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def is_up_to_date(bundle: Path, current: str) -> bool:
    """Tell whether a bundle and its zip are there, whole, and made under this stamp."""
    if not bundle.with_name(f"{bundle.name}.zip").is_file():
        return False
    try:
        return read_bundle(bundle).manifest.provenance.recipe_sha256 == current
    except BundleError:
        return False


def note_refusal(folder: Path, name: str, current: str, reason: str) -> None:
    """Remember that an optional variant failed, so that it is not tried on every run."""
    (folder / _REFUSED).mkdir(exist_ok=True)
    (folder / _REFUSED / f"{name}.txt").write_text(f"{current}\n{reason}\n", "utf-8")


def refusal(folder: Path, name: str, current: str) -> str:
    """Return why this optional variant failed under this stamp; "" where it did not."""
    try:
        made_under, _, reason = (folder / _REFUSED / f"{name}.txt").read_text("utf-8").partition("\n")
    except OSError:
        return ""
    return reason.strip() if made_under == current else ""


def _parts(path: Path, recipe: Recipe) -> Iterator[bytes]:
    yield str(CONVERTER).encode()
    yield path.read_bytes()
    for file in module_files(recipe.model):
        yield file.read_bytes()
    for name in recipe.weights:
        yield asset_sha256(name).encode()
    for pictures in (*recipe.calibration, *recipe.parity):
        if is_asset(pictures.source):
            yield asset_sha256(pictures.source).encode()
        else:
            for file in source_files(source_path(pictures.source, path), pictures.pattern):
                yield file.name.encode()
                yield file.read_bytes()
