"""Generalized intersection over union: a loss of boxes that knows what it will be judged by.

Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019, arXiv:1902.09630. Boxes are xyxy; Keras tensors
(N, 4), in any unit.
"""

from typing import Any

import keras
from keras import ops

_SPECK = 1e-7


def iou_and_giou(true: Any, predicted: Any) -> tuple[Any, Any]:
    """Return IoU (N,) in 0..1 and GIoU (N,) in -1..1 of each pair; a predicted box turned inside out has area 0."""
    area_true, area_predicted = _area(true), _area(predicted)
    low, high = ops.maximum(true[:, :2], predicted[:, :2]), ops.minimum(true[:, 2:], predicted[:, 2:])
    inside = ops.prod(ops.maximum(high - low, 0.0), axis=1)
    union = area_true + area_predicted - inside
    low, high = ops.minimum(true[:, :2], predicted[:, :2]), ops.maximum(true[:, 2:], predicted[:, 2:])
    hull = ops.prod(ops.maximum(high - low, 0.0), axis=1)
    iou = inside / (union + _SPECK)
    return iou, iou - (hull - union) / (hull + _SPECK)


def _area(boxes: Any) -> Any:
    return ops.prod(ops.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)


@keras.saving.register_keras_serializable("edge-run")
class BoxLoss(keras.losses.Loss):  # type: ignore[misc]
    """1 - GIoU, and some of the mean distance of the sides.

    GIoU alone has no slope where a predicted box has no area, which is how a net begins; with the sides added, as in
    "End-to-End Object Detection with Transformers" (arXiv:2005.12872), it always has one.
    """

    def __init__(self, sides: float = 2.0, name: str = "box_loss", **options: Any) -> None:
        """Take the weight of the mean distance of the sides, which is in parts of the picture."""
        super().__init__(name=name, **options)
        self.sides = sides

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each box (N,): 0 for equal boxes."""
        apart = ops.mean(ops.abs(y_true - y_pred), axis=1)
        return 1.0 - iou_and_giou(y_true, y_pred)[1] + self.sides * apart

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` needs."""
        return {**super().get_config(), "sides": self.sides}


def mean_iou(y_true: Any, y_pred: Any) -> Any:
    """Return the IoU of each box (N,); as a Keras metric its mean is the mIoU."""
    return iou_and_giou(y_true, y_pred)[0]
