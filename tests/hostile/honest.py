"""Honest files of all kinds: they must open without --trust, so that nobody buys safety by refusing everything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Build = Callable[[], Any]
SLOW = ("keras-3-efficientnet", "keras-2-recurrent-saved", "keras-3-mobilenet-v3", "keras-2-mobilenet-keras")
"""Those that take many seconds."""
HONEST: dict[str, Callable[[Path], Path]] = {}
"""Name -> writes the file into an empty folder, and returns it."""


def _keras_3(name: str, ending: str = ".keras") -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        def make(folder: Path) -> Path:
            path = folder / f"model{ending}"
            build().save(path)
            return path

        HONEST[f"keras-3-{name}"] = make
        return build

    return add


def _keras_2(name: str, *endings: str) -> Callable[[Build], Build]:
    """Save by Keras 2 with each ending; "" = as a SavedModel."""

    def add(build: Build) -> Build:
        for ending in endings or (".h5", ".keras"):

            def make(folder: Path, ending: str = ending) -> Path:
                path = folder / f"model{ending}"
                build().save(path, save_format={".h5": "h5", ".keras": "keras", "": "tf"}[ending])
                return path

            HONEST[f"keras-2-{name}{ending.replace('.', '-') or '-saved'}"] = make
        return build

    return add


def _layers() -> tuple[Any, Any]:
    import keras

    return keras, keras.layers


@_keras_3("convolutions")
def _convolutions() -> Any:
    keras, layers = _layers()
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.ZeroPadding2D(1)(
        layers.Conv2D(4, 3, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    )
    x = layers.DepthwiseConv2D(3, depthwise_constraint=keras.constraints.MaxNorm(2.0))(x)
    x = layers.SeparableConv2D(4, 3, activation="swish", pointwise_initializer="he_normal")(
        layers.BatchNormalization()(x)
    )
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(3, activation="softmax", kernel_constraint="non_neg")(x))


@_keras_3("h5", ".h5")
def _old_container() -> Any:
    return _convolutions()


@_keras_3("arithmetic")
def _arithmetic() -> Any:
    keras, layers = _layers()
    x, y = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    z = (x + y) * 2.0 - x / 3.0
    z = keras.ops.concatenate([z[:, :2], keras.ops.abs(z)[:, 2:], keras.ops.relu(y)], axis=-1)
    z = keras.ops.clip(keras.ops.reshape(z, (-1, 8)), 0.0, 6.0)
    return keras.Model([x, y], layers.Dense(2, activation="tanh")(keras.ops.expand_dims(z, 1)[:, 0]))


@_keras_3("nested")
def _nested() -> Any:
    keras, layers = _layers()
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "relu"), layers.LayerNormalization()], name="inner")
    x, y = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    one = keras.Model(x, inner(x), name="branch")
    joined = layers.Add()([one(x), one(y)])
    return keras.Model({"a": x, "b": y}, {"sum": joined, "product": layers.Multiply()([x, y])})


@_keras_3("recurrent")
def _recurrent() -> Any:
    keras, layers = _layers()
    steps = keras.Input((5, 4), name="steps")
    x = layers.Masking()(steps)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum")(x)
    x = layers.RNN(layers.StackedRNNCells([layers.GRUCell(4), layers.SimpleRNNCell(4)]), return_sequences=True)(x)
    return keras.Model(steps, layers.TimeDistributed(layers.Dense(2, "gelu"))(x))


@_keras_3("attention")
def _attention() -> Any:
    keras, layers = _layers()
    words = keras.Input((6,), dtype="int32", name="words")
    x = layers.Embedding(20, 8)(words)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d", activation="silu")(x)
    return keras.Model(words, layers.GlobalAveragePooling1D()(layers.Attention()([x, x])))


@_keras_3("preprocessing")
def _preprocessing() -> Any:
    keras, layers = _layers()
    image = keras.Input((16, 16, 3), name="image")
    x = layers.RandomContrast(0.1)(layers.RandomZoom(0.1)(layers.RandomRotation(0.1)(layers.RandomFlip()(image))))
    x = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 1.0, 1.0])(
        layers.CenterCrop(12, 12)(layers.Resizing(14, 14)(x))
    )
    return keras.Model(image, layers.GlobalMaxPooling2D()(layers.GaussianNoise(0.1)(x)))


@_keras_3("mixed-precision")
def _mixed() -> Any:
    keras, layers = _layers()
    x = keras.Input((4,), name="x")
    dense = layers.Dense(4, activation="relu", dtype="mixed_float16")
    return keras.Model(x, layers.Dense(2, dtype=keras.DTypePolicy("float32"))(dense(x)))


@_keras_3("int8-weights")
def _quantised() -> Any:
    keras, layers = _layers()
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(2)])
    model.quantize("int8")
    return model


@_keras_3("named-lambda")
def _named_lambda() -> Any:
    keras, layers = _layers()
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Lambda(keras.activations.relu, output_shape=(4,))(x))


@_keras_3("compiled")
def _compiled() -> Any:
    keras, layers = _layers()

    def own_loss(truth: Any, answer: Any) -> Any:
        return keras.ops.mean(keras.ops.square(truth - answer))

    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("adam", loss=own_loss, metrics=["mae"])
    return model


@_keras_3("compiled-h5", ".h5")
def _compiled_h5() -> Any:
    keras, layers = _layers()
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)), loss="mse")
    return model


@_keras_3("activations")
def _activations() -> Any:
    keras, layers = _layers()
    x = y = keras.Input((8, 8, 2), name="x")
    for word in ("relu6", "elu", "selu", "hard_sigmoid", "softplus", "mish", "leaky_relu"):
        y = layers.Activation(word)(y)
    y = layers.PReLU(shared_axes=[1, 2])(layers.LeakyReLU()(layers.ReLU(6.0)(layers.Softmax()(y))))
    y = layers.Conv2DTranspose(2, 3, activation=keras.activations.gelu)(layers.UpSampling2D()(y))
    return keras.Model(x, layers.Permute((3, 1, 2))(layers.Cropping2D(1)(y)))


@_keras_3("mobilenet")
def _mobilenet() -> Any:
    import keras

    return keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=3)


@_keras_3("mobilenet-v3")
def _mobilenet_v3() -> Any:
    import keras

    return keras.applications.MobileNetV3Small((32, 32, 3), 0.75, weights=None, classes=3, minimalistic=True)


@_keras_3("efficientnet")
def _efficientnet() -> Any:
    import keras

    return keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))


@_keras_2("convolutions", ".h5", ".keras", "")
def _old_convolutions() -> Any:
    import tf_keras

    layers = tf_keras.layers
    image = tf_keras.Input((16, 16, 3), name="image")
    x = layers.RandomFlip("horizontal")(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", activation="relu")(x)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, kernel_constraint="unit_norm")(x))
    return tf_keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@_keras_2("operations")
def _old_operations() -> Any:
    import tensorflow as tf
    import tf_keras

    x, y = tf_keras.Input((4,), name="a"), tf_keras.Input((4,), name="b")
    z = tf.nn.relu6(x + y) * 2.0 - tf.math.sqrt(tf.abs(x) + 1.0)
    z = tf.concat([z[:, :2], tf.clip_by_value(y, 0.0, 1.0)[:, 2:]], axis=-1)
    z = tf.reshape(tf.expand_dims(z, 1), (-1, 2, 2)) / tf.reduce_sum(tf.exp(z))
    return tf_keras.Model([x, y], tf.image.resize(tf.transpose(z, (0, 2, 1))[:, :, :, None], (4, 4)))


@_keras_2("recurrent", ".h5", ".keras", "")
def _old_recurrent() -> Any:
    import tf_keras

    layers = tf_keras.layers
    steps = tf_keras.Input((5, 4), name="steps")
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(steps)
    return tf_keras.Model(
        steps, layers.TimeDistributed(layers.Dense(2, activation="tanh"))(layers.GRU(4, return_sequences=True)(x))
    )


@_keras_2("nested")
def _old_nested() -> Any:
    import tf_keras

    layers = tf_keras.layers
    inner = tf_keras.Sequential([layers.InputLayer((4,)), layers.Dense(4, activation="swish")], name="inner")
    x = tf_keras.Input((4,), name="x")
    model = tf_keras.Model(x, layers.Dense(2)(layers.LayerNormalization()(layers.Add()([x, inner(x)]))))
    model.compile("adam", loss="mse", metrics=["mae"])
    return model


@_keras_2("mixed-precision")
def _old_mixed() -> Any:
    import tf_keras

    layers = tf_keras.layers
    x = tf_keras.Input((4,), name="x")
    dense = layers.Dense(4, dtype=tf_keras.mixed_precision.Policy("mixed_float16"))
    return tf_keras.Model(x, layers.Activation("linear", dtype="float32")(dense(x)))


@_keras_2("mobilenet", ".h5", ".keras")
def _old_mobilenet() -> Any:
    import tf_keras

    return tf_keras.applications.MobileNet((32, 32, 3), 0.25, weights=None, classes=3)


def _exported(folder: Path) -> Path:
    path = folder / "exported"
    _convolutions().export(str(path), verbose=False)
    return path


def _exported_recurrent(folder: Path) -> Path:
    path = folder / "exported"
    _recurrent().export(str(path), verbose=False)
    return path


def _module(folder: Path) -> Path:
    """A model in bare TensorFlow, with loops, branches, variables and an argument for training."""
    import tensorflow as tf

    class Net(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(tf.ones((4, 4)))

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            for _ in tf.range(3):
                x = tf.nn.relu(x @ self.kernel) + 0.5
            x = tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2.0, lambda: x)
            return {"y": tf.map_fn(lambda row: row / tf.norm(row), x)}

    net = Net()
    tf.saved_model.save(net, str(folder / "module"), signatures={"serving_default": net.__call__})
    return folder / "module"


def _session(folder: Path) -> Path:
    """A model of TensorFlow 1."""
    import tensorflow as tf

    v1, path = tf.compat.v1, folder / "session"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (1, 4), name="x")
        kernel = v1.get_variable("kernel", initializer=tf.ones((4, 2)), use_resource=True)
        y = v1.nn.softmax(x @ kernel, name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})
    return path


def _session_old_variables(folder: Path) -> Path:
    """The same with variables as TensorFlow 1 had them first."""
    import tensorflow as tf

    v1, path = tf.compat.v1, folder / "session"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (1, 4), name="x")
        kernel = v1.get_variable("kernel", initializer=tf.ones((4, 2)), use_resource=False)
        y = tf.identity(x @ kernel, name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})
    return path


HONEST.update({
    "saved-exported": _exported, "saved-exported-recurrent": _exported_recurrent, "saved-module": _module,
    "saved-session": _session, "saved-session-old-variables": _session_old_variables,
})  # fmt: skip
