"""Fetching with stand-ins for the registries' clients: real programs on the PATH, no network."""

import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import BundleError, ConfigError
from models import weights
from models.__main__ import main
from models.tfjs import read_tfjs
from models.torchfile import read_state_dict
from models.weights import ASSETS, Asset, FetchError, Package, fetch, licence_table, provenance

CONTENT = b"weights" * 1000
TORCH_STATE = Path(__file__).parent.parent / "golden" / "data" / "torch_state.pt"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An npm package with two files."""
    path = tmp_path / "thing-1.0.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("package/a.bin", "package/b.bin", "package/unwanted.bin"):
            member = tarfile.TarInfo(name)
            member.size = len(CONTENT)
            tar.addfile(member, io.BytesIO(CONTENT))
    return path


@pytest.fixture
def registry(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with one asset, and an `npm` that hands out its package and writes down that it was asked."""
    pinned = sha256(package.read_bytes())
    source = Package("npm", "thing", "1.0", pinned, 1, "MIT")
    members: dict[str, str | None] = {"package/a.bin": sha256(CONTENT), "package/b.bin": sha256(CONTENT)}
    monkeypatch.setattr(weights, "ASSETS", {"thing": Asset(source, members, "someone", "a test")})
    install(tmp_path / "bin", "npm", f'echo asked >> "{tmp_path}/asked"; cp "{package}" "$PWD"', monkeypatch)
    return tmp_path


def install(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


def test_a_second_fetch_asks_nobody(registry: Path) -> None:
    cache = registry / "cache"
    folder = fetch("thing", cache)
    assert folder == cache / "thing"
    assert (folder / "b.bin").read_bytes() == CONTENT
    assert not (folder / "unwanted.bin").exists()
    assert fetch("thing", cache) == folder
    assert asked(registry) == 1


def test_a_damaged_file_is_fetched_again(registry: Path) -> None:
    cache = registry / "cache"
    damaged = fetch("thing", cache) / "a.bin"
    damaged.write_bytes(CONTENT[:-1] + b"x")
    fetch("thing", cache)
    assert damaged.read_bytes() == CONTENT
    assert asked(registry) == 2


def test_a_changed_package_is_refused(registry: Path, package: Path) -> None:
    package.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(FetchError, match=r"want sha256 .*, got .*do not use the file"):
        fetch("thing", registry / "cache")
    assert [path.name for path in (registry / "cache").iterdir()] == [".lock"]


def test_a_failing_client_is_quoted(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(registry / "bin", "npm", "echo 'npm error network is far away'; exit 1", monkeypatch)
    with pytest.raises(FetchError, match=r"exit code 1 \(npm error network is far away\); check the network"):
        fetch("thing", registry / "cache")


def test_a_missing_client_is_named(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(registry / "empty"))
    with pytest.raises(FetchError, match="npm: want the program, got none"):
        fetch("thing", registry / "cache")


def test_a_killed_fetch_leaves_nothing_that_passes_for_a_result(registry: Path, package: Path) -> None:
    cache, program = registry / "cache", registry / "bin" / "npm"
    program.write_text(f'#!/bin/sh\nhead -c 2000 "{package}" > half.tgz\necho $$ > "{registry}/pid"\nexec sleep 60\n')
    code = (
        "import sys; from pathlib import Path; from models import weights as w\n"
        "package = w.Package('npm', 'thing', '1.0', None, 1, 'MIT')\n"
        "w.ASSETS = {'thing': w.Asset(package, {'package/a.bin': None}, '', '')}\n"
        "w.fetch('thing', Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(cache)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (registry / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    os.kill(int((registry / "pid").read_text()), signal.SIGKILL)
    assert list(cache.glob(".partial-*"))
    assert not (cache / "thing").exists()
    program.write_text(f'#!/bin/sh\necho asked >> "{registry}/asked"\ncp "{package}" "$PWD"\n')
    assert (fetch("thing", cache) / "a.bin").read_bytes() == CONTENT
    assert not list(cache.glob(".partial-*"))


def test_apt_makes_its_own_lists_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = "usr/share/film.avi"
    source = Package("debian", "films", None, None, 1, "free")
    monkeypatch.setattr(weights, "ASSETS", {"film": Asset(source, {member: sha256(CONTENT)}, "", "")})
    script = f"""echo "$*" >> "{tmp_path}/calls"
case "$*" in
  *update) exit 0;;
  "download films") echo "E: Unable to locate package films"; exit 100;;
  *) touch films_2.1+x_all.deb;;
esac"""
    install(tmp_path / "bin", "apt-get", script, monkeypatch)
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        entry = tarfile.TarInfo(f"./{member}")
        entry.size = len(CONTENT)
        tar.addfile(entry, io.BytesIO(CONTENT))
    install(tmp_path / "bin", "dpkg-deb", f'cat "{tmp_path}/data.tar"', monkeypatch)
    assert fetch("film", tmp_path / "cache").read_bytes() == CONTENT
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-2:] for call in calls] == [
        ["download", "films"],
        calls[1].split()[-2:],
        ["download", "films"],
    ]
    assert calls[1].endswith("update")
    assert "Dir::State=" in calls[1]
    assert provenance("film", tmp_path / "cache").version == "2.1+x"


def test_an_unknown_asset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="want one of nanodet-g"):
        fetch("nothing", tmp_path)


def test_a_file_where_the_cache_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ConfigError, match="want a folder"):
        fetch("nanodet-g", tmp_path / "cache")


def test_every_asset_has_its_licence_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = licence_table()
    assert all(f"`{name}`" in table and asset.package.licence in table for name, asset in ASSETS.items())
    assert main(["licences"]) == 0
    assert capsys.readouterr().out == table


def test_the_command_tells_a_failure_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "nothing", "--cache", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def tfjs(folder: Path, listed: list[dict[str, Any]], data: bytes) -> Path:
    (folder / "m.json").write_text(json.dumps({"weightsManifest": [{"paths": ["m.bin"], "weights": listed}]}))
    (folder / "m.bin").write_bytes(data)
    return folder / "m.json"


def test_tfjs_arrays_keep_their_order_and_are_widened(tmp_path: Path) -> None:
    half, whole = np.asarray([[1.5, -2.0]], np.float16), np.asarray(7, np.int32)
    listed = [
        {"name": "a", "shape": [1, 2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "b", "shape": [], "dtype": "int32"},
    ]
    arrays = read_tfjs(tfjs(tmp_path, listed, half.tobytes() + whole.tobytes()))
    assert arrays["a"].dtype == np.float32
    assert arrays["a"].tolist() == [[1.5, -2.0]]
    assert arrays["b"].tolist() == 7


@pytest.mark.parametrize("size", [7, 9])
def test_tfjs_of_another_length_is_refused(tmp_path: Path, size: int) -> None:
    listed = [{"name": "a", "shape": [2], "dtype": "float32"}]
    with pytest.raises(BundleError, match=f"bytes of weights, got {size}"):
        read_tfjs(tfjs(tmp_path, listed, b"\0" * size))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x02cos\nsystem\nU\x0btouch owned\x85R.", r"asks for os\.system"),
        (b"cos\nsystem\n(S'touch owned'\ntR.", "the opcode STRING"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the opcode SHORT_BINUNICODE"),
        (b"\x80\x02(cos\nsystem\nios\nsystem\n.", "the opcode INST"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "as number 2147483647"),
        (b"\x80\x02}r\x03\x00\x00\x00.", "as number 3"),
        (b"\x80\x02}r\x02\x00\x00\x00.", "another first number"),
    ],
)
def test_a_pickle_that_wants_to_run_something_or_much_memory_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=words):
        read_state_dict(path)


def test_a_state_dictionary_of_torch_is_read_in_order(tmp_path: Path) -> None:
    state = read_state_dict(TORCH_STATE)
    assert list(state) == ["b", "a"]
    assert state["b"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state["b"].dtype == np.float32
    assert state["a"].tolist() == [5]
    assert state["a"].dtype == np.int64


@pytest.mark.parametrize("missing", [1, 30, 200])
def test_a_cut_state_dictionary_is_refused(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(TORCH_STATE.read_bytes()[:-missing])
    with pytest.raises(BundleError, match="fetch it again"):
        read_state_dict(path)
