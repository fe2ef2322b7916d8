"""The kinds of input, a module each; see `tests.fuzz.case.Kind`."""

from tests.fuzz.case import Kind
from tests.fuzz.kinds import bundles, films, keras_files, models, pictures

KINDS: dict[str, Kind] = {
    "bundles": bundles,
    "models": models,
    "keras": keras_files,
    "pictures": pictures,
    "films": films,
}
