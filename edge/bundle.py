"""Read, verify and write a model bundle: the whole contract between workstation and device.

A bundle is a folder, or a `.zip` of one, with three files:

    bundle.json    the `Manifest` below
    model.*        the model file of one runtime
    golden.npz     inputs and what the model must answer to them, see `edge.golden`

Nothing in a manifest names a machine, a path or a time, so the same input gives the same bundle.
"""

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edge.errors import BundleError

FORMAT = 2
"""Version of the manifest. A device reads its own version only."""

MANIFEST_FILE = "bundle.json"
GOLDEN_FILE = "golden.npz"

STAGING = ".edge-staging-"
"""Begins the names of folders that hold what is not whole yet; after a kill they may be removed."""

Task = Literal["detect", "embed", "classify", "localize", "pair", "other"]
"""What a model is for. `pair` says whether two inputs show the same individual, `localize` names and boxes the one
object of a picture, `other` is judged by its tensors alone."""
Runtime = Literal["tflite", "onnx", "fake"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all manifest parts: immutable, an unknown key is an error."""


class Quantization(_Part, frozen=True):
    """Per-tensor affine quantisation: real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int


class TensorSpec(_Part, frozen=True):
    """One input or output of the model, found in the model file by name and never by position."""

    name: str
    dtype: Literal["float32", "uint8", "int8", "int16", "int32", "int64"]
    shape: tuple[int, ...]
    quantization: Quantization | None = None


class Preprocess(_Part, frozen=True):
    """How pixels become the input tensor: fit to size, then real value = (pixel - mean) / std.

    A model that normalises inside its graph takes uint8 or float32 0..255 and has mean 0, std 1.

    Attributes:
        fit: `letterbox` keeps the aspect ratio and pads right and bottom with `pad_value`; `stretch` does not.
        color: what the tensor's channels are; frames are RGB. `gray` is the luma of ITU-R BT.601, one channel.
        mean: one number for each channel, or one for all.
        std: one number for each channel, or one for all.
    """

    fit: Literal["letterbox", "stretch"]
    pad_value: int = 114
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class Decoder(_Part, frozen=True):
    """Which function of `edge.decode` gives the output tensors their meaning, and its constants.

    Attributes:
        name: key of `edge.decode.DECODERS`.
        strides: input pixels per cell of each feature map, for heads that have them.
        bins: length of the box-distance distribution per side, for heads that have one.
        threshold: default score below which a detection is left out.
        nms_iou: boxes of one class that overlap a better one by more than this IoU are left out.
    """

    name: str
    strides: tuple[int, ...] = ()
    bins: int = 0
    threshold: float = 0.4
    nms_iou: float = 0.6


class Embedding(_Part, frozen=True):
    """What the vectors of an embedder are.

    Attributes:
        dim: length D of a vector.
        unit_length: True where the model gives rows of Euclidean length 1.
        metric: distance the vectors were judged with.
    """

    dim: int
    unit_length: bool
    metric: Literal["manhattan", "cosine"] = "manhattan"


class Golden(_Part, frozen=True):
    """The stored answer that the device must reproduce before it trusts a model.

    Attributes:
        max_error: largest allowed root-mean-square error of an output, relative to the output's own RMS.
        why: where `max_error` comes from.
    """

    sha256: str
    max_error: float
    why: str


class OutputParity(_Part, frozen=True):
    """How far one output of the packed model is from the Keras model, over the parity inputs.

    Attributes:
        output: name of the output tensor.
        max_abs: largest absolute difference.
        cosine_min: cosine of the worst input.
        cosine_limit: what the recipe demanded of `cosine_min`.
        inputs: how many inputs were compared.
    """

    output: str
    max_abs: float
    cosine_min: float
    cosine_limit: float
    inputs: int


class Metric(_Part, frozen=True):
    """How well the packed model does its task, on examples that calibrated nothing.

    Attributes:
        name: what is measured, in the field's words: "accuracy", "top-1 agreement", "AP50".
        value: the packed model's figure; higher is better.
        keras: the Keras model's own figure, None for a metric that compares the two.
        limit: what `value` had to reach, None where it is only reported.
        examples: how many examples were judged.
    """

    name: str
    value: float
    examples: int
    keras: float | None = None
    limit: float | None = None


class Calibration(_Part, frozen=True):
    """What the quantiser saw.

    Attributes:
        words: where it came from, for a person; no path.
        examples: how many inputs.
        sha256: hash over the hashes of all inputs, in order.
        seed: chose them.
    """

    words: str
    examples: int
    sha256: str
    seed: int = 0


class Weights(_Part, frozen=True):
    """Where the weights came from and under which terms."""

    source: str
    version: str
    sha256: str
    licence: str


class Provenance(_Part, frozen=True):
    """What the bundle was made from.

    Attributes:
        keras: `module:function` or file name of the Keras model.
        source_sha256: of the model's file, or of the source files of its function.
        weights: one entry for each file of weights.
        recipe_sha256: hash of all that the bundle was made from; another recipe makes another bundle.
        settings: how the quantiser was set in the attempt that passed, "" for its defaults.
        calibration: what the quantiser saw, None where it needs nothing.
        versions: package -> version of the tools used.
    """

    keras: str
    weights: tuple[Weights, ...]
    recipe_sha256: str
    source_sha256: str = ""
    settings: str = ""
    calibration: Calibration | None = None
    versions: dict[str, str] = {}


class Manifest(_Part, frozen=True):
    """`bundle.json`: all that the device must know of a model.

    Attributes:
        variant: number format of weights and sums, see `converters.recipe.Kind`.
        preprocess: how pixels become the inputs that are pictures (see `edge.preprocess.is_picture`); None for a
            model that takes no picture.
        minimum_runtime: oldest TFLite release that can run the file, as the file itself says; "" = not known.
        labels: name of each class.
        threshold: for task `pair`, the probability from which two inputs show the same individual.
        preferred: True for the variant that a device takes by itself when it has this runtime.
    """

    format: int
    name: str
    task: Task
    runtime: Runtime
    variant: str
    model_file: str
    model_sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden: Golden
    provenance: Provenance
    preprocess: Preprocess | None = None
    minimum_runtime: str = ""
    parity: tuple[OutputParity, ...] = ()
    metrics: tuple[Metric, ...] = ()
    labels: tuple[str, ...] = ()
    decoder: Decoder | None = None
    embedding: Embedding | None = None
    threshold: float | None = None
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk whose files were found whole.

    Attributes:
        path: the folder.
        manifest: its contract.
    """

    path: Path
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.path / self.manifest.model_file

    @property
    def golden_path(self) -> Path:
        """The stored answer."""
        return self.path / GOLDEN_FILE


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_bundle(path: Path, task: Task | None = None) -> Bundle:
    """Open a bundle folder and check that every byte is the one that was written.

    Args:
        path: the folder.
        task: what the bundle must be for, or None for any.

    Raises:
        BundleError: no such folder, not a bundle, a damaged or unreadable file, or another task.
    """
    bundle = Bundle(path, read_manifest(path))
    manifest = bundle.manifest
    if task is not None and manifest.task != task:
        raise BundleError(
            f"bundle {path}: want a model for task '{task}', got one for '{manifest.task}'; "
            "check which bundle was given"
        )
    for file, want in ((bundle.model_path, manifest.model_sha256), (bundle.golden_path, manifest.golden.sha256)):
        got = sha256(_read(file))
        if got != want:
            raise BundleError(
                f"bundle {path}: want {file.name} with sha256 {want[:12]}..., got {got[:12]}...; "
                "the file is damaged, copy or convert the bundle again"
            )
    return bundle


def read_manifest(path: Path) -> Manifest:
    """Read `bundle.json` alone, without checking the files it speaks of.

    Raises:
        BundleError: no such folder, or not a manifest of this version.
    """
    if not path.exists():
        raise BundleError(f"bundle {path}: want a bundle folder, got no such file; check the path")
    if path.is_file():
        todo = f"run 'edge bundle install {path}' first" if path.suffix == ".zip" else "give the folder"
        raise BundleError(f"bundle {path}: want a bundle folder, got a file; {todo}")
    if not (path / MANIFEST_FILE).is_file():
        raise BundleError(f"bundle {path}: want a folder with {MANIFEST_FILE}, got none in it; check the path")
    try:
        manifest = msgspec.json.decode(_read(path / MANIFEST_FILE), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(
            f"bundle {path}: want a {MANIFEST_FILE} of format {FORMAT}, got '{error}'; "
            "convert the bundle again with this version's converter"
        ) from error
    if manifest.format != FORMAT:
        raise BundleError(
            f"bundle {path}: want format {FORMAT}, got {manifest.format}; "
            "convert the bundle again or install the version of edge-run that made it"
        )
    if Path(manifest.model_file).name != manifest.model_file:
        raise BundleError(f"bundle {path}: want a plain model_file name, got {manifest.model_file!r}; do not use it")
    return manifest


def write_bundle(path: Path, manifest: Manifest, model: bytes, golden: bytes) -> Bundle:
    """Write a bundle folder and the `.zip` of it beside; both appear whole or not at all.

    Args:
        path: the folder to make; one that is there is replaced.
        manifest: the contract; its hashes are set here from the bytes given.
        model: content of the model file.
        golden: content of golden.npz.

    Returns:
        The bundle as it can be read from disk.

    Raises:
        OSError: the disk is full or the place cannot be written; nothing is left behind.
    """
    manifest = msgspec.structs.replace(
        manifest,
        model_sha256=sha256(model),
        golden=msgspec.structs.replace(manifest.golden, sha256=sha256(golden)),
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    files = {MANIFEST_FILE: text + b"\n", manifest.model_file: model, GOLDEN_FILE: golden}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=path.parent) as temporary:
        folder, archive = Path(temporary) / path.name, Path(temporary) / f"{path.name}.zip"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        _write_zip(archive, path.name, files)
        _replace_folder(folder, path)
        archive.replace(path.with_name(f"{path.name}.zip"))
    return Bundle(path, manifest)


def install_bundle(archive: Path, folder: Path) -> Bundle:
    """Unpack a bundle's `.zip` below `folder`, checked before it replaces anything.

    Args:
        archive: the file that `make convert` left beside the bundle.
        folder: where bundles live; made if missing.

    Raises:
        BundleError: not a zip, not a bundle, damaged, or with a member that points outside.
        OSError: the disk is full or the place cannot be written; nothing is left behind.
    """
    if not archive.is_file():
        raise BundleError(f"bundle {archive}: want the .zip of a bundle, got no such file; check the path")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=folder) as temporary:
        try:
            with zipfile.ZipFile(archive) as unpacked:
                roots = {Path(name).parts[0] for name in unpacked.namelist() if Path(name).parts}
                unpacked.extractall(temporary)  # zipfile strips '..' and absolute paths itself
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise BundleError(f"bundle {archive}: want a .zip file, got '{error}'; copy it again") from error
        if len(roots) != 1:
            raise BundleError(f"bundle {archive}: want one folder inside, got {len(roots)}; is it a bundle's .zip?")
        bundle = read_bundle(Path(temporary) / roots.pop())
        _replace_folder(bundle.path, folder / bundle.path.name)
        return Bundle(folder / bundle.path.name, bundle.manifest)


def find_bundles(folder: Path) -> list[Bundle]:
    """List the bundles directly inside `folder`, by name, leaving out what cannot be read as one."""
    found = []
    for child in sorted(folder.glob(f"*/{MANIFEST_FILE}")):
        try:
            found.append(Bundle(child.parent, read_manifest(child.parent)))
        except BundleError:
            continue  # another format's or a broken bundle is no candidate for a default
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {path.parent}: want a readable {path.name}, got '{error.strerror}'; copy the bundle again"
        ) from error


def _write_zip(archive: Path, root: str, files: Mapping[str, bytes]) -> None:
    """Write a zip with fixed times and modes, so that equal content gives equal bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            entry = zipfile.ZipInfo(f"{root}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, data)


def _replace_folder(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`; the old folder stays until the new one is whole."""
    if path.exists():
        old = new.with_name(new.name + ".old")
        path.replace(old)
        new.replace(path)
        shutil.rmtree(old)
    else:
        new.replace(path)
