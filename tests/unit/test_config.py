from pathlib import Path

import pytest

from edge.config import make_config, read_config
from edge.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"budget_ms": -5}, "-5"),
        ({"budget": 3}, "budget"),
        ({"threshold": 1.5}, "1.5"),
        ({"track": {"confirm": 0}}, "track.confirm"),
        ({"track": {"metric": "euclid"}}, "euclid"),
        ({"track": {"coast_ms": 900, "keep_ms": 100}}, "keep_ms"),
        ({"sinks": "jsonl:-"}, "sinks"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        make_config(values)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("budget_ms 3")
    with pytest.raises(ConfigError, match=r"a\.toml: want TOML"):
        read_config(path)
