"""What a localizer is trained from and how: a TOML file of `models/recipes/localizer`."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from edge.settings import Count, CountOrNone, NotNegative, Place, Seed
from models.localizer.nets import NetName
from models.training.recipe import Part


class LocalizerRecipe(Part, frozen=True):
    """One localizer.

    Attributes:
        net: see `models.localizer.nets`.
        data: folder in Oxford-IIIT Pet layout, or a `.csv` file.
        valid: the same, to validate with; "" = a part of `data`.
        valid_share: size of that part.
        labels: classes in the order of the net's columns; none = those of the data, by name.
        size: height and width of the net's input, pixels; the bases halve it five times, and below 32 nothing is left.
        fit: how pictures are fitted into it; `letterbox` keeps their shape.
        weights: of the base: `imagenet`, `random`, or a file for `vgg16`.
        pretrain_epochs: of `own-cnn` as a classifier, at most.
        box_loss: `giou`, or the mean square of the sides' error.
        box_weight: of the box in the loss.
        class_weight: of the class in the loss.
        epochs: of the heads, at most.
        patience: epochs without a lower validation loss before it stops.
        batch: pictures in a step.
        learning_rate: largest one, reached after an epoch; it falls to 0 along a cosine.
        mirror: True to learn from mirrored pictures too.
        seed: of split, weights and order.
    """

    net: NetName
    data: Place
    valid: Place = ""
    valid_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    labels: tuple[str, ...] = ()
    size: Annotated[int, msgspec.Meta(ge=32, le=4096)] = 128
    fit: Literal["letterbox", "stretch"] = "letterbox"
    weights: Place = "random"
    pretrain_epochs: CountOrNone = 0
    box_loss: Literal["mse", "giou"] = "giou"
    box_weight: NotNegative = 1.0
    class_weight: NotNegative = 1.0
    epochs: Count = 30
    patience: Count = 6
    batch: Count = 64
    learning_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 1e-3
    mirror: bool = True
    seed: Seed = 0

    def complaints(self) -> Iterator[str]:
        """See `Part.complaints`."""
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            yield f"labels: want at least two different ones, or none, got {', '.join(self.labels)}; correct them"
        if self.net == "own-cnn" and (self.pretrain_epochs < 1 or self.weights != "random"):
            yield "net own-cnn: want pretrain_epochs above 0 and random weights; it is its own teacher"
        if self.net != "own-cnn" and self.pretrain_epochs:
            yield f"pretrain_epochs: want 0 for {self.net}, got {self.pretrain_epochs}; remove it"
        if self.net == "mobilenetv2" and self.weights != "imagenet":
            yield f"net mobilenetv2: want weights = 'imagenet', got '{self.weights}'; correct it"
