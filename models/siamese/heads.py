"""Heads over a pair: from what a base sees in two pictures to the probability that they show one individual.

Names are those of the table in docs/same-or-different.md: `2_960_640` has two hidden layers over the absolute
difference of two vectors, `0` has none, `combined` adds the product of the vectors to their difference, `dense_640`
narrows each cell of the base's map before it is averaged, and `flatten` keeps the place of every cell.
"""

from typing import Annotated, Any, Literal

import keras
import msgspec
import numpy as np

from edge.settings import BelowOne, Count, NotNegative, Place, PlainName, Rate, Seed
from models.siamese.layout import Side
from models.training.recipe import Few, Part, Width

_STEEP, _USUAL = 10.0, 0.7
"""Where the logit of the Manhattan distance begins: slope, and mean absolute difference at which it is 0; both are
trained."""

Form = Literal["vectors", "pictures", "vector-and-picture"]

MAP_TAP = "block_12_add"
"""Layer of MobileNetV2 up to which fine-tuning leaves the base alone; what comes after is trained."""


class Head(Part, frozen=True):
    """A recipe of `models/recipes/pairs`.

    Attributes:
        name: of the model's folder.
        size: height and width of the base's input, pixels.
        base: folder of a trained embedder whose vectors are compared; "" = MobileNetV2.
        hidden: widths of the hidden layers.
        join: what the hidden layers see of two vectors: their absolute difference, or also their product.
        pooling: how the base's map becomes a vector; `flatten` keeps it.
        before: width of a layer over each cell before the pooling; 0 = none.
        start: `manhattan` adds the Manhattan distance to what the layers say and lets them begin by saying nothing, so
            that training goes on from there; `random` has the layers alone, as they were drawn. A dozen individuals
            teach layers that begin at random little that is true of others.
        fine_tune: True to train the last blocks of the base too.
        form: what the saved model takes: two vectors of the base (what a loop needs, which embeds each crop once),
            two pictures, or a vector kept from earlier and a picture.
        at_once: pairs that a saved model of two vectors takes in one run.
        dropout: share of the hidden layers' inputs that is dropped in training.
        decay: weight decay of AdamW.
        batch: pairs in a batch, half of each kind, so two at least.
        epochs: at most.
        patience: epochs without a better validation loss.
        rate: learning rate of Adam.
        held_out: share of the groups whose pairs only validate.
        seed: decides all draws.
    """

    name: PlainName
    size: tuple[Side, Side] = (97, 97)
    base: Place = ""
    hidden: Annotated[tuple[Width, ...], msgspec.Meta(max_length=100)] = ()
    join: Literal["difference", "combined"] = "difference"
    pooling: Literal["avg", "max", "flatten"] = "avg"
    before: Annotated[int, msgspec.Meta(ge=0, le=16_384)] = 0
    start: Literal["manhattan", "random"] = "manhattan"
    fine_tune: bool = False
    form: Form = "vectors"
    at_once: Few = 32
    dropout: BelowOne = 0.3
    decay: NotNegative = 0.01
    batch: Annotated[int, msgspec.Meta(ge=2, le=2**31 - 1)] = 64
    epochs: Count = 20
    patience: Count = 4
    rate: Rate = 0.0003
    held_out: BelowOne = 0.25
    seed: Seed = 0


def tower(feature: Any, recipe: Head) -> keras.Model:
    """Build what turns the base's map into the vector that is compared; the same for both pictures.

    Args:
        feature: shape (rows, columns, channels) of the base's map.
        recipe: says how.
    """
    x = inside = keras.Input(feature, name="map")
    if recipe.before:
        x = keras.layers.Dense(recipe.before, activation="relu", name="before")(x)
    if recipe.pooling == "flatten":
        x = keras.layers.Flatten(name="flatten")(x)
    elif recipe.pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.UnitNormalization(name="vector")(x)
    return keras.Model(inside, x, name="tower")


def head(dim: int, recipe: Head) -> keras.Model:
    """Build the head over vectors of length 1: two inputs (..., D) -> probability (..., 1).

    It works over the last axis, so that one run may take many pairs.
    """
    a, b = (keras.Input((None, None, dim), name=name) for name in ("a", "b"))
    # Vectors of length 1 have elements of about 1 / sqrt(D); layers start best from about 1.
    x, y = (keras.layers.Rescaling(float(np.sqrt(dim)), name=f"scale_{t.name}")(t) for t in (a, b))
    z = keras.ops.abs(keras.ops.subtract(x, y))
    if recipe.join == "combined":
        z = keras.layers.Concatenate(name="combined")([z, keras.ops.multiply(x, y)])
    for number, width in enumerate(recipe.hidden):
        z = keras.layers.Dropout(recipe.dropout, name=f"dropout_{number}")(z)
        z = keras.layers.Dense(width, activation="relu", name=f"hidden_{number}")(z)
    begin = "zeros" if recipe.start == "manhattan" else "glorot_uniform"
    same = keras.layers.Dense(1, kernel_initializer=begin, name="logit")(z)
    if recipe.start == "manhattan":
        off = keras.ops.mean(keras.ops.abs(keras.ops.subtract(x, y)), axis=-1, keepdims=True)
        known = keras.layers.Dense(1, name="manhattan")
        same = keras.layers.Add(name="both")([same, known(keras.ops.multiply(off, _STEEP))])
        known.set_weights([np.full((1, 1), -1.0, np.float32), np.full(1, _STEEP * _USUAL, np.float32)])
    same = keras.layers.Activation("sigmoid", name="same")(same)
    return keras.Model([a, b], same, name="head")


def over_vectors(inner: keras.Model, dim: int, at_once: int) -> keras.Model:
    """Give a head the fixed shape that the device wants: two inputs (1, at_once, D) -> `same` (1, at_once, 1)."""
    a, b = (keras.Input((1, at_once, dim), name=name) for name in ("a", "b"))
    x = keras.layers.Reshape((at_once,), name="probability")(inner([a, b]))
    return keras.Model([a, b], {"same": x}, name="pair_head")


def over_pictures(base: keras.Model, shared: keras.Model, inner: keras.Model) -> keras.Model:
    """Join base, tower and head to a model of two pictures, `image_a` and `image_b`."""
    shape, dtype = base.inputs[0].shape[1:], base.inputs[0].dtype
    pictures = [keras.Input(shape, dtype=dtype, name=f"image_{name}") for name in ("a", "b")]
    vectors = [keras.layers.Reshape((1, 1, -1))(shared(base(picture))) for picture in pictures]
    return keras.Model(pictures, {"same": keras.layers.Reshape((1,))(inner(vectors))}, name="pair")


def over_vector_and_picture(base: keras.Model, shared: keras.Model, inner: keras.Model, dim: int) -> keras.Model:
    """Join base, tower and head to a model of a vector kept from earlier, `vector`, and a picture, `image`."""
    picture = keras.Input(base.inputs[0].shape[1:], dtype=base.inputs[0].dtype, name="image")
    kept = keras.Input((dim,), name="vector")
    shape = keras.layers.Reshape((1, 1, dim))
    same = inner([shape(kept), shape(shared(base(picture)))])
    return keras.Model([kept, picture], {"same": keras.layers.Reshape((1,))(same)}, name="pair")
