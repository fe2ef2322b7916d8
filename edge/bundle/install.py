"""Bundles of a folder: put there whole from a `.zip`, listed, removed."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from edge.bundle.files import MANIFEST_FILE, Bundle, peek_bundle, read_bundle, remove_profiles, root_of, unpack_files
from edge.errors import BundleError
from edge.limits import LimitError, open_file, open_zip, plain_name
from edge.whole import REPLACING, recover, replace_folder, staging, sweep


def install_bundle(archive: Path, folder: Path, prove: Callable[[Path], object] | None = None) -> Bundle:
    """Unpack a bundle's `.zip` below `folder`, checked before it replaces anything.

    Args:
        archive: the file that `make convert` left beside the bundle.
        folder: where bundles live; made if missing. What killed installations left there is removed.
        prove: called with the unpacked folder before it takes its place; what it raises ends the installation.

    Raises:
        BundleError: not a zip, not a bundle, damaged, or with a member that points outside.
        OSError: the disk is full or the place cannot be written; nothing is left behind.
    """
    sweep(folder)
    with staging(folder) as room:
        try:
            with open_file(archive) as file, open_zip(file) as packed:
                name = plain_name(root_of(packed))
                unpack_files(packed, room / name)
        except FileNotFoundError as error:
            if error.filename != str(archive):
                raise
            raise BundleError(
                f"bundle {archive}: want the .zip of a bundle, got no such file; check the path"
            ) from error
        except (LimitError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise BundleError(
                f"bundle {archive}: want a .zip of a bundle, got a wrong one: {error}; copy it again"
            ) from error
        try:
            bundle = read_bundle(room / name)
            if prove is not None:
                prove(room / name)
        except BundleError as error:
            raise BundleError(str(error).replace(str(room / name), str(archive))) from error
        replace_folder(room / name, folder / name)
    remove_profiles(folder / name)
    return Bundle(folder / name, bundle.manifest, bundle.sums)


def find_bundles(folder: Path) -> list[Bundle]:
    """List the bundles directly inside `folder`, by name, leaving out what cannot be read as one."""
    found = []
    for path in _candidates(folder):
        try:
            found.append(peek_bundle(path))
        except BundleError:
            continue  # another format's or a broken bundle is no candidate for a default
    return found


def unreadable_bundles(folder: Path) -> list[BundleError]:
    """Say of each folder with a manifest inside `folder` that is no bundle of today why not."""
    errors = []
    for path in _candidates(folder):
        try:
            peek_bundle(path)
        except BundleError as error:
            errors.append(error)
    return errors


def remove_bundle(path: Path) -> list[Path]:
    """Remove a bundle's folder, and its zip and figures beside it.

    Args:
        path: the folder; it is moved aside first, so that no half of it is ever found.

    Returns:
        What was removed.

    Raises:
        OSError: it cannot be removed.
    """
    removed = [path]
    if path.is_symlink():
        path.unlink()  # what it points to is somebody else's
    else:
        with staging(path.parent) as room:
            path.rename(room / "removed")
    archive = path.with_name(f"{path.name}.zip")
    if archive.is_file():
        archive.unlink()
        removed.append(archive)
    remove_profiles(path)
    return removed


def _candidates(folder: Path) -> list[Path]:
    """Return the folders that look like bundles, after bringing back what a killed replacement moved aside."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
    for name in names:
        if name.startswith(".") and name.endswith(REPLACING):
            with contextlib.suppress(OSError):  # what cannot be brought back is not found
                recover(folder / name[1 : -len(REPLACING)])
    return [
        folder / name for name in names if not name.startswith(".") and os.path.isfile(folder / name / MANIFEST_FILE)
    ]
