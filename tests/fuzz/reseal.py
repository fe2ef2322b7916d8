"""Make a changed bundle look as if it had been made so: SHA256SUMS becomes right again."""

import hashlib
import stat
from pathlib import Path

from edge.bundle import SUMS_FILE, format_sums

_NO_FILE = "0" * 64
"""Stands for what is no file and has no hash: a pipe, a folder, a link."""


def reseal(folder: Path) -> None:
    """List all that lies in a bundle's folder, as a forger would."""
    sums = {path.name: _digest(path) for path in folder.iterdir() if path.name != SUMS_FILE}
    if (folder / SUMS_FILE).is_file():
        (folder / SUMS_FILE).write_bytes(format_sums(sums))


def _digest(path: Path) -> str:
    """Hash a regular file; anything else is not opened, as it may have no end."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(path.lstat().st_mode) else _NO_FILE
