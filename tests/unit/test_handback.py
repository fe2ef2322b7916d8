"""What jobs hand back: values come as they were, and nothing that a taken-over job sends runs or leads elsewhere."""

import os
import pickle
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from converters.handback import classes_of, pack, regular_files, unpack
from converters.modelfile import ConversionError
from edge.types import F32


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    words: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner
    arrays: list[F32]
    table: dict[str, float]
    place: Path | None = None
    _own: int = 7


@dataclass
class Stranger:
    words: str


def test_values_come_back_as_they_were() -> None:
    empty = np.zeros((0, 4), np.float32)
    value = Outer(Inner(words="a", sizes=(1, 2)), [np.eye(2, dtype=np.float32), empty], {"x": float("inf")}, Path("/a"))
    got = unpack(pack(value), Outer)
    assert got.inner == value.inner
    assert [array.dtype for array in got.arrays] == [np.float32, np.float32]
    np.testing.assert_array_equal(got.arrays[0], value.arrays[0])
    assert got.arrays[1].shape == (0, 4)
    assert got.arrays[0].flags.writeable
    assert (got.table, got.place) == (value.table, value.place)
    for plain in (None, True, 3, 0.5, "words", b"bytes", [1, (2, [3])], {"a": (1,)}, {(1, 2): "b"}, {1, 2}):
        assert unpack(pack(plain), ()) == plain
    assert unpack(pack((np.float32(0.5), np.int64(3))), ()) == (0.5, 3)


def test_a_private_field_stays_in_the_job() -> None:
    assert unpack(pack(Outer(Inner(words=""), [], {}, None, 99)), Outer)._own == 7


def test_classes_are_found_inside_types() -> None:
    assert classes_of(dict[str, tuple[Outer, ...] | None]) == {Outer, Inner}
    assert classes_of(list[str]) == set()


def test_a_class_that_was_not_named_is_refused() -> None:
    with pytest.raises(ConversionError, match="want Inner, Outer, got something else"):
        unpack(pack(Stranger("x")), Outer)
    for name in ("os:system", "subprocess:Popen", "converters.handback:Path"):
        with pytest.raises(ConversionError):
            unpack(msgspec.msgpack.encode({"object": [name, {"words": "x"}]}), Outer)


@pytest.mark.parametrize(
    "message",
    [
        {"object": ["tests", {}]},
        {"object": []},
        {"array": ["|O", [1], b"\0" * 8]},
        {"array": ["<f4", [3], b"\0" * 8]},
        {"array": ["<f4", [1 << 40], b""]},
        {"what": 1},
        {"tuple": 1},
        {"map": [[[], 1]]},
        {"a": 1, "b": 2},
        {},
        {"path": 3},
    ],
)
def test_what_no_job_sends_is_one_sentence(message: Any) -> None:
    with pytest.raises(ConversionError, match="do not use it"):
        unpack(msgspec.msgpack.encode(message), Outer)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    with pytest.raises(ConversionError):
        unpack(pickle.dumps(Evil()), Outer)
    assert not (tmp_path / "ran").exists()


def test_deep_nesting_is_one_sentence() -> None:
    with pytest.raises(ConversionError):
        unpack(b"\x91" * 100_000 + b"\xc0", ())


def test_what_cannot_be_handed_back_is_refused_by_the_job() -> None:
    for value in (object(), print, np.array([object()]), Outer):
        with pytest.raises(TypeError, match="cannot be handed back"):
            pack(value)


def test_only_plain_files_may_be_left(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "model").write_bytes(b"x")
    regular_files(folder)
    outside = tmp_path / "outside"
    outside.write_text("secret")

    def bind(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(path))

    for make in (
        lambda path: path.symlink_to(outside),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(tmp_path, target_is_directory=True),
        lambda path: path.hardlink_to(outside),
        os.mkfifo,
        bind,
    ):
        left = folder / "inside" / "left"
        make(left)
        with pytest.raises(ConversionError, match="'left'"):
            regular_files(folder)
        left.unlink()
    regular_files(folder)
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    with pytest.raises(ConversionError, match="'link'"):
        regular_files(tmp_path / "link")
