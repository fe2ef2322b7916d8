"""`python -m converters convert` of a tiny Keras model, over bundles of another model of the same name."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from edge.bundle import read_bundle
from edge.errors import EdgeError
from tests.kill.part import Process, names_in

ROOT = Path(__file__).parents[2]
NAMES = ("tiny-16-fp32-tflite", "tiny-16-dynamic-tflite")

MAKE = """
import sys, keras
for version, path in enumerate(sys.argv[1:]):
    keras.utils.set_random_seed(version)
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(image, keras.layers.Dense(256, name="answer")(x)).save(path)
"""


class Conversion:
    """Two models converted in turn to bundles of the same names."""

    name = "conversion"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._turn = 0
        self.results = home / "bundles"
        self._models = [home / f"version-{version}.keras" for version in range(2)]
        made = [sys.executable, "-c", MAKE, *map(str, self._models)]
        subprocess.run(made, check=True, env=self._environment(), capture_output=True, timeout=300)

    def start(self) -> Process:
        self._turn += 1
        command = [
            sys.executable, "-m", "converters", "convert", str(self._models[self._turn % 2]), "--name", "tiny",
            "--out", str(self.results), "--variants", "fp32,dynamic", "--runtimes", "tflite", "--force",
        ]  # fmt: skip
        environment = self._environment()

        def run() -> int:
            os.execvpe(command[0], command, environment)

        return Process(run, self._home / "output")

    def listing(self) -> set[Path]:
        return names_in(self.results, self._home / "tmp")

    def lost(self) -> list[str]:
        words = []
        for name in NAMES:
            path = self.results / name
            try:
                read_bundle(path)
                with zipfile.ZipFile(path.with_name(f"{path.name}.zip")) as packed:
                    if packed.testzip() is not None:
                        words.append(f"{path.name}.zip: damaged")
            except (EdgeError, OSError, zipfile.BadZipFile) as error:
                words.append(str(error))
        return words

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
