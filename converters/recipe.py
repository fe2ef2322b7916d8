"""How one model is made into bundles: a TOML file of `models/recipes`, read into one frozen value.

A recipe names the Keras model, what the device must know of it, the pictures to calibrate and to judge with, and
for every variant the parity it must keep. Nothing here imports TensorFlow.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from converters.assets import is_asset
from edge.bundle import Decoder, Preprocess, Runtime, Task
from edge.errors import ConfigError
from edge.settings import Count, Pixels, Place, Seed, Share, Word, convert, did_you_mean, read_toml
from models.training.recipe import named_recipe
from models.weights import ASSETS

RECIPES = Path(__file__).parent.parent / "models" / "recipes"
"""Where the recipes of this project live."""

Kind = Literal["fp32", "fp16", "dynamic", "int8", "u8s8", "int16x8"]
"""Number format of weights and sums. `dynamic` has int8 weights and float activations; `int8` both int8; `u8s8`
unsigned activations, which ONNX Runtime prefers on x86; `int16x8` int16 activations and int8 weights."""

VariantName = Literal[
    "fp32-tflite",
    "fp16-tflite",
    "dynamic-tflite",
    "int8-tflite",
    "int16x8-tflite",
    "fp32-onnx",
    "fp16-onnx",
    "int8-onnx",
    "u8s8-onnx",
]

TargetName = Literal["", "pi4", "pi5", "pi5-legacy", "jetson", "x86"]
"""Board a model is meant for, see `converters.targets`; "" = any."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to pack a model.

    Attributes:
        name: kind and runtime, the last two parts of a bundle's name.
        kind: number format of weights and sums.
        runtime: which runtime the file is for.
    """

    name: VariantName
    kind: Kind
    runtime: Runtime

    @property
    def calibrated(self) -> bool:
        """Whether the quantiser must see examples."""
        return self.kind in ("int8", "u8s8", "int16x8")

    @property
    def fitted(self) -> bool:
        """Whether examples make it better: its weights are rounded so that the sums over them change least."""
        return self.calibrated or self.kind == "dynamic"


VARIANTS: dict[VariantName, Variant] = {
    variant.name: variant
    for variant in (
        Variant("fp32-tflite", "fp32", "tflite"),
        Variant("fp16-tflite", "fp16", "tflite"),
        Variant("dynamic-tflite", "dynamic", "tflite"),
        Variant("int8-tflite", "int8", "tflite"),
        Variant("int16x8-tflite", "int16x8", "tflite"),
        Variant("fp32-onnx", "fp32", "onnx"),
        Variant("fp16-onnx", "fp16", "onnx"),
        Variant("int8-onnx", "int8", "onnx"),
        Variant("u8s8-onnx", "u8s8", "onnx"),
    )
}


ALL = "*"
"""Stands for all layers in `Settings.float_layers`."""

DECODING = "decoding"
"""Stands there for what comes behind the last convolutions and dense layers: a detector's raw heads stay in int8."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the quantiser is set in one attempt at a calibrated variant.

    Attributes:
        ranges: how the range of each activation is found from the calibration inputs: the smallest and largest
            value, the 0.005th and 99.995th percentile, or a moving average of each input's smallest and largest.
        wide: True for int16 activations.
        float_layers: layers that stay in float, worst first, by the names of `converters.layers`; or `ALL` or
            `DECODING` alone.
        fitted: False for a dynamic-range file whose weights are rounded one by one.
    """

    ranges: Literal["minmax", "percentile", "average"] = "minmax"
    wide: bool = False
    float_layers: tuple[str, ...] = ()
    fitted: bool = True

    def words(self, variant: "Variant") -> str:
        """Say it for a person and for the bundle: "percentile ranges, int16 activations, 3 layers in float"."""
        if variant.kind == "dynamic":
            return "weights fitted" if self.fitted else "weights rounded one by one"
        parts = [f"{self.ranges} ranges"]
        parts += ["int16 activations"] if self.wide else []
        if DECODING in self.float_layers:
            parts.append("decoding in float")
        elif self.float_layers:
            parts.append(f"{'all' if ALL in self.float_layers else len(self.float_layers)} layers in float")
        return ", ".join(parts)


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all parts of a recipe: immutable, an unknown key is an error."""


class Embedding(_Part, frozen=True):
    """What the device must know of vectors; their length is read from the model.

    Attributes:
        unit_length: True where the model gives rows of Euclidean length 1.
        metric: distance to compare them with.
    """

    unit_length: bool = False
    metric: Literal["manhattan", "cosine"] = "manhattan"


Pattern = Annotated[
    str,
    msgspec.Meta(pattern=r"^[^/\0][^\0]{0,199}\Z", description="a pattern of 1 to 200 characters such as **/*.jpg"),
]
"""Which files of a folder; `Path.glob` takes no absolute one."""


class Pictures(_Part, frozen=True):
    """Where pictures come from, and how many of them are taken. A recipe may draw from several places.

    Attributes:
        source: an asset of `models.weights`, or a folder, picture or video file, relative to the recipe.
        pattern: which files of a folder, or of an asset that is unpacked into one.
        count: how many pictures, at least 1.
        at_most: True where fewer will do.
        share: at most this part of what is there, so that something is left to judge with.
        crops: random parts taken of each picture, for an embedder; more than 1,000 of one show the same again.
        seed: chooses which ones.
    """

    source: Place
    count: Count
    pattern: Pattern = "**/*"
    at_most: bool = False
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    crops: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    seed: Seed = 0


class Rules(_Part, frozen=True):
    """What one variant must keep to be written.

    Attributes:
        cosine_min: smallest cosine between an output of the packed model and of Keras, over the parity examples;
            None, of a model without a recipe, for `converters.parity.floor_by_spread`.
        max_drop: largest fall of the task's metric, see `converters.tasks`; None = the recipe's own.
        settings: what the first attempt at a calibrated variant is made with, where an earlier conversion found out
            what it needs; None = begin with what is fastest on the device.
        optional: True where failing is expected, and no reason to end the command with an error.
        preferred: True for the variant that a device takes by itself when it has this runtime.
    """

    cosine_min: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None
    max_drop: Share | None = None
    settings: Settings | None = None
    optional: bool = False
    preferred: bool = False


Sides = Annotated[tuple[Pixels, ...], msgspec.Meta(min_length=2, max_length=2)]
"""Height and width. Not `tuple[Pixels, Pixels]`: beside a whole number with a range, msgspec 0.22 ends the process with
a segmentation fault at the next garbage collection."""


class Recipe(_Part, frozen=True):
    """A model and its variants.

    Attributes:
        name: first part of the bundles' names.
        task: what the device uses it for.
        model: `module:function` that builds it, given `arguments` ("none" stands for None, which TOML lacks), or a
            file that Keras saved, relative to the recipe.
        variants: which files to make, and the rules for each.
        size: input height and width in pixels, or one number for both; None for a model that takes no picture, or
            to take the size from the model.
        preprocess: how pixels become the model's input; None for a model that takes no picture.
        imports: Python files that define the model's own layers, relative to the recipe.
        trust: True to run code that is stored in the model file (Lambda layers).
        weights: assets of `models.weights` that the function reads, for the bundle's provenance.
        labels: class names, or `module:attribute` that holds them.
        input: what the bundle's picture inputs hold. `uint8` is a camera's pixels: cast, and normalised as
            `preprocess` says, inside the graph, so that the device does no float; `float32` leaves both to the device.
        threshold: probability from which a pair is the same, for task `pair`.
        calibration: examples for the quantiser.
        parity: examples to judge with; those that calibrated are left out. None = tensors of noise, which prove
            the arithmetic and nothing else.
        metric: folder or file with labelled examples, relative to the recipe; "" = the parity examples judge the task.
        target: board it is meant for.
        max_drop: largest fall of the task's metric that is allowed, in parts of 1; see `converters.tasks`.
        min_agreement: smallest share of examples on which a variant must agree with Keras; 0 = reported only.
    """

    name: Word
    task: Task
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=4095)]
    variants: dict[VariantName, Rules]
    size: Pixels | Sides | None = None
    preprocess: Preprocess | None = None
    calibration: tuple[Pictures, ...] = ()
    parity: tuple[Pictures, ...] = ()
    metric: Place = ""
    arguments: dict[str, bool | int | float | str | tuple[int | str, ...]] = {}
    imports: tuple[Place, ...] = ()
    trust: bool = False
    weights: tuple[str, ...] = ()
    labels: str | tuple[str, ...] = ()
    input: Literal["uint8", "float32"] = "uint8"
    decoder: Decoder | None = None
    embedding: Embedding | None = None
    threshold: Share = 0.5
    target: TargetName = ""
    max_drop: Share = 0.01
    min_agreement: Share = 0.0

    @property
    def height_width(self) -> tuple[int, int] | None:
        """Size of the pictures in pixels; None where the recipe does not say."""
        if self.size is None:
            return None
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    @property
    def stem(self) -> str:
        """First two parts of a bundle's name: nanodet-416, mobilenetv2-128x64; the name alone without a size."""
        if self.size is None:
            return self.name
        size = str(self.size) if isinstance(self.size, int) else f"{self.size[0]}x{self.size[1]}"
        return f"{self.name}-{size}"

    def bundle_name(self, variant: Variant) -> str:
        """Name of the folder that holds this variant."""
        return f"{self.stem}-{variant.name}"

    def allowed_drop(self, variant: Variant) -> float:
        """Largest fall of the task's metric for a variant."""
        own = self.variants[variant.name].max_drop
        return self.max_drop if own is None else own


def read_recipe(path: Path) -> Recipe:
    """Read and check one recipe.

    Raises:
        ConfigError: not readable, not TOML, an unknown or missing key, a value out of its range, or values that
            contradict each other.
    """
    return _checked(read_toml(path, f"recipe {path}"), f"recipe {path}")


def check_recipe(recipe: Recipe, where: str) -> None:
    """Check a recipe that was made of flags like one that was read; `where` begins the sentence.

    Raises:
        ConfigError: a value out of its range, or values that contradict each other.
    """
    _checked(msgspec.to_builtins(recipe), where)


def _checked(values: dict[str, Any], where: str) -> Recipe:
    recipe = convert(values, Recipe, where)
    for complaint in _complaints(recipe):
        raise ConfigError(f"{where}: {complaint}")
    return recipe


def find_recipe(name: str) -> Path:
    """Return the file of a recipe given by its path, or by its name in `models/recipes`.

    Raises:
        ConfigError: there is no recipe of that name, or no path. Whether a file can be read, reading it says.
    """
    known = {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}
    return named_recipe(name, known, "a .toml file, a model's file or a recipe's name")


def choose_variants(
    offered: Collection[VariantName], wanted: Sequence[str] = (), runtimes: Sequence[str] = ()
) -> list[Variant]:
    """List variants, in the order of `VARIANTS`.

    Args:
        offered: to choose from.
        wanted: names or kinds ("fp32-onnx", "int8"); empty = all.
        runtimes: for which runtimes; empty = all.

    Raises:
        ConfigError: a word that is none of these.
    """
    kinds = [word for variant in VARIANTS.values() for word in (variant.name, variant.kind)]
    known = (("--variants", list(dict.fromkeys(kinds)), wanted), ("--runtimes", ["tflite", "onnx"], runtimes))
    for flag, want, words in known:
        for word in words:
            if word not in want:
                raise ConfigError(f"{flag}: want some of {', '.join(want)}, got '{word}'; {did_you_mean(word, want)}")
    return [
        variant
        for name, variant in VARIANTS.items()
        if name in offered
        and (not wanted or {variant.name, variant.kind} & set(wanted))
        and (not runtimes or variant.runtime in runtimes)
    ]


def _complaints(recipe: Recipe) -> Iterator[str]:
    """Name what is wrong although every key is known and of its type."""
    if not recipe.variants:
        yield "variants: want at least one, got none; add a [variants.fp32-tflite]"
    if recipe.task == "detect" and recipe.decoder is None:
        yield "decoder: want one for task 'detect', got none; add [decoder] with a name of edge.decode.DECODERS"
    if recipe.task == "embed" and recipe.embedding is None:
        yield "embedding: want one for task 'embed', got none; add [embedding]"
    if recipe.task != "other" and recipe.preprocess is None:
        yield f"preprocess: want one for task '{recipe.task}', got none; add [preprocess]"
    if recipe.preprocess is not None:
        yield from _pixel_complaints(recipe.preprocess)
    if recipe.decoder is not None and recipe.decoder.name == "nanodet" and not recipe.decoder.strides:
        yield "decoder: want strides and bins for 'nanodet', got none; write a recipe, as nanodet-416.toml is one"
    for name in recipe.weights:
        if not is_asset(name):
            yield f"weights: want assets of models.weights, got '{name}'; {did_you_mean(name, ASSETS)}"
    calibrated = any(VARIANTS[name].calibrated for name in recipe.variants)
    if calibrated and not recipe.calibration:
        yield "calibration: want examples for int8, got none; add a [[calibration]], or leave the int8 variants out"
    preferred = [VARIANTS[name].runtime for name, rules in recipe.variants.items() if rules.preferred]
    for runtime in sorted({runtime for runtime in preferred if preferred.count(runtime) > 1}):
        yield f"variants: want at most one preferred for {runtime}, got {preferred.count(runtime)}; keep one"


def _pixel_complaints(how: Preprocess) -> Iterator[str]:
    channels = 1 if how.color == "gray" else 3
    for name, numbers in (("mean", how.mean), ("std", how.std)):
        if len(numbers) not in (1, channels):
            yield f"{name}: want one number, or {channels} for {how.color}, got {len(numbers)}; correct it"
