"""The nets of the workflow: one that is small, one that must overfit, and that one held back."""

from typing import Any

import keras

from models.workflow.data import Examples
from models.workflow.recipe import WorkflowRecipe
from models.workflow.scaling import Scaling


def small_net(recipe: WorkflowRecipe, examples: Examples, scaling: Scaling) -> Any:
    """Build the baseline: the scaled input, flattened, under the last layer alone.

    On numbers it learns ten times as fast as the recipe says, up to 0.01: one layer has one valley, and a small table
    has few steps in an epoch.
    """
    inputs, x = _scaled(examples, scaling)
    rate = recipe.learning_rate
    if not examples.pictures:
        rate = max(rate, min(10 * rate, 0.01))
    return _finished(recipe, examples, scaling, inputs, keras.layers.Flatten()(x), rate)


def large_net(recipe: WorkflowRecipe, examples: Examples, scaling: Scaling, held_back: bool) -> Any:
    """Build the net that can learn more than there is to learn.

    Args:
        recipe: says how large.
        examples: say the shapes.
        scaling: of the training part.
        held_back: True with dropout and L2.
    """
    l2 = keras.regularizers.L2(recipe.l2) if held_back and recipe.l2 else None
    inputs, x = _scaled(examples, scaling)
    if examples.pictures:
        for number, part in enumerate((8, 4, 2)):
            x = keras.layers.Conv2D(
                max(4, recipe.units // part), 3, padding="same", activation="relu", kernel_regularizer=l2,
                name=f"conv_{number}",
            )(x)  # fmt: skip
            if min(x.shape[1:3]) >= 2:
                x = keras.layers.MaxPooling2D(name=f"pool_{number}")(x)
        x = keras.layers.Flatten()(x)
    for number in range(1 if examples.pictures else 2):
        if held_back:
            x = keras.layers.Dropout(recipe.dropout)(x)
        x = keras.layers.Dense(recipe.units, activation="relu", kernel_regularizer=l2, name=f"dense_{number}")(x)
    if held_back:
        x = keras.layers.Dropout(recipe.dropout)(x)
    return _finished(recipe, examples, scaling, inputs, x, recipe.learning_rate)


def _scaled(examples: Examples, scaling: Scaling) -> tuple[Any, Any]:
    """Return the input and what it becomes: the scaling is part of the model, so the device feeds it raw values."""
    shape = examples.x.shape[1:]
    if examples.pictures:
        inputs = keras.Input(shape, dtype="uint8", name="image")
        return inputs, keras.layers.Rescaling(1 / 255)(inputs)
    inputs = keras.Input(shape, dtype="float32", name="numbers")
    mean, deviation = scaling.mean.tolist(), scaling.deviation.tolist()
    return inputs, keras.layers.Rescaling(
        [1 / value for value in deviation], [-m / d for m, d in zip(mean, deviation, strict=True)]
    )(inputs)


def _finished(recipe: WorkflowRecipe, examples: Examples, scaling: Scaling, inputs: Any, x: Any, rate: float) -> Any:
    """Put the last layer on, with the activation and the loss of the recipe.

    Numbers of any size are brought back to their own unit after it: steps of Adam are far too small to find 150 alone.
    """
    output = keras.layers.Dense(examples.y.shape[1], activation=recipe.last_activation, name="answer")(x)
    if len(scaling.answer_mean):
        output = keras.layers.Rescaling(
            scaling.answer_deviation.tolist(), scaling.answer_mean.tolist(), name="own_unit"
        )(output)  # fmt: skip
    model = keras.Model(inputs, output, name=recipe.name.replace("-", "_"))
    model.compile(keras.optimizers.Adam(rate), recipe.loss)
    return model
