"""The boards a model may be meant for: what they can load, which variants are made for them, which is taken first.

The order of preference is by size and quality, never by latency measured on a workstation; the figures are in
docs/converting.md. A classifier takes int8 where its metric allows it. Full int8 breaks the ranking of embeddings
first, so an embedder prefers float activations. A Jetson's GPU wants float16.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.load import ConversionError
from converters.recipe import VariantName
from edge.bundle import Runtime, Task
from edge.errors import ConfigError

LEGACY_RUNTIME = "2.14.0"
"""The last release of tflite-runtime."""
_ROOT = Path(__file__).parent.parent
LEGACY_VENV = _ROOT / "build" / "legacy-venv"
_FIRST_PYTHON_WITHOUT = (3, 12)
_INSTALL_SECONDS = 900
_RUN_SECONDS = 300
_SHOWN = 400

_RUN = """
import sys
from pathlib import Path
from converters import sandbox
sandbox.enter(Path(sys.argv[2]))  # before numpy, which starts threads
from edge.errors import EdgeError
from edge.model import open_model
try:
    open_model(Path(sys.argv[1]), None, 1).backend.close()
except EdgeError as error:
    sys.exit(str(error))
"""

_TRANSLATIONS: Mapping[str, str] = {
    r"FULLY_CONNECTED' version '1[2-9]": "a Dense layer's weights have a scale for each channel, which came after "
    "2.14; convert the dynamic variant again with this version's converter",
    r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'": r"operator \1 of version \2 came after 2.14; take "
    "another variant, fp16 first",
    r"GELU.*INT16": "GELU has no int16 kernel there; take int8 or fp16",
    r"of the stored answer": "it loads and computes something else, as files of ai-edge-quantizer with a Dense layer "
    "do there; take another variant",
    r"[Ff]lex|Select TensorFlow op": "it needs TensorFlow's own operators, which no wheel has; replace the layer",
    r"DEQUANTIZE|INT4": "4-bit weights came after 2.14; take another variant",
    r"SIGSEGV": "a known end of files newer than the runtime; take another variant",
}
"""What tflite-runtime's messages mean, by a pattern in them; the first that is found counts."""


@dataclass(frozen=True, slots=True)
class Target:
    """A board.

    Attributes:
        name: what a person types.
        words: what it is.
        runtimes: that can be installed there.
        variants: made by default; for any task but `embed` in the order in which a device should take those that
            pass.
        embedding: the same variants in the order for task `embed`.
        tflite: newest TFLite release that it has; "" = that of today.
        opset: newest ONNX opset that it has; 0 = that of today.
        ir: newest version of ONNX' file format that it has; 0 = that of today.
    """

    name: str
    words: str
    runtimes: tuple[Runtime, ...]
    variants: tuple[VariantName, ...]
    embedding: tuple[VariantName, ...]
    tflite: str = ""
    opset: int = 0
    ir: int = 0

    def preference(self, task: Task | str) -> tuple[VariantName, ...]:
        """Return the variants in the order in which a device should take those that pass."""
        return self.embedding if task == "embed" else self.variants


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "pi4",
            "a Raspberry Pi 4",
            ("tflite",),
            ("int8-tflite", "dynamic-tflite", "fp16-tflite", "fp32-tflite"),
            ("dynamic-tflite", "fp16-tflite", "int8-tflite", "fp32-tflite"),
        ),
        Target(
            "pi5",
            "a Raspberry Pi 5",
            ("tflite", "onnx"),
            ("int8-tflite", "int8-onnx", "dynamic-tflite", "fp16-tflite", "fp32-tflite", "fp32-onnx"),
            ("dynamic-tflite", "fp16-tflite", "int8-tflite", "int8-onnx", "fp32-tflite", "fp32-onnx"),
        ),
        Target(
            "pi5-legacy",
            f"a Raspberry Pi with tflite-runtime {LEGACY_RUNTIME}",
            ("tflite",),
            ("int8-tflite", "dynamic-tflite", "fp16-tflite", "fp32-tflite"),
            ("dynamic-tflite", "fp16-tflite", "int8-tflite", "fp32-tflite"),
            tflite=LEGACY_RUNTIME,
        ),
        Target(
            "jetson",
            "an NVIDIA Jetson",
            ("onnx",),
            ("fp16-onnx", "fp32-onnx", "int8-onnx"),
            ("fp16-onnx", "fp32-onnx", "int8-onnx"),
            # onnxruntime 1.17, the oldest that `edge-run[onnx]` takes, is built on ONNX 1.15: its version matrix.
            opset=20,
            ir=9,
        ),
        Target(
            "x86",
            "a PC",
            ("tflite", "onnx"),
            ("u8s8-onnx", "int8-tflite", "dynamic-tflite", "fp32-tflite", "fp32-onnx"),
            ("u8s8-onnx", "dynamic-tflite", "int8-tflite", "fp32-tflite", "fp32-onnx"),
        ),
    )
}


def run_legacy(bundle: Path) -> None:
    """Load a bundle in tflite-runtime 2.14, with numpy below 2, and have it give its stored answer.

    A file may load there and compute something else; the stored answer tells.

    Raises:
        ConversionError: it cannot, or gives another answer.
        ConfigError: such a runtime cannot be installed here.
    """
    python = legacy_python()
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}  # the device half as it is now, not as it was installed
    try:
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run(
                [str(python), "-c", _RUN, str(bundle.resolve()), scratch],
                capture_output=True, text=True, timeout=_RUN_SECONDS, env=environment,
            )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            f"tflite-runtime {LEGACY_RUNTIME}: want an answer within {_RUN_SECONDS} s, got none; take another variant"
        ) from error
    if done.returncode:
        reason = explain(_last_words(done, bundle))
        raise ConversionError(f"tflite-runtime {LEGACY_RUNTIME}: want it to give the stored answer, got {reason}")


def explain(message: str) -> str:
    """Say what a message of tflite-runtime means and what to do; the message itself where that is not known."""
    for pattern, meaning in _TRANSLATIONS.items():
        if found := re.search(pattern, message):
            return f"'{message[:_SHOWN]}': {found.expand(meaning)}"
    return f"'{message[:_SHOWN]}'; take another variant"


def legacy_python(folder: Path = LEGACY_VENV) -> Path:
    """Return a Python that has tflite-runtime 2.14 and what this project's device half needs; made at the first call.

    Args:
        folder: of the virtual environment; kept for the next call.

    Raises:
        ConfigError: this Python is too new for that runtime, or it cannot be installed.
    """
    python, installed = folder / "bin" / "python", folder / "installed"
    if sys.version_info >= _FIRST_PYTHON_WITHOUT:
        raise ConfigError(
            f"target pi5-legacy: want Python 3.11 or older, for which tflite-runtime {LEGACY_RUNTIME} exists, got "
            f"{sys.version_info[0]}.{sys.version_info[1]}; use an older one, or target pi5"
        )
    wanted = (_ROOT / "pyproject.toml").read_text("utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another conversion may be making it
        if not (installed.is_file() and installed.read_text("utf-8") == wanted):
            _install(folder, python)
            installed.write_text(wanted, "utf-8")
    return python


def _install(folder: Path, python: Path) -> None:
    venv.create(folder, clear=True, symlinks=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", f"{_ROOT}[tflite-legacy]"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"target pi5-legacy: want tflite-runtime {LEGACY_RUNTIME} within {_INSTALL_SECONDS} s, got none; see to "
            "the network, or target pi5"
        ) from error
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason")
        raise ConfigError(
            f"target pi5-legacy: want tflite-runtime {LEGACY_RUNTIME} installed, got '{last.strip()}'; give pip a "
            "way to its packages, or target pi5"
        )


def _last_words(done: "subprocess.CompletedProcess[str]", bundle: Path) -> str:
    """Return the last line that a dead process said, or how it died; without the place of the bundle."""
    if done.returncode < 0:
        return f"an end by {signal.Signals(-done.returncode).name}"
    line = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"code {done.returncode}")
    return line.strip().replace(str(bundle.resolve()), bundle.name)
