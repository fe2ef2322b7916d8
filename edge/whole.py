"""Replace folders and files whole: after a kill or a power cut, a reader finds the old version or the new one.

Everything that is not whole yet lies in a *room*, a hidden folder with a file `lock` in it. The process at work holds
that file with `flock`, and the system lets go of it when the process dies, however it dies. Two kinds of room:

    .edge-staging-XXXXXXXX/    `staging`: an empty folder to fill, with a name of its own
    .NAME.edge-replace/        `replace_folder`: what is under way with the folder NAME beside it, so that `recover`
                               knows by the name alone where to look

`replace_folder` moves the new version into the room, then exchanges it with the old one in one step. Where the file
system or the C library knows no exchange (vfat, NFS, old kernels), it moves the old version into the room and the new
one out of it; a kill between the two is undone by `recover`, which a reader calls before it looks.

Everything here raises `OSError` as the system does; whoever calls turns that into a sentence of its own.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STAGING = ".edge-staging-"
"""Begins the names of folders that hold what is not whole yet."""
REPLACING = ".edge-replace"
"""Ends the name of the room in which a folder is replaced."""

_LOCK, _NEW, _OLD, _COPY = "lock", "new", "old", "copy"

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""From Linux' fcntl.h and fs.h, the same on every processor."""

# EXDEV: an overlay cannot move a folder of its lower layer. EPERM: an old container's filter of system calls.
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EPERM)
NO_LOCKS = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.ENOLCK)
"""What `flock` says on a disk that knows no locks."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def replace_folder(new: Path, folder: Path) -> None:
    """Put the folder `new` in the place of `folder`; at every instant one whole version can be found.

    Everything in `new` is on the disk before it takes the place. Two processes that replace the same folder wait for
    each other. A symbolic link in the place of `folder` is replaced, and what it points to is left alone.

    Args:
        new: a folder on the same disk, best one inside `staging(folder.parent)`, which removes it after an error too.
        folder: the place; an older version there is removed.

    Raises:
        NotADirectoryError: `new` is no folder, or a file is in the place.
        OSError: the disk is full or broken, or the place cannot be written; a whole version is still in its place.
    """
    folder = _named(folder)
    if new.is_symlink() or not new.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "want a folder to move there, got something else", str(new))
    _sync_tree(new)
    with _replacing(folder) as room:
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(folder.stat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "want a folder or nothing there, got a file", str(folder))
        new.rename(room / _NEW)
        if not os.path.lexists(folder):
            (room / _NEW).rename(folder)
        else:
            try:
                _exchange(room / _NEW, folder)
            except OSError as error:
                if error.errno not in _NO_EXCHANGE:
                    raise
                _set_aside(folder, room)
                (room / _NEW).rename(folder)
        _sync_folder(folder.parent)


def recover(folder: Path) -> None:
    """Finish or undo what a killed `replace_folder` left; call it before `folder` is read.

    Waits while a living process is at it. Costs one look at the disk where nothing was left.

    Args:
        folder: the place, which may be empty.

    Raises:
        OSError: nothing is in the place, and what was there cannot be brought back (no right to write, say).
    """
    folder = _named(folder)
    room = _room_of(folder)
    while os.path.lexists(room) and not _is_foreign(room):
        try:
            lock = _claim(room, wait=True)
            if lock is None:
                continue  # another process was at it and is done
            try:
                _put_back(room, folder)
                _discard(room)
            finally:
                os.close(lock)
        except OSError:
            if not os.path.lexists(folder):
                raise
            return  # it can be read all the same


def sweep(parent: Path) -> None:
    """Remove what dead processes left unfinished in `parent`; what a living one is filling stays.

    Call it at a start. It never fails: what cannot be removed is left for a later start. In a folder that others
    write to as well, such as the system's temporary one, it touches nothing of other users.

    Args:
        parent: a folder in which `staging`, `replace_folder` or `write_file` worked; it may be missing.
    """
    try:
        names = sorted(entry.name for entry in parent.iterdir())
    except OSError:
        return
    for name in names:
        replaced = name[1 : -len(REPLACING)] if name.startswith(".") and name.endswith(REPLACING) else ""
        if replaced in ("", ".", "..") and not name.startswith(STAGING):
            continue
        with suppress(OSError):
            if not _is_foreign(parent / name):
                _sweep_room(parent / name, parent / replaced if replaced else None)


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Give an empty folder on the disk of `parent`; it is removed on leaving, or by `sweep` after a kill.

    Args:
        parent: where the result will go; made if missing.

    Yields:
        The folder, an absolute path; files and folders to become whole are made inside it.

    Raises:
        OSError: the disk is full or the place cannot be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    room, lock = _new_room(parent)
    try:
        inside = room / _NEW
        inside.mkdir()
        yield inside
    finally:
        _remove(room)
        os.close(lock)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; one that is there is replaced in one step.

    Args:
        path: the file, in a folder that exists.
        data: all of its content.

    Raises:
        OSError: the disk is full or the place cannot be written; an older file is as it was.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    with staging(path.parent) as work:
        unfinished = work / path.name
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(path.parent)


def _named(folder: Path) -> Path:
    """Return the path with the folder's own name at its end, also for "." and ".."."""
    return folder.resolve() if folder.name in ("", "..") else folder


def _room_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}{REPLACING}"


def _is_foreign(room: Path) -> bool:
    """Tell whether something that cannot be trusted has the name of a room.

    Where others may write too, such as in /tmp, a room must belong to this user.
    """
    try:
        found = room.lstat()
        shared = room.parent.stat().st_mode & stat.S_ISVTX
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(found.st_mode) or bool(shared and found.st_uid != os.geteuid())


def _new_room(parent: Path) -> tuple[Path, int]:
    """Make a room of its own name and hold its lock."""
    while True:
        room = Path(tempfile.mkdtemp(prefix=STAGING, dir=parent))
        lock = _claim(room, wait=True)
        if lock is not None:
            return room, lock


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Hold the room of one folder, empty but for its lock; undo on an error, and leave nothing behind."""
    room = _room_of(folder)
    while True:
        with suppress(FileExistsError):  # with exist_ok, pathlib looks a second time, when it may be gone again
            room.mkdir()
        if _is_foreign(room):
            raise PermissionError(errno.EPERM, "want a name that no other user has taken", str(room))
        lock = _claim(room, wait=True)
        if lock is not None:
            break
    try:
        _put_back(room, folder)
        for left in room.iterdir():
            if left.name != _LOCK:
                _remove(left)
        try:
            yield room
        finally:
            _put_back(room, folder)
            _discard(room)
    finally:
        os.close(lock)


def _claim(room: Path, wait: bool) -> int | None:
    """Open and hold the lock of a room.

    Args:
        room: the folder.
        wait: True to wait for a process that holds it, and to go on without where the disk knows no locks.

    Returns:
        The open file, or None where the room was removed before it could be held.

    Raises:
        OSError: with `wait` False, another process holds it or the disk knows no locks.
    """
    try:
        lock = os.open(room / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:
        return None
    held = False
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if not (wait and error.errno in NO_LOCKS):
                raise
        with suppress(FileNotFoundError):
            held = os.path.samestat(os.fstat(lock), os.lstat(room / _LOCK))
    finally:
        if not held:
            os.close(lock)
    return lock if held else None


def _exchange(one: Path, other: Path) -> None:
    """Let two paths change places in one step.

    Raises:
        OSError: with ENOSYS where the C library cannot (glibc before 2.28, musl), else as the system says.
    """
    sys.audit("edge.whole.exchange", str(one), str(other))
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other)) from None
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


def _set_aside(folder: Path, room: Path) -> None:
    """Move the old version into the room; where an overlay cannot move it, make a whole copy first."""
    try:
        folder.rename(room / _OLD)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(folder, room / _COPY, symlinks=True)
        _sync_tree(room / _COPY)
        (room / _COPY).rename(room / _OLD)
        _remove_strictly(folder)
    _sync_folder(room)
    _sync_folder(folder.parent)


def _put_back(room: Path, folder: Path) -> None:
    """Bring the old version back where the new one did not get into its place.

    While both are in the room, what is in the place (if anything) is what an overlay's removal left of the old one.
    """
    if not os.path.lexists(room / _OLD):
        return
    if os.path.lexists(room / _NEW) or not os.path.lexists(folder):
        _remove_strictly(folder)
        (room / _OLD).rename(folder)
        _sync_folder(folder.parent)


def _discard(room: Path) -> None:
    """Remove a room that is held: first its name, so that a process that waits for it makes one of its own."""
    doomed = room.with_name(f"{STAGING}{secrets.token_hex(8)}")
    room.rename(doomed)
    _remove(doomed)


def _sweep_room(room: Path, folder: Path | None) -> None:
    """Remove the room of a dead process; `folder` is the one it was replacing, None for a staging folder.

    Raises:
        OSError: a living process holds it, or it cannot be told.
    """
    lock = _claim(room, wait=False)
    if lock is None:
        return
    try:
        if folder is None:
            _remove(room)
        else:
            _put_back(room, folder)
            _discard(room)
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    """Remove a file, link or tree as far as possible, also folders whose owner took the right to write from them."""
    with suppress(OSError):
        _remove_strictly(path)
        return
    with suppress(OSError):
        path.chmod(0o700)
    for folder, inside, _ in os.walk(path):
        for name in inside:
            child = Path(folder) / name
            with suppress(OSError):
                if not child.is_symlink():
                    child.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def _remove_strictly(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    """Wait until every file and folder below is on the disk: an SD card keeps names before it keeps content."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _sync_tree(folder / entry.name)
        elif entry.is_file(follow_symlinks=False):
            file = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can do that."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(opened)
