"""What a localizer is trained from and how: a TOML file of `models/recipes/localizer`."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from edge.errors import ConfigError
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
        size: height and width of the net's input, pixels.
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
    data: str
    valid: str = ""
    valid_share: float = 0.2
    labels: tuple[str, ...] = ()
    size: int = 128
    fit: Literal["letterbox", "stretch"] = "letterbox"
    weights: str = "random"
    pretrain_epochs: int = 0
    box_loss: Literal["mse", "giou"] = "giou"
    box_weight: float = 1.0
    class_weight: float = 1.0
    epochs: int = 30
    patience: int = 6
    batch: int = 64
    learning_rate: float = 1e-3
    mirror: bool = True
    seed: int = 0


def with_flags(recipe: LocalizerRecipe, **given: object) -> LocalizerRecipe:
    """Lay the flags that were given (not None) over a recipe, and check it.

    Raises:
        ConfigError: a value out of its range, or values that contradict each other.
    """
    recipe = msgspec.structs.replace(recipe, **{name: value for name, value in given.items() if value is not None})
    for complaint in _complaints(recipe):
        raise ConfigError(f"localizer recipe: {complaint}")
    return recipe


def _complaints(recipe: LocalizerRecipe) -> Iterator[str]:
    for name in ("epochs", "patience", "batch"):
        if getattr(recipe, name) < 1:
            yield f"{name}: want at least 1, got {getattr(recipe, name)}; correct it"
    if not 0 < recipe.learning_rate < 1:
        yield f"learning_rate: want above 0 and below 1, got {recipe.learning_rate:g}; correct it"
    if len(set(recipe.labels)) != len(recipe.labels) or len(recipe.labels) == 1:
        yield f"labels: want at least two different ones, or none, got {', '.join(recipe.labels)}; correct them"
    if recipe.net == "own-cnn" and (recipe.pretrain_epochs < 1 or recipe.weights != "random"):
        yield "net own-cnn: want pretrain_epochs above 0 and random weights; it is its own teacher"
    if recipe.net != "own-cnn" and recipe.pretrain_epochs:
        yield f"pretrain_epochs: want 0 for {recipe.net}, got {recipe.pretrain_epochs}; remove it"
    if recipe.net == "mobilenetv2" and recipe.weights != "imagenet":
        yield f"net mobilenetv2: want weights = 'imagenet', got '{recipe.weights}'; correct it"
