"""Hostile SavedModels: graphs that write, read, connect or print when they are loaded, or asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.bait import Bait
from tests.hostile.case import put

Effect = Callable[[Any, Bait], Any]
"""Puts the operations of a payload into the graph being traced; may return a tensor to depend on."""


def save(folder: Path, body: Callable[[Any], Any], **more: Any) -> Path:
    """Save a module whose `serving_default` runs `body` on a tensor float32 (1, 4)."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="x")])
    def serve(x: Any) -> Any:
        return {"y": body(x)}

    module.serve = serve
    for name, value in more.items():
        setattr(module, name, value)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


def after(effect: Any, x: Any) -> Any:
    """Return twice the tensor, once the effect is done."""
    import tensorflow as tf

    with tf.control_dependencies([part for part in [effect] if part is not None]):
        return tf.identity(x) * 2.0


def writes_when_asked(folder: Path, bait: Bait) -> Path:
    """Save the plainest hostile SavedModel."""
    import tensorflow as tf

    return save(folder, lambda x: after(tf.io.write_file(bait.canary, "x"), x))


def _saved(effect: Effect) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        import tensorflow as tf

        return save(folder / "model", lambda x: after(effect(tf, bait), x))

    return make


put("sm-write-file", _saved(lambda tf, bait: tf.io.write_file(bait.canary, "x")), proof="tensorflow")
