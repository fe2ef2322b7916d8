"""Where bundles live on this machine, which one a name means, and which one is taken when none is named."""

import os
from pathlib import Path

from edge.bundle import MANIFEST_FILE, Task, find_bundles, remove_bundle
from edge.errors import BundleError, ConfigError
from edge.model import default_bundle
from edge.settings import did_you_mean, given_path
from edge.whole import recover

BUILD_FOLDER = Path("build/bundles")
"""Where `make convert` leaves them."""


def data_folder() -> Path:
    """Return where this user's bundles live, by the XDG base directory specification."""
    home = os.environ.get("XDG_DATA_HOME")
    if not home:
        try:
            home = str(Path.home() / ".local" / "share")
        except RuntimeError as error:
            raise ConfigError("home folder: want one for bundles, got none for this user; set XDG_DATA_HOME") from error
    return given_path(home, "XDG_DATA_HOME") / "edge-run" / "bundles"


def bundle_for(task: Task, given: str) -> Path:
    """Return the folder of the bundle that was named, else of the one found for the task.

    Raises:
        BundleError: none is named and none is found, or none has that name.
    """
    return named_bundle(given) if given else default_bundle(task, (BUILD_FOLDER, data_folder()))


def named_bundle(given: str) -> Path:
    """Return the folder of a bundle: a path, or the name of one in `BUILD_FOLDER` or the data folder.

    A word without a slash that is no existing path is a name.

    Raises:
        BundleError: no bundle has that name; the message has the nearest ones.
        ConfigError: neither a name nor a path that can be.
    """
    path = given_path(given, f"bundle {given!r}")
    if "/" in given or given.startswith("~") or _exists(path):
        return path
    for folder in (BUILD_FOLDER, data_folder()):
        if _is_bundle(folder, given):
            return folder / given
    raise _unknown(given, (BUILD_FOLDER, data_folder()))


def remove_named(given: str) -> list[Path]:
    """Remove a bundle of the data folder, given by its name or its path.

    Returns:
        What was removed.

    Raises:
        BundleError: none of that name, or one that lies elsewhere.
        OSError: it cannot be removed.
    """
    home = data_folder()
    path = given_path(given, f"bundle {given!r}")
    name = path.name if "/" in given else given
    if "/" in given and not _same(path.parent, home):
        raise BundleError(f"bundle {given}: want one in {home}, got one elsewhere; remove that folder yourself")
    if not _is_bundle(home, name):
        if _is_bundle(BUILD_FOLDER, name):
            raise BundleError(
                f"bundle {name}: want one in {home}, got one in {BUILD_FOLDER}, which 'make convert' fills; remove "
                "that folder yourself"
            )
        raise _unknown(name, (home,))
    return remove_bundle(home / name)


def _is_bundle(folder: Path, name: str) -> bool:
    """Tell whether a folder of that name looks like a bundle, whole or not."""
    if not name or name.startswith(".") or "\0" in name:
        return False
    try:
        recover(folder / name)
        return (folder / name / MANIFEST_FILE).is_file()
    except OSError:
        return False


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError):  # a loop of links, which Python before 3.13 reports in its own way
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        return False


def _unknown(given: str, folders: tuple[Path, ...]) -> BundleError:
    known = sorted({bundle.path.name for folder in folders for bundle in find_bundles(folder)})
    todo = did_you_mean(given, known) if known else "'edge bundle install FILE.zip' puts one there"
    where = " or ".join(map(str, folders))
    return BundleError(f"bundle {given!r}: want a name in {where}, got another; {todo}")
