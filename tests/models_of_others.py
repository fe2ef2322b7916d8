"""Models as other people make them: the list of kinds that the converter must take, with random weights.

Each is built, and written to a file, by the real package. `keras_2` needs tf_keras.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

KERAS_3: dict[str, Callable[[], Any]] = {}
"""Name -> builder of a Keras 3 model."""

CUSTOM_LAYER = """
import keras

@keras.saving.register_keras_serializable("mine")
class Mish(keras.layers.Layer):
    def call(self, x):
        return x * keras.ops.tanh(keras.ops.softplus(x))

class Scale(keras.layers.Layer):
    def __init__(self, factor=2.0, **more):
        super().__init__(**more)
        self.factor = factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

    def call(self, x):
        return x * self.factor

def cube(x):
    return x * x * x
"""


def model(build: Callable[[], Any]) -> Callable[[], Any]:
    KERAS_3[build.__name__] = build
    return build


def _application(name: str, **arguments: Any) -> Any:
    return getattr(keras.applications, name)(weights=None, **arguments)


@model
def mobilenet_v2_avg() -> Any:
    return _application("MobileNetV2", input_shape=(96, 96, 3), include_top=False, pooling="avg")


@model
def mobilenet_v2_max() -> Any:
    return _application("MobileNetV2", input_shape=(96, 96, 3), include_top=False, pooling="max", alpha=0.35)


@model
def mobilenet_v2_none() -> Any:
    return _application("MobileNetV2", input_shape=(96, 96, 3), include_top=False, alpha=0.35)


@model
def mobilenet_v3_small() -> Any:
    return _application("MobileNetV3Small", input_shape=(96, 96, 3), include_top=False, pooling="avg")


@model
def efficientnet_v2_b0() -> Any:
    return _application("EfficientNetV2B0", input_shape=(64, 64, 3), include_top=False, pooling="avg")


@model
def resnet50() -> Any:
    return _application("ResNet50", input_shape=(64, 64, 3), include_top=False, pooling="avg")


@model
def vgg16() -> Any:
    return _application("VGG16", input_shape=(32, 32, 3), include_top=False, pooling="avg")


def _encoder() -> Any:
    image = x = keras.Input((48, 48, 3))
    for width in (8, 16):
        x = layers.SeparableConv2D(width, 3, strides=2, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(6.0)(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x), name="encoder")


def _siamese(join: Callable[[Any, Any], Any]) -> Any:
    encoder = _encoder()  # a nested model, used twice
    right, left = keras.Input((48, 48, 3), name="right"), keras.Input((48, 48, 3), name="left")
    joined = join(encoder(left), encoder(right))
    same = layers.Dense(1, activation="sigmoid", name="same")(layers.Dense(8, activation="relu")(joined))
    return keras.Model([left, right], same)


@model
def siamese_difference() -> Any:
    return _siamese(lambda a, b: keras.ops.abs(a - b))


@model
def siamese_concat() -> Any:
    return _siamese(lambda a, b: layers.Concatenate()([a, b]))


@model
def localizer() -> Any:
    image = keras.Input((64, 64, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for width in (8, 16):
        x = layers.Conv2D(width, 3, strides=2, activation="relu")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    box = layers.Dense(4, activation="sigmoid", name="box")(x)
    kind = layers.Dense(2, activation="softmax", name="class")(x)
    return keras.Model(image, [kind, box])


@model
def augmented_cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="digit"),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.2),
            layers.GaussianNoise(0.1),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="gelu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


@model
def dict_in_dict_out() -> Any:
    inputs = {"second": keras.Input((6,), name="second"), "first": keras.Input((4,), name="first")}
    x = layers.Concatenate()([layers.Dense(5)(inputs["second"]), inputs["first"]])
    return keras.Model(inputs, {"zeta": layers.Dense(2)(x), "alpha": layers.Dense(3, activation="gelu")(x)})


@model
def normalised_and_resized() -> Any:
    image = keras.Input((40, 40, 3), name="image")
    x = layers.Resizing(32, 32)(image)
    x = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3600.0, 3500.0, 3400.0])(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    return keras.Model(image, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))


@model
def unet() -> Any:
    image = keras.Input((32, 32, 3), name="image")
    down = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(down)
    up = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(deep)
    up = layers.UpSampling2D(interpolation="bilinear")(layers.AveragePooling2D(2)(up))
    return keras.Model(image, layers.Conv2D(2, 1, activation="softmax", name="mask")(layers.Concatenate()([up, down])))


def _sequence(recurrent: Callable[[Any], Any]) -> Any:
    steps = keras.Input((6, 5), name="steps")
    return keras.Model(steps, layers.Dense(3, activation="softmax", name="class")(recurrent(steps)))


@model
def lstm() -> Any:
    return _sequence(lambda x: layers.LSTM(7)(layers.LSTM(8, return_sequences=True, dropout=0.2)(x)))


@model
def gru() -> Any:
    return _sequence(layers.GRU(8))


@model
def bidirectional() -> Any:
    return _sequence(layers.Bidirectional(layers.LSTM(6)))


@model
def conv_lstm() -> Any:
    frames = keras.Input((3, 12, 12, 2), name="frames")
    return keras.Model(frames, layers.GlobalAveragePooling2D(name="motion")(layers.ConvLSTM2D(4, 3)(frames)))


class Suppress(layers.Layer):
    """Non-maximum suppression inside the model, with a fixed number of rows."""

    def call(self, boxes: Any, scores: Any) -> Any:
        picked, valid = tf.image.non_max_suppression_padded(boxes[0], scores[0], 8, pad_to_max_output_size=True)
        return {"boxes": tf.gather(boxes[0], picked), "scores": tf.gather(scores[0], picked), "count": valid}

    def compute_output_spec(self, boxes: Any, scores: Any) -> Any:
        return {
            "boxes": keras.KerasTensor((8, 4)),
            "scores": keras.KerasTensor((8,)),
            "count": keras.KerasTensor((), dtype="int32"),
        }


class SuppressTogether(layers.Layer):
    """The same by TensorFlow's combined operator, which TFLite does not have."""

    def call(self, boxes: Any, scores: Any) -> Any:
        return tf.image.combined_non_max_suppression(boxes[:, :, None], scores[:, :, None], 8, 8)[0]

    def compute_output_spec(self, boxes: Any, scores: Any) -> Any:
        return keras.KerasTensor((None, 8, 4))


def _ssd(last: Any) -> Any:
    image = keras.Input((64, 64, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)  # without it all scores are 1, and suppression has nothing to choose by
    x = layers.Conv2D(16, 3, strides=8, padding="same", activation="relu")(x)
    boxes = layers.Reshape((-1, 4))(layers.Conv2D(8, 3, padding="same", activation="sigmoid")(x))
    scores = layers.Reshape((-1,))(layers.Conv2D(2, 3, padding="same", activation="sigmoid")(x))
    return keras.Model(image, last(boxes, scores))


@model
def ssd() -> Any:
    return _ssd(Suppress(name="suppress"))


def ssd_combined() -> Any:
    return _ssd(SuppressTogether(name="suppress"))


def with_lambda() -> Any:
    image = keras.Input((28, 28, 1), name="digit")
    x = layers.Lambda(lambda t: t / 127.5 - 1.0, output_shape=(28, 28, 1), name="scale_pixels")(image)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def with_custom_layer(module: Any) -> Any:
    """Use the layers of `CUSTOM_LAYER`, one registered with Keras and one not."""
    image = keras.Input((16, 16, 3), name="image")
    x = module.Scale(0.5)(module.Mish()(layers.Conv2D(4, 3)(image)))
    return keras.Model(image, layers.Dense(3, activation=module.cube)(layers.Flatten()(x)))


def keras_2(kind: str) -> Any:
    """Build a Keras 2 model: "depthwise", "flip", "lstm" or "lambda"."""
    import tf_keras

    old = tf_keras.layers
    if kind == "lstm":
        steps = old.Input((6, 5), name="steps")
        return tf_keras.Model(steps, old.Dense(3, name="class")(old.LSTM(8)(steps)))
    image = x = old.Input((32, 32, 3), name="picture")
    if kind == "flip":
        x = old.RandomRotation(0.2)(old.RandomFlip("horizontal")(x))
    if kind == "lambda":
        x = old.Lambda(lambda t: t * 2, name="twice")(x)
    x = old.Rescaling(1 / 127.5, offset=-1)(x)
    x = old.BatchNormalization()(old.Conv2D(8, 3, strides=2, use_bias=False)(x))
    x = old.BatchNormalization()(old.DepthwiseConv2D(3, use_bias=False)(tf.nn.relu6(x)))
    return tf_keras.Model(image, old.Dense(4, activation="softmax", name="kind")(old.GlobalAveragePooling2D()(x)))


def saved(build: Callable[[], Any], path: Path) -> Path:
    """Write a model by the real package, weights drawn with a fixed seed."""
    keras.utils.set_random_seed(7)
    build().save(path)
    return path
