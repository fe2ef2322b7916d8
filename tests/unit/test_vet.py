"""What a file may name: each list and each rule, with something that is on it and something that is not."""

import builtins
from typing import Any

import pytest

from converters.allowlist import ACTIVATIONS, FUNCTIONS, LAYERS, LOSSES, METRICS, TF_SYMBOLS
from converters.vet import STORED_CODE, vet_config


def layer(name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": name, "module": module, "config": {"name": "here", **config}, "registered_name": None}


def function(name: Any, module: str = "builtins") -> dict[str, Any]:
    return {"class_name": "function", "module": module, "config": name, "registered_name": "function"}


HONEST: dict[str, Any] = {
    "a layer": layer("Dense", activation="relu", kernel_initializer=layer("GlorotUniform", "keras.initializers")),
    "a layer of an older file": layer("Dense", None, activation="softmax"),
    "an activation as a function": layer("Dense", activation=function("gelu")),
    "an operation": layer("GetItem", "keras.src.ops.numpy"),
    "a named function in a Lambda": layer("Lambda", function=function("square", "keras.ops"), output_shape=[None, 4]),
    "a short name in a Lambda": layer("Lambda", function="relu", function_type="function"),
    "a TensorFlow function": layer("TFOpLambda", function="nn.relu6"),
    "its older name": layer("TFOpLambda", function="compat.v1.nn.relu6"),
    "a slice": layer("SlicingOpLambda", function="__operators__.getitem"),
    "an operator": layer("TensorFlowOpLayer", None, node_def={"op": "Relu6", "name": "a"}),
    "an operator in bytes": layer("TensorFlowOpLayer", None, node_def="\n\x01a\x12\x05Relu6"),
    "a shape": {"class_name": "TensorShape", "items": [None, 3]},
    "a type": {"class_name": "TypeSpec", "type_spec": "tf.TensorSpec", "serialized": []},
    "a loss of a nested model": layer("Functional", compile_config={"loss": "mse", "metrics": ["accuracy"]}),
    "a layer by its place": layer("Functional", "keras.src.engine.functional"),
    "an activation by its place": layer("Dense", activation=function("relu", "tf_keras.src.activations")),
    "a policy": layer("Dense", dtype=layer("DTypePolicy", "keras")),
}

HOSTILE: dict[str, tuple[Any, str]] = {
    "bytecode": (layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4w"}}), STORED_CODE),
    "bytecode of Keras 2": (layer("Lambda", None, function=["4w", None, None], function_type="lambda"), STORED_CODE),
    "bytecode as a shape": (layer("Lambda", None, function="relu", output_shape=["4w", None, None]), STORED_CODE),
    "bytecode in a class of somebody": (layer("Dense", x_type="lambda"), STORED_CODE),
    "a mask that is a list": (layer("Lambda", function="relu", mask=[1]), STORED_CODE),
    "a function without a name": (layer("Lambda", function=function(["4w"])), STORED_CODE),
    "a Lambda without a configuration": ({"class_name": "Lambda", "config": None}, STORED_CODE),
    "os.system": (layer("Lambda", function=function("system", "os")), "the function os.system"),
    "eval": (layer("Lambda", function=function("eval")), "the function builtins.eval"),
    "a builtin that Keras has too": (layer("Lambda", function=function("abs")), "the function builtins.abs"),
    "a download": (layer("Lambda", function=function("get_file", "keras.utils")), "the function keras.utils.get_file"),
    "a copy of files": (
        layer("Lambda", function=function("copy", "keras.src.utils.file_utils")),
        "the function keras.src.utils.file_utils.copy",
    ),
    "a layer's name in another part": (layer("Model", "keras.src.utils"), "the class keras.src.utils.Model"),
    "an activation elsewhere": (layer("Dense", activation=function("relu", "keras.utils")), "keras.utils.relu"),
    "a class of another module": (layer("Popen", "subprocess"), "the class subprocess.Popen"),
    "a layer's name elsewhere": (layer("Dense", "os"), "the class os.Dense"),
    "a lookalike module": (layer("Dense", "kerasx.layers"), "the class kerasx.layers.Dense"),
    "an operation elsewhere": (layer("GetItem", "keras.layers"), "the class keras.layers.GetItem"),
    "a saved model inside": (layer("TFSMLayer"), "the class keras.layers.TFSMLayer"),
    "a vocabulary": (layer("StringLookup", None, vocabulary="/etc/hostname"), "the class StringLookup"),
    "a writing function": (layer("TFOpLambda", function="io.write_file"), "the TensorFlow function io.write_file"),
    "an unnamed function": (layer("TFOpLambda", function={"a": 1}), "the TensorFlow function {'a': 1}"),
    "a class method": (layer("ClassMethod", None, cls_symbol="io.gfile"), "the class ClassMethod"),
    "a writing operator": (
        layer("TensorFlowOpLayer", None, node_def={"op": "WriteFile"}),
        "the TensorFlow operator WriteFile",
    ),
    "the same in bytes": (
        layer("TensorFlowOpLayer", None, node_def="\n\x01a\x12\tWriteFile"),
        "the TensorFlow operator WriteFile",
    ),
    "no operator": (layer("TensorFlowOpLayer", None), "the TensorFlow operator None"),
    "a string that names": (layer("Dense", activation="deserialize"), "the activation deserialize"),
    "a type of another module": (
        {"class_name": "__typespec__", "module": "os", "spec_name": "TensorSpec", "config": []},
        "the type os.TensorSpec",
    ),
    "another type": ({"class_name": "TypeSpec", "type_spec": "Evil", "serialized": []}, "the type Evil"),
    "a class without a name": ({"class_name": 7, "config": {}}, "a class without a name"),
    "hidden in arguments": ({"inbound_nodes": [[["x", 0, 0, {"a": function("system", "os")}]]]}, "os.system"),
    "hidden in a build": ({**layer("Dense"), "build_config": {"a": function("system", "os")}}, "os.system"),
    "an unknown loss": (layer("Functional", compile_config={"loss": "theirs"}), "the loss theirs"),
    "an unknown metric": (layer("Functional", compile_config={"metrics": ["theirs"]}), "the metric theirs"),
    "an unknown initializer": (layer("Dense", kernel_initializer="theirs"), "the initializer theirs"),
    "an unknown cell": (layer("RNN", cell="theirs"), "the cell theirs"),
}


@pytest.mark.parametrize("kind", HONEST)
def test_what_computes_numbers_is_let_through(kind: str) -> None:
    assert vet_config(HONEST[kind]) == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_could_do_more_is_named_with_its_layer(kind: str) -> None:
    config, words = HOSTILE[kind]
    concerns = vet_config({"class_name": "Functional", "config": {"name": "model", "layers": [config]}})
    assert words in concerns[0].what
    if "name" in (config.get("config") or ()):
        assert concerns[0].where == "here"


def test_somebodys_own_classes_and_functions_can_be_given() -> None:
    config = [
        {**layer("Mish", "mine.layers"), "registered_name": "mine>Mish"},
        layer("Dense", activation=function("cube")),
        layer("Dense", None, activation="cube"),
        layer("mine>Mish", None, activation="mine>cube"),
    ]
    assert [concern.own for concern in vet_config(config)] == ["Mish", "cube", "cube", "Mish", "cube"]
    assert vet_config(config, frozenset(("Mish", "cube"))) == []


def test_a_given_name_is_no_cover_for_another_class() -> None:
    covered = {**layer("Mish", "mine"), "registered_name": "Other"}
    assert vet_config(covered, frozenset(("Mish",)))[0].what == "the class mine.Mish"


def test_a_configuration_may_nest_as_deeply_as_json_allows() -> None:
    config: Any = function("system", "os")
    for _ in range(5000):
        config = [config]
    assert len(vet_config(config)) == 1


def test_no_short_function_is_a_python_builtin() -> None:
    assert not [name for name in ACTIVATIONS | LOSSES | METRICS if hasattr(builtins, name)]


def test_nothing_that_reads_writes_or_fetches_is_on_a_list() -> None:
    for name in ("get_file", "load_model", "load_img", "deserialize", "TFSMLayer", "StringLookup", "Lambda"):
        assert name not in LAYERS | FUNCTIONS | ACTIVATIONS
    assert not [name for name in TF_SYMBOLS if name.startswith(("io.", "data.", "train.", "summary.", "raw_ops."))]


def test_values_that_are_no_names_are_concerns_and_no_crash() -> None:
    for odd in ([], {}, 7, True, ["TensorSpec"]):
        for key in ("class_name", "spec_name", "type_spec", "module", "registered_name", "config"):
            for node in (layer("Dense"), function("relu"), {**layer("__typespec__", "tensorflow.python.framework.x")}):
                vet_config({**node, "spec_name": "TensorSpec", key: odd})
        vet_config(layer("Lambda", function=odd, mask=odd, output_shape=odd))
        vet_config(layer("TFOpLambda", function=odd))
        vet_config(layer("TensorFlowOpLayer", node_def=odd))
        vet_config(layer("Dense", activation=odd, metrics=odd))


def test_another_registered_name_is_another_function() -> None:
    node = {**function("relu", "keras.src.utils.data_utils"), "registered_name": "get_file"}
    assert vet_config(node)[0].what == "the function keras.src.utils.data_utils.get_file"
    spec = {"class_name": "__typespec__", "module": "tensorflow.python.framework.x", "spec_name": "TensorSpec"}
    assert vet_config({**spec, "config": [], "registered_name": None}) == []
    assert vet_config({**spec, "config": [], "registered_name": "TFOpLambda"}) != []
    assert vet_config({**spec, "module": "tensorflow.python.keras.layers", "config": []}) != []
