"""A bundle ready to run: read, loaded into its runtime, and found to give the stored answer."""

import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2

from edge.backends import BACKENDS, Backend, how_to_install, in_words, open_backend, runtime_installed
from edge.bar import waiting
from edge.bundle import Bundle, Task, find_bundles, read_bundle
from edge.errors import BundleError
from edge.golden import check_golden
from edge.preprocess import Preprocessor, is_picture
from edge.redact import printable

_CRAFTED = (
    ArithmeticError,
    AssertionError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
    cv2.error,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What Python, numpy, OpenCV, msgspec and the runtimes raise for content that nobody but a forger or a fault makes."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a stage needs to run a bundle; a context manager that frees the runtime.

    Attributes:
        bundle: the contract.
        backend: moves tensors.
        pictures: fills the first input that is a picture; None where the model takes none.
        invoke_ns: what the check's run cost, a first guess for the budget.
    """

    bundle: Bundle
    backend: Backend
    pictures: Preprocessor | None
    invoke_ns: int

    @property
    def preprocessor(self) -> Preprocessor:
        """What fills the picture's tensor.

        Raises:
            BundleError: the model takes no picture.
        """
        if self.pictures is None:
            raise BundleError(f"bundle {self.bundle.path}: want a model of pictures, got one of bare tensors")
        return self.pictures

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.backend.close()


def open_model(path: Path, task: Task | None, threads: int) -> Model:
    """Open a bundle and prove it on this machine.

    Args:
        path: the bundle's folder.
        task: what it must be for, or None for any.
        threads: cores that the runtime may use.

    Raises:
        BundleError: it cannot be read, loaded or trusted; see `read_bundle`, `open_backend`, `check_golden`.
    """
    with guarded(path):
        bundle = read_bundle(path, task)
        pictures = preprocessor_of(bundle)
        with waiting(f"opening {printable(path.name)}"):  # TensorRT builds its engine for minutes
            backend = open_backend(bundle, threads)
        before = time.monotonic_ns()
        check_golden(bundle, backend)
        return Model(bundle, backend, pictures, time.monotonic_ns() - before)


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn whatever a crafted bundle makes the libraries raise into one sentence.

    Raises:
        BundleError: as the body raises it, or in place of any other error.
    """
    try:
        yield
    except _CRAFTED as error:
        raise BundleError(
            f"bundle {path}: want a bundle that can be opened, got {type(error).__name__} '{in_words(error)}'; "
            "do not use it, convert it again"
        ) from error


def preprocessor_of(bundle: Bundle) -> Preprocessor | None:
    """Return what fills the first input that is a picture; None for a model that takes none."""
    how = bundle.manifest.preprocess
    spec = next((spec for spec in bundle.manifest.inputs if how is not None and is_picture(spec, how)), None)
    return None if spec is None or how is None else Preprocessor(spec, how)


def default_bundle(task: Task, folders: Sequence[Path]) -> Path:
    """Choose the bundle for a task when none is named: the first folder that has one for a runtime installed here.

    Within a folder, one that its recipe marks as preferred comes first, then the order of `BACKENDS`, then of names.

    Raises:
        BundleError: there is none; the message says how to get one.
    """
    unusable = []
    for folder in folders:
        found = [bundle for bundle in find_bundles(folder) if bundle.manifest.task == task]
        usable = [bundle for bundle in found if runtime_installed(bundle.manifest.runtime)]
        if usable:
            return min(usable, key=_rank).path
        unusable += [bundle.manifest.runtime for bundle in found]
    if unusable:
        raise BundleError(
            f"default bundle: want a runtime for one of the '{task}' bundles here, of which none is installed; "
            f"do: {how_to_install(unusable[0])}"
        )
    raise BundleError(
        f"default bundle: want one for '{task}' in {' or '.join(map(str, folders))}, got none; run 'make convert' "
        "on a workstation and 'edge bundle install FILE.zip' here, or name a bundle with its flag"
    )


def _rank(bundle: Bundle) -> tuple[bool, int, str]:
    manifest = bundle.manifest
    return not manifest.preferred, list(BACKENDS).index(manifest.runtime), bundle.path.name
