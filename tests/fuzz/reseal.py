"""Make a changed bundle look as if it had been made so: the hashes that it states become right again."""

import hashlib
from pathlib import Path

from edge.bundle import GOLDEN_FILE, MANIFEST_FILE
from tests.fuzz.mutate import Tree, dump_tree, get, parse_tree, put


def reseal(folder: Path) -> None:
    """State the hashes of what lies in a bundle's folder; leaves a manifest alone that is no JSON."""
    path = folder / MANIFEST_FILE
    try:
        tree = parse_tree(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    state_hashes(tree, folder)
    path.write_text(dump_tree(tree))


def state_hashes(tree: Tree, folder: Path) -> None:
    """Set the hashes in a manifest's tree."""
    model = get(tree, "model_file")
    for name, keys in ((model, ("model_sha256",)), (GOLDEN_FILE, ("golden", "sha256"))):
        if isinstance(name, str) and _is_file(folder, name):
            put(tree, hashlib.sha256((folder / name).read_bytes()).hexdigest(), *keys)


def seal_sums(folder: Path) -> None:
    """Write the sums over all files of the folder, where this version of a bundle has them."""


def _is_file(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file() and (folder / name).resolve().parent == folder.resolve()
    except (OSError, ValueError):
        return False
