"""Which system calls a job may make: a seccomp filter, as the kernel's small machine reads it.

The filter refuses what opens a connection, starts a program or a process, reaches into another process, changes a
file's owner, mode, times or attributes (Landlock says nothing about these), or steers the machine. A call that is
newer than the table below is answered as if the kernel did not have it: its number says nothing about what it does.

Sources: seccomp(2), Documentation/userspace-api/seccomp_filter.rst, and the tables of system calls in Linux 6.11:
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h, which aarch64 uses.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Step = tuple[int, int, int, int]
"""One instruction of the filter: code, jump if true, jump if false, constant."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One kind of processor.

    Attributes:
        audit: how the kernel names it to a filter.
        column: of `NUMBERS`.
        seccomp: number of seccomp(2) itself.
    """

    audit: int
    column: int
    seccomp: int


MACHINES = {"x86_64": Machine(0xC000003E, 0, 317), "aarch64": Machine(0xC00000B7, 1, 277)}

NEWEST = 462
"""mseal, the last call that was looked at; both machines share the numbers from 424 on."""

_X32 = 0x4000_0000
"""Set in a call's number by programs for x86-64 with 32-bit pointers: a second door to every call."""

NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # Sockets. A child has none when the filter begins, so all of them are refused, pairs too: a datagram socket of a
    # pair could send to the name of another.
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # io_uring does what it is asked past every filter.
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # Programs and processes; `clone` is looked into, for threads.
    "execve": (59, 221), "execveat": (322, 281), "uselib": (134, None), "fork": (57, None), "vfork": (58, None),
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    # Memory and messages shared by name, which Landlock does not see.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semtimedop": (220, 192), "semctl": (66, 191), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # What a file is, beside its content. `truncate` is here because Landlock learned it only in its third version.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "truncate": (76, 45), "mknod": (133, None), "mknodat": (259, 33), "open_by_handle_at": (304, 265),
    # Mounts and namespaces.
    "mount": (165, 40), "umount2": (166, 39), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268), "unshare": (272, 97),
    # The kernel and the machine.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161),
    "setdomainname": (171, 162), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "syslog": (103, 116), "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    # Looked into: see `_decisions`.
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "prlimit64": (302, 261), "migrate_pages": (256, 238), "move_pages": (279, 239), "clone": (56, 220),
    "fcntl": (72, 25), "ioctl": (16, 29), "open": (2, None), "openat": (257, 56),
    # Answered as if the kernel had none: their arguments lie in memory, where a filter cannot look.
    "clone3": (435, 435), "openat2": (437, 437),
}  # fmt: skip
"""Call -> its number on x86-64 and on aarch64, None where the machine has none."""

_OWN = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
"""The first argument must be the process itself."""
_OWN_OR_0 = ("prlimit64", "migrate_pages", "move_pages")
"""The same, or 0, which stands for it."""
ABSENT = ("clone3", "openat2")

_CLONE_THREAD = 0x0001_0000
_CLONE_NEW = 0x7E02_0000
_FCNTL = (8, 10, 15, 1024, 1026)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others on input; F_SETLEASE, F_NOTIFY: holding up other processes."""
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""Allowed: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. Others type into the terminal that started the
command (TIOCSTI), or change flags of a file that is open for reading alone (FS_IOC_SETFLAGS)."""
_TRUNCATE, _ACCESS = 0o1000, 0o3

_KILL, _ALLOW, _ERRNO = 0x8000_0000, 0x7FFF_0000, 0x0005_0000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _ABOVE, _FROM, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
"""Places in `struct seccomp_data`."""

_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_REFUSE, _LET, _LACK = (
    (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
)


def program(machine: Machine, pid: int) -> list[Step]:
    """Make the filter of one process.

    Args:
        machine: whose numbers it knows; a call by any other is the end of the process.
        pid: the process that may signal itself.
    """
    steps: list[Step] = [
        (_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, machine.audit), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT), (_FROM, 0, 1, _X32), (_RETURN, 0, 0, _KILL), (_ABOVE, 0, 1, NEWEST), _LACK,
    ]  # fmt: skip
    decisions = dict(_decisions(pid))
    for name, numbers in NUMBERS.items():
        number = numbers[machine.column]
        if number is not None:
            block = decisions.get(name, [_LACK if name in ABSENT else _REFUSE])
            steps += [(_EQUAL, 0, len(block), number), *block]
    return [*steps, _LET]


def _decisions(pid: int) -> Iterator[tuple[str, list[Step]]]:
    """Yield, for each call that is looked into, the steps that decide; each list ends in a return."""
    for name in _OWN:
        yield name, [_argument(0), (_EQUAL, 1, 0, pid), _REFUSE, _LET]
    for name in _OWN_OR_0:
        yield name, [_argument(0), (_EQUAL, 2, 0, pid), (_EQUAL, 1, 0, 0), _REFUSE, _LET]
    yield "clone", [_argument(0), (_ANY_BIT, 1, 0, _CLONE_NEW), (_ANY_BIT, 1, 0, _CLONE_THREAD), _REFUSE, _LET]
    yield "fcntl", [_argument(1), *_listed(_FCNTL), _LET, _REFUSE]
    yield "ioctl", [_argument(1), *_listed(IOCTL), _REFUSE, _LET]
    for name, place in (("open", 1), ("openat", 2)):
        yield name, [
            _argument(place), (_AND, 0, 0, _TRUNCATE | _ACCESS), (_EQUAL, 2, 0, _TRUNCATE),
            (_EQUAL, 1, 0, _TRUNCATE | _ACCESS), _LET, _REFUSE,
        ]  # fmt: skip


def _argument(place: int) -> Step:
    """Load the low half of an argument: the kernel itself looks at no more of a pid, a command or flags."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * place)


def _listed(values: Sequence[int]) -> list[Step]:
    """Jump over the next step if the loaded value is one of these."""
    return [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def install() -> bool:
    """Put the filter on this process, all its threads and what it may become; for good.

    The process must have said PR_SET_NO_NEW_PRIVS.

    Returns:
        False where the kernel or the kind of processor has none.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        return False
    steps = program(machine, os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    held = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_long(value) for value in (machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS)]
    return int(libc.syscall(*arguments, ctypes.byref(held))) == 0
