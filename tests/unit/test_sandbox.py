"""The walls around a job: each is proven by a process that walls itself in and tries to pass; `breaking_out.py`."""

import ctypes
import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converters import callfilter, filewalls, sandbox
from converters.callfilter import IOCTL, MACHINES, NEWEST, NUMBERS, program
from converters.modelfile import ConversionError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in MACHINES, reason="walls are for Linux on x86-64 and aarch64"
)

ROOT = Path(__file__).parents[2]
THROUGH = "got through"
DISK = {
    "write", "overwrite", "append", "make a folder", "remove", "remove a folder", "rename", "rename inwards",
    "rename outwards", "symbolic link", "hard link inwards", "hard link outwards", "write through a link",
    "write into a named pipe", "write to a terminal", "shared memory by name", "write memory",
}  # fmt: skip
"""What Landlock or a namespace must stop; the filter of calls does not."""
REFUSED = {"EPERM", "EACCES", "EROFS", "EXDEV", "ENOSYS"}


def _user_namespaces() -> bool:
    """Tell whether a process may make a user namespace here."""
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000 | 0x20000) != 0)"
    return subprocess.run([sys.executable, "-c", code]).returncode == 0


LACKING = {
    "landlock": "" if filewalls.landlock_version() else "this kernel has no Landlock",
    "namespaces": "" if _user_namespaces() else "no user namespace may be made here",
    "none": "",
}


def _break_out(way: str, folder: Path) -> dict[str, Any]:
    """Run all tries in a process of their own, with something to reach for: files, sockets, this process."""
    if LACKING[way]:
        pytest.skip(LACKING[way])
    for name in ("scratch", "bench", "outside/empty"):
        (folder / name).mkdir(parents=True)
    outside = folder / "outside"
    (outside / "victim").write_text("as it was")
    (outside / "spare").write_text("as it was")
    os.mkfifo(outside / "fifo")
    reader = os.open(outside / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.setxattr(outside / "victim", "user.mark", b"x")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        port = tcp.getsockname()[1]
        with socket.socket(socket.AF_UNIX) as abstract:
            unix.bind(str(outside / "unix"))
            abstract.bind(f"\0edge-{port}")
            unix.listen()
            abstract.listen()
            command = [sys.executable, str(Path(__file__).with_name("breaking_out.py")), way, str(folder), str(port)]
            done = subprocess.run(
                [*command, str(os.getpid())], capture_output=True, text=True, timeout=60,
                env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
            )  # fmt: skip
    os.close(reader)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What came of all tries behind each kind of walls, run when it is first asked for."""

    class Runs(dict[str, dict[str, Any]]):
        def __missing__(self, way: str) -> dict[str, Any]:
            self[way] = _break_out(way, tmp_path_factory.mktemp(way))
            return self[way]

    yield Runs()
    Path("/dev/shm/edge-test").unlink(missing_ok=True)


@pytest.mark.parametrize("way", ["landlock", "namespaces"])
def test_nothing_gets_out(way: str, runs: dict[str, dict[str, Any]]) -> None:
    got = runs[way]
    assert got["files"] == way
    assert got["calls"]
    assert not got["complaint"]
    tries = dict(got["tries"])
    assert tries.pop("inherited socket") == "EBADF"
    if way == "namespaces":
        assert tries.pop("write into a named pipe") == THROUGH, "as the docstring of filewalls.namespaces says"
    assert {name: what for name, what in tries.items() if what not in REFUSED} == {}


@pytest.mark.parametrize("way", ["landlock", "namespaces", "none"])
def test_what_an_honest_library_does_still_works(way: str, runs: dict[str, dict[str, Any]]) -> None:
    done = runs[way]["honest"]
    assert done == {
        "scratch": "wor", "bench": "wor", "temporary": True, "thread": True, "signals": 2, "limits": True,
        "read": '"""', "home": True, "capabilities": done["capabilities"],
    }  # fmt: skip
    assert int(done["capabilities"], 16) & ~0b110 == 0


def test_without_walls_for_the_disk_calls_are_filtered_and_it_is_said(runs: dict[str, dict[str, Any]]) -> None:
    got = runs["none"]
    assert got["files"] == ""
    assert got["calls"]
    assert "cannot wall off the disk" in got["complaint"]
    assert got["tries"]["write"] == THROUGH, "else this run does not show what the filter alone does"
    assert {name: what for name, what in got["tries"].items() if what != "EPERM"}.keys() <= DISK | {"inherited socket"}


def test_walls_that_are_lacking_are_named() -> None:
    assert not sandbox.Walls("landlock", True, 7).complaint
    assert "the disk from" in sandbox.Walls("", True).complaint
    assert "the network from" in sandbox.Walls("namespaces", False).complaint
    assert "the disk and the network from" in sandbox.Walls("", False).complaint


def test_a_process_of_several_threads_is_refused(tmp_path: Path) -> None:
    code = (
        "import threading, sys, time; from pathlib import Path; from converters import sandbox\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "sandbox.enter(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert "want a process of 1 thread, got 2" in done.stderr


# The filter, as the kernel runs it, for both machines.

_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x50001, 0x50026, 0x80000000

_NEVER = """
socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg
io_uring_setup io_uring_enter io_uring_register execve execveat
ptrace process_vm_readv process_vm_writev kcmp process_madvise process_mrelease pidfd_open pidfd_getfd
pidfd_send_signal tkill shmget shmat shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open
mq_unlink fchmod fchmodat fchmodat2 fchown fchownat utimensat setxattr lsetxattr fsetxattr removexattr
lremovexattr fremovexattr truncate mknodat open_by_handle_at mount umount2 move_mount open_tree fsopen fsconfig
fsmount fspick mount_setattr pivot_root chroot setns unshare bpf perf_event_open userfaultfd fanotify_init keyctl
add_key request_key init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
sethostname setdomainname acct quotactl quotactl_fd settimeofday clock_settime adjtimex clock_adjtime syslog vhangup
"""
_X86_ALONE = "uselib fork vfork chmod chown lchown utime utimes futimesat mknod iopl ioperm modify_ldt"
NEVER, X86_ALONE = _NEVER.split(), _X86_ALONE.split()
PID = 4321


def _decide(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter over one call, as the kernel does."""
    kind = MACHINES[machine]
    steps = program(kind, PID)
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    words = {0: number, 4: kind.audit if audit is None else audit}
    for place, value in enumerate(padded):
        words[16 + 8 * place] = value & 0xFFFF_FFFF
    held = place = 0
    while True:
        code, true, false, constant = steps[place]
        place += 1
        if code == 0x06:
            return constant
        if code == 0x20:
            held = words[constant]
        elif code == 0x54:
            held &= constant
        else:
            yes = {0x15: held == constant, 0x25: held > constant, 0x35: held >= constant, 0x45: held & constant != 0}
            place += true if yes[code] else false


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_calls_that_no_model_needs_are_refused(machine: str) -> None:
    names = [*NEVER, *X86_ALONE] if machine == "x86_64" else NEVER
    numbers = {name: NUMBERS[name][MACHINES[machine].column] for name in names}
    assert {name: _decide(machine, number or 0) for name, number in numbers.items()} == dict.fromkeys(names, _EPERM)
    for name in ("clone3", "openat2"):
        assert _decide(machine, NUMBERS[name][MACHINES[machine].column] or 0) == _ENOSYS


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_calls_that_depend_on_what_they_ask_for(machine: str) -> None:
    def decide(name: str, *arguments: int) -> int:
        number = NUMBERS[name][MACHINES[machine].column]
        assert number is not None
        return _decide(machine, number, *arguments)

    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        got = [decide(name, pid) for pid in (PID, PID + 1, 0, -1, -PID)]
        assert got == [_ALLOW, _EPERM, _EPERM, _EPERM, _EPERM], name
    for name in ("prlimit64", "migrate_pages", "move_pages"):
        assert [decide(name, pid) for pid in (PID, 0, PID + 1)] == [_ALLOW, _ALLOW, _EPERM], name
    thread = 0x3D0F00
    assert decide("clone", thread) == _ALLOW
    assert decide("clone", 17) == _EPERM
    for bit in range(32):
        if 0x7E02_0000 & 1 << bit:
            assert decide("clone", thread | 1 << bit) == _EPERM
    assert [decide("fcntl", 3, command) for command in (8, 10, 15, 1024, 1026)] == [_EPERM] * 5
    assert [decide("fcntl", 3, command) for command in (1, 2, 3, 4, 6, 1030)] == [_ALLOW] * 6
    assert [decide("ioctl", 3, command) for command in (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)] == [_ALLOW] * 6
    for command in (0x5412, 0x541C, 0x40086602, 0x401C5820, 0x8901, 0x5402):  # TIOCSTI, TIOCLINUX, flags, owner
        assert command not in IOCTL
        assert decide("ioctl", 3, command) == _EPERM
    assert decide("openat", -100, 0, os.O_RDONLY | 0o1000) == _EPERM
    assert decide("openat", -100, 0, 3 | 0o1000) == _EPERM
    assert decide("openat", -100, 0, os.O_WRONLY | os.O_CREAT | 0o1000) == _ALLOW
    assert decide("openat", -100, 0, os.O_RDONLY | os.O_CLOEXEC) == _ALLOW


def test_another_machine_and_another_door_end_the_process() -> None:
    assert _decide("x86_64", 1, audit=0x40000003) == _KILL, "32-bit x86"
    assert _decide("x86_64", 0x4000_0000 | 41) == _KILL, "x32"
    assert _decide("aarch64", 64, audit=0x40000028) == _KILL, "32-bit ARM"
    assert _decide("x86_64", 1) == _decide("aarch64", 64) == _ALLOW, "write"
    assert _decide("x86_64", NEWEST) == _ALLOW
    assert _decide("x86_64", NEWEST + 1) == _decide("x86_64", 520) == _ENOSYS, "unknown, and x32's own execve"


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_the_numbers_are_those_of_the_headers(header: str, column: int) -> None:
    if not Path(header).is_file():
        pytest.skip(f"no {header} here to compare with")
    words = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text()))
    newer = {"fchmodat2"}  # than these headers may be
    for name, numbers in NUMBERS.items():
        if name not in newer or name in words:
            number = numbers[column]
            assert (None if number is None else str(number)) == words.get(name), name


def test_the_kernel_takes_the_filter_and_kills_a_32_bit_call() -> None:
    """An `int 0x80` made of bytes: 32-bit x86 has other numbers, its 4 is `write`."""
    if platform.machine() != "x86_64":
        pytest.skip("only x86-64 has this door")
    code = """
import ctypes, mmap
from converters import callfilter
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes([0x53, 0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0x5B, 0xC3]))  # getpid
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
assert call() > 0
assert callfilter.install()
print("walled", flush=True)
call()
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    if "walled" not in done.stdout:
        pytest.skip("this kernel runs no 32-bit calls")
    assert done.returncode == -31, "SIGSYS"
    assert "alive" not in done.stdout


def test_an_unknown_processor_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not callfilter.install()


# Memory.


def _inside(code: str) -> "subprocess.CompletedProcess[str]":
    code = f"import numpy as np; from converters.sandbox import memory_for\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_memory_is_in_proportion_to_the_file() -> None:
    assert _inside("with memory_for(0): np.empty(90_000_000)").returncode == 0, "720 MB for any file"
    assert "want at most 800 MB of memory" in _inside("with memory_for(0): np.empty(250_000_000)").stderr
    assert _inside("with memory_for(100_000_000): np.empty(200_000_000)").returncode == 0, "2,000 MB for one of 100 MB"


def test_memory_is_as_before_behind_the_limit() -> None:
    done = _inside("""
from converters.modelfile import ConversionError
try:
    with memory_for(0): np.empty(1 << 31)
except ConversionError as error: print(error)
print(np.empty(1 << 31).size)
""")
    assert "want at most 800 MB" in done.stdout
    assert str(1 << 31) in done.stdout


def test_other_errors_inside_the_limit_stay_what_they_are() -> None:
    with pytest.raises(KeyError), sandbox.memory_for(0):
        raise KeyError("name")
    wrapped = ValueError("could not deserialize")
    wrapped.__cause__ = MemoryError()
    with pytest.raises(ConversionError, match="want at most 800 MB"), sandbox.memory_for(0):
        raise wrapped


def test_the_job_hears_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(sandbox, "on_memory_limit", told.append)
    with sandbox.memory_for(1_000_000):
        pass
    assert told == [812, 0]


def test_only_some_files_stay_open() -> None:
    code = """
import os
from converters.sandbox import close_all_but
kept, closed = os.pipe()
close_all_but((0, 1, 2, kept))
print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4] == [0, 1, 2, kept])
os.fstat(kept)
try: os.fstat(closed)
except OSError: print("closed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "closed"], done.stderr


def test_the_header_of_the_kernel_knows_these_rights() -> None:
    assert ctypes.sizeof(callfilter._Program) == 16
    assert filewalls._FIRST_RIGHTS == 0x1FF3, "all rights of version 1 but reading"
