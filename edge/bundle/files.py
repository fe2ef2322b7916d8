"""A bundle on disk: a folder of three files and `SHA256SUMS` over them, or a `.zip` of that folder.

    bundle.json    the manifest, see `edge.bundle.manifest`
    model.*        the model file of one runtime
    golden.npz     inputs and what the model must answer to them, see `edge.golden`
    SHA256SUMS     their hashes, as `sha256sum -c SHA256SUMS` reads them

The hash of SHA256SUMS is the identity of the bundle. It stops accidents, not a forger: who changes a file can also
write its new hash.
"""

import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from edge.bundle.check import complaints
from edge.bundle.manifest import FORMAT, Manifest, Task
from edge.errors import BundleError
from edge.limits import LimitError, open_file, plain_name, read_file
from edge.whole import recover, replace_folder, staging

MANIFEST_FILE = "bundle.json"
GOLDEN_FILE = "golden.npz"
SUMS_FILE = "SHA256SUMS"

PROFILE_MARK = ".profile-"
"""Between a bundle's name and a board's: the figures that `edge profile` writes beside the folder."""

MOST_MANIFEST_BYTES = 4_000_000
"""100,000 labels of 20 bytes, and as much again."""
_MOST_SUMS_BYTES = 10_000
_MOST_MODEL_BYTES = 2_000_000_000
_CHUNK_BYTES = 1_000_000
_ATTEMPTS = 3
"""An installation may take the folder's place while it is read; three in a row while one is read do not happen."""
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")
_CONVERT = "convert the bundle again with this version's converter"
_AGAIN = "copy or convert the bundle again"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk.

    Attributes:
        path: the folder.
        manifest: its contract.
        sums: name -> SHA-256 of each file.
    """

    path: Path
    manifest: Manifest
    sums: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.path / self.manifest.model_file

    @property
    def golden_path(self) -> Path:
        """The stored answer."""
        return self.path / GOLDEN_FILE

    @property
    def sha256(self) -> str:
        """The bundle's identity: the hash of SHA256SUMS, and so of every byte."""
        return sha256(format_sums(self.sums))


class _Version(msgspec.Struct):
    """What manifests of all versions have."""

    format: int = 0


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_bundle(path: Path, task: Task | None = None) -> Bundle:
    """Open a bundle folder and check that every byte is the one that was written.

    Args:
        path: the folder.
        task: what the bundle must be for, or None for any.

    Raises:
        BundleError: no such folder, not a bundle, a damaged, missing, foreign or unreadable file, a manifest that
            contradicts itself, or another task.
    """
    for _ in range(_ATTEMPTS):
        before = _identity(path)
        try:
            return _read_bundle(path, task)
        except BundleError:
            if _identity(path) == before:
                raise
    return _read_bundle(path, task)


def peek_bundle(path: Path) -> Bundle:
    """Open a bundle folder as `read_bundle` does, but leave the content of model and stored answer unread.

    Raises:
        BundleError: as `read_bundle`, but for a damaged model or stored answer.
    """
    _find(path)
    sums = _read_sums(path)
    text = _read(path, MANIFEST_FILE, MOST_MANIFEST_BYTES)
    if MANIFEST_FILE not in sums:
        raise BundleError(f"bundle {path}: want {MANIFEST_FILE} in {SUMS_FILE}, got none; {_AGAIN}")
    _check_sum(path, MANIFEST_FILE, sha256(text), sums)
    manifest = decode_manifest(text, f"bundle {path}")
    _check_names(path, manifest, sums)
    return Bundle(path, manifest, sums)


def read_manifest(path: Path) -> Manifest:
    """Read a bundle's manifest; see `peek_bundle`."""
    return peek_bundle(path).manifest


def decode_manifest(text: bytes, where: str) -> Manifest:
    """Read and check the content of `bundle.json`.

    Args:
        text: JSON.
        where: begins the sentence of an error.

    Raises:
        BundleError: another version, not JSON, an unknown or missing key, or values out of range or that contradict
            each other.
    """
    version = _version_of(text)
    if version not in (0, FORMAT):
        raise BundleError(_other_version(where, version))
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{where}: want a {MANIFEST_FILE} of format {FORMAT}, got '{error}'; {_CONVERT}") from error
    for complaint in complaints(manifest):
        raise BundleError(f"{where}: {complaint}; {_CONVERT}")
    return manifest


def write_bundle(path: Path, manifest: Manifest, model: bytes, golden: bytes) -> Bundle:
    """Write a bundle folder and the `.zip` of it beside; each appears whole or not at all.

    Args:
        path: the folder to make; one that is there is replaced.
        manifest: the contract.
        model: content of the model file.
        golden: content of golden.npz.

    Returns:
        The bundle as it can be read from disk.

    Raises:
        BundleError: a manifest that no device would accept.
        OSError: the disk is full or the place cannot be written; nothing is left behind.
    """
    files = bundle_files(path, manifest, model, golden)
    with staging(path.parent) as room:
        folder, archive = room / path.name, room / f"{path.name}.zip"
        bundle = write_files(folder, manifest, files)
        _write_zip(archive, path.name, files)
        replace_folder(folder, path)
        archive.replace(path.with_name(f"{path.name}.zip"))
    remove_profiles(path)
    return Bundle(path, manifest, bundle.sums)


def bundle_files(path: Path, manifest: Manifest, model: bytes, golden: bytes) -> dict[str, bytes]:
    """Return the content of a bundle by file name, SHA256SUMS last.

    Raises:
        BundleError: a manifest that no device would accept.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    decode_manifest(text, f"bundle {path.name}")
    files = {MANIFEST_FILE: text, manifest.model_file: model, GOLDEN_FILE: golden}
    return files | {SUMS_FILE: format_sums({name: sha256(data) for name, data in files.items()})}


def write_files(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write the files of a bundle into a new folder; nothing atomic, for folders that nobody else reads."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return Bundle(folder, manifest, {name: sha256(data) for name, data in files.items() if name != SUMS_FILE})


def remove_profiles(path: Path) -> list[Path]:
    """Remove the figures of an older bundle of this name; they are not of the one that is there now.

    Returns:
        What was removed.

    Raises:
        OSError: they cannot be removed.
    """
    begin = f"{path.name}{PROFILE_MARK}"
    found = sorted(file for file in path.parent.iterdir() if file.name.startswith(begin) and file.suffix == ".json")
    for file in found:
        file.unlink(missing_ok=True)  # another installation of the same bundle may be at it
    return found


def format_sums(sums: Mapping[str, str]) -> bytes:
    """Return the content of SHA256SUMS, by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()


def parse_sums(text: bytes) -> dict[str, str]:
    """Read the content of SHA256SUMS: name -> SHA-256.

    Raises:
        LimitError: a line that `format_sums` would not have written.
    """
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as error:
        raise LimitError("want lines of a hash and a file name in UTF-8, got other bytes") from error
    sums: dict[str, str] = {}
    for line in lines[:-1]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise LimitError(f"want lines of a hash, two spaces and a file name, got {line[:40]!a}")
        sums[plain_name(found[2])] = found[1]
    if format_sums(sums) != text:
        raise LimitError("want one line for each file, sorted by name, got another order")
    return sums


def unpack_files(archive: zipfile.ZipFile, room: Path) -> Path:
    """Unpack the folder in a bundle's archive, its files one by one.

    Args:
        archive: as `edge.limits.open_zip` opened it.
        room: an empty folder.

    Returns:
        The bundle's folder in it.

    Raises:
        LimitError: not one folder with a SHA256SUMS, a member that it does not list, or one that is not there.
        OSError: the disk is full.
    """
    members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    roots = {name.partition("/")[0] for name in members}
    root = next(iter(roots), "")
    if len(roots) != 1 or f"{root}/{SUMS_FILE}" not in members:
        raise LimitError(f"want one folder with {SUMS_FILE} inside, got {len(members)} files in {len(roots)}")
    if members[f"{root}/{SUMS_FILE}"].file_size > _MOST_SUMS_BYTES:
        raise LimitError(f"want a {SUMS_FILE} of at most {_MOST_SUMS_BYTES} bytes, got a larger one")
    text = archive.read(f"{root}/{SUMS_FILE}")
    listed = {f"{root}/{name}" for name in (*parse_sums(text), SUMS_FILE)}
    for name in sorted(members.keys() ^ listed):
        words = "is not listed there" if name in members else "is missing"
        raise LimitError(f"want the files of {SUMS_FILE} alone, got '{name}', which {words}")
    folder = room / plain_name(root)
    folder.mkdir()
    for name, member in members.items():
        with archive.open(member) as packed, (folder / Path(name).name).open("wb") as file:
            _copy(packed, file, member.file_size)
    return folder


def _copy(packed: IO[bytes], file: BinaryIO, size: int) -> None:
    """Copy a member of an archive, no byte more than it says to have."""
    left = size
    while left > 0:
        chunk = packed.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise LimitError(f"want {size} bytes, got {left} fewer")
        file.write(chunk)
        left -= len(chunk)


def _read_bundle(path: Path, task: Task | None) -> Bundle:
    bundle = peek_bundle(path)
    manifest = bundle.manifest
    if task is not None and manifest.task != task:
        raise BundleError(
            f"bundle {path}: want a model for task '{task}', got one for '{manifest.task}'; "
            "check which bundle was given"
        )
    for name in (manifest.model_file, GOLDEN_FILE):
        _check_sum(path, name, _hash_file(path, name), bundle.sums)
    return bundle


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells one folder from another that takes its name; None where nothing is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _find(path: Path) -> None:
    """Make sure that a folder with a manifest is there."""
    try:
        recover(path)
        if not path.exists():
            raise BundleError(f"bundle {path}: want a bundle folder, got no such file; check the path")
        if not path.is_dir():
            todo = f"run 'edge bundle install {path}' first" if path.suffix == ".zip" else "give the folder"
            raise BundleError(f"bundle {path}: want a bundle folder, got a file; {todo}")
        if not (path / MANIFEST_FILE).exists():
            raise BundleError(f"bundle {path}: want a folder with {MANIFEST_FILE}, got none in it; check the path")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BundleError(f"bundle {path}: want a bundle folder, got '{reason}'; check the path") from error


def _read_sums(path: Path) -> dict[str, str]:
    """Read SHA256SUMS; bundles of before format 3 have none."""
    if not (path / SUMS_FILE).exists():
        version = _version_of(_read(path, MANIFEST_FILE, MOST_MANIFEST_BYTES))
        if version not in (0, FORMAT):
            raise BundleError(_other_version(f"bundle {path}", version))
        raise BundleError(f"bundle {path}: want a {SUMS_FILE}, got none in it; copy or convert the bundle again")
    try:
        return parse_sums(_read(path, SUMS_FILE, _MOST_SUMS_BYTES))
    except LimitError as error:
        raise BundleError(f"bundle {path}: {SUMS_FILE}: {error}; copy or convert the bundle again") from error


def _check_names(path: Path, manifest: Manifest, sums: Mapping[str, str]) -> None:
    """Make sure that the folder holds what SHA256SUMS lists, and that this is what a bundle has."""
    want = {MANIFEST_FILE, manifest.model_file, GOLDEN_FILE}
    for name in sorted(want ^ sums.keys()):
        words = "it is not listed" if name in want else "a bundle has no such file"
        raise BundleError(f"bundle {path}: want {', '.join(sorted(want))} in {SUMS_FILE}, got '{name}': {words}")
    try:
        there = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise BundleError(f"bundle {path}: want a readable folder, got '{error.strerror}'; check its rights") from error
    for name in sorted(there - want - {SUMS_FILE}):
        raise BundleError(
            f"bundle {path}: want the files of {SUMS_FILE} alone, got {name!a}; move it out of the folder"
        )
    for name in sorted(want - there):
        raise BundleError(f"bundle {path}: want {name}, got no such file; copy or convert the bundle again")


def _check_sum(path: Path, name: str, got: str, sums: Mapping[str, str]) -> None:
    want = sums[name]
    if got != want:
        raise BundleError(
            f"bundle {path}: want {name} with sha256 {want[:12]}..., got {got[:12]}...; "
            "the file is damaged or was changed, copy or convert the bundle again"
        )


def _version_of(text: bytes) -> int:
    """Return the format that a manifest says to have; 0 = it does not say."""
    try:
        return msgspec.json.decode(text, type=_Version).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def _other_version(where: str, version: int) -> str:
    todo = "install a newer edge-run" if version > FORMAT else _CONVERT
    return f"{where}: want format {FORMAT}, got {version if abs(version) < 10**6 else 'a huge number'}; {todo}"


def _read(path: Path, name: str, most_bytes: int) -> bytes:
    try:
        if (path / name).is_symlink():
            raise LimitError("want a file, got a link")
        return read_file(path / name, most_bytes)
    except OSError as error:
        raise BundleError(f"bundle {path}: want a readable {name}, got '{error.strerror}'; copy it again") from error
    except LimitError as error:
        raise BundleError(f"bundle {path}: {name}: {error}; copy the bundle again") from error


def _hash_file(path: Path, name: str) -> str:
    """Hash a file piece by piece: a model may be as large as memory."""
    digest = hashlib.sha256()
    try:
        if (path / name).is_symlink():
            raise LimitError("want a file, got a link")
        with open_file(path / name) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                if file.tell() > _MOST_MODEL_BYTES:
                    raise LimitError(f"want at most {_MOST_MODEL_BYTES / 1e9:.0f} GB, got more")
    except OSError as error:
        raise BundleError(f"bundle {path}: want a readable {name}, got '{error.strerror}'; copy it again") from error
    except LimitError as error:
        raise BundleError(f"bundle {path}: {name}: {error}; copy the bundle again") from error
    return digest.hexdigest()


def _write_zip(archive: Path, root: str, files: Mapping[str, bytes]) -> None:
    """Write a zip with fixed times and modes, so that equal content gives equal bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            entry = zipfile.ZipInfo(f"{root}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, data)
