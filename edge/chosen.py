"""Which bundles a run takes: found and read before anything slow is opened, so that a typo costs no time."""

from dataclasses import dataclass
from pathlib import Path

from edge.backends import how_to_install, runtime_installed
from edge.bundle import Manifest, Task, read_manifest
from edge.config import Config
from edge.errors import BundleError, ConfigError
from edge.folders import bundle_for, named_bundle
from edge.stages.detect import check_classes


@dataclass(frozen=True, slots=True)
class Chosen:
    """Folders of bundles.

    Attributes:
        detector: finds boxes.
        embedder: makes vectors of them.
        pairing: a head over pairs of vectors; None = the embedder's distance judges.
    """

    detector: Path
    embedder: Path
    pairing: Path | None


def choose(config: Config, classes_from: str = "classes") -> Chosen:
    """Find the bundles of a run, and see that they are for their tasks, can run here and know the wanted classes.

    Args:
        config: of the run.
        classes_from: the flag, or the file and its key, that the wanted classes come from; begins an error's sentence.

    Raises:
        ConfigError: two embedders are named, or a class that the detector does not know.
        BundleError: as `ready`.
    """
    detector = bundle_for("detect", config.detector)
    embedder, pairing = _looks(config)
    labels = ready(detector, "detect").labels
    ready(embedder, "embed")
    if pairing is not None:
        ready(pairing, "pair")
    check_classes(labels, config.classes, classes_from)
    return Chosen(detector, embedder, pairing)


def ready(path: Path, task: Task) -> Manifest:
    """Read what a bundle says of itself; its model stays closed.

    Raises:
        BundleError: it cannot be read, is for another task, or its runtime is not installed.
    """
    manifest = read_manifest(path)
    if manifest.task != task:
        raise BundleError(
            f"bundle {path}: want a model for task '{task}', got one for '{manifest.task}'; "
            "check which bundle was given"
        )
    if not runtime_installed(manifest.runtime):
        raise BundleError(
            f"bundle {path}: want the runtime '{manifest.runtime}', which is not installed; "
            f"do: {how_to_install(manifest.runtime)}"
        )
    return manifest


def _looks(config: Config) -> tuple[Path, Path | None]:
    """Return the bundle of the embedder, and that of a head over pairs where there is one."""
    matcher = named_bundle(config.matcher) if config.matcher else None
    if matcher is None or read_manifest(matcher).task != "embed":
        return bundle_for("embed", config.embedder), matcher
    if config.embedder:
        raise ConfigError(
            f"matcher {matcher}: want a head over pairs beside --embedder, got another embedder; leave one of them out"
        )
    return matcher, None
