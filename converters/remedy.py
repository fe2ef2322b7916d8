"""What to try next when a quantised file is too far from Keras."""

from collections.abc import Sequence
from dataclasses import replace

from converters.recipe import ALL, DECODING, Settings, Variant
from converters.record import LayerError

RANGES = (Settings(), Settings("percentile"), Settings("average"))
"""Ways to find ranges, tried first: they cost the device nothing."""

STEPS = (2, 8, 32)
"""How many of the worst layers are left in float, with the best ranges; then all of them. Measured with MobileNetV2 at
97 x 97: mean cosine .972 with none, .9925 with 8, .993 with 16, .994 with 32, .9997 with all 69. The first few matter
most, and after them only all."""


def next_settings(
    variant: Variant, tried: Sequence[tuple[Settings, float]], layers: Sequence[LayerError], decodes: bool = False
) -> Settings | None:
    """Choose how to quantise in the next attempt.

    Ranges come first, because the file stays as fast as it was. Then what a detector or localizer makes of its raw
    heads is left to float: boxes in pixels and scores share no range of 256 steps. Then layers are, the worst first:
    their weights stay in 8 bits, so that the file does not grow, but they run as slowly as in float. Then TFLite tries
    int16 activations, the last all-integer form: late, as they have no fast kernels and some operators overflow. At the
    end all layers stay in float: a file of float32's speed and int8's size.

    Dynamic range knows one thing to try: weights rounded one by one. A corrected bias can be worse than none where what
    follows is steep: shares of colours moved below 0 before a square root kept a cosine of 0.76, else 0.998.

    Args:
        variant: what is made.
        tried: settings of each attempt so far, and how good it came out; higher is better.
        layers: quantisation error of the layers, worst first; empty where it is not known.
        decodes: True for a model whose outputs are boxes, which it may decode inside.

    Returns:
        The settings, or None when nothing is left to try.
    """
    done = [settings for settings, _ in tried]
    if variant.kind == "dynamic":
        return next((settings for settings in (Settings(), Settings(fitted=False)) if settings not in done), None)
    if not variant.calibrated or variant.kind == "int16x8":
        return None if done else Settings()
    for settings in RANGES:
        if settings not in done:
            return settings
    best, _ = max(((settings, good) for settings, good in tried if settings in RANGES), key=lambda pair: pair[1])
    worst = [tuple(layer.layer for layer in layers[:count]) for count in STEPS if count < len(layers)]
    steps = [replace(best, float_layers=(DECODING,))] if decodes else []
    steps += [replace(best, float_layers=kept) for kept in worst]
    steps += [replace(best, wide=True)] if variant.runtime == "tflite" else []
    steps.append(replace(best, float_layers=(ALL,)))
    return next((settings for settings in steps if settings not in done), None)
