"""What is said of files that are no model, before any of the large packages is needed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from converters.load import ConversionError, Origin, module_files, origin_sha256, refuse_untrusted
from converters.modelfile import ModelFile, read_model_file
from edge.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_missing_empty_and_strange_files(tmp_path: Path) -> None:
    for name, content, words in (
        ("empty.keras", b"", "empty file"),
        ("text.h5", b"hello, world, this is text", "something else"),
        ("done.tflite", b"\x1c\0\0\0TFL3\0\0\0\0\0\0\0\0", "a TFLite file"),
        ("cut.keras", b"PK\x03\x04 and no more", "whole .keras file"),
        ("cut.h5", b"\x89HDF\r\n\x1a\n and no more", "whole HDF5 file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConversionError, match=words):
            read_model_file(tmp_path / name)
    with pytest.raises(ConfigError, match="No such file"):
        read_model_file(tmp_path / "missing.keras")
    with pytest.raises(ConversionError, match=r"saved_model\.pb"):
        read_model_file(tmp_path)


def test_a_zip_that_keras_did_not_write(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "torch.keras", "w") as archive:
        archive.writestr("data.pkl", b"")
    with pytest.raises(ConversionError, match=r"without metadata\.json"):
        read_model_file(tmp_path / "torch.keras")


def test_weights_alone(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(ConversionError, match="weights alone"):
        read_model_file(tmp_path / "w.h5")


def test_a_lambda_is_code_only_where_it_is_stored_as_code() -> None:
    named = {"class_name": "Lambda", "config": {"name": "a", "function": "relu", "function_type": "function"}}
    stored = {"class_name": "Lambda", "config": {"name": "b", "function": ["4wE"], "function_type": "lambda"}}
    new = {"class_name": "Lambda", "config": {"name": "c", "function": {"class_name": "__lambda__", "config": {}}}}
    config = {"class_name": "Functional", "config": {"name": "m", "layers": [named, stored, {"nested": [new]}]}}
    concerns = ModelFile(Path("m"), "zip", "keras", "3.0", config).concerns()
    assert [concern.where for concern in concerns] == ["b", "c"]


def test_code_in_a_note_that_the_root_leaves_out_is_found() -> None:
    root = {"class_name": "Functional", "config": {"name": "m", "layers": []}}
    note = {"class_name": "Lambda", "config": {"name": "hidden", "function": ["4wE"], "function_type": "lambda"}}
    file = ModelFile(Path("m"), "savedmodel", "tf_keras", "2.0", root, (root, note))
    assert [concern.where for concern in file.concerns()] == ["hidden"]


def test_what_is_not_known_to_compute_numbers_is_named_and_needs_trust(tmp_path: Path) -> None:
    config = {"class_name": "Functional", "config": {"name": "m", "layers": []}}
    config["config"]["layers"] = [{"class_name": "TFSMLayer", "config": {"name": f"l{n}"}} for n in range(5)]
    file = ModelFile(tmp_path / "m.keras", "zip", "keras", "3.0", config)
    with pytest.raises(ConversionError, match=r"the class TFSMLayer in 'l0'.*'l2' and 2 more; .*--trust"):
        refuse_untrusted(file, Origin("m.keras"))
    refuse_untrusted(file, Origin("m.keras", trust=True))


def test_somebodys_own_class_needs_its_definition() -> None:
    config = {"class_name": "Mish", "module": None, "registered_name": "mine>Mish", "config": {"name": "a"}}
    file = ModelFile(Path("m.keras"), "zip", "keras", "3.0", config)
    with pytest.raises(ConversionError, match=r"the definition of 'Mish', got none; give --import"):
        refuse_untrusted(file, Origin("m.keras"))
    refuse_untrusted(file, Origin("m.keras"), frozenset(("Mish",)))
    saved = ModelFile(Path("m"), "savedmodel", "tf_keras", "2.0", config)
    refuse_untrusted(saved, Origin("m"))  # it is made of the functions in the file


def test_deep_json_and_a_version_that_is_none(tmp_path: Path) -> None:
    for name, members, words in (
        ("deep.keras", {"metadata.json": "{}", "config.json": "[" * 100_000}, "nests too deeply"),
        ("list.keras", {"metadata.json": "[]", "config.json": "{}"}, "a version in metadata"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        with pytest.raises(ConversionError, match=words):
            read_model_file(tmp_path / name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_architecture_that_stands_there_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("config.json", "{}")
    with pytest.raises(ConversionError, match="twice"):
        read_model_file(tmp_path / "twice.keras")


def test_arrays_in_other_files_and_arrays_of_nothing(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    numpy = pytest.importorskip("numpy")
    (tmp_path / "other").write_bytes(bytes(64))

    def external(file: "h5py.File") -> None:
        file.create_dataset("x", (4,), "f4", external=[(str(tmp_path / "other"), 0, 16)])

    def linked(file: "h5py.File") -> None:
        file["x"] = h5py.ExternalLink(str(tmp_path / "other"), "/x")

    def virtual(file: "h5py.File") -> None:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other"), "x", shape=(4,))
        file.create_virtual_dataset("x", layout)

    def huge(file: "h5py.File") -> None:
        file.create_dataset("x", (30_000_000,), "f4", chunks=(1000,))

    for make, words in ((external, "in another one"), (linked, "a link"), (virtual, "another one"), (huge, "unfold")):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.attrs["model_config"] = "{}"
            make(file)
        with pytest.raises(ConversionError, match=words):
            read_model_file(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file["x"] = numpy.zeros(4, "f4")
        file["itself"] = h5py.SoftLink("/")  # a circle
        file["nowhere"] = h5py.SoftLink("/nowhere else")
    assert read_model_file(tmp_path / "m.h5").container == "hdf5"


@pytest.mark.parametrize("signature", [b"SNOD", b"TREE", b"HEAP"])
def test_damage_inside_the_weights_is_one_sentence(tmp_path: Path, signature: bytes) -> None:
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_group("layer").create_dataset("kernel", data=[1.0, 2.0])
    damaged = (tmp_path / "weights.h5").read_bytes().replace(signature, b"GONE")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.0"}')
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", damaged)
    with pytest.raises(ConversionError, match=r"want a whole \.keras file"):
        read_model_file(tmp_path / "m.keras")


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.keras")
    with pytest.raises(ConfigError, match="fifo"):
        read_model_file(tmp_path / "m.keras")


def test_the_hash_follows_the_file_the_arguments_and_the_imports(tmp_path: Path) -> None:
    file, own = tmp_path / "m.h5", tmp_path / "own.py"
    file.write_bytes(b"one")
    own.write_text("a = 1")
    first = origin_sha256(Origin(str(file)))
    assert first == origin_sha256(Origin(str(file)))
    assert len({first, origin_sha256(Origin(str(file), {"a": 1})), origin_sha256(Origin(str(file), {}, (own,)))}) == 3
    file.write_bytes(b"two")
    assert origin_sha256(Origin(str(file))) != first


def test_the_files_of_a_function_are_found_without_running_them() -> None:
    code = (
        "import sys; from converters.load import module_files; "
        "print(*[file.stem for file in module_files('models.embedder:mobilenet_v2')]); "
        "assert 'keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert {"embedder", "mobilenet", "pixels", "weights"} <= set(done.stdout.split())


def test_relative_imports_belong_to_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kept_apart"
    (package / "parts").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text("from .layers import A\nfrom . import more\nfrom .parts import B\n")
    (package / "layers.py").write_text("A = 1\n")
    (package / "more.py").write_text("")
    (package / "parts" / "__init__.py").write_text("from .deep import B\n")
    (package / "parts" / "deep.py").write_text("from ..layers import A as B\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {file.relative_to(package).as_posix() for file in module_files("kept_apart.net:build")}
    assert found == {"__init__.py", "net.py", "layers.py", "more.py", "parts/__init__.py", "parts/deep.py"}


def test_a_zip_with_flags_that_python_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
    data = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 0x20  # compressed patched data
    path.write_bytes(data)
    with pytest.raises(ConversionError, match=r"odd\.keras: want a whole \.keras file"):
        read_model_file(path)
