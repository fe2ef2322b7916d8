"""TensorFlow's and LiteRT's chatter, kept off the screen and shown when it explains a failure.

Their C++ parts write to file descriptor 2, past Python's `sys.stderr`; only turning the descriptor itself helps.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from edge.errors import ConfigError, EdgeError

_SHOWN = 2000


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what is written to the standard error; print its end if the block dies of an unforeseen error."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        except EdgeError:
            failed = False
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
            if failed:
                held.seek(0, os.SEEK_END)
                held.seek(max(0, held.tell() - _SHOWN))
                sys.stderr.write(held.read().decode(errors="replace"))


def load_keras() -> None:
    """Import Keras and TensorFlow, which say much while they start.

    Raises:
        ConfigError: they are not installed.
    """
    hush_tensorflow()
    try:
        with quiet():
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"this command: want Keras and TensorFlow, got no {error.name}; do, in the checkout: "
            "pip install -e '.[convert,train]'"
        ) from error


def hush_tensorflow() -> None:
    """Ask TensorFlow and tf2onnx to report errors only; call before the first import of TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "absl", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
