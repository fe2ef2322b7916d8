"""How one model is made into bundles: a TOML file of `models/recipes`, read into one frozen value.

A recipe names the Keras model, what the device must know of it, the pictures to calibrate and to judge with, and
for every variant the parity it must keep. Nothing here imports TensorFlow.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edge.bundle import Decoder, Preprocess, Runtime, Task
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parent.parent / "models" / "recipes"
"""Where the recipes of this project live."""

Kind = Literal["fp32", "fp16", "dynamic", "int8"]
VariantName = Literal["fp32-tflite", "fp16-tflite", "dynamic-tflite", "int8-tflite", "fp32-onnx", "int8-onnx"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to pack a model.

    Attributes:
        name: kind and runtime, the last two parts of a bundle's name.
        kind: number format of weights and sums: `dynamic` has int8 weights and float activations, `int8` both int8.
        runtime: which runtime the file is for.
    """

    name: VariantName
    kind: Kind
    runtime: Runtime

    @property
    def calibrated(self) -> bool:
        """Whether the quantiser must see pictures."""
        return self.kind == "int8"


VARIANTS: dict[VariantName, Variant] = {
    variant.name: variant
    for variant in (
        Variant("fp32-tflite", "fp32", "tflite"),
        Variant("fp16-tflite", "fp16", "tflite"),
        Variant("dynamic-tflite", "dynamic", "tflite"),
        Variant("int8-tflite", "int8", "tflite"),
        Variant("fp32-onnx", "fp32", "onnx"),
        Variant("int8-onnx", "int8", "onnx"),
    )
}


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


class Pictures(_Part, frozen=True):
    """Where pictures come from, and how many of them are taken. A recipe may draw from several places.

    Attributes:
        source: an asset of `models.weights`, or a folder, picture or video file, relative to the recipe.
        pattern: which files of a folder, or of an asset that is unpacked into one.
        count: how many pictures, at least 1.
        crops: random parts taken of each picture, for an embedder.
        seed: chooses which ones.
    """

    source: str
    count: int
    pattern: str = "**/*"
    crops: int = 1
    seed: int = 0


class Rules(_Part, frozen=True):
    """What one variant must keep to be written.

    Attributes:
        cosine_min: smallest cosine between an output of the packed model and of Keras, over the parity pictures.
        optional: True where failing is expected, and no reason to end the command with an error.
        preferred: True for the variant that a device takes by itself when it has this runtime.
    """

    cosine_min: float
    optional: bool = False
    preferred: bool = False


class Recipe(_Part, frozen=True):
    """A model and its variants.

    Attributes:
        name: first part of the bundles' names.
        size: input height and width in pixels, or one number for both.
        task: what the device uses it for.
        model: `module:function` that builds it, given `arguments`; "none" stands for None, which TOML lacks.
        weights: assets of `models.weights` that the function reads, for the bundle's provenance.
        labels: class names, or `module:attribute` that holds them.
        input: what the bundle's input tensor holds; `uint8` is a camera's pixels, cast inside the graph.
        calibration: pictures for the quantiser.
        parity: pictures to judge with; those that calibrated are left out.
        variants: which files to make, and the rules for each.
    """

    name: str
    size: int | tuple[int, int]
    task: Task
    model: str
    preprocess: Preprocess
    calibration: tuple[Pictures, ...]
    parity: tuple[Pictures, ...]
    variants: dict[VariantName, Rules]
    arguments: dict[str, bool | int | float | str | tuple[int | str, ...]] = {}
    weights: tuple[str, ...] = ()
    labels: str | tuple[str, ...] = ()
    input: Literal["uint8", "float32"] = "uint8"
    decoder: Decoder | None = None
    embedding: Embedding | None = None

    @property
    def height_width(self) -> tuple[int, int]:
        """Size of the input in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def stem(self) -> str:
        """First two parts of a bundle's name: nanodet-416, mobilenetv2-128x64."""
        size = str(self.size) if isinstance(self.size, int) else f"{self.size[0]}x{self.size[1]}"
        return f"{self.name}-{size}"

    def bundle_name(self, variant: Variant) -> str:
        """Name of the folder that holds this variant."""
        return f"{self.stem}-{variant.name}"


def read_recipe(path: Path) -> Recipe:
    """Read and check one recipe.

    Raises:
        ConfigError: not readable, not TOML, an unknown or missing key, or values that contradict each other.
    """
    try:
        recipe = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Recipe)
    except OSError as error:
        raise ConfigError(f"recipe {path}: want a readable file, got '{error.strerror}'; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path}: want TOML, got '{error}'; correct that place") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"recipe {path}: want the keys of converters.recipe, got '{error}'; correct it") from error
    for complaint in _complaints(recipe):
        raise ConfigError(f"recipe {path}: {complaint}")
    return recipe


def find_recipe(name: str) -> Path:
    """Return the file of a recipe given by its path, or by its name in `models/recipes` or a folder below.

    Raises:
        ConfigError: there is none.
    """
    if Path(name).is_file():
        return Path(name)
    found = sorted(RECIPES.rglob(f"{name}.toml"))
    if not found:
        known = ", ".join(path.stem for path in sorted(RECIPES.rglob("*.toml")))
        raise ConfigError(f"recipe '{name}': want a .toml file or one of {known or 'no recipe yet'}, got neither")
    return found[0]


def choose_variants(recipe: Recipe, wanted: tuple[str, ...]) -> list[Variant]:
    """List the recipe's variants, in the order of `VARIANTS`.

    Args:
        recipe: the recipe.
        wanted: names, kinds or runtimes ("fp32-onnx", "int8", "tflite"); empty = all of the recipe.

    Raises:
        ConfigError: a word that is none of these.
    """
    words = {word for variant in VARIANTS.values() for word in (variant.name, variant.kind, variant.runtime)}
    for word in wanted:
        if word not in words:
            raise ConfigError(f"--variants: want some of {', '.join(sorted(words))}, got '{word}'; correct it")
    return [
        variant
        for name, variant in VARIANTS.items()
        if name in recipe.variants and (not wanted or {variant.name, variant.kind, variant.runtime} & set(wanted))
    ]


def _complaints(recipe: Recipe) -> Iterator[str]:
    """Name what is wrong although every key is known and of its type."""
    if not recipe.variants:
        yield "variants: want at least one, got none; add a [variants.fp32-tflite]"
    if not recipe.name or set(recipe.name) & set("/\\. "):
        yield f"name: want a plain word, got '{recipe.name}'; it becomes part of a folder's name"
    if min(recipe.height_width) < 1:
        yield f"size: want pixels above 0, got {recipe.size}; correct it"
    if recipe.task == "detect" and recipe.decoder is None:
        yield "decoder: want one for task 'detect', got none; add [decoder] with a name of edge.decode.DECODERS"
    if recipe.task == "embed" and recipe.embedding is None:
        yield "embedding: want one for task 'embed', got none; add [embedding]"
    how = recipe.preprocess
    if recipe.input == "uint8" and (any(how.mean) or set(how.std) != {1.0} or how.color != "rgb"):
        yield "preprocess: want no mean, std or color with input 'uint8', got some; put them into the model's graph"
    for name, places in (("calibration", recipe.calibration), ("parity", recipe.parity)):
        if not places:
            yield f"{name}: want at least one place for pictures, got none; add a [[{name}]]"
        if any(min(pictures.count, pictures.crops) < 1 for pictures in places):
            yield f"{name}: want count and crops of at least 1, got less; correct it"
    preferred = [VARIANTS[name].runtime for name, rules in recipe.variants.items() if rules.preferred]
    for runtime in sorted({runtime for runtime in preferred if preferred.count(runtime) > 1}):
        yield f"variants: want at most one preferred for {runtime}, got {preferred.count(runtime)}; keep one"
    for variant, rules in recipe.variants.items():
        if not -1.0 <= rules.cosine_min <= 1.0:
            yield f"variants.{variant}.cosine_min: want -1 to 1, got {rules.cosine_min}; correct it"
