"""A converted file -> a bundle, by way of the device's own code: loaded, run and compared before it is written."""

import importlib.metadata
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from converters.calibration import Picture
from converters.load import ConversionError, Tensor, Traced, resolve
from converters.parity import broken, compare
from converters.recipe import Kind, Recipe, Variant
from converters.to_tflite import minimum_runtime
from edge.backends import open_backend, runtime_installed
from edge.bundle import (
    FORMAT,
    GOLDEN_FILE,
    MANIFEST_FILE,
    Bundle,
    Embedding,
    Golden,
    Manifest,
    OutputParity,
    Preprocess,
    Provenance,
    TensorSpec,
    sha256,
    write_bundle,
)
from edge.errors import BundleError, ConfigError, EdgeError
from edge.golden import make_golden
from edge.model import open_model
from edge.preprocess import Preprocessor
from edge.types import U8

_THREADS = 2

GOLDEN_LIMITS: Mapping[Kind, tuple[float, str]] = {
    "fp32": (0.01, "float32 kernels that sum in another order, or in TF32 on a GPU; a wrong colour order gives > 0.1"),
    "fp16": (0.02, "as float32, and kernels that compute in float16 where the processor has it"),
    "dynamic": (0.05, "activations are rounded to int8 anew in each layer; a last-bit difference moves some by a step"),
    "int8": (0.25, "another processor rounds some activations one int8 step away, and the steps add up over layers"),
}
"""Largest relative RMS error of a golden output on a device, and why."""


class ParityError(EdgeError):
    """A packed model is too far from Keras; nothing is written."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Judges:
    """What every variant of a recipe is held against.

    Attributes:
        picture: uint8 (H, W, 3) RGB of the input's own size, for the golden answer.
        inputs: image tensors of the parity pictures.
        reference: Keras' outputs for each of them.
    """

    picture: U8
    inputs: Sequence[Tensor]
    reference: Sequence[Sequence[Tensor]]


def make_judges(recipe: Recipe, traced: Traced, picture: Picture, inputs: Sequence[Tensor]) -> Judges:
    """Ask Keras for its answers.

    Raises:
        ConfigError: the recipe is wrong about the length of the vectors.
        ConversionError: Keras itself gives NaN.
    """
    height, width = recipe.height_width
    pixels = TensorSpec(name="image", dtype="uint8", shape=(1, height, width, 3))
    how = Preprocess(fit=recipe.preprocess.fit, pad_value=recipe.preprocess.pad_value)
    tensor, _ = Preprocessor(pixels, how).fit(picture.image)
    reference = [traced.reference([image]) for image in inputs]
    if recipe.embedding is not None:
        _check_length(recipe, [float(np.linalg.norm(outputs[0])) for outputs in reference])
    return Judges(tensor[0].copy(), inputs, reference)


def _check_length(recipe: Recipe, lengths: Sequence[float]) -> None:
    unit = bool(np.allclose(lengths, 1.0, atol=1e-3))
    if recipe.embedding is not None and unit != recipe.embedding.unit_length:
        raise ConfigError(
            f"recipe '{recipe.stem}': want embedding.unit_length = {str(unit).lower()}, as vectors have length "
            f"{min(lengths):.3g} to {max(lengths):.3g}, got {str(not unit).lower()}; correct it"
        )


def pack(
    folder: Path, recipe: Recipe, variant: Variant, model: bytes, traced: Traced, judges: Judges, origin: Provenance
) -> tuple[Bundle, tuple[OutputParity, ...]]:
    """Prove a converted file and write it as a bundle.

    The file is first staged as a bundle in a temporary folder and run from there by `edge`, then written whole.

    Args:
        folder: where bundles live.
        recipe: what is converted.
        variant: how it was packed.
        model: content of the model file.
        traced: names and types of its tensors.
        judges: inputs and the right answers.
        origin: what it was made from.

    Raises:
        ConfigError: the runtime is not installed.
        ConversionError: the runtime refuses the file or does not give the same answer twice.
        ParityError: an output is further from Keras than the recipe allows.
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    if not runtime_installed(variant.runtime):
        raise ConfigError(
            f"runtime '{variant.runtime}': want it installed to check what is written, got none; "
            "do: pip install 'edge-run[convert]'"
        )
    manifest = _manifest(recipe, variant, traced, origin)
    if variant.runtime == "tflite" and (oldest := minimum_runtime(model)):
        origin = replace(origin, versions={**origin.versions, "tflite runtime needed": oldest})
        manifest = replace(manifest, provenance=origin)
    name = recipe.bundle_name(variant)
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as temporary:
        staged = Path(temporary) / name
        try:
            answers, golden = _run(_stage(staged, manifest, model, b""), judges)
            names = [spec.name for spec in traced.outputs]
            parity = compare(names, judges.reference, answers, recipe.variants[variant.name].cosine_min)
            if complaints := broken(parity):
                raise ParityError("; ".join(complaints))
            manifest = replace(manifest, parity=parity)
            _stage(staged, manifest, model, golden)
            open_model(staged, recipe.task, _THREADS).backend.close()
        except BundleError as error:
            raise ConversionError(str(error).replace(str(staged), name)) from error
    return write_bundle(folder / name, manifest, model, golden), parity


def _stage(folder: Path, manifest: Manifest, model: bytes, golden: bytes) -> Bundle:
    """Lay out a bundle for this process alone: no zip, nothing atomic."""
    golden_part = replace(manifest.golden, sha256=sha256(golden))
    manifest = replace(manifest, model_sha256=sha256(model), golden=golden_part)
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    (folder / manifest.model_file).write_bytes(model)
    (folder / GOLDEN_FILE).write_bytes(golden)
    return Bundle(folder, manifest)


def tool_versions(variant: Variant) -> dict[str, str]:
    """Return the versions of all that shaped the file."""
    packages = ["tensorflow-cpu", "tensorflow", "keras", "numpy", "opencv-python"]
    packages += ["tf2onnx", "onnx", "onnxruntime"] if variant.runtime == "onnx" else ["ai-edge-litert"]
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # TensorFlow has two names, one of them is here
    return versions


def _run(bundle: Bundle, judges: Judges) -> tuple[list[list[Tensor]], bytes]:
    """Return the packed model's answers to all parity inputs, and the golden file."""
    preprocessor = Preprocessor(bundle.manifest.inputs[0], bundle.manifest.preprocess)
    backend = open_backend(bundle, _THREADS)
    try:
        answers = [[output.copy() for output in backend.invoke([tensor])] for tensor in judges.inputs]
        tensor, _ = preprocessor.fit(judges.picture)
        golden = make_golden(judges.picture, [output.copy() for output in backend.invoke([tensor])])
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"{backend.description}: want a run, got '{error}'; try another variant") from error
    finally:
        backend.close()
    return answers, golden


def _manifest(recipe: Recipe, variant: Variant, traced: Traced, origin: Provenance) -> Manifest:
    max_error, why = GOLDEN_LIMITS[variant.kind]
    labels = resolve(recipe.labels) if isinstance(recipe.labels, str) else recipe.labels
    embedding = None
    if recipe.embedding is not None:
        embedding = Embedding(
            dim=prod(traced.outputs[0].shape[1:]),
            unit_length=recipe.embedding.unit_length,
            metric=recipe.embedding.metric,
        )
    return Manifest(
        format=FORMAT,
        name=recipe.stem,
        task=recipe.task,
        runtime=variant.runtime,
        variant=variant.kind,
        model_file=f"model.{variant.runtime}",
        model_sha256="",
        inputs=traced.inputs,
        outputs=traced.outputs,
        preprocess=recipe.preprocess,
        golden=Golden(sha256="", max_error=max_error, why=why),
        provenance=origin,
        labels=tuple(labels),
        decoder=recipe.decoder,
        embedding=embedding,
        preferred=recipe.variants[variant.name].preferred,
    )
