"""A process that walls itself in and then tries to get out; run by test_sandbox.py, prints what came of each try.

    python breaking_out.py WAY FOLDER PORT PARENT

WAY is "landlock", "namespaces" or "none". FOLDER holds `scratch`, `bench` and `outside`. A try that gets through
leaves no harm: it works on files and processes of the test.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters import sandbox
from converters.callfilter import MACHINES, NUMBERS

WAY, FOLDER, PORT, PARENT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
SCRATCH, BENCH, OUTSIDE = FOLDER / "scratch", FOLDER / "bench", FOLDER / "outside"
VICTIM = OUTSIDE / "victim"
LIBC = ctypes.CDLL(None, use_errno=True)
THROUGH = "got through"
MACHINE = MACHINES[os.uname().machine]


def call(name: str, *arguments: Any) -> None:
    """Make a system call by its number; raise OSError as Python does."""
    number = NUMBERS[name][MACHINE.column]
    assert number is not None
    if LIBC.syscall(ctypes.c_long(number), *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def libc(name: str, *arguments: Any) -> None:
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def long(value: int) -> Any:
    return ctypes.c_long(value)


def renamed(source: Path, target: Path) -> None:
    source.write_text("mine")
    source.rename(target)


def write_fifo() -> None:
    os.close(os.open(OUTSIDE / "fifo", os.O_WRONLY | os.O_NONBLOCK))


def sent(kind: int, address: Any, family: int = socket.AF_INET) -> None:
    with socket.socket(family, kind) as there:
        there.settimeout(2)
        there.connect(address)


def unsent(number: int) -> None:
    """Use a socket that was open before the walls; it is closed now, and its number free."""
    os.write(number, b"x")


def forked() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def spawned() -> None:
    os.posix_spawn("/bin/true", ["true"], {})
    os.wait()


def memfd_run() -> None:
    number = os.memfd_create("program")
    os.write(number, Path("/bin/true").read_bytes())
    os.execve(number, ["true"], {})


def replaced() -> None:
    os.execv(sys.executable, [sys.executable, "-c", ""])


def opened(flags: int) -> None:
    os.close(os.open(VICTIM, flags))


def ioctl(number: int, path: Path) -> None:
    import fcntl

    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, number, b"\0" * 8)
    finally:
        os.close(handle)


def fcntl_of(command: int, value: int) -> None:
    import fcntl

    reading, writing = os.pipe()
    try:
        fcntl.fcntl(reading, command, value)
    finally:
        os.close(reading)
        os.close(writing)


def prlimit(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_CORE)


TRIES: dict[str, Callable[[], Any]] = {
    # files
    "write": lambda: (OUTSIDE / "new").write_text("x"),
    "overwrite": lambda: VICTIM.write_text("x"),
    "append": lambda: VICTIM.open("a").close(),
    "truncate while opening": lambda: opened(os.O_RDONLY | os.O_TRUNC),
    "truncate while opening for nothing": lambda: opened(3 | os.O_TRUNC),
    "truncate": lambda: os.truncate(VICTIM, 0),
    "make a folder": lambda: (OUTSIDE / "folder").mkdir(),
    "remove": lambda: (OUTSIDE / "spare").unlink(),
    "remove a folder": lambda: (OUTSIDE / "empty").rmdir(),
    "rename": lambda: VICTIM.rename(OUTSIDE / "other"),
    "rename inwards": lambda: VICTIM.rename(SCRATCH / "victim"),
    "rename outwards": lambda: renamed(SCRATCH / "mine", OUTSIDE / "mine"),
    "symbolic link": lambda: (OUTSIDE / "link").symlink_to(VICTIM),
    "hard link inwards": lambda: (SCRATCH / "link").hardlink_to(VICTIM),
    "hard link outwards": lambda: (OUTSIDE / "hard").hardlink_to(VICTIM),
    "write through a link": lambda: ((SCRATCH / "way").symlink_to(VICTIM), (SCRATCH / "way").write_text("x")),
    "named pipe": lambda: os.mkfifo(OUTSIDE / "pipe"),
    "write into a named pipe": write_fifo,
    "device": lambda: os.mknod(SCRATCH / "disk", 0o600 | 0o060000, os.makedev(7, 0)),
    "write to a terminal": lambda: os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)),
    "shared memory by name": lambda: Path("/dev/shm/edge-test").write_text("x"),
    "chmod": lambda: VICTIM.chmod(0o600),
    "fchmod": lambda: os.fchmod(os.open(VICTIM, os.O_RDONLY), 0o600),
    "fchmodat2": lambda: call("fchmodat2", long(-100), os.fsencode(VICTIM), long(0o600), long(0)),
    "chown": lambda: os.chown(VICTIM, os.getuid(), os.getgid()),
    "lchown": lambda: os.lchown(VICTIM, os.getuid(), os.getgid()),
    "fchown": lambda: os.fchown(os.open(VICTIM, os.O_RDONLY), os.getuid(), os.getgid()),
    "utime": lambda: os.utime(VICTIM, (1, 1)),
    "setxattr": lambda: os.setxattr(VICTIM, "user.edge", b"x"),
    "fsetxattr": lambda: os.setxattr(os.open(VICTIM, os.O_RDONLY), "user.edge", b"x"),
    "lsetxattr": lambda: os.setxattr(VICTIM, "user.edge", b"x", follow_symlinks=False),
    "removexattr": lambda: os.removexattr(VICTIM, "user.mark"),
    "lremovexattr": lambda: os.removexattr(VICTIM, "user.mark", follow_symlinks=False),
    "fremovexattr": lambda: os.removexattr(os.open(VICTIM, os.O_RDONLY), "user.mark"),
    "flags of a file": lambda: ioctl(0x40086602, VICTIM),
    # connections
    "tcp": lambda: sent(socket.SOCK_STREAM, ("127.0.0.1", PORT)),
    "udp": lambda: sent(socket.SOCK_DGRAM, ("127.0.0.1", PORT)),
    "unix": lambda: sent(socket.SOCK_STREAM, str(OUTSIDE / "unix"), socket.AF_UNIX),
    "abstract": lambda: sent(socket.SOCK_STREAM, f"\0edge-{PORT}", socket.AF_UNIX),
    "socket pair": socket.socketpair,
    "inherited socket": lambda: unsent(INHERITED.fileno()),
    "io_uring": lambda: call("io_uring_setup", long(1), ctypes.create_string_buffer(256)),
    # programs and processes
    "fork": forked,
    "vfork": spawned,
    "memfd": memfd_run,
    "run": replaced,
    "signal the parent": lambda: os.kill(PARENT, 0),
    "signal a group": lambda: os.kill(0, 0),
    "signal all": lambda: os.kill(-1, 0),
    "tgkill": lambda: call("tgkill", long(PARENT), long(PARENT), long(0)),
    "tkill": lambda: call("tkill", long(PARENT), long(0)),
    "queue a signal": lambda: call("rt_sigqueueinfo", long(PARENT), long(0), ctypes.create_string_buffer(128)),
    "pidfd": lambda: os.close(os.pidfd_open(PARENT)),
    "limits of the parent": lambda: prlimit(PARENT),
    "ptrace": lambda: call("ptrace", long(0x4206), long(PARENT), long(0), long(0)),
    "write memory": lambda: Path(f"/proc/{PARENT}/mem").open("r+b").close(),
    "process_vm_readv": lambda: call("process_vm_readv", long(PARENT), *[long(0)] * 5),
    "owner of a pipe's signals": lambda: fcntl_of(8, PARENT),
    "signal of a pipe": lambda: fcntl_of(10, signal.SIGKILL),
    # the machine
    "mount": lambda: libc("mount", b"none", os.fsencode(SCRATCH), b"tmpfs", long(0), None),
    "bind mount": lambda: libc("mount", os.fsencode(BENCH), os.fsencode(SCRATCH), None, long(0x1000), None),
    "new namespace": lambda: libc("unshare", 0x10000000),
    "chroot": lambda: os.chroot(SCRATCH),
    "bpf": lambda: call("bpf", long(0), long(0), long(0)),
    "keys": lambda: call("keyctl", long(0), long(-3), long(0), long(0), long(0)),
    "shared memory": lambda: call("shmget", long(0), long(4096), long(0o1600)),
    "message queue": lambda: call("mq_open", b"edge", long(os.O_CREAT | os.O_RDWR), long(0o600), None),
    "performance counters": lambda: call("perf_event_open", ctypes.create_string_buffer(128), *[long(0)] * 4),
    "page faults": lambda: call("userfaultfd", long(1)),
}


def honest() -> dict[str, Any]:
    """Do what an honest library does."""
    done: dict[str, Any] = {}
    for folder in (SCRATCH, BENCH):
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "file").write_text("words")
        (folder / "a" / "b" / "file").rename(folder / "file")
        with (folder / "file").open("r+") as file:
            file.truncate(3)
        (folder / "link").symlink_to(folder / "file")
        (folder / "link").unlink()
        (folder / "a" / "b").rmdir()
        done[folder.name] = (folder / "file").read_text()
    if WAY == "landlock":  # in a namespace each writable folder is a mount of its own
        (SCRATCH / "file").rename(BENCH / "moved")
    Path("/dev/null").write_text("x")
    with tempfile.TemporaryFile() as file, tempfile.TemporaryDirectory() as folder:
        file.write(b"x")
        done["temporary"] = str(Path(folder).parent) == str(SCRATCH.resolve()) == os.environ["TMPDIR"]
    thread = threading.Thread(target=lambda: done.update(thread=True))
    thread.start()
    thread.join()
    caught: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    done["signals"] = len(caught)
    done["limits"] = resource.prlimit(0, resource.RLIMIT_CORE) == (0, 0)
    done["read"] = Path(__file__).read_text()[:3]
    done["home"] = Path.home() == SCRATCH.resolve()
    done["capabilities"] = next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")
    )
    return done


def outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return THROUGH


INHERITED = socket.socketpair()[0]


def main() -> None:
    ways = () if WAY == "none" else (WAY,)
    walls = sandbox.enter(SCRATCH, (BENCH,), (), ways)  # type: ignore[arg-type]
    found = {name: outcome(attempt) for name, attempt in TRIES.items()}
    INHERITED.detach()
    print(json.dumps({
        "files": walls.files, "calls": walls.calls, "version": walls.version, "complaint": walls.complaint,
        "tries": found, "honest": honest(),
    }), flush=True)  # fmt: skip
    os._exit(0)


if __name__ == "__main__":
    main()
