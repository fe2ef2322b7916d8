"""A model as one frozen graph on disk: what every variant is packed from, in whatever process packs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.bundle import Preprocess, TensorSpec

_GRAPH_FILE = "graph.pb"
_NAMES_FILE = "graph.json"


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What the tensors of a graph are called.

    Attributes:
        inputs: name, dtype and shape on the device, in the model's own order.
        outputs: the same of the outputs.
        graph_inputs: name of each input in the graph: "image:0".
        graph_outputs: name of each output in the graph.
        folded: what the graph does to the pixels of its pictures before the model sees them; None = nothing.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    graph_inputs: tuple[str, ...]
    graph_outputs: tuple[str, ...]
    folded: Preprocess | None = None


@dataclass(frozen=True, eq=False)
class Traced:
    """A frozen graph with a fixed batch of 1, traced with training=False, its weights as constants.

    Attributes:
        graph_def: a `tensorflow.GraphDef`.
        names: of its inputs and outputs.
    """

    graph_def: Any
    names: Names

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs on the device, in order."""
        return self.names.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs on the device, in order."""
        return self.names.outputs

    def save(self, folder: Path) -> None:
        """Write the graph into a folder, for other processes."""
        (folder / _GRAPH_FILE).write_bytes(self.graph_def.SerializeToString(deterministic=True))
        (folder / _NAMES_FILE).write_bytes(msgspec.json.encode(self.names))

    def function(self) -> Any:
        """Return the graph as a `ConcreteFunction` with named inputs that returns a dict of named outputs.

        The names become those of the TFLite signature "serving_default".
        """
        import tensorflow as tf

        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(self.graph_def, name=""), [])
        pruned = wrapped.prune(list(self.names.graph_inputs), list(self.names.graph_outputs))
        signature = [tf.TensorSpec(spec.shape, spec.dtype, spec.name) for spec in self.inputs]
        outputs = [spec.name for spec in self.outputs]

        @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
        def serve(*tensors: Any) -> dict[str, Any]:
            return dict(zip(outputs, pruned(*tensors), strict=True))

        return serve.get_concrete_function()


def read_traced(folder: Path) -> Traced:
    """Read what `Traced.save` wrote."""
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph_def = GraphDef.FromString((folder / _GRAPH_FILE).read_bytes())
    return Traced(graph_def, msgspec.json.decode((folder / _NAMES_FILE).read_bytes(), type=Names))
