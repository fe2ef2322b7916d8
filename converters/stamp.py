"""One hash over all that a bundle is made from, and what was made or refused under it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from converters.assets import asset_sha256, is_asset, source_path
from converters.load import Origin, origin_sha256
from converters.recipe import Recipe
from edge.bundle import read_bundle
from edge.errors import BundleError, ConfigError

CONVERTER = 2
"""Raise it when the same recipe shall give another file; every bundle is then made again."""

_REFUSED = ".refused"


def stamp(recipe: Recipe, origin: Origin, base: Path) -> str:
    """Return the hash of the recipe, the model's source, weights, data, and this converter's version.

    Args:
        recipe: what to make.
        origin: the Keras model.
        base: folder that the recipe's paths are relative to.

    Raises:
        ConfigError: data that the recipe names are not there.
    """
    whole = hashlib.sha256()
    for part in _parts(recipe, origin, base):
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


def _parts(recipe: Recipe, origin: Origin, base: Path) -> Iterator[bytes]:
    yield str(CONVERTER).encode()
    yield _without_paths(recipe)
    yield origin_sha256(origin).encode()
    for name in recipe.weights:
        yield asset_sha256(name).encode()
    sources = [place.source for place in (*recipe.calibration, *recipe.parity)]
    for source in [*sources, *([recipe.metric] if recipe.metric else [])]:
        if is_asset(source):
            yield asset_sha256(source).encode()
        else:
            yield from _contents(source_path(source, base))


def _without_paths(recipe: Recipe) -> bytes:
    """Return the recipe without the names of folders: the same data elsewhere make the same bundle."""
    places = {
        kind: tuple(msgspec.structs.replace(place, source=Path(place.source).name) for place in getattr(recipe, kind))
        for kind in ("calibration", "parity")
    }
    model = recipe.model if ":" in recipe.model else Path(recipe.model).name
    imports = tuple(Path(file).name for file in recipe.imports)
    bare = msgspec.structs.replace(recipe, model=model, metric=Path(recipe.metric).name, imports=imports, **places)
    return msgspec.json.encode(bare, order="deterministic")


def _contents(path: Path) -> Iterator[bytes]:
    """Yield names and bytes of a file, or of all files below a folder."""
    if not path.exists():
        raise ConfigError(f"data {path}: want a file or folder with examples, got none; check the path")
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            yield file.relative_to(path.parent).as_posix().encode()
            yield hashlib.sha256(file.read_bytes()).digest()
