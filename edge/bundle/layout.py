"""Which tensor of a model is what, told by the manifest alone: pictures, a detector's heads, a localizer's box."""

from collections.abc import Callable, Mapping, Sequence

from edge.bundle.manifest import Decoder, Preprocess, TensorSpec

CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}
"""Value of `Preprocess.color` -> channels of the tensor."""

Shapes = dict[str, tuple[int | None, ...]]
"""Name of an output -> its shape; None = any length."""


def is_picture(spec: TensorSpec, how: Preprocess) -> bool:
    """Tell whether an input is one picture: (1, H, W, C) with the channels of `how.color`, or (1, H, W) in gray."""
    shape = spec.shape
    if len(shape) == 3:
        return how.color == "gray" and shape[0] == 1
    return len(shape) == 4 and shape[0] == 1 and shape[3] == CHANNELS[how.color]


def nanodet_outputs(how: Decoder, height: int, width: int, classes: int) -> Shapes:
    """Return the heads that `edge.decode.nanodet` reads."""
    shapes: Shapes = {}
    for stride in how.strides:
        cells = (height // stride) * (width // stride)
        shapes |= {f"cls_{stride}": (1, cells, classes), f"reg_{stride}": (1, cells, 4 * how.bins)}
    return shapes


def boxes_outputs(how: Decoder, height: int, width: int, classes: int) -> Shapes:
    """Return the heads that `edge.decode.boxes` reads."""
    del how, height, width  # they were decoded inside the graph
    return {"boxes": (1, None, 4), "scores": (1, None, classes)}


DECODER_OUTPUTS: Mapping[str, Callable[[Decoder, int, int, int], Shapes]] = {
    "nanodet": nanodet_outputs,
    "boxes": boxes_outputs,
}
"""Value of `Decoder.name` -> the outputs it reads, given the input's height and width and the number of classes."""


def localizer_outputs(outputs: Sequence[TensorSpec]) -> tuple[int, int]:
    """Return which output of a localizer is its box, and which its class.

    The one of width 4 is the box, xyxy in parts of the input tensor. Where both have width 4, the one whose name
    holds "box" is.
    """
    wide = [number for number, spec in enumerate(outputs) if spec.shape[-1:] == (4,)]
    named = [number for number in wide if "box" in outputs[number].name.lower()]
    box = (named or wide or [0])[0]
    return box, next((number for number in range(len(outputs)) if number != box), box)
