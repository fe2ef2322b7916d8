"""All hostile files: importing the modules fills the list."""

from tests.hostile import archives, bundles, keras2, keras3, saved, saved_more, sly, torchfiles
from tests.hostile.case import CASES

__all__ = ["CASES", "archives", "bundles", "keras2", "keras3", "saved", "saved_more", "sly", "torchfiles"]
