from pathlib import Path

import pytest

from edge.cli import _run_parser
from edge.config import Config, make_config, read_config
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


def test_a_key_has_the_name_of_its_flag_but_for_the_list_of_sinks() -> None:
    flags = {flag.dest for flag in _run_parser()._actions} - {"help", "version"}
    keys = set(Config.__struct_fields__) - {"track"}
    assert keys - flags == {"sinks"}
    assert flags - keys == {"config", "camera", "sink", "profile", "show", "quiet"}
    assert make_config({"name": "yard"}).name == "yard"


def test_a_word_of_a_file_is_named_with_the_file_and_one_of_a_flag_with_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"^config a\.toml: draw: unknown word 'x'"):
        make_config({"draw": ["x"]}, "config a.toml")
    with pytest.raises(ConfigError, match=r"^--draw: unknown word 'x'"):
        make_config({"draw": ["x"]}, "config a.toml", {"draw": "--draw"})


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("budget_ms 3")
    with pytest.raises(ConfigError, match=r"a\.toml: want TOML"):
        read_config(path)
