"""Recipe -> compiled Keras model. The input is uint8-valued pixels; normalisation and resizing are in the graph."""

import sys
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers as k

from edge.errors import ConfigError
from models.classify import recipe as r
from models.training.batchnorm import FusedBatchNormalization, plain_layer

LAST = "class"
"""Name of the softmax."""
VGG16_LEAST = 32
"""Side in pixels below which VGG16's five poolings leave nothing."""
_IMAGENET_MEAN_RGB = (123.68, 116.779, 103.939)
"""What VGG16 was trained with takes off each channel (keras.applications.vgg16.preprocess_input, mode 'caffe')."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the data say of a net.

    Attributes:
        size: height, width and channels of a picture.
        classes: how many.
        mean: of the training pixels, 0..255.
        std: their standard deviation.
        steps: batches in an epoch.
    """

    size: tuple[int, int, int]
    classes: int
    mean: float
    std: float
    steps: int


def build(recipe: r.Recipe, shape: Shape) -> keras.Model:
    """Return the compiled model of a recipe, with weights drawn from Keras' global seed.

    Raises:
        ConfigError: layers that leave no vector.
        ValueError: layers that do not fit each other.
    """
    policy = "mixed_bfloat16" if recipe.precision == "bfloat16" else "float32"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = _net(recipe, shape)
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(_optimizer(recipe, shape.steps), _loss(recipe), metrics=["accuracy"])
    return model


def plain_model(model: keras.Model) -> keras.Model:
    """Return the same model computing in float32, of Keras' own layers, not compiled: what leaves the training.

    A loss of our own in the file would keep others from opening it.
    """
    clone = keras.models.clone_model(model, clone_function=plain_layer)  # compiled as the model is
    clone.set_weights(model.get_weights())
    return keras.Model(clone.inputs, clone.outputs)


def _net(recipe: r.Recipe, shape: Shape) -> keras.Model:
    image = keras.Input(shape.size, name="image")
    x = image
    if recipe.normalise == "scale":
        x = k.Rescaling(1 / 255)(x)
    elif recipe.normalise == "standardise":
        x = k.Rescaling(1 / shape.std, -shape.mean / shape.std)(x)
    for layer in recipe.layers:
        x = _add(layer, x, recipe)
    if len(x.shape) != 2:
        got = " x ".join(str(side) for side in x.shape[1:])
        raise ConfigError(f"layers: want a vector before the softmax, got {got}; add a flatten or a global_average")
    answer = k.Dense(shape.classes, "softmax", name=LAST, dtype="float32", kernel_regularizer=_penalty(recipe))(x)
    return keras.Model(image, answer)


def _add(layer: r.Layer, x: Any, recipe: r.Recipe) -> Any:
    match layer:
        case r.Conv():
            return _conv(layer, x, recipe)
        case r.Residual():
            y = x
            for _ in range(layer.convs):
                y = _conv(r.Conv(filters=x.shape[-1], kernel=layer.kernel, batch_norm=True), y, recipe)
            return k.Add()([x, y])
        case r.MaxPool():
            return k.MaxPooling2D(layer.size)(x)
        case r.AveragePool():
            return k.AveragePooling2D(layer.size)(x)
        case r.Flatten():
            return k.Flatten()(x)
        case r.GlobalAverage():
            return k.GlobalAveragePooling2D()(x)
        case r.Dropout():
            return k.Dropout(layer.rate)(x)
        case r.BatchNorm():
            return FusedBatchNormalization()(x)
        case r.Activation():
            return k.Activation(layer.name)(x)
        case r.Dense():
            x = k.Dense(layer.units, use_bias=not layer.batch_norm, kernel_regularizer=_penalty(recipe))(x)
            x = FusedBatchNormalization()(x) if layer.batch_norm else x
            return k.Activation(layer.activation)(x)
        case r.Vgg16():
            return _vgg16(layer, x, recipe)


def _conv(layer: r.Conv, x: Any, recipe: r.Recipe) -> Any:
    x = k.Conv2D(
        layer.filters, layer.kernel, layer.stride, layer.padding, use_bias=not layer.batch_norm,
        kernel_regularizer=_penalty(recipe), kernel_initializer="he_normal" if layer.activation == "relu" else None,
    )(x)  # fmt: skip
    x = FusedBatchNormalization()(x) if layer.batch_norm else x
    return k.Activation(layer.activation)(x)


def _vgg16(layer: r.Vgg16, x: Any, recipe: r.Recipe) -> Any:
    """Add VGG16's base: pixels 0..255 as ImageNet has them, gray three times, large enough."""
    if recipe.normalise != "none":
        raise ValueError("a vgg16 layer scales by itself: want normalise = 'none'")
    height, width = x.shape[1:3]
    if layer.fit == "double":
        x = k.UpSampling2D(2, interpolation="bilinear")(x)
    elif min(height, width) < VGG16_LEAST:
        down, across = max(0, VGG16_LEAST - height), max(0, VGG16_LEAST - width)
        x = k.ZeroPadding2D(((down // 2, down - down // 2), (across // 2, across - across // 2)))(x)
    if x.shape[-1] == 1:
        x = k.Concatenate()([x, x, x])
    blue, green, red = (-_IMAGENET_MEAN_RGB[channel] for channel in (2, 1, 0))
    x = k.Rescaling(1.0, (blue, green, red))(x)  # gray: the order of the channels is the same either way
    base = _vgg16_base(layer, tuple(x.shape[1:]))
    for part in base.layers[1:]:
        block = int(part.name[len("block")])
        if block > layer.blocks:
            break
        own = type(part).from_config(part.get_config())  # else the layer belongs to two models
        x = own(x)
        own.set_weights(part.get_weights())
        own.trainable = block >= layer.train_from
    return x


def _vgg16_base(layer: r.Vgg16, size: tuple[int, ...]) -> keras.Model:
    if layer.weights == "imagenet":
        try:
            return keras.applications.VGG16(include_top=False, weights="imagenet", input_shape=size)
        except Exception as error:  # noqa: BLE001, what a download raises is urllib's and Keras' own affair
            words = str(error).splitlines()[0][:120]
            print(f"VGG16: no ImageNet weights here ({words}); starting at random", file=sys.stderr, flush=True)
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=size)


def _penalty(recipe: r.Recipe) -> Any:
    return keras.regularizers.L1L2(recipe.l1, recipe.l2) if recipe.l1 or recipe.l2 else None


def _loss(recipe: r.Recipe) -> Any:
    if recipe.label_smoothing == 0.0:
        return "sparse_categorical_crossentropy"
    return SmoothCrossEntropy(recipe.label_smoothing)


@keras.saving.register_keras_serializable("edge_run")
class SmoothCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy with a share of the truth spread over all classes, for labels that are numbers."""

    def __init__(self, smoothing: float = 0.1, name: str = "smooth_cross_entropy", **more: Any) -> None:
        """Set the share, 0 to 1."""
        super().__init__(name=name, **more)
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example (N,) from labels (N,) or (N, 1) and probabilities (N, classes)."""
        truth = keras.ops.one_hot(keras.ops.reshape(y_true, (-1,)), y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(truth, y_pred, label_smoothing=self.smoothing)

    def get_config(self) -> dict[str, Any]:
        """Return what makes it again."""
        return {**super().get_config(), "smoothing": self.smoothing}


def _optimizer(recipe: r.Recipe, steps: int) -> keras.optimizers.Optimizer:
    how = recipe.optimizer
    rate: Any = how.rate
    if how.schedule == "exponential":
        rate = keras.optimizers.schedules.ExponentialDecay(how.rate, steps, how.decay)
    elif how.schedule == "cosine":
        warmup = round(how.warmup * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else how.rate, max(1, recipe.epochs * steps - warmup),
            warmup_target=how.rate if warmup else None, warmup_steps=warmup,
        )  # fmt: skip
    decay = how.weight_decay or None
    if how.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=how.momentum, nesterov=how.momentum > 0, weight_decay=decay)
    if how.name == "rmsprop":
        return keras.optimizers.RMSprop(rate, weight_decay=decay)
    return keras.optimizers.AdamW(rate, weight_decay=decay) if decay else keras.optimizers.Adam(rate)
