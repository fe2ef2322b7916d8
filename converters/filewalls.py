"""What a job may write: Landlock where the kernel has it, else namespaces in which all but a few folders is read-only.

Both are put on a process by itself, for good, and ask for no privilege. Reading stays allowed everywhere.

Sources: landlock(7), Documentation/userspace-api/landlock.rst; user_namespaces(7), mount_setattr(2).
"""

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

# One number on every machine: they came after the tables were made alike.
_MOUNT_SETATTR, _CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 442, 444, 445, 446

_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_FIRST_RIGHTS = _EXECUTE | _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Running, writing, removing, and making of each kind; reading files and folders (bits 2 and 3) is not handled."""
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_MAKE_CHARACTER, _MAKE_BLOCK = 1 << 6, 1 << 11
_RIGHTS_SINCE = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEVICE}
_NOT_GIVEN = _EXECUTE | _MAKE_CHARACTER | _MAKE_BLOCK | _IOCTL_DEVICE
_TCP_SINCE, _TCP = 4, 0b11
"""Binding and connecting."""
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract Unix sockets, and signals, of processes outside."""

_NULL = "/dev/null"
_DEVICES = (_NULL, "/dev/zero", "/dev/random", "/dev/urandom")

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x0002_0000, 0x1000_0000, 0x4000_0000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x4_0000
_READ_ONLY, _NO_DEVICES = 1, 4
_AT_CWD, _AT_RECURSIVE = -100, 0x8000


def landlock_version() -> int:
    """Return the version of the kernel's Landlock; 0 where it has none, or has it switched off."""
    return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION)))


def landlock(folders: Sequence[Path], version: int) -> bool:
    """Let this thread, and what it starts, write beneath some folders and nowhere else.

    Args:
        folders: what stays writable, beside /dev/null.
        version: of the kernel's Landlock; each knows more rights, and those that this one lacks go unchecked.

    Returns:
        False where the kernel refused; then nothing is walled off.
    """
    rights = _FIRST_RIGHTS
    for since, right in _RIGHTS_SINCE.items():
        rights |= right if version >= since else 0
    tcp = _TCP if version >= _TCP_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    handled = struct.pack("=QQQ", rights, tcp, scopes)
    ruleset = _call(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    try:
        given = [(str(folder), rights & ~_NOT_GIVEN) for folder in folders]
        given.append((_NULL, rights & (_WRITE_FILE | _TRUNCATE)))
        if not all(_allow(ruleset, path, right) for path, right in given):
            return False
        return _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> bool:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, place)
        return _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_uint(_PATH_BENEATH), rule, ctypes.c_uint(0)) == 0
    finally:
        os.close(place)


def namespaces(folders: Sequence[Path]) -> bool:
    """Move this process into namespaces of its own: no network, every mount read-only, but for some folders.

    What stays open, where Landlock would refuse it: writing into a named pipe that exists.

    Args:
        folders: what stays writable.

    Returns:
        False where the kernel or its settings refused; then nothing is walled off.
    """
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_USER | _NEW_MOUNTS | _NEW_NETWORK) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return False
    devices = [path for path in _DEVICES if os.path.exists(path)]  # noqa: PTH110, no Path for what is mounted
    writable = [str(folder) for folder in folders]
    walled = libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None) == 0
    for path in (*writable, *devices):
        place = os.fsencode(path)
        walled = walled and libc.mount(place, place, None, ctypes.c_ulong(_BIND | _RECURSIVE), None) == 0
    walled = walled and _set_mount("/", _READ_ONLY | _NO_DEVICES, 0, _AT_RECURSIVE)
    walled = walled and all(_set_mount(path, 0, _READ_ONLY, 0) for path in writable)
    walled = walled and all(_set_mount(path, 0, _NO_DEVICES, 0) for path in devices)
    os.chdir(Path.cwd())  # a working folder that is writable is looked up again: it lies in a new mount
    return walled


def _set_mount(path: str, add: int, remove: int, flags: int) -> bool:
    change = struct.pack("=QQQQ", add, remove, 0, 0)
    place = ctypes.c_char_p(os.fsencode(path))
    return _call(_MOUNT_SETATTR, ctypes.c_int(_AT_CWD), place, ctypes.c_uint(flags), change, ctypes.c_size_t(32)) == 0


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(ctypes.c_long(number), *arguments))
