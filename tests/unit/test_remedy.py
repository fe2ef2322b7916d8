import pytest

from converters.layers import Node, named
from converters.load import ConversionError
from converters.recipe import ALL, DECODING, VARIANTS, Settings
from converters.record import LayerError
from converters.remedy import RANGES, STEPS, next_settings

INT8 = VARIANTS["int8-tflite"]
LAYERS = tuple(LayerError(layer=f"layer{n}", op="CONV_2D", error=1 / (n + 1)) for n in range(40))


def climb(variant, quality, layers=LAYERS):
    tried = []
    while (settings := next_settings(variant, tried, layers)) is not None:
        assert settings not in [done for done, _ in tried], "no settings are tried twice"
        tried.append((settings, quality(settings)))
        assert len(tried) <= 8, "an attempt costs minutes"
    return [settings for settings, _ in tried]


def test_the_ladder_is_ranges_then_worst_layers_with_the_best_ranges():
    quality = {"minmax": 0.5, "percentile": 0.8, "average": 0.7}
    made = climb(INT8, lambda settings: quality[settings.ranges])
    assert made[:3] == list(RANGES)
    assert {settings.ranges for settings in made[3:]} == {"percentile"}
    assert [len(settings.float_layers) for settings in made[3:-2]] == [*STEPS]
    assert made[-2].wide
    assert not made[-2].float_layers
    assert made[-1].float_layers == (ALL,)
    assert made[4].float_layers == tuple(layer.layer for layer in LAYERS[:8]), "the worst come first"


def test_the_same_record_gives_the_same_next_step():
    tried = [(settings, 0.5) for settings in RANGES]
    assert next_settings(INT8, tried, LAYERS).ranges == "minmax", "of equals the plainest"


def test_without_layers_there_are_ranges_and_then_all_in_float():
    assert climb(INT8, lambda _: 0.5, ()) == [*RANGES, Settings(wide=True), Settings(float_layers=(ALL,))]


@pytest.mark.parametrize("count", [1, 8, 9, 32])
def test_a_small_model_ends_with_all_its_layers_in_float(count):
    made = climb(INT8, lambda _: 0.5, LAYERS[:count])
    assert made[-1].float_layers == (ALL,)
    assert all(len(settings.float_layers) < count for settings in made[3:-1])


def test_where_a_recipe_begins_on_top_the_rest_of_the_ladder_follows():
    begun = [(Settings("percentile", float_layers=(ALL,)), 0.5)]
    assert next_settings(INT8, begun, ()) == RANGES[0]


def test_onnx_climbs_the_same_ladder_but_for_int16_activations():
    tflite = [settings for settings in climb(INT8, lambda _: 0.5) if not settings.wide]
    assert climb(VARIANTS["u8s8-onnx"], lambda _: 0.5) == tflite


def test_dynamic_range_is_tried_with_weights_rounded_one_by_one_too():
    assert climb(VARIANTS["dynamic-tflite"], lambda _: 0.5) == [Settings(), Settings(fitted=False)]


@pytest.mark.parametrize("name", ["fp32-tflite", "int16x8-tflite"])
def test_variants_without_choices_are_tried_once(name):
    assert climb(VARIANTS[name], lambda _: 0.5) == [Settings()]


def test_a_model_of_boxes_keeps_its_decoding_in_float_before_other_layers():
    tried = [(settings, 0.5) for settings in RANGES]
    assert next_settings(INT8, tried, LAYERS, decodes=True).float_layers == (DECODING,)
    assert len(next_settings(INT8, tried, LAYERS).float_layers) == STEPS[0]


def test_decoding_is_what_no_layer_with_weights_comes_after():
    nodes = [
        Node("first", ("image",), ("a",), True),
        Node("relu", ("a",), ("b",), False),
        Node("head", ("b",), ("c",), True),
        Node("other head", ("b",), ("d",), True),
        Node("exp", ("c",), ("e",), False),
        Node("boxes", ("e", "d"), ("f",), False),
    ]
    assert named((DECODING,), nodes) == ("exp", "boxes")
    assert named((ALL,), nodes) == tuple(node.name for node in nodes)
    with pytest.raises(ConversionError, match="'nose'"):
        named(("nose",), nodes)
