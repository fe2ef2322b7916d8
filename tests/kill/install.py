"""`edge bundle install` of a bundle of tens of megabytes, over an older version of it and beside another one."""

import hashlib
import os
from pathlib import Path

from edge.bundle import Bundle, read_bundle, write_bundle
from edge.cli import main_edge
from edge.errors import EdgeError
from edge.folders import data_folder
from tests.conftest import fake_bundle
from tests.kill.part import Process, names_in

MEGABYTES = 40


class Install:
    """Two versions of one bundle, installed in turn."""

    name = "install"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._turn = 0
        self._archives = []
        os.environ["XDG_DATA_HOME"] = str(home / "data")
        for version in range(2):
            bundle = _large(fake_bundle(home / f"version-{version}", "detect"), version)
            self._archives.append(bundle.path.with_name(f"{bundle.path.name}.zip"))
        self._models = {_digest(bundle) for bundle in (read_bundle(a.with_suffix("")) for a in self._archives)}
        other = fake_bundle(home / "other", "embed")
        self.results = data_folder()
        if not self._install(other.path.with_name(f"{other.path.name}.zip")).ended_within(60):
            raise SystemExit("install: want a small bundle installed within 60 s, got none")

    def start(self) -> Process:
        self._turn += 1
        return self._install(self._archives[self._turn % 2])

    def listing(self) -> set[Path]:
        return names_in(self.results, self._home / "tmp")

    def _install(self, archive: Path) -> Process:
        return Process(lambda: main_edge(["bundle", "install", str(archive)]), self._home / "output")

    def lost(self) -> list[str]:
        words = []
        for name in ("fake-detect", "fake-embed"):
            try:
                bundle = read_bundle(self.results / name)
                if name == "fake-detect" and _digest(bundle) not in self._models:
                    words.append(f"{name}: neither the old version nor the new one")
            except (EdgeError, OSError) as error:
                words.append(str(error))
        return words


def _large(bundle: Bundle, version: int) -> Bundle:
    """Blow the model file up with blanks, which JSON allows: quickly packed, and long to unpack, hash and sync."""
    padding = b" " * (MEGABYTES * 1_000_000 + version)
    return write_bundle(
        bundle.path, bundle.manifest, bundle.model_path.read_bytes() + padding, bundle.golden_path.read_bytes()
    )


def _digest(bundle: Bundle) -> str:
    with bundle.model_path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
