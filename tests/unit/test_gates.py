"""What a file must be before it is run: TFLite and ONNX files made by hand, right ones and wrong ones."""

from typing import Any

import numpy as np
import pytest

from converters.gates import check_file, minimum_runtime
from converters.load import ConversionError
from converters.targets import TARGETS, explain
from edge.bundle import Quantization, TensorSpec

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")
onnx = pytest.importorskip("onnx")

IMAGE = TensorSpec(name="image", dtype="float32", shape=(1, 4))
CLASS = TensorSpec(name="class", dtype="float32", shape=(1, 3))


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, buffer: int = 0, scales: tuple[float, ...] = ()) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, np.array(shape, np.int32), kind, buffer
    if scales:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.array(scales, np.float32)
        made.quantization.zeroPoint = np.full(len(scales), -3, np.int64)
    return made


def named(name: str, place: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, place
    return made


def tflite(
    *,
    said: str = "1.14.0",
    custom: str = "",
    scales: tuple[float, ...] = (),
    extra: bool = False,
    integer: bool = False,
) -> bytes:
    """Write one Dense layer: class = image x weights."""
    kinds = schema.TensorType
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("image", (1, 4), kinds.INT8 if integer else kinds.FLOAT32, 0, (0.5,) if integer else ()),
        tensor("weights", (3, 4), kinds.INT8 if scales else kinds.FLOAT32, 1, scales),
        tensor("class", (1, 3)),
        tensor("more", (1, 4)),
    ]
    graph.inputs = [0, 3] if extra else [0]
    graph.outputs = [2]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    graph.operators = [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else schema.BuiltinOperator.FULLY_CONNECTED
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
    code.customCode = custom or None
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [named("image", 0)], [named("class", 2)]
    buffers = [schema.BufferT() for _ in range(3)]
    buffers[1].data = np.zeros(12 if scales else 48, np.uint8)
    buffers[2].data = np.frombuffer(said.encode() + b"\0\0", np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 2
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], buffers
    model.signatureDefs, model.metadata = [signature], [entry] if said else []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def onnx_file(
    op: str = "Relu",
    domain: str = "",
    opset: int = 17,
    ir: int = 8,
    extra: bool = False,
    inner: str = "",
    open_batch: bool = False,
) -> bytes:
    """Write class = op(image), perhaps with a branch that holds an operator of another domain."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    value = helper.make_tensor_value_info
    inputs = [value("image", kind, ("n" if open_batch else 1, 4))] + ([value("seed", kind, (1,))] if extra else [])
    nodes = [helper.make_node(op, ["image"], ["class"], domain=domain)]
    if inner:
        branch = helper.make_graph(
            [helper.make_node(inner, ["image"], ["b"], domain="ours")], "b", [], [value("b", kind, (1, 4))]
        )
        other = helper.make_graph([helper.make_node("Relu", ["image"], ["c"])], "c", [], [value("c", kind, (1, 4))])
        true = helper.make_node(
            "Constant", [], ["yes"], value=helper.make_tensor("t", onnx.TensorProto.BOOL, (), [True])
        )
        nodes = [true, helper.make_node("If", ["yes"], ["class"], then_branch=branch, else_branch=other)]
    shape = ("n" if open_batch else 1, 4)
    graph = helper.make_graph(nodes, "g", inputs, [value("class", kind, shape)])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain or "ours", 1)] if domain or inner else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir)
    data: bytes = model.SerializeToString()
    return data


ONNX_CLASS = TensorSpec(name="class", dtype="float32", shape=(1, 4))


def refusal(model: bytes, runtime: Any = "tflite", target: str = "", **specs: TensorSpec) -> str:
    output = specs.get("output", CLASS if runtime == "tflite" else ONNX_CLASS)
    with pytest.raises(ConversionError) as caught:
        check_file(model, runtime, [specs.get("given", IMAGE)], [output], TARGETS.get(target))
    words = str(caught.value)
    assert "\n" not in words
    assert "want" in words
    assert "got" in words
    assert ";" in words, "it must say what to do"
    return words


def test_a_right_file_passes_and_tells_its_facts() -> None:
    facts = check_file(tflite(), "tflite", [IMAGE], [CLASS], TARGETS["pi5-legacy"])
    assert (facts.inputs, facts.outputs) == ((IMAGE,), (CLASS,))
    assert facts.operators == {"FULLY_CONNECTED": 1}
    assert facts.minimum_runtime == "1.14.0"
    facts = check_file(onnx_file(), "onnx", [IMAGE], [ONNX_CLASS], TARGETS["jetson"])
    assert facts.operators == {"Relu": 1}
    assert facts.minimum_runtime == ""


def test_the_scale_of_an_integer_input_is_read() -> None:
    wanted = TensorSpec(name="image", dtype="int8", shape=(1, 4))
    facts = check_file(tflite(integer=True), "tflite", [wanted], [CLASS], None)
    assert facts.inputs[0].quantization == Quantization(scale=0.5, zero_point=-3)


def test_a_file_for_a_newer_runtime_is_refused_for_an_old_board_alone() -> None:
    assert "2.17.0" in refusal(tflite(said="2.17.0"), target="pi5-legacy")
    assert check_file(tflite(said="2.17.0"), "tflite", [IMAGE], [CLASS], TARGETS["pi5"]).minimum_runtime == "2.17.0"


def test_a_figure_copied_from_the_float_file_is_not_believed() -> None:
    """What ai-edge-quantizer writes: a scale for each channel, and the float file's runtime version."""
    copied = tflite(scales=(0.1, 0.2, 0.3), said="1.5.0")
    assert minimum_runtime(copied) == "2.17.0"
    assert "2.17.0" in refusal(copied, target="pi5-legacy")
    assert minimum_runtime(tflite(scales=(0.1,), said="1.5.0")) == "1.5.0"
    static = tflite(scales=(0.1, 0.2, 0.3), said="1.5.0", integer=True)
    assert minimum_runtime(static) == "1.5.0", "int8 activations have had it for long"


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.8, 0.97])
def test_half_a_tflite_file_is_refused(cut: float) -> None:
    whole = tflite()
    assert "TFLite file" in refusal(whole[: int(cut * len(whole))])


def test_something_else_is_refused() -> None:
    assert "TFL3" in refusal(b"\x89PNG" * 100)
    assert "TFL3" in refusal(b"")
    assert "checker" in refusal(b"\x89PNG" * 100, "onnx")
    assert "checker" in refusal(b"", "onnx")


def test_flex_and_custom_operators_are_refused_by_name() -> None:
    assert "TensorFlow's own FlexErf" in refusal(tflite(custom="FlexErf"))
    assert "custom MyNMS" in refusal(tflite(custom="MyNMS"))
    assert "ours.MyNMS" in refusal(onnx_file("MyNMS", "ours"), "onnx")
    assert "ours.Hidden" in refusal(onnx_file(inner="Hidden"), "onnx"), "inside a branch"


def test_an_operator_that_onnx_does_not_have_is_refused_by_the_checker() -> None:
    assert "Erfc" in refusal(onnx_file("Erfc"), "onnx")


def test_other_tensors_are_refused() -> None:
    assert "'picture' float32" in refusal(tflite(), given=TensorSpec(name="picture", dtype="float32", shape=(1, 4)))
    assert "uint8" in refusal(tflite(), given=TensorSpec(name="image", dtype="uint8", shape=(1, 4)))
    assert "(1, 5)" in refusal(tflite(), output=TensorSpec(name="class", dtype="float32", shape=(1, 5)))
    assert "2 of which 1" in refusal(tflite(extra=True))
    assert "'seed'" in refusal(onnx_file(extra=True), "onnx")
    assert "(0, 4)" in refusal(onnx_file(open_batch=True), "onnx")


def test_an_onnx_file_too_new_for_the_board_is_refused() -> None:
    assert "opset 20 or older" in refusal(onnx_file(opset=21), "onnx", "jetson")
    assert "IR version 9 or older" in refusal(onnx_file(ir=10), "onnx", "jetson")
    check_file(onnx_file(opset=21, ir=10), "onnx", [IMAGE], [ONNX_CLASS], TARGETS["x86"])


def test_every_target_can_take_what_it_prefers() -> None:
    for target in TARGETS.values():
        assert set(target.variants) == set(target.embedding), target.name
        assert {name.rpartition("-")[2] for name in target.variants} == set(target.runtimes), target.name


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (
            "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version",
            "scale for each channel",
        ),
        ("Didn't find op for builtin opcode 'CONV_2D' version '8'.", "CONV_2D of version 8 came after"),
        ("bundle x: want output 'y' within 0.05 of the stored answer, got 0.7", "computes something else"),
        ("an end by SIGSEGV", "newer than the runtime"),
        ("something unheard of", "take another variant"),
    ],
)
def test_messages_of_the_old_runtime_are_explained(message: str, meaning: str) -> None:
    assert meaning in explain(message)
    assert message[:20] in explain(message)
