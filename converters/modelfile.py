"""What a model's file says of itself: format, the Keras that wrote it, its layers. Nothing of the file is run.

Opening a Keras file can run code, and a small file can declare a large model. So the architecture is read first, as
the JSON it is, and the sizes of its parts from their headers, see `edge.limits`.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from converters.hdf5 import check_hdf5
from converters.vet import Concern, vet_config
from converters.vet_graph import vet_graph
from edge.errors import ConfigError, EdgeError
from edge.limits import LimitError, open_file, open_zip, read_file

Library = Literal["keras", "tf_keras", "tensorflow"]
"""What opens a model: Keras 3, Keras 2, or TensorFlow alone, for a SavedModel that Keras left no notes in."""
Container = Literal["zip", "hdf5", "savedmodel"]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_CHUNKED = "saved_model.cpb"
_KERAS_NODES = "keras_metadata.pb"
_NODE, _METADATA = 1, 5
"""Fields of `SavedMetadata` and `SavedObject` in Keras 2's saved_metadata.proto: a list of nodes, and a node's JSON."""
_NO_LAYERS = {"DTypePolicy", "__tuple__", "__keras_tensor__", "__numpy__", "__tensor__", "__lambda__", "slice"}
"""Classes that a configuration holds beside layers, although they have a name too."""


class ConversionError(EdgeError):
    """A model cannot be opened, traced, packed or trusted; no file of it is written."""

    exit_code = 3


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A file that Keras or TensorFlow saved.

    Attributes:
        path: the file, or the folder of a SavedModel.
        container: how it is stored.
        library: the library that wrote it, and that should open it.
        version: of that library, "" where the file does not say.
        config: the architecture, nested dicts and lists; None where the file holds none.
        notes: what Keras 2 noted of each layer of a SavedModel; the root's note can leave out what the others hold.
        graph_concerns: operators of a SavedModel's graph that are not on the list.
    """

    path: Path
    container: Container
    library: Library
    version: str
    config: Any = None
    notes: tuple[Any, ...] = ()
    graph_concerns: tuple[Concern, ...] = ()

    @property
    def format(self) -> str:
        """Name the format for a person: "Keras 2 HDF5 file, written by 2.21.0"."""
        kind = {"zip": ".keras file", "hdf5": "HDF5 file", "savedmodel": "SavedModel"}[self.container]
        who = {"keras": "Keras 3 ", "tf_keras": "Keras 2 ", "tensorflow": ""}[self.library]
        return f"{who}{kind}" + (f", written by Keras {self.version}" if self.version else "")

    def concerns(self, given: frozenset[str] = frozenset()) -> list[Concern]:
        """List what the file would run that is on no list, each once.

        Args:
            given: classes and functions that the person has defined with --import.
        """
        named = vet_config([self.config, *self.notes], given)
        if self.container == "savedmodel":  # what Keras does not know is made of the file's own graph
            named = [concern for concern in named if not concern.own]
        return list(dict.fromkeys([*named, *self.graph_concerns]))

    @property
    def own_classes(self) -> dict[str, str]:
        """Name -> registered name ("package>name") of each class and function that is not Keras' own."""
        found: dict[str, str] = {}
        for part in self._dicts():
            module, name = str(part.get("module") or ""), part["class_name"]
            registered = part.get("registered_name")
            if module == "builtins" and name == "function" and isinstance(part["config"], str):
                found.setdefault(part["config"], part["config"])
            elif registered and module.partition(".")[0] not in ("keras", "tf_keras", "keras_core"):
                found[str(name)] = str(registered)
        return found

    @property
    def layers(self) -> dict[str, int]:
        """Class -> count of all layers, those of nested models included."""
        counts: dict[str, int] = {}
        for name, _ in self.layer_configs():
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def layer_configs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield class and configuration of all layers, those of nested models included."""
        for part in self._dicts():
            config = part["config"]
            if part["class_name"] not in _NO_LAYERS and isinstance(config, dict) and "name" in config:
                yield str(part["class_name"]), config

    def _dicts(self) -> Iterator[dict[str, Any]]:
        yield from _class_dicts(self.config)


def read_model_file(path: Path) -> ModelFile:
    """Find out what a file or folder is.

    Raises:
        ConfigError: it is missing.
        ConversionError: it is empty, damaged, or no whole Keras model.
    """
    if path.name in _SAVED_MODEL:
        path = path.parent
    if path.is_dir():
        return _read_saved_model(path)
    try:
        with open_file(path) as file:
            head = file.read(16)
    except OSError as error:
        raise ConfigError(f"{path}: want a model file, got '{error.strerror}'; check the path") from error
    except LimitError as error:
        raise ConfigError(f"{path}: {error}; check the path") from error
    if not head:
        raise ConversionError(f"{path}: want a Keras model, got an empty file; save or copy it again")
    if head.startswith(b"PK"):
        return _read_zip(path)
    if head.startswith(_HDF5_MAGIC):
        return _read_hdf5(path)
    raise ConversionError(f"{path}: want a .keras, .h5 or SavedModel of Keras, got {_stranger(path, head)}")


def _stranger(path: Path, head: bytes) -> str:
    if head[4:8] == b"TFL3":
        return "a TFLite file; give the Keras model that it was made from"
    if path.suffix == ".onnx":
        return "an ONNX file; give the Keras model that it was made from"
    if path.suffix == ".pb":
        return "a frozen TensorFlow graph; save the model with model.save"
    return "something else, or a damaged file; save or copy it again"


def _read_zip(path: Path) -> ModelFile:
    try:
        with open_file(path) as file, open_zip(file) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise ConversionError(f"{path}: want a whole file, got damage in its '{damaged}'; copy it again")
            metadata = _parse(archive.read("metadata.json"))
            config = _parse(archive.read("config.json"))
            for member in archive.infolist():
                if member.filename.endswith(".h5"):
                    with archive.open(member) as weights:
                        check_hdf5(weights, member.file_size)
    except KeyError as error:
        raise ConversionError(
            f"{path}: want a .keras file, got a zip without metadata.json and config.json; save it with model.save"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ConversionError(f"{path}: want a whole .keras file, got '{error}'; save or copy it again") from error
    if not isinstance(metadata, dict):
        raise ConversionError(f"{path}: want a version in metadata.json, got something else; save the model again")
    version = _text(metadata.get("keras_version", ""))
    return ModelFile(path, "zip", _library(version), version, _architecture(config))


def _read_hdf5(path: Path) -> ModelFile:
    import h5py

    try:
        with open_file(path) as stream:
            check_hdf5(stream, path.stat().st_size)
            with h5py.File(stream, "r") as file:
                stored, version = file.attrs.get("model_config"), _text(file.attrs.get("keras_version", ""))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ConversionError(f"{path}: want a whole HDF5 file, got '{error}'; save or copy it again") from error
    if stored is None:
        raise ConversionError(
            f"{path}: want a whole model, got weights alone; save it with model.save, or give a module:function that "
            "builds the model and loads them"
        )
    try:
        config = _parse(_text(stored))
    except ValueError as error:
        raise ConversionError(
            f"{path}: want an architecture in the file, got damaged text; save or copy it again"
        ) from error
    return ModelFile(path, "hdf5", _library(version or "2"), version, _architecture(config))


def _parse(text: str | bytes) -> Any:
    """Read JSON as Keras will read it, the last of equal keys included.

    Raises:
        ValueError: it is no JSON, or nests too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON that nests too deeply") from error


def _read_saved_model(path: Path) -> ModelFile:
    found = [name for name in _SAVED_MODEL if (path / name).exists()]
    if not found:
        raise ConversionError(
            f"{path}: want a SavedModel, got a folder without saved_model.pb; give that folder, or a file"
        )
    if len(found) > 1 or (path / _CHUNKED).exists():
        raise ConversionError(
            f"{path}: want one saved_model.pb, got several descriptions of a model beside each other; save it again"
        )
    from google.protobuf.message import DecodeError

    try:
        saved_model, size = _read_graph(path / found[0])
        if not saved_model.meta_graphs:
            raise ValueError("no graph in it")
        nodes = list(_keras_nodes(path, saved_model))
        concerns = vet_graph(saved_model, size)
    except OSError as error:
        raise ConversionError(f"{path}: want a readable SavedModel, got '{error.strerror}'; copy it again") from error
    except (DecodeError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path}: want a whole SavedModel, got '{error}'; save or copy it again") from error
    if not nodes:
        return ModelFile(path, "savedmodel", "tensorflow", "", graph_concerns=tuple(concerns))
    root = nodes[0]
    whole = isinstance(root.get("config"), dict) and "layers" in root["config"]
    config, version = root if whole else nodes, _text(root.get("keras_version", ""))
    return ModelFile(path, "savedmodel", "tf_keras", version, config, tuple(nodes), tuple(concerns))


def _read_graph(path: Path) -> tuple[Any, int]:
    """Return a `SavedModel` message and the size of its file."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = read_file(path)
    if path.suffix == ".pb":
        return SavedModel.FromString(content), len(content)
    try:
        return text_format.Parse(content.decode("utf-8"), SavedModel()), len(content)
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error


def _keras_nodes(path: Path, saved_model: Any) -> Iterator[dict[str, Any]]:
    """Yield what Keras 2 noted of the model, then of each layer; TensorFlow up to 2.4 kept the notes in the graph."""
    notes = path / _KERAS_NODES
    if notes.exists():
        for number, node in _wire(read_file(notes)):
            if number == _NODE and isinstance(node, bytes):
                metadata = [value for field, value in _wire(node) if field == _METADATA]
                yield _note(metadata[-1] if metadata else b"{}")
    for meta_graph in saved_model.meta_graphs:
        for node in meta_graph.object_graph_def.nodes:
            if node.user_object.identifier.startswith("_tf_keras_") and node.user_object.metadata:
                yield _note(node.user_object.metadata)


def _note(metadata: Any) -> dict[str, Any]:
    """Return a node of Keras' notes without what training needed.

    Raises:
        ValueError: it is no dictionary in JSON.
    """
    node = _parse(metadata)
    if not isinstance(node, dict):
        raise ValueError("a note of Keras that is no dictionary")
    return {key: value for key, value in node.items() if key != "training_config"}


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message, https://protobuf.dev/programming-guides/encoding/.

    Raises:
        ValueError: the data end too soon, or hold a field no such file has.
    """
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            if place >= len(data):
                raise ValueError(f"{_KERAS_NODES} ends too soon")
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            size = varint()
            if place + size > len(data):
                raise ValueError(f"{_KERAS_NODES} ends too soon")
            yield key >> 3, data[place : place + size]
            place += size
        else:
            raise ValueError(f"{_KERAS_NODES} is damaged")


def _library(version: str) -> Library:
    return "tf_keras" if version.partition(".")[0] in ("0", "1", "2") else "keras"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _architecture(config: Any) -> Any:
    """Leave out what training needed."""
    return {k: v for k, v in config.items() if k != "compile_config"} if isinstance(config, dict) else config


def _class_dicts(part: Any) -> Iterator[dict[str, Any]]:
    """Yield all dicts that describe an object of some class, outermost first."""
    if isinstance(part, dict):
        if isinstance(part.get("class_name"), str) and "config" in part:
            yield part
        for value in part.values():
            yield from _class_dicts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _class_dicts(value)
