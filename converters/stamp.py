"""One hash over all that a bundle is made from, and what was made or refused under it."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from converters.assets import asset_sha256, is_asset, source_path
from converters.load import Origin, origin_sha256
from converters.pack import tool_versions
from converters.recipe import Recipe, Variant
from edge.bundle import SUMS_FILE, format_sums, read_bundle
from edge.errors import BundleError, ConfigError, LimitError
from edge.limits import open_file, open_zip

CONVERTER = 4
"""Raise it when the same recipe shall give another file; every bundle is then made again."""

_REFUSED = ".refused"


def basis(recipe: Recipe, origin: Origin, base: Path) -> str:
    """Return the hash of what all variants of a model share: its source, weights, data and preprocessing.

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


def stamp(recipe: Recipe, variant: Variant, foundation: str) -> str:
    """Return the hash over all that one bundle is made from.

    Args:
        recipe: whose rules for the variant, limits and target count.
        variant: what is made.
        foundation: from `basis`.
    """
    own = (recipe.variants[variant.name], recipe.allowed_drop(variant), recipe.min_agreement, recipe.target)
    tools = sorted(tool_versions(variant).items())
    return hashlib.sha256(msgspec.json.encode((CONVERTER, foundation, variant.name, own, tools))).hexdigest()


def is_up_to_date(bundle: Path, current: str) -> bool:
    """Tell whether a bundle and its zip are there, whole, and made under this stamp."""
    try:
        found = read_bundle(bundle)
        if found.manifest.provenance.recipe_sha256 != current:
            return False
        with open_file(bundle.with_name(f"{bundle.name}.zip")) as file, open_zip(file) as packed:
            members = {member.filename for member in packed.infolist()}
            twin = packed.read(f"{bundle.name}/{SUMS_FILE}")
            whole = packed.testzip() is None
        listed = {f"{bundle.name}/{name}" for name in (*found.sums, SUMS_FILE)}
        return whole and members == listed and twin == format_sums(found.sums)
    except (BundleError, LimitError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def note_refusal(folder: Path, name: str, current: str, reason: str) -> None:
    """Remember that an optional variant failed, so that it is not tried on every run."""
    (folder / _REFUSED).mkdir(exist_ok=True)
    (folder / _REFUSED / f"{name}.txt").write_text(f"{current}\n{reason}\n", "utf-8")


def refusal(folder: Path, name: str, current: str) -> str:
    """Return why this optional variant failed under this stamp; "" where it did not."""
    try:
        made_under, _, reason = (folder / _REFUSED / f"{name}.txt").read_text("utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return reason.strip() if made_under == current else ""


def _parts(recipe: Recipe, origin: Origin, base: Path) -> Iterator[bytes]:
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
    """Return the recipe without variants, limits and the names of folders: the same data elsewhere are the same."""
    places = {
        kind: tuple(msgspec.structs.replace(place, source=Path(place.source).name) for place in getattr(recipe, kind))
        for kind in ("calibration", "parity")
    }
    model = recipe.model if ":" in recipe.model else Path(recipe.model).name
    imports = tuple(Path(file).name for file in recipe.imports)
    bare = msgspec.structs.replace(
        recipe,
        model=model,
        metric=Path(recipe.metric).name,
        imports=imports,
        variants={},
        max_drop=0.0,
        min_agreement=0.0,
        target="",
        **places,
    )
    return msgspec.json.encode(bare, order="deterministic")


def _contents(path: Path) -> Iterator[bytes]:
    """Yield names and bytes of a file, or of all files below a folder."""
    if not path.exists():
        raise ConfigError(f"data {path}: want a file or folder with examples, got none; check the path")
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            yield file.relative_to(path.parent).as_posix().encode()
            yield hashlib.sha256(file.read_bytes()).digest()
