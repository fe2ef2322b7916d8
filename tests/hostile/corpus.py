"""All hostile files: importing the modules fills the list."""

from tests.hostile import keras2, keras3, saved, saved_more, sly
from tests.hostile.case import CASES

__all__ = ["CASES", "keras2", "keras3", "saved", "saved_more", "sly"]
