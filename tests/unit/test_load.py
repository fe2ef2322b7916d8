"""What is said of files that are no model, before any of the large packages is needed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from converters.load import ConversionError, Origin, origin_sha256
from converters.modelfile import ModelFile, read_model_file

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
    with pytest.raises(ConversionError, match="No such file"):
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
    assert ModelFile(Path("m"), "zip", "keras", "3.0", config).code_layers == ["b", "c"]


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
