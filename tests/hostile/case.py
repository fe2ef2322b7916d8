"""One file of the corpus, and the list of all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.hostile.bait import Bait

Make = Callable[[Path, Bait], Path]
"""Writes the file, or files, into an empty folder, and returns the one to open."""
Kind = Literal["model", "torch", "bundle", "data"]
"""What the file is taken for: what a person would do with it."""
Proof = Literal["keras", "tf_keras", "tensorflow", "pickle", "arrays", "hdf5", "extract", ""]
"""What opens the file carelessly, to show that it is hostile; "" for a file whose proof needs no opening."""


@dataclass(frozen=True)
class Case:
    """A hostile file.

    Attributes:
        name: unique, and a good name for a folder.
        make: writes it.
        kind: what it is taken for.
        proof: what opens it carelessly.
        dud: why the payload does not fire although it looks as if it would; "" where the proof must succeed.
    """

    name: str
    make: Make
    kind: Kind
    proof: Proof
    dud: str = ""


CASES: dict[str, Case] = {}


def hostile(name: str, kind: Kind = "model", proof: Proof = "keras", dud: str = "") -> Callable[[Make], Make]:
    """Put a function that makes a hostile file into the corpus."""

    def add(make: Make) -> Make:
        put(name, make, kind, proof, dud)
        return make

    return add


def put(name: str, make: Make, kind: Kind = "model", proof: Proof = "keras", dud: str = "") -> None:
    """The same for a function that was made in a loop."""
    if name in CASES:
        raise ValueError(f"two hostile files are called {name}")
    CASES[name] = Case(name, make, kind, proof, dud)
