"""Whether the layers of a functional model can be built one after the other.

Keras builds a layer once all that it takes its inputs from is there, and tries again until every layer is built. Layers
that wait for one another are tried for ever.
"""

from collections.abc import Iterator
from typing import Any

Node = tuple[str, int]
"""A layer's name, and which of its calls: a shared layer has several."""


def waiting_layers(config: Any) -> list[str]:
    """Return the layers, of this model and of those nested in it, that wait for one another or for nothing there is.

    Args:
        config: nested dictionaries and lists, as JSON gives them.
    """
    found: list[str] = []
    todo: list[Any] = [config]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            layers = part.get("layers")
            if isinstance(layers, list):
                found += _waiting(layers)
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return found


def _waiting(layers: list[Any]) -> list[str]:
    """Return the layers of one model that can never be built."""
    calls = {str(layer.get("name")): layer["inbound_nodes"] for layer in layers if _is_called(layer)}
    nested = {str(layer.get("name")) for layer in layers if _is_called(layer) and _is_nested(layer)}
    needs = {
        (name, number): set(_sources(call, calls, nested))
        for name, listed in calls.items()
        for number, call in enumerate(listed)
    }
    built: set[Node] = {(name, 0) for name, listed in calls.items() if not listed}
    while ready := [node for node, sources in needs.items() if sources <= built]:
        built.update(ready)
        for node in ready:
            del needs[node]
    return list(dict.fromkeys(name for name, _ in needs))


def _is_called(layer: Any) -> bool:
    return isinstance(layer, dict) and isinstance(layer.get("inbound_nodes"), list)


def _is_nested(layer: dict[str, Any]) -> bool:
    """Tell whether a layer is a model of its own."""
    config = layer.get("config")
    return isinstance(config, list) or (isinstance(config, dict) and "layers" in config)


def _sources(call: Any, calls: dict[str, list[Any]], nested: set[str]) -> Iterator[Node]:
    """Yield the calls that one call takes its inputs from.

    Keras 2 writes an input as `[layer, call, tensor, ...]`, Keras 3 as a dictionary with a `keras_history` like it.
    An input layer has one call, whatever its number; Keras 2 counts the calls of a nested model from 1.
    """
    todo: list[Any] = [call]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, list):
            if len(part) >= 3 and isinstance(part[0], str) and part[0] in calls and isinstance(part[1], int):
                last = len(calls[part[0]]) - 1
                number = min(part[1], last) if part[0] in nested else part[1]
                yield (part[0], number if last >= 0 else 0)
            todo += part
