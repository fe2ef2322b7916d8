"""A Keras model, opened whatever wrote it: Keras 3, Keras 2, a SavedModel of either, or a function that builds it.

A file says itself which Keras wrote it, see `converters.modelfile`. Keras 3 opens hardly any file of Keras 2
(`DepthwiseConv2D` got `groups`, `RandomFlip` got `rng_type`, ...), so that one is tried first; the other is the
fallback, and the notes say so.
"""

import ast
import hashlib
import importlib
import importlib.util
import os
import re
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.modelfile import ConversionError as ConversionError
from converters.modelfile import Library, ModelFile, read_model_file
from converters.order import waiting_layers
from converters.sandbox import memory_for
from converters.vet import Concern
from edge.errors import ConfigError

Tensor = NDArray[Any]

_TF_KERAS = "pip install --no-deps 'tf_keras==2.21.*'"
_SHOWN = 300
_NAMED = 3
_MISSING = re.compile(
    r"(?:Could not locate (?:class|function)|Unknown (?:layer|activation function|object|loss function|metric function|"
    r"initializer|regularizer|constraint|interpolation)):? '?\"?([\w>.]+)"
)
"""How both libraries say that a class or function of somebody's own is not defined."""


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        model: path of a file or SavedModel folder, or `package.module:function`.
        arguments: of the function; "none" stands for None, which TOML lacks.
        imports: Python files that define the model's own layers.
        trust: True to run whatever the file names: code stored in it, functions, operators that write.
    """

    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[Path, ...] = ()
    trust: bool = False

    @property
    def is_function(self) -> bool:
        """Whether a function builds it."""
        return not Path(self.model).exists() and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", self.model) is not None

    @property
    def name(self) -> str:
        """What to call it in a bundle: the function, or the file without its folder."""
        return self.model if self.is_function else Path(self.model).resolve().name


@dataclass(frozen=True, eq=False)
class Loaded:
    """An open model.

    Attributes:
        model: a `keras.Model` or `tf_keras.Model`; a `SavedSignature` for the library "tensorflow".
        origin: where it came from.
        format: of the file, in words.
        library: what opened it.
        version: of the Keras that wrote it; of the one that runs it for a function; "" = not known.
        notes: what a person should know of the way it was opened.
        own_classes: classes and functions that are not Keras' own.
    """

    model: Any
    origin: Origin
    format: str
    library: Library
    version: str
    notes: tuple[str, ...] = ()
    own_classes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SavedSignature:
    """The `serving_default` of a SavedModel that no Keras can open.

    Attributes:
        variables: of the model.
        function: takes named tensors, returns a dict of them.
        inputs: `tf.TensorSpec` of each input, in the order of their names.
        output_names: sorted.
    """

    variables: tuple[Any, ...]
    function: Any
    inputs: tuple[Any, ...]
    output_names: tuple[str, ...]

    def __call__(self, tensors: list[Any]) -> dict[str, Any]:
        """Run it on one tensor for each input."""
        import tensorflow as tf

        named = {spec.name: tf.convert_to_tensor(value) for spec, value in zip(self.inputs, tensors, strict=True)}
        return dict(self.function(**named))


def load_model(origin: Origin) -> Loaded:
    """Open a model, or build it.

    Raises:
        ConversionError: the file is damaged or no Keras model, holds code that is not trusted, or has a class that
            is not defined.
        ConfigError: no such function, or it does not take the arguments; a file of `imports` cannot be run.
    """
    _use_tensorflow()
    if origin.is_function:
        return _build(origin)
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    file = read_model_file(Path(origin.model))
    if waiting := waiting_layers(file.config):
        raise ConversionError(
            f"{origin.model}: want layers that can be built one after the other, got {', '.join(waiting[:_NAMED])}, "
            "which wait for one another; save the model again"
        )
    if not origin.imports:  # what they define is not known yet
        refuse_untrusted(file, origin)
    if file.library == "tensorflow":
        refuse_untrusted(file, origin)
        return Loaded(_open_signature(file.path), origin, file.format, "tensorflow", "", _SIGNATURE_NOTES)
    order: tuple[Library, ...] = ("keras",) if file.library == "keras" else ("tf_keras", "keras")
    if file.library == "keras" and file.container != "savedmodel":
        order = ("keras", "tf_keras")
    elif file.container == "savedmodel":
        order = ("tf_keras",)
    failures: list[str] = []
    for library in order:
        try:
            model = _open(library, file, origin)
        except (*_FAILURES, tf.errors.OpError, DecodeError) as error:
            failures.append(_why(error, file, origin, library))
            continue
        notes = () if not failures else (f"{order[0]} could not open it ({failures[0]}), {library} could",)
        classes = tuple(sorted(file.own_classes)) or _own_classes(origin)
        return Loaded(model, origin, file.format, library, file.version, notes, classes)
    raise ConversionError(f"{origin.model}: {failures[0]}")


_SIGNATURE_NOTES = ("no Keras notes in it: its 'serving_default' is converted as it was exported",)
_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, ImportError, LookupError, MemoryError),
    *(NameError, OSError, RuntimeError, StopIteration, SyntaxError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What the two libraries raise for a file they cannot open. A Lambda or a layer of somebody's own may raise any."""


def refuse_untrusted(file: ModelFile, origin: Origin, given: frozenset[str] = frozenset()) -> None:
    """Raise ConversionError if a file that is not trusted names anything that is on no list.

    Args:
        file: what is in it.
        origin: says whether it is trusted.
        given: classes and functions that were defined with --import.
    """
    if origin.trust:
        return
    concerns = file.concerns(given)
    running = [concern for concern in concerns if not concern.own]
    if running:
        raise ConversionError(
            f"{file.path}: want nothing in the file but what is known to compute numbers, got {_listed(running)}; it "
            "would run on this machine: give --trust if you know who made the file"
        )
    if concerns:
        names = ", ".join(dict.fromkeys(f"'{concern.own}'" for concern in concerns))
        raise ConversionError(
            f"{file.path}: want the definition of {names}, got none; give --import FILE.py that defines it"
        )


def _listed(concerns: list[Concern]) -> str:
    """Name the first concerns, each with the layer that holds it."""
    words = [f"{concern.what} in '{concern.where}'" if concern.where else concern.what for concern in concerns[:_NAMED]]
    more = len(concerns) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def origin_sha256(origin: Origin) -> str:
    """Hash all that decides what the model is: its file or files, or the source of its function, and the imports.

    Raises:
        ConversionError: the file is missing.
    """
    digest = hashlib.sha256()
    files = module_files(origin.model) if origin.is_function else _files(Path(origin.model))
    root = Path(origin.model).parent if not files or origin.is_function else files[0].parent
    for file in (*files, *origin.imports):
        inside = file.relative_to(root) if not origin.is_function and file.is_relative_to(root) else Path(file.name)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConversionError(f"{file}: want a readable file, got '{error.strerror}'; check the path") from error
        digest.update(f"{inside.as_posix()}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    for key, value in sorted(origin.arguments.items()):
        digest.update(f"{key}={value!r}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _stored_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in _files(path))


def check_weights(loaded: Loaded) -> None:
    """Raise ConversionError, naming the variables, if a weight is NaN or infinite."""
    broken = []
    for variable in loaded.model.variables:
        values = np.asarray(variable)
        if values.dtype.kind in "fV" and not np.isfinite(values.astype(np.float32)).all():
            broken.append(str(getattr(variable, "path", variable.name)))
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise ConversionError(
            f"weights: want finite numbers, got NaN or infinity in {', '.join(broken[:3])}{more}; train or save the "
            "model again"
        )


def module_files(reference: str) -> list[Path]:
    """List the source files of `module:attribute` and of what it imports from its own package, running none."""
    files: dict[str, Path] = {}
    todo = [reference.partition(":")[0]]
    package = todo[0].partition(".")[0]
    while todo:
        module = todo.pop()
        if module in files or (file := _module_file(module)) is None:
            continue
        files[module] = file
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                above = module.split(".")
                depth = node.level - (file.name == "__init__.py") if node.level else len(above)
                parts = [*above[: len(above) - depth], *([node.module] if node.module else [])]
                origin = ".".join(parts)
                names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
            todo += [name for name in names if name.partition(".")[0] == package]
    return [files[module] for module in sorted(files)]


def _module_file(module: str) -> Path | None:
    """Find a module's file by the folders it lies in: `find_spec` of a.b.c would run a.b."""
    top, *rest = module.split(".")
    found = importlib.util.find_spec(top)
    if found is None or not found.origin or not found.has_location:
        return None
    if not rest:
        return Path(found.origin)
    folders = [Path(folder, *rest[:-1]) for folder in found.submodule_search_locations or ()]
    files = [folder / name for folder in folders for name in (f"{rest[-1]}.py", f"{rest[-1]}/__init__.py")]
    return next((file for file in files if file.is_file()), None)


def resolve(reference: str) -> Any:
    """Import `module:attribute`.

    Raises:
        ConfigError: there is no such module or attribute.
    """
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ConfigError(f"'{reference}': want module:name, got no module '{error.name}'; correct it") from error
    except AttributeError as error:
        raise ConfigError(f"'{reference}': want a name in {module}, got none '{attribute}'; correct it") from error


def _build(origin: Origin) -> Loaded:
    """Call the function that builds the model."""
    run_imports(origin.imports)
    build = resolve(origin.model)
    arguments = {key: None if value == "none" else value for key, value in origin.arguments.items()}
    try:
        model = build(**arguments)
    except TypeError as error:
        raise ConfigError(
            f"model '{origin.model}': want its own arguments, got '{error}'; correct [arguments]"
        ) from error
    library = library_of(model)
    if library is None:
        raise ConversionError(
            f"model '{origin.model}': want a function that returns a Keras model, got {type(model).__name__}"
        )
    version = str(getattr(sys.modules[library], "__version__", ""))
    return Loaded(model, origin, f"built by {origin.model}", library, version, (), _own_classes(origin))


def library_of(model: Any) -> Library | None:
    """Tell which Keras an object is a model of; None for something else."""
    for library in ("keras", "tf_keras"):
        module = sys.modules.get(library)
        if module is not None and hasattr(module, "Model") and isinstance(model, module.Model):
            return library
    return None


def _use_tensorflow() -> None:
    """Make sure that Keras 3 computes with TensorFlow, the only one of its backends that is traced here."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(f"KERAS_BACKEND: want tensorflow, got {keras.backend.backend()}; unset it for the converter")


def run_imports(files: tuple[Path, ...]) -> dict[str, Any]:
    """Run Python files as modules, and return the classes and functions that they define.

    Raises:
        ConfigError: a file is missing or fails.
    """
    found: dict[str, Any] = {}
    for file in files:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None or not file.is_file():
            raise ConfigError(f"--import {file}: want a Python file, got none; check the path")
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module  # Keras looks a class up by its module's name
        sys.path.insert(0, str(file.resolve().parent))
        try:
            spec.loader.exec_module(module)
        except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, OSError) as error:
            raise ConfigError(f"--import {file}: want a file that runs, got '{error}'; correct it") from error
        finally:
            sys.path.remove(str(file.resolve().parent))
        found.update({k: v for k, v in vars(module).items() if getattr(v, "__module__", "") == file.stem})
    return found


def _own_classes(origin: Origin) -> tuple[str, ...]:
    names = set()
    for file in origin.imports:
        module = sys.modules.get(file.stem)
        names |= {k for k, v in vars(module).items() if getattr(v, "__module__", "") == file.stem} if module else set()
    return tuple(sorted(names))


def _open(library: Library, file: ModelFile, origin: Origin) -> Any:
    """Let one library open a file."""
    if library == "tf_keras":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # so that `tf.keras` in the imported files is Keras 2 as well
        try:
            opener: Any = importlib.import_module("tf_keras")
        except ModuleNotFoundError as error:
            raise ImportError(f"Keras 2 is not installed; do: {_TF_KERAS}") from error
    else:
        opener = importlib.import_module("keras")
    objects = run_imports(origin.imports)
    refuse_untrusted(file, origin, frozenset(objects))
    objects.update({full: objects[name] for name, full in file.own_classes.items() if name in objects})
    arguments: dict[str, Any] = {"custom_objects": objects, "compile": False}
    if file.container == "zip" or library == "keras":
        arguments["safe_mode"] = not origin.trust
    with _proper_ending(file) as path, memory_for(_stored_bytes(file.path)):
        return opener.models.load_model(str(path), **arguments)


class _proper_ending:  # noqa: N801, a context manager that reads like a function
    """Give a file the ending that Keras tells formats by; Keras up to 2.12 wrote HDF5 into `.keras`."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Path:
        ending = {"zip": (".keras",), "hdf5": (".h5", ".hdf5"), "savedmodel": ()}[self._file.container]
        path = self._file.path
        if not ending or path.suffix in ending:
            return path
        self._folder = tempfile.TemporaryDirectory()
        link = Path(self._folder.name) / f"model{ending[0]}"
        link.symlink_to(path.resolve())
        return link

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _why(error: BaseException, file: ModelFile, origin: Origin, library: Library) -> str:
    """Say in one sentence why a library could not open a file."""
    message = " ".join(str(error).split())
    given = set(_own_classes(origin))
    absent = [name for name in file.own_classes if name not in given]
    if match := _MISSING.search(message):
        absent = absent or [match[1].split(">")[-1]]
    if absent and not message.startswith("Keras 2 is not installed"):
        names = ", ".join(f"'{name}'" for name in absent)
        return f"want the definition of {names}, got none; give --import FILE.py that defines it"
    theirs = "tf_keras" if library == "tf_keras" else "keras"
    hint = f"; do its classes inherit from {theirs}?" if given else ""
    return f"want a model that {theirs} opens, got '{message[:_SHOWN] or type(error).__name__}'{hint}"


def _open_signature(path: Path) -> SavedSignature:
    """Open a SavedModel by TensorFlow alone."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        with memory_for(_stored_bytes(path)):
            module = tf.saved_model.load(str(path))
        signature = getattr(module, "signatures", {}).get("serving_default")
    except (*_FAILURES, tf.errors.OpError, DecodeError) as error:
        message = " ".join(str(error).split())[:_SHOWN]
        raise ConversionError(f"{path}: want a whole SavedModel, got '{message}'; save it again") from error
    if signature is None:
        raise ConversionError(f"{path}: want a signature 'serving_default', got none; save it with model.export")
    inputs = [
        tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.structured_input_signature[1].items()
    ]
    inputs.sort(key=lambda spec: str(spec.name))
    variables = tuple(getattr(module, "variables", ())) or tuple(signature.variables)
    signature.keeper = module  # the signature holds its variables only weakly
    return SavedSignature(variables, signature, tuple(inputs), tuple(sorted(signature.structured_outputs)))
