"""The model files of TFLite and ONNX bundles, whose hashes are right again, verified and used."""

import shutil
import struct
from pathlib import Path
from random import Random

from tests.fuzz import originals as made
from tests.fuzz.case import Attempt
from tests.fuzz.kinds.bundles import attempt_of
from tests.fuzz.mutate import Change, mutate_bytes, mutate_message, set_integer
from tests.fuzz.reseal import reseal

FORKED = True
_BUNDLES = {
    **{f"tflite-{task}": 3 for task in made.TFLITE},
    **{f"onnx-{task}": 3 for task in made.ONNX},
    "fake-detect": 1,
}
FORMS = {f"{command} {name}": share for command in ("verify", "use") for name, share in _BUNDLES.items()}


def whole(form: str, originals: Path, folder: Path) -> Attempt:
    """Put a whole bundle into a folder."""
    name = form.split(" ")[1]
    shutil.copytree(originals / "bundles" / name, folder / "build" / "bundles" / name)
    return attempt_of(form, originals, folder)


def mutated(form: str, originals: Path, folder: Path, random: Random) -> Attempt:
    """Change the model file."""
    attempt = whole(form, originals, folder)
    runtime = form.split(" ")[1].partition("-")[0]
    path = next(folder.rglob("model.*"))
    change = {"tflite": _mutate_tflite, "onnx": _mutate_onnx, "fake": mutate_bytes}[runtime]
    data, words = change(path.read_bytes(), random)
    path.write_bytes(data)
    reseal(path.parent)
    return Attempt(form, attempt.entry, attempt.arguments, words)


def _mutate_onnx(data: bytes, random: Random) -> Change:
    return mutate_message(data, random) if random.random() < 0.7 else mutate_bytes(data, random)


def _mutate_tflite(data: bytes, random: Random) -> Change:
    """Change aligned integers, most of all those that look like places, sizes and shapes; or bytes."""
    if random.random() < 0.4:
        return mutate_bytes(data, random)
    words = struct.unpack(f"<{len(data) // 4}i", data[: len(data) // 4 * 4])
    small = [4 * number for number, word in enumerate(words) if 0 < abs(word) < len(data)]
    said = []
    for _ in range(random.choice((1, 1, 2, 4))):
        data, change = set_integer(data, random.choice(small), random, random.choice((1, 2, 4, 4)), False)
        said.append(change)
    return data, ", ".join(said)
