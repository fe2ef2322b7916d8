"""Functional models whose layers can be built, and some that Keras would try to build for ever."""

from typing import Any

from converters.order import waiting_layers


def keras_2(name: str, *sources: tuple[str, int]) -> dict[str, Any]:
    return {"name": name, "inbound_nodes": [[[source, call, 0, {}] for source, call in sources]] if sources else []}


def keras_3(name: str, *sources: tuple[str, int]) -> dict[str, Any]:
    arguments = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [source, call, 0]}} for source, call in sources
    ]
    return {"name": name, "inbound_nodes": [{"args": [arguments], "kwargs": {}}] if sources else []}


def test_layers_one_after_the_other_in_any_order() -> None:
    for write in (keras_2, keras_3):
        layers = [write("c", ("b", 0), ("a", 0)), write("b", ("a", 0)), write("a")]
        assert waiting_layers({"layers": layers}) == []


def test_layers_that_wait_for_one_another() -> None:
    for write in (keras_2, keras_3):
        layers = [write("a"), write("b", ("c", 0)), write("c", ("a", 0), ("b", 0)), write("d", ("a", 0))]
        assert waiting_layers({"config": {"layers": [{"config": {"layers": layers}}]}}) == ["b", "c"]


def test_a_call_that_is_not_there_is_waited_for() -> None:
    assert waiting_layers({"layers": [keras_2("a"), keras_2("b", ("a", 0)), keras_2("c", ("b", 1))]}) == ["c"]
    assert (
        waiting_layers({"layers": [keras_2("a"), keras_2("b", ("a", 3))]}) == []
    )  # an input has one call, however numbered


def test_a_shared_layer_is_called_twice() -> None:
    shared = {"name": "s", "inbound_nodes": [[["a", 0, 0, {}]], [["s", 0, 0, {}]]]}
    assert waiting_layers({"layers": [keras_2("a"), shared, keras_2("b", ("s", 1))]}) == []


def test_constants_in_a_call_are_no_layers() -> None:
    call = [["_CONSTANT_VALUE", -1, 2.0, {}], ["a", 0, 0, {"axis": ["x", 0, 1]}]]
    assert waiting_layers({"layers": [keras_2("a"), {"name": "b", "inbound_nodes": [call]}, 7]}) == []


def test_the_calls_of_a_nested_model_count_from_one() -> None:
    inner = {**keras_2("inner", ("a", 0)), "config": {"layers": []}}
    assert waiting_layers({"layers": [keras_2("a"), inner, keras_2("b", ("a", 0), ("inner", 1))]}) == []
    assert waiting_layers({"layers": [keras_2("a"), keras_2("inner", ("a", 0)), keras_2("b", ("inner", 1))]}) == ["b"]
