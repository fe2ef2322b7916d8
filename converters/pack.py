"""A converted file -> a bundle: its manifest, a staging folder to prove it in, and the writing of what passed."""

import importlib.metadata
import shutil
from math import prod
from pathlib import Path

from converters.assets import asset_weights
from converters.gates import FileFacts
from converters.recipe import Variant
from converters.study import Study
from converters.tolerance import tolerance
from converters.traced import Names
from edge.bundle import (
    FORMAT,
    Bundle,
    Embedding,
    Golden,
    Manifest,
    Provenance,
    bundle_files,
    read_bundle,
    write_bundle,
    write_files,
)

THREADS = 2

_LABELLED = ("detect", "classify", "localize")


def manifest_for(
    study: Study, names: Names, variant: Variant, facts: FileFacts, settings: str, stamp: str, basis: str
) -> Manifest:
    """Make the contract of one file; parity, metrics and the measured tolerance are set later.

    Args:
        study: what is known of the model.
        names: of its tensors.
        variant: how it was packed.
        facts: what the file itself says.
        settings: of the quantiser, in words.
        stamp: hash of all that the bundle is made from.
        basis: hash of what all variants of the model share.
    """
    recipe = study.recipe
    max_error, why = tolerance(variant.kind, None)
    embedding = None
    if recipe.embedding is not None and recipe.task == "embed":
        dim = prod(names.outputs[0].shape)
        embedding = Embedding(dim=dim, unit_length=recipe.embedding.unit_length, metric=recipe.embedding.metric)
    origin = Provenance(
        keras=study.facts.source,
        source_sha256=study.facts.source_sha256,
        weights=tuple(asset_weights(name) for name in recipe.weights),
        recipe_sha256=stamp,
        basis=basis,
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
        inputs=facts.inputs,
        outputs=facts.outputs,
        preprocess=recipe.preprocess,
        minimum_runtime=facts.minimum_runtime,
        golden=Golden(max_error=max_error, why=why),
        provenance=origin,
        labels=study.labels if recipe.task in _LABELLED else (),
        decoder=recipe.decoder if recipe.task == "detect" else None,
        embedding=embedding,
        threshold=recipe.threshold if recipe.task == "pair" else None,
        preferred=recipe.variants[variant.name].preferred,
    )


def stage(folder: Path, manifest: Manifest, model: bytes, golden: bytes) -> Bundle:
    """Lay out a bundle for this conversion alone: no zip, nothing atomic.

    Raises:
        BundleError: a manifest that no device would accept.
    """
    shutil.rmtree(folder, ignore_errors=True)
    return write_files(folder, manifest, bundle_files(folder, manifest, model, golden))


def write_staged(staged: Path, path: Path) -> Bundle:
    """Write a staged bundle to its place, whole, with its zip.

    Raises:
        BundleError: it is no longer whole.
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    bundle = read_bundle(staged)
    return write_bundle(path, bundle.manifest, bundle.model_path.read_bytes(), bundle.golden_path.read_bytes())


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
