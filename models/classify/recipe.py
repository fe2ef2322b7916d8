"""The recipe of a classifier: what a TOML file of `models/recipes/zoo` may say.

Defaults are left out of what a model's stamp is made from, so that a new key leaves finished models valid.
"""

from typing import Annotated, Literal

import msgspec

from edge.settings import BelowOne, Count, CountOrNone, NotNegative, Place, PlainNameOrNone, Rate, Seed, Share
from models.training.augment import Augmentation
from models.training.recipe import Few, Part, Width, Window

FASHION = "fashion-mnist"


class _Layer(Part, frozen=True, tag_field="kind"):
    """Base of the layers; `kind` in the TOML says which."""


class Conv(_Layer, frozen=True, omit_defaults=True, tag="conv"):
    """A convolution, then batch norm if wanted, then the activation.

    Attributes:
        filters: channels out.
        kernel: side in pixels.
        stride: step in pixels.
        padding: "same" adds a border of zeros, "valid" shrinks.
        batch_norm: True for batch norm between the sums and the activation; the convolution has no bias then.
    """

    filters: Width
    kernel: Window = 3
    stride: Window = 1
    padding: Literal["same", "valid"] = "same"
    activation: str = "relu"
    batch_norm: bool = False


class Residual(_Layer, frozen=True, omit_defaults=True, tag="residual"):
    """Convolutions of as many channels as come in, added to what came in (He et al. 2015, arXiv:1512.03385)."""

    convs: Few = 2
    kernel: Window = 3


class MaxPool(_Layer, frozen=True, omit_defaults=True, tag="max_pool"):
    """The largest of each square of `size` pixels."""

    size: Window = 2


class AveragePool(_Layer, frozen=True, omit_defaults=True, tag="average_pool"):
    """The mean of each square of `size` pixels."""

    size: Window = 2


class Flatten(_Layer, frozen=True, omit_defaults=True, tag="flatten"):
    """Pixels and channels in one row."""


class GlobalAverage(_Layer, frozen=True, omit_defaults=True, tag="global_average"):
    """The mean of each channel over all pixels."""


class Dropout(_Layer, frozen=True, omit_defaults=True, tag="dropout"):
    """Zeroes a share of the values while training."""

    rate: BelowOne


class BatchNorm(_Layer, frozen=True, omit_defaults=True, tag="batch_norm"):
    """Batch norm by itself."""


class Activation(_Layer, frozen=True, omit_defaults=True, tag="activation"):
    """An activation by itself."""

    name: str = "relu"


class Dense(_Layer, frozen=True, omit_defaults=True, tag="dense"):
    """A fully connected layer, then batch norm if wanted, then the activation."""

    units: Width
    activation: str = "relu"
    batch_norm: bool = False


class Vgg16(_Layer, frozen=True, omit_defaults=True, tag="vgg16"):
    """The convolutional base of VGG16 (Simonyan and Zisserman 2014, arXiv:1409.1556), on gray pictures too.

    Attributes:
        weights: "imagenet" where keras.applications can download them; else the run says so and starts at random.
        fit: how pictures below its least size of 32 are made fit, inside the graph: black border, or twice the size.
        train_from: first block that is trained, 1 to 5; 6 = none, feature extraction.
        blocks: how many of the five blocks are used.
    """

    weights: Literal["imagenet", "random"] = "imagenet"
    fit: Literal["pad", "double"] = "pad"
    train_from: Annotated[int, msgspec.Meta(ge=1, le=6)] = 6
    blocks: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5


Layer = (
    Conv | Residual | MaxPool | AveragePool | Flatten | GlobalAverage | Dropout | BatchNorm | Activation | Dense | Vgg16
)  # fmt: skip


class Optimizer(Part, frozen=True, omit_defaults=True):
    """How weights are changed.

    Attributes:
        rate: learning rate, the largest one of a schedule.
        schedule: "cosine" falls to 0 over all epochs, "exponential" by the factor `decay` each epoch.
        decay: of the schedule "exponential".
        warmup: epochs over which the rate rises from 0 first, for "cosine".
        momentum: of sgd, Nesterov's.
        weight_decay: taken off the weights, apart from the loss (Loshchilov and Hutter 2017, arXiv:1711.05101).
    """

    name: Literal["adam", "sgd", "rmsprop"] = "adam"
    rate: Rate = 1e-3
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    decay: Rate = 0.9
    warmup: NotNegative = 0.0
    momentum: Share = 0.9
    weight_decay: NotNegative = 0.0


class Recipe(Part, frozen=True, omit_defaults=True):
    """One classifier.

    Attributes:
        words: what it is, and what was chosen where nobody said, in a sentence for the table.
        layers: from the picture to the last hidden values; the softmax over the classes is added. At most 1,000: Keras
            walks through them by recursion.
        epochs: at most.
        data: "fashion-mnist", or a folder with one folder of pictures for each class, from where the command runs.
        size: height and width that pictures of a folder are fitted into; below 4 nothing is to be seen.
        color: whether they become gray or RGB.
        labels: classes that the folder must hold and no others; empty = those that are there.
        normalise: "scale" divides pixels by 255, "standardise" takes the mean off and divides by the standard
            deviation of the training pictures, "none" leaves 0..255. Inside the graph in each case.
        l1: weight of the sum of absolute weights of all kernels in the loss.
        l2: weight of the sum of their squares.
        batch: examples in a batch.
        patience: epochs without a smaller validation loss before it stops.
        label_smoothing: share of the truth spread over all classes (Szegedy et al. 2015, arXiv:1512.00567).
        augmentation: what is done to training pictures.
        optimizer: how weights are changed.
        examples: how many training pictures are used, equally many of each class; 0 = all.
        valid_examples: how many of the training pictures are set aside to choose by, equally many of each class.
        precision: "bfloat16" computes in bfloat16 with float32 weights, quick on processors with AMX or AVX512-BF16;
            the model that is saved is float32 in each case.
        start_from: model of the zoo whose weights it begins with, layer by layer; "" = at random.
        seconds_per_epoch: as measured (docs/zoo.md), by which `make zoo` plans.
        seed: of everything.
    """

    words: str
    layers: Annotated[tuple[Layer, ...], msgspec.Meta(max_length=1000)]
    epochs: Count
    data: Place = FASHION
    size: Annotated[int, msgspec.Meta(ge=4, le=4096)] = 28
    color: Literal["gray", "rgb"] = "gray"
    labels: tuple[str, ...] = ()
    normalise: Literal["scale", "standardise", "none"] = "scale"
    l1: NotNegative = 0.0
    l2: NotNegative = 0.0
    batch: Count = 128
    patience: CountOrNone | None = None
    label_smoothing: Share = 0.0
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    examples: CountOrNone = 0
    valid_examples: Count = 5000
    precision: Literal["float32", "bfloat16"] = "float32"
    start_from: PlainNameOrNone = ""
    seconds_per_epoch: NotNegative = 60.0
    seed: Seed = 0
