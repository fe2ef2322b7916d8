"""What a bundle was held against, kept beside its report: a few inputs and Keras' answers, to verify it by later.

`checks.npz` in the report's folder holds `input_<i>_<n>`, the tensors of example i, `keras_<i>_<n>`, what the Keras
model answered, and `basis`, the hash of the model and its data: evidence speaks of the bundles that name the same.
"""

import io
from pathlib import Path

import numpy as np

from converters.load import Tensor
from converters.study import Study
from edge.errors import ConfigError, LimitError
from edge.limits import read_npz
from edge.whole import write_file

EVIDENCE_FILE = "checks.npz"
_BASIS = "basis"

_MOST_BYTES = 32_000_000
"""Enough for 48 examples of every model here but the largest maps, small enough to keep."""


def write_evidence(folder: Path, study: Study, basis: str) -> None:
    """Keep as many of the parity examples as fit."""
    arrays: dict[str, Tensor] = {_BASIS: np.array(basis)}
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
    write_file(folder / EVIDENCE_FILE, packed.getvalue())


def read_evidence(folder: Path) -> tuple[list[list[Tensor]], list[list[Tensor]], str]:
    """Return the inputs and Keras' answers of each example, and the basis they belong to, "" = not known.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = folder / EVIDENCE_FILE
    try:
        arrays = read_npz(path)
    except (OSError, LimitError) as error:
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
    return inputs, answers, str(arrays.get(_BASIS, ""))


def _row(arrays: dict[str, Tensor], prefix: str) -> list[Tensor]:
    row: list[Tensor] = []
    while f"{prefix}{len(row)}" in arrays:
        row.append(arrays[f"{prefix}{len(row)}"])
    return row
