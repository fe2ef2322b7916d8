"""What a hostile file is tempted with, and the watch that sees whether it took it.

The watch uses inotify, so it sees any process of the machine that opens, writes or removes the bait, and a listening
socket for each file of the corpus.
"""

import base64
import ctypes
import marshal
import os
import selectors
import shutil
import socket
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_EVENTS = {
    0x1: "read", 0x2: "wrote", 0x4: "changed the mode of", 0x20: "opened", 0x40: "moved", 0x80: "moved",
    0x100: "made", 0x200: "removed", 0x400: "removed",
}  # fmt: skip
"""From inotify(7)."""
_FOLDER = 0x40000000
_HEADER = struct.Struct("iIII")


@dataclass(frozen=True)
class Bait:
    """What one hostile file may touch.

    Attributes:
        folder: holds all of it.
        port: on the loopback; whoever connects is seen.
    """

    folder: Path
    port: int

    @property
    def canary(self) -> str:
        """A file that is not there: who runs anything makes it."""
        return str(self.folder / "canary")

    @property
    def secret(self) -> str:
        """A text that nobody has to read."""
        return str(self.folder / "secret")

    @property
    def command(self) -> str:
        """What a shell is asked to do."""
        return f"touch {self.canary}"

    @property
    def url(self) -> str:
        """An address that answers nothing."""
        return f"http://127.0.0.1:{self.port}/model"

    @property
    def address(self) -> str:
        """The same as host and port."""
        return f"127.0.0.1:{self.port}"

    def source(self, result: str = "x") -> str:
        """Return a Python expression of a lambda that runs the command and passes its first argument on."""
        return f"lambda x=None, *rest, **more: (__import__('os').system({self.command!r}), {result})[1]"

    def bytecode(self, result: str = "x") -> str:
        """Return that lambda as both libraries store one."""
        whole = compile(self.source(result), "payload", "eval")
        code = next(part for part in whole.co_consts if isinstance(part, CodeType))
        return base64.encodebytes(marshal.dumps(code)).decode("ascii")


class Watch:
    """Sees what happens to any number of baits, from a thread of its own."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._inotify, selectors.EVENT_READ)
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._owner: dict[int, str] = {}
        self._seen: dict[str, set[str]] = {}
        self._sockets: list[socket.socket] = []
        self.baits: dict[str, Bait] = {}
        for name in names:
            self._lay(root / name, name)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _lay(self, folder: Path, name: str) -> None:
        (folder / "victim").mkdir(parents=True)
        (folder / "victim" / "kept").write_text("nobody removes this\n")
        (folder / "secret").write_text("swordfish\nopen sesame\n")
        (folder / "secret.index").write_text("where TensorFlow looks for a checkpoint called secret\n")
        listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        listener.setblocking(False)
        self._sockets.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, name)
        self.baits[name] = Bait(folder, listener.getsockname()[1])
        self._seen[name] = set()
        for watched in (folder, folder / "victim"):
            number = self._libc.inotify_add_watch(self._inotify, os.fsencode(watched), sum(_EVENTS))
            if number < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")
            self._owner[number] = name

    def _look(self) -> None:
        while True:
            ready = self._selector.select()
            if any(key.fd == self._wake_read for key, _ in ready):
                return
            self._take()

    def _take(self) -> None:
        """Note all that has happened so far; whoever has the lock has noted it when the lock is free again."""
        with self._lock:
            for key, _ in self._selector.select(0):
                if key.fd == self._inotify:
                    self._drain()
                elif isinstance(key.fileobj, socket.socket):
                    self._seen[key.data].add("connected")
                    key.fileobj.accept()[0].close()

    def _drain(self) -> None:
        try:
            data = os.read(self._inotify, 1 << 16)
        except BlockingIOError:
            return
        place = 0
        while place < len(data):
            number, mask, _, size = _HEADER.unpack_from(data, place)
            name = data[place + _HEADER.size : place + _HEADER.size + size].rstrip(b"\0").decode()
            place += _HEADER.size + size
            if mask & _FOLDER and not mask & 0x700:
                continue
            words = {word for bit, word in _EVENTS.items() if mask & bit}
            self._seen.get(self._owner.get(number, ""), set()).update(f"{word} {name}".strip() for word in words)

    def seen(self, name: str) -> set[str]:
        """Return what happened to the bait of one file so far."""
        self._take()
        return set(self._seen[name])

    def renew(self, name: str) -> None:
        """Lay the bait of one file again, as if nothing had happened."""
        folder = self.baits[name].folder
        for left in folder.iterdir():
            if left.name not in ("victim", "secret", "secret.index"):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        self._take()
        self._seen[name].clear()

    def close(self) -> None:
        """Stop watching."""
        os.write(self._wake_write, b"x")
        self._thread.join()
        for listener in self._sockets:
            listener.close()
        os.close(self._inotify)
