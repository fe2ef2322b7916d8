"""What a bundle was held against, kept beside its report: a few inputs and Keras' answers, to verify it by later.

`checks.npz` in the report's folder holds `input_<i>_<n>`, the tensors of example i, and `keras_<i>_<n>`, what the
Keras model answered.
"""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from converters.load import Tensor
from converters.study import Study
from edge.errors import ConfigError

EVIDENCE_FILE = "checks.npz"

_MOST_BYTES = 32_000_000
"""Enough for 48 examples of every model here but the largest maps, small enough to keep."""


def write_evidence(folder: Path, study: Study) -> None:
    """Keep as many of the parity examples as fit."""
    arrays: dict[str, Tensor] = {}
    size = 0
    for number, answer in enumerate(study.reference):
        inputs = study.parity.inputs(study.parity_rows[number])
        size += sum(tensor.nbytes for tensor in (*inputs, *answer))
        if number and size > _MOST_BYTES:
            break
        arrays.update({f"input_{number}_{place}": tensor for place, tensor in enumerate(inputs)})
        arrays.update({f"keras_{number}_{place}": tensor for place, tensor in enumerate(answer)})
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    unfinished = folder / f".{EVIDENCE_FILE}"
    unfinished.write_bytes(packed.getvalue())
    unfinished.replace(folder / EVIDENCE_FILE)


def read_evidence(folder: Path) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Return the inputs and Keras' answers of each example.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = folder / EVIDENCE_FILE
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(
            f"evidence {path}: want the file that the conversion left beside the bundle, got '{error}'; "
            "keep the .report folder beside the bundles, or convert again"
        ) from error
    inputs: list[list[Tensor]] = []
    answers: list[list[Tensor]] = []
    while f"input_{len(inputs)}_0" in arrays:
        number = len(inputs)
        inputs.append(_row(arrays, f"input_{number}_"))
        answers.append(_row(arrays, f"keras_{number}_"))
    return inputs, answers


def _row(arrays: dict[str, Tensor], prefix: str) -> list[Tensor]:
    row: list[Tensor] = []
    while f"{prefix}{len(row)}" in arrays:
        row.append(arrays[f"{prefix}{len(row)}"])
    return row
