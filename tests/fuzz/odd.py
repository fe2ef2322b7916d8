"""What may lie where a file is meant: a pipe, a folder, a link to a device or to itself, nothing."""

import os
import shutil
from pathlib import Path
from random import Random

SHARE = 0.04
"""Part of all cases in which a file is no file."""


def replace_by_odd(path: Path, random: Random) -> str:
    """Put something else in the place of a file, and say what."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    what = random.choice(("pipe", "folder", "zeros", "itself", "nowhere", "empty", "missing", "socket"))
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what in ("zeros", "itself", "nowhere"):
        path.symlink_to({"zeros": "/dev/zero", "itself": path.name, "nowhere": "/nowhere/at/all"}[what])
    elif what == "empty":
        path.touch()
    elif what == "socket":
        os.mknod(path, 0o140644)
    return f"{path.name}: {what}"
