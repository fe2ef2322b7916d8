"""Where bundles live on this machine, and which one is taken when none is named."""

import os
from pathlib import Path

from edge.bundle import Task
from edge.model import default_bundle

BUILD_FOLDER = Path("build/bundles")
"""Where `make convert` leaves them."""


def data_folder() -> Path:
    """Return where this user's bundles live, by the XDG base directory specification."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "edge-run" / "bundles"


def bundle_for(task: Task, given: str) -> Path:
    """Return the folder of the bundle that was named, else of the one found for the task.

    Raises:
        BundleError: none is named and none is found.
    """
    return Path(given) if given else default_bundle(task, (BUILD_FOLDER, data_folder()))
