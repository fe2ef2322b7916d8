"""A converted file -> a bundle: its manifest, a staging folder to prove it in, and the writing of what passed."""

import importlib.metadata
from collections.abc import Mapping
from math import prod
from pathlib import Path

import msgspec
from msgspec.structs import replace

from converters.assets import asset_weights
from converters.gates import FileFacts
from converters.recipe import Kind, Variant
from converters.study import Study
from converters.traced import Names
from edge.bundle import (
    FORMAT,
    GOLDEN_FILE,
    MANIFEST_FILE,
    Bundle,
    Embedding,
    Golden,
    Manifest,
    Provenance,
    read_manifest,
    sha256,
    write_bundle,
)

THREADS = 2

GOLDEN_LIMITS: Mapping[Kind, tuple[float, str]] = {
    "fp32": (0.01, "float32 kernels that sum in another order, or in TF32 on a GPU; a wrong colour order gives > 0.1"),
    "fp16": (0.02, "as float32, and kernels that compute in float16 where the processor has it"),
    "dynamic": (0.05, "activations are rounded to int8 anew in each layer; a last-bit difference moves some by a step"),
    "int8": (0.25, "another processor rounds some activations one int8 step away, and the steps add up over layers"),
    "u8s8": (0.25, "another processor rounds some activations one uint8 step away, and the steps add up over layers"),
    "int16x8": (0.02, "activations have 256 times finer steps than int8"),
}
"""Largest relative RMS error of a golden output on a device, and why."""


def manifest_for(study: Study, names: Names, variant: Variant, facts: FileFacts, settings: str, stamp: str) -> Manifest:
    """Make the contract of one file; hashes, parity and metrics are set later.

    Args:
        study: what is known of the model.
        names: of its tensors.
        variant: how it was packed.
        facts: what the file itself says.
        settings: of the quantiser, in words.
        stamp: hash of all that the bundle is made from.
    """
    recipe = study.recipe
    max_error, why = GOLDEN_LIMITS[variant.kind]
    embedding = None
    if recipe.embedding is not None:
        dim = prod(names.outputs[0].shape[1:])
        embedding = Embedding(dim=dim, unit_length=recipe.embedding.unit_length, metric=recipe.embedding.metric)
    origin = Provenance(
        keras=study.facts.source,
        source_sha256=study.facts.source_sha256,
        weights=tuple(asset_weights(name) for name in recipe.weights),
        recipe_sha256=stamp,
        settings=settings,
        calibration=study.calibrated_by if variant.fitted else None,
        versions=tool_versions(variant),
    )
    return Manifest(
        format=FORMAT,
        name=recipe.stem,
        task=recipe.task,
        runtime=variant.runtime,
        variant=variant.kind,
        model_file=f"model.{variant.runtime}",
        model_sha256="",
        inputs=facts.inputs,
        outputs=facts.outputs,
        preprocess=recipe.preprocess,
        minimum_runtime=facts.minimum_runtime,
        golden=Golden(sha256="", max_error=max_error, why=why),
        provenance=origin,
        labels=study.labels,
        decoder=recipe.decoder,
        embedding=embedding,
        threshold=recipe.threshold if recipe.task == "pair" else None,
        preferred=recipe.variants[variant.name].preferred,
    )


def stage(folder: Path, manifest: Manifest, model: bytes, golden: bytes) -> Bundle:
    """Lay out a bundle for this conversion alone: no zip, nothing atomic."""
    golden_part = replace(manifest.golden, sha256=sha256(golden))
    manifest = replace(manifest, model_sha256=sha256(model), golden=golden_part)
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    (folder / manifest.model_file).write_bytes(model)
    (folder / GOLDEN_FILE).write_bytes(golden)
    return Bundle(folder, manifest)


def write_staged(staged: Path, path: Path) -> Bundle:
    """Write a staged bundle to its place, whole, with its zip.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    manifest = read_manifest(staged)
    model, golden = (staged / manifest.model_file).read_bytes(), (staged / GOLDEN_FILE).read_bytes()
    return write_bundle(path, manifest, model, golden)


def tool_versions(variant: Variant) -> dict[str, str]:
    """Return the versions of all that shaped the file."""
    packages = ["tensorflow-cpu", "tensorflow", "keras", "tf_keras", "numpy", "opencv-python"]
    if variant.runtime == "onnx":
        packages += ["tf2onnx", "onnx", "onnxruntime", "onnxconverter-common"]
    else:
        packages += ["ai-edge-litert", "ai-edge-quantizer"]
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # TensorFlow has two names, one of them is here; the rest is optional
    return versions
