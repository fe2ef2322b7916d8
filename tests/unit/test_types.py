import numpy as np
import pytest

from edge.types import Detections, Frame


def test_a_wrong_shape_says_what_was_wanted_and_what_came() -> None:
    with pytest.raises(ValueError, match=r"Detections.boxes: want float32 \(3, 4\), got float32 \(3, 5\)"):
        Detections(np.zeros((3, 5), np.float32), np.zeros(3, np.float32), np.zeros(3, np.int32))


def test_a_wrong_dtype_says_what_was_wanted_and_what_came() -> None:
    with pytest.raises(ValueError, match=r"Frame.image: want uint8 \(N, N, 3\), got float32 \(2, 2, 3\)"):
        Frame(0, 0, np.zeros((2, 2, 3), np.float32))


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Detections.none().scores = np.zeros(1, np.float32)  # type: ignore[misc]
