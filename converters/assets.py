"""What recipes name and `models.weights` fetches: weights, and the pictures that come from a registry."""

import hashlib
from pathlib import Path

from edge.bundle import Weights
from models.weights import ASSETS, fetch, provenance


def is_asset(name: str) -> bool:
    """Tell whether `models.weights` knows this name."""
    return name in ASSETS


def asset_sha256(name: str) -> str:
    """Return a hash of what an asset is pinned to: package, version and files. Nothing is fetched for it."""
    package, members = ASSETS[name].package, ASSETS[name].members
    pinned = [package.registry, package.name, str(package.version), str(package.sha256)]
    pinned += [f"{path} {sha256}" for path, sha256 in sorted(members.items())]
    return hashlib.sha256("\n".join(pinned).encode()).hexdigest()


def asset_weights(name: str) -> Weights:
    """Return where an asset comes from, for a bundle's provenance.

    Raises:
        FetchError: it could not be fetched.
    """
    return provenance(name)


def source_path(source: str, base: Path) -> Path:
    """Return where data are: an asset, fetched if need be, or a place relative to `base`.

    Raises:
        FetchError: it could not be fetched.
    """
    return fetch(source) if is_asset(source) else base / source
