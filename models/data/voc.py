"""Pascal VOC annotations: one xml file for each picture, with its objects' names and boxes."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.limits import read_file


class BoxError(ConfigError):
    """A box is empty, or not inside its picture; all else of the annotation can be read."""


MOST_BYTES = 1_000_000
"""An annotation has about 200 bytes for each object."""


def read_voc(xml: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Return boxes float32 (K, 4) xyxy pixels and the K names of one annotation.

    Raises:
        BoxError: a box that is empty or not inside the picture.
        ConfigError: no xml.
    """
    try:
        root = ElementTree.fromstring(read_file(xml, MOST_BYTES))
        width, height = (float(root.findtext(f"size/{side}", "inf")) for side in ("width", "height"))
        boxes, names = [], []
        for thing in root.iter("object"):
            box = [float(thing.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
            if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
                raise BoxError(
                    f"data {xml}: want a box inside the picture of {width:g} x {height:g}, got {box}; correct the xml"
                )
            boxes.append(box)
            names.append(thing.findtext("name", ""))
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ConfigError(f"data {xml}: want a Pascal VOC annotation, got '{error}'; correct the file") from error
    return np.array(boxes, np.float32).reshape(-1, 4), names
