"""Bundles of a folder: put there whole from a `.zip`, listed, removed."""

import contextlib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from edge.bundle.files import MANIFEST_FILE, Bundle, peek_bundle, read_bundle, remove_profiles, unpack_files
from edge.errors import BundleError
from edge.limits import LimitError, open_file, open_zip
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
    try:
        file = open_file(archive)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"'{error.strerror}'"
        raise BundleError(f"bundle {archive}: want the .zip of a bundle, got {reason}; check the path") from error
    except LimitError as error:
        raise BundleError(f"bundle {archive}: {error}; give the .zip of a bundle") from error
    with file:
        sweep(folder)
        with staging(folder) as room:
            bundle = _unpack(archive, file, room)
            try:
                if prove is not None:
                    prove(bundle.path)
            except BundleError as error:
                raise _of_archive(error, bundle.path, archive) from error
            place = folder / bundle.path.name
            replace_folder(bundle.path, place)
    remove_profiles(place)
    return Bundle(place, bundle.manifest, bundle.sums)


def _unpack(archive: Path, file: BinaryIO, room: Path) -> Bundle:
    """Unpack an archive into an empty folder and read the bundle there.

    Raises:
        BundleError: as `install_bundle`.
        OSError: the disk is full.
    """
    try:
        with open_zip(file) as packed:
            path = unpack_files(packed, room)
    except (LimitError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"bundle {archive}: want a .zip of a bundle: {error}; copy it again") from error
    try:
        return read_bundle(path)
    except BundleError as error:
        raise _of_archive(error, path, archive) from error


def _of_archive(error: BundleError, path: Path, archive: Path) -> BundleError:
    """Speak of the archive where an error speaks of the folder it was unpacked to."""
    return BundleError(str(error).replace(str(path), str(archive)))


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
    return removed + remove_profiles(path)


def _candidates(folder: Path) -> list[Path]:
    """Return the folders that look like bundles, after bringing back what a killed replacement moved aside."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return []
    for name in sorted(names):
        if name.startswith(".") and name.endswith(REPLACING) and len(name) > len(REPLACING) + 1:
            replaced = name[1 : -len(REPLACING)]
            with contextlib.suppress(OSError):  # what cannot be brought back is not found
                recover(folder / replaced)
                names.add(replaced)
    found = []
    for name in sorted(names):
        with contextlib.suppress(OSError):  # nor is what cannot be looked into
            if not name.startswith(".") and (folder / name / MANIFEST_FILE).is_file():
                found.append(folder / name)
    return found
