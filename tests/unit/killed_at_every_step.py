"""Kills `edge.whole` before every single step it takes on the disk, one process for each: FOLDER ACTION MODE MENDER.

A bare Python that forks, so that a hundred kills take a second. Ends with code 1 and a sentence at the first state
that is not whole; else prints as JSON how many kills there were and in how many the folder was missing at first.
"""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge import whole

STEPS = ("os.", "shutil.", "open", "fcntl.", "tempfile.", "edge.")
NAMES = ("a", "sub/b")
OLD, NEW = "old version", "new version"


def fill(folder: Path, text: str) -> Path:
    """Make a folder whose every file holds `text`."""
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def content(folder: Path) -> str:
    """Return the one text that all files of a folder hold, "" for no folder."""
    if not folder.exists():
        return ""
    texts = {(folder / name).read_text() for name in NAMES}
    assert len(texts) == 1, f"{folder}: files of two versions"
    assert sum(path.is_file() for path in folder.rglob("*")) == len(NAMES), f"{folder}: files too many or too few"
    return texts.pop()


def replace(folder: Path) -> None:
    with whole.staging(folder.parent) as work:
        whole.replace_folder(fill(work / folder.name, NEW), folder)


def write(folder: Path) -> None:
    whole.write_file(folder / "a", NEW.encode())


def no_exchange(one: Path, other: Path) -> None:
    sys.audit("edge.whole.exchange", str(one), str(other))
    raise OSError(errno.EINVAL, "a file system without exchange")


def overlay_rename(self: Path, target: Path) -> Path:
    """Refuse to move the old version, as an overlay does with a folder of its lower layer."""
    if Path(target).name == "old" and self.name != "copy":
        raise OSError(errno.EXDEV, "an overlay")
    os.rename(self, target)  # noqa: PTH104 - it stands in for Path.rename
    return target


def killed(number: int, action: Callable[[], None], mode: str) -> bool:
    """Fork a process that acts and is killed before its step of this number; False where it ended before."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True
        assert os.WEXITSTATUS(status) == 0, f"step {number}: the child failed"
        return False
    if mode != "exchange":
        whole._exchange = no_exchange
    if mode == "overlay":
        Path.rename = overlay_rename  # type: ignore[method-assign,assignment]
    seen = 0

    def hook(event: str, _: Any) -> None:
        nonlocal seen
        if event.startswith(STEPS):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        action()
    except BaseException as error:  # noqa: BLE001 - the forked child must never go on as the parent
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)
    os._exit(0)


def prepare(parent: Path, action: str) -> tuple[Path, Callable[[], None], set[str]]:
    """Make the state before: the folder, what is done to it, and what may be found afterwards."""
    shutil.rmtree(parent, ignore_errors=True)
    folder = parent / "bundle"
    parent.mkdir(parents=True)
    if action == "first":
        return folder, lambda: replace(folder), {"", NEW}
    fill(folder, OLD)
    if action == "replace":
        return folder, lambda: replace(folder), {OLD, NEW}
    if action == "write":
        return folder, lambda: write(folder), {OLD, NEW}
    # What a process leaves that was killed between its two renames: recovering and sweeping can be killed as well.
    room = parent / ".bundle.edge-replace"
    fill(room / "new", NEW)
    folder.rename(room / "old")
    fill(parent / ".edge-staging-dead" / "new", NEW)
    act = {"recover": lambda: whole.recover(folder), "sweep": lambda: whole.sweep(parent)}[action]
    return folder, act, {OLD}


def main(parent: Path, action: str, mode: str, mender: str) -> None:
    number, missing = 0, 0
    while True:
        number += 1
        folder, act, allowed = prepare(parent, action)
        if not killed(number, act, mode):
            break
        missing += not folder.exists()
        if mender == "recover":
            whole.recover(folder)
            check(folder, action, allowed, f"killed before step {number}, recovered")
        whole.sweep(parent if action != "write" else folder)
        whole.sweep(parent)
        check(folder, action, allowed, f"killed before step {number}, swept")
        left = sorted(path.name for path in parent.iterdir() if path != folder)
        assert not left, f"killed before step {number}: {left} are left"
    check(folder, action, allowed - {""}, "not killed")
    print(json.dumps({"kills": number - 1, "missing": missing}))


def check(folder: Path, action: str, allowed: set[str], when: str) -> None:
    if action == "write":
        got = (folder / "a").read_text()
        assert (folder / "sub/b").read_text() == OLD
        if when.endswith("swept"):
            assert sum(path.is_file() for path in folder.rglob("*")) == len(NAMES), f"{when}: a part of a file is left"
    else:
        got = content(folder)
    assert got in allowed, f"{when}: want one of {sorted(allowed)}, got {got!r}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
