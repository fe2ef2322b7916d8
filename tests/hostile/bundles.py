"""Hostile bundles: folders and zips that are no longer what the converter made."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import (
    FORMAT,
    SUMS_FILE,
    Golden,
    Manifest,
    Provenance,
    TensorSpec,
    format_sums,
    parse_sums,
    sha256,
    write_bundle,
)
from tests.hostile.archives import object_npz
from tests.hostile.bait import Bait
from tests.hostile.case import put

_SPEC = {"name": "x", "dtype": "float32", "shape": (1, 4)}


def onnx_model(change: Callable[[Any, Any], None] | None = None) -> bytes:
    """Return an ONNX model that doubles its input; `change` receives onnx and the model."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "c"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor("c", TensorProto.FLOAT, (4,), [1.0] * 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if change is not None:
        change(onnx, model)
    return bytes(model.SerializeToString())


def _golden(output: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, input_0=np.zeros((1, 4), np.float32), places_0=np.arange(4), values_0=output)
    return held.getvalue()


def honest_bundle(folder: Path, model: bytes | None = None, golden: bytes | None = None, **more: Any) -> Path:
    """Write a bundle by the project's own means, and return its zip."""
    spec, answer = TensorSpec(**_SPEC), TensorSpec(**{**_SPEC, "name": "y"})
    manifest = Manifest(
        **{
            "format": FORMAT, "name": "b", "task": "other", "runtime": "onnx", "variant": "fp32",
            "model_file": "model.onnx", "inputs": (spec,), "outputs": (answer,),
            "golden": Golden(max_error=0.01, why="the same machine"),
            "provenance": Provenance(keras="none", weights=(), recipe_sha256=""), **more,
        }
    )  # fmt: skip
    made = onnx_model() if model is None else model
    stored = _golden(np.ones(4, np.float32)) if golden is None else golden
    write_bundle(folder / "b", manifest, made, stored)
    return folder / "b.zip"


def _built(build: Callable[[Bait], dict[str, Any]]) -> Callable[[Path, Bait], Path]:
    return lambda folder, bait: honest_bundle(folder, **build(bait))


def _packed(change: Callable[[zipfile.ZipFile, Bait], None]) -> Callable[[Path, Bait], Path]:
    """Add members to the zip of an honest bundle."""

    def make(folder: Path, bait: Bait) -> Path:
        path = honest_bundle(folder)
        with zipfile.ZipFile(path, "a") as archive:
            change(archive, bait)
        return path

    return make


def _link_to(name: str, target: str) -> Callable[[zipfile.ZipFile, Bait], None]:
    def change(archive: zipfile.ZipFile, bait: Bait) -> None:
        link = zipfile.ZipInfo(name)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, target.replace("FOLDER", str(bait.folder)))
        archive.writestr(f"{name}/canary", "x")

    return change


def _member(name: str) -> Callable[[zipfile.ZipFile, Bait], None]:
    def change(archive: zipfile.ZipFile, bait: Bait) -> None:
        place = name.replace("CANARY", bait.canary).replace("UP", "../" * 20 + bait.canary.lstrip("/"))
        archive.writestr(place, "x")

    return change


put("bundle-golden-objects", _built(lambda bait: {"golden": object_npz(bait)}), "bundle", "arrays")
put("bundle-member-up", _packed(_member("UP")), "bundle", "extract")
put("bundle-member-absolute", _packed(_member("CANARY")), "bundle", "extract")
put("bundle-member-inside-up", _packed(_member("b/UP")), "bundle", "extract")
put("bundle-link", _packed(_link_to("b/way", "FOLDER")), "bundle", "extract")

_NO_PROOF = "how the code itself takes it is the test"
for _name, _more in {
    "escape": "b/a\x1b[2Jb", "newline": "b/a\nb", "hidden": "b/.bashrc", "bidi": "b/a\u202eb",
    "second": "c/bundle.json",
    "backslash": "b\\..\\..\\canary", "extra": "b/evil.so", "python": "b/sitecustomize.py", "twice": "b/bundle.json",
    "case": "b/BUNDLE.JSON", "long": "b/" + "a" * 250, "deep": "b/" + "d/" * 500 + "x", "drive": "C:/canary",
}.items():  # fmt: skip
    put(f"bundle-name-{_name}", _packed(_member(_more)), "bundle", "", _NO_PROOF)


def _renamed(root: str) -> Callable[[Path, Bait], Path]:
    """The same bundle, its folder called otherwise."""

    def make(folder: Path, bait: Bait) -> Path:
        path = honest_bundle(folder)
        other = folder / "other.zip"
        with zipfile.ZipFile(path) as origin, zipfile.ZipFile(other, "w") as to:
            for name in origin.namelist():
                to.writestr(root + name.removeprefix("b"), origin.read(name))
        return other

    return make


for _name, _root in {
    "up": "..",
    "here": ".",
    "escape": "a\x1b[2J",
    "hidden": ".edge-staging-x",
    "slash": "//b",
}.items():
    put(f"bundle-root-{_name}", _renamed(_root), "bundle", "", _NO_PROOF)


def _listed(name: str) -> Callable[[Path, Bait], Path]:
    """The same with one file more, which SHA256SUMS lists."""

    def make(folder: Path, bait: Bait) -> Path:
        path = honest_bundle(folder)
        other = folder / "other.zip"
        with zipfile.ZipFile(path) as origin, zipfile.ZipFile(other, "w") as to:
            for member in origin.namelist():
                data = origin.read(member)
                if member == f"b/{SUMS_FILE}":
                    data = format_sums({**parse_sums(data), name: sha256(b"x")})
                to.writestr(member, data)
            to.writestr(f"b/{name}", b"x")
        return other

    return make


for _name, _more in {
    "extra": "evil.so", "python": "sitecustomize.py", "up": "../canary", "case": "BUNDLE.JSON", "escape": "a\x1b[2J",
    "folder": "d/x", "second-model": "other.onnx",
}.items():  # fmt: skip
    put(f"bundle-listed-{_name}", _listed(_more), "bundle", "", _NO_PROOF)


def _manifest(change: Callable[[dict[str, Any], Bait], None]) -> Callable[[Path, Bait], Path]:
    """Change the manifest of an honest bundle, in its folder."""

    def make(folder: Path, bait: Bait) -> Path:
        honest_bundle(folder)
        (folder / "b.zip").unlink()
        path = folder / "b" / "bundle.json"
        stored = json.loads(path.read_text())
        change(stored, bait)
        path.write_text(json.dumps(stored))
        sums = parse_sums((folder / "b" / SUMS_FILE).read_bytes())
        (folder / "b" / SUMS_FILE).write_bytes(format_sums({**sums, "bundle.json": sha256(path.read_bytes())}))
        return folder / "b"

    return make


def _set(key: str, value: Any) -> Callable[[dict[str, Any], Bait], None]:
    def change(stored: dict[str, Any], bait: Bait) -> None:
        stored[key] = value.replace("SECRET", bait.secret) if isinstance(value, str) else value

    return change


for _name, _value in {
    "absolute": "SECRET", "up": "../../secret", "dots": "..", "empty": "", "nul": "model\0.onnx",
    "manifest": "bundle.json",
    "golden": "golden.npz", "device": "/dev/zero", "escape": "model\x1b[2J.onnx",
}.items():  # fmt: skip
    put(f"bundle-model-file-{_name}", _manifest(_set("model_file", _value)), "bundle", "", _NO_PROOF)
put("bundle-runtime", _manifest(_set("runtime", "os.system")), "bundle", "", _NO_PROOF)
put("bundle-decoder", _manifest(_set("decoder", {"name": "__import__"})), "bundle", "", _NO_PROOF)


def _linked(name: str, target: str) -> Callable[[Path, Bait], Path]:
    """A file of the bundle's folder that is a link, or no file."""

    def make(folder: Path, bait: Bait) -> Path:
        import os

        honest_bundle(folder)
        (folder / "b.zip").unlink()
        file = folder / "b" / name
        file.unlink()
        if target == "fifo":
            os.mkfifo(file)
        elif target == "folder":
            file.mkdir()
        else:
            file.symlink_to(target)
        return folder / "b"

    return make


for _name in ("bundle.json", "model.onnx", "golden.npz"):
    for _target in ("fifo", "folder", "/dev/zero"):
        word = _target.strip("/").replace("/", "-").lower()
        put(f"bundle-{_name.partition('.')[0]}-is-{word}", _linked(_name, _target), "bundle", "", _NO_PROOF)


def _external(location: str) -> Callable[[Bait], dict[str, Any]]:
    """An ONNX file whose constant lies in another file."""

    def build(bait: Bait) -> dict[str, Any]:
        place = location.replace("SECRET", bait.secret).replace("UP", "../" * 20 + bait.secret.lstrip("/"))

        def change(onnx: Any, model: Any) -> None:
            constant = model.graph.initializer[0]
            constant.ClearField("float_data")
            constant.ClearField("raw_data")
            constant.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", place), ("offset", "0"), ("length", "16")):
                entry = constant.external_data.add()
                entry.key, entry.value = key, value

        return {"model": onnx_model(change)}

    return build


for _name, _place in {"up": "UP", "absolute": "SECRET", "device": "/dev/zero", "proc": "/proc/self/environ"}.items():
    put(f"bundle-onnx-external-{_name}", _built(_external(_place)), "bundle", "", _NO_PROOF)


def _domain(onnx: Any, model: Any) -> None:
    model.graph.node[0].domain, model.graph.node[0].op_type = "com.evil", "Run"
    model.opset_import.add(domain="com.evil", version=1)


def _python_op(onnx: Any, model: Any) -> None:
    model.graph.node[0].domain, model.graph.node[0].op_type = "ai.onnx.contrib", "PyOp"
    model.opset_import.add(domain="ai.onnx.contrib", version=1)


def _endless(onnx: Any, model: Any) -> None:
    """A function that calls itself."""
    node = onnx.helper.make_node("F", ["a"], ["b"], domain="local")
    made = onnx.helper.make_function("local", "F", ["a"], ["b"], [node], [onnx.helper.make_opsetid("local", 1)])
    model.functions.append(made)
    model.graph.node[0].CopyFrom(onnx.helper.make_node("F", ["x"], ["y"], domain="local"))
    model.opset_import.add(domain="local", version=1)


for _name, _change in {"domain": _domain, "python": _python_op, "endless": _endless}.items():
    put(
        f"bundle-onnx-{_name}", _built(lambda bait, change=_change: {"model": onnx_model(change)}), "bundle", "",
        "no runtime here has such an operator",
    )  # fmt: skip


def _tflite(operator: str) -> Callable[[Bait], dict[str, Any]]:
    """A TFLite file with one custom operator."""

    def build(bait: Bait) -> dict[str, Any]:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        made = schema.ModelT()
        made.version, made.buffers = 3, [schema.BufferT()]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = operator, 1
        made.operatorCodes = [code]
        graph = schema.SubGraphT()
        graph.tensors = []
        for name in ("x", "y"):
            part = schema.TensorT()
            part.name, part.shape, part.type, part.buffer = name, [1, 4], schema.TensorType.FLOAT32, 0
            graph.tensors.append(part)
        step = schema.OperatorT()
        step.opcodeIndex, step.inputs, step.outputs, step.customOptions = 0, [0], [1], list(bait.command.encode())
        graph.inputs, graph.outputs, graph.operators = [0], [1], [step]
        made.subgraphs = [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(made.Pack(builder), b"TFL3")
        return {"model": bytes(builder.Output()), "runtime": "tflite", "model_file": "model.tflite"}

    return build


for _name in ("FlexWriteFile", "FlexPrintV2", "MyOwn", "FlexPyFunc"):
    put(f"bundle-tflite-{_name.lower()}", _built(_tflite(_name)), "bundle", "", "the runtime has no such operator")
