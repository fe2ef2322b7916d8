"""Hostile torch files: pickles that call, in the old format of five pickles and in the new one of a zip."""

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.bait import Bait
from tests.hostile.case import put

_MAGIC = 0x1950A86A20F9469CFC6C
_INERT = "nothing is called"
_BROKEN = "the unpickler stops before it"

Payload = Callable[[Bait], bytes]
"""A pickle by its operations, see pickletools."""


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _system(bait: Bait) -> bytes:
    return b"cposix\nsystem\n" + _text(bait.command) + b"\x85R"


def _write(bait: Bait) -> bytes:
    return b"cbuiltins\nopen\n" + _text(bait.canary) + _text("w") + b"\x86R"


PAYLOADS: dict[str, tuple[Payload, str]] = {
    "system": (lambda bait: _system(bait) + b".", ""),
    "eval": (
        lambda bait: b"cbuiltins\neval\n" + _text(f"__import__('os').system({bait.command!r})") + b"\x85R.", "",
    ),
    "stack-global": (lambda bait: b"\x80\x04" + _text("posix") + _text("system")
                     + b"\x93" + _text(bait.command) + b"\x85R.", ""),
    "inst": (lambda bait: b"(" + _text(bait.command) + b"iposix\nsystem\n.", ""),
    "obj": (lambda bait: b"(csubprocess\nPopen\n" + _text(bait.command) + b"I-1\nNNNNNI01\nI01\no.", ""),
    "newobj": (lambda bait: b"\x80\x02cio\nFileIO\n" + _text(bait.canary) + _text("w") + b"\x86\x81.",
               "the file is made later"),
    "newobj-ex": (
        lambda bait: b"\x80\x04cpathlib\nPath\n" + _text(bait.canary) + b"\x85}\x92.", "a path and no more",
    ),
    "nested": (
        lambda bait: b"cbuiltins\ngetattr\ncbuiltins\n__import__\n" + _text("os") + b"\x85R" + _text("system")
        + b"\x86R" + _text(bait.command) + b"\x85R.",
        "",
    ),
    "in-a-dict": (lambda bait: b"}" + _text("weight") + _system(bait) + b"s.", ""),
    "as-a-key": (lambda bait: b"}" + _system(bait) + _text("weight") + b"s.", ""),
    "ordered": (lambda bait: b"ccollections\nOrderedDict\n)R" + _text("weight") + _write(bait) + b"s.", ""),
    "build": (
        lambda bait: b"ccollections\nOrderedDict\n)R}" + _text("__setstate__") + b"cposix\nsystem\nsb"
        + _text(bait.command) + b"b.",
        "",
    ),
    "build-attributes": (
        lambda bait: b"ccollections\nOrderedDict\n)R}" + _text("items") + b"cposix\nsystem\nsb.", _INERT,
    ),
    "as-an-argument": (lambda bait: b"ccollections\nOrderedDict\n" + _system(bait) + b"\x85R.", ""),
    "persistent": (lambda bait: _system(bait) + b"Q.", ""),
    "persistent-text": (lambda bait: b"Pstorage\n.", _INERT),
    "persistent-storage": (
        lambda bait: b"(" + _text("storage") + _system(bait) + _text("0") + _text("cpu") + b"I1\nNtQ.", "",
    ),
    "extension": (lambda bait: b"\x80\x02\x82\x01.", _BROKEN),
    "extension-4": (lambda bait: b"\x80\x02\x84\x01\x00\x00\x00.", _BROKEN),
    "memo": (lambda bait: b"\x80\x02Nr\xff\xff\xff\x7f.", "a memo of 2^31 and no more"),
    "frame": (lambda bait: b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN.", _BROKEN),
    "long": (lambda bait: b"\x80\x02\x8b\xff\xff\xff\x7fN.", _BROKEN),
    "bytes": (lambda bait: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0fN.", _BROKEN),
    "deep": (lambda bait: b"(" * 50_000 + b"t" * 50_000 + b".", "tuples in tuples and no more"),
    "dots": (lambda bait: b"\x80\x04" + _text("builtins") + _text("open.__call__") + b"\x93" + _text(bait.canary)
             + _text("w") + b"\x86R.", ""),
    "torch-load": (lambda bait: b"ctorch\nload\n" + _text(bait.secret) + b"\x85R.", "torch is not here"),
    "torch-serialization": (
        lambda bait: b"ctorch.hub\nload_state_dict_from_url\n" + _text(bait.url) + b"\x85R.", "torch is not here",
    ),
    "numpy": (
        lambda bait: b"cnumpy\nmemmap\n(" + _text(bait.canary) + _text("float32") + _text("w+") + b"I0\nI1\ntR.", "",
    ),
    "runpy": (lambda bait: b"crunpy\nrun_path\n" + _text(bait.secret) + b"\x85R.", ""),
    "connect": (
        lambda bait: b"csocket\ncreate_connection\n" + _text("127.0.0.1") + b"I%d\n\x86\x85R." % bait.port, "",
    ),
    "remove": (lambda bait: b"cshutil\nrmtree\n" + _text(f"{bait.folder}/victim") + b"\x85R.", ""),
}  # fmt: skip


def _plain(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)


def _old(payload: Payload, place: int) -> Callable[[Path, Bait], Path]:
    """Put the payload into one of the five pickles of the old format."""

    def make(folder: Path, bait: Bait) -> Path:
        parts = [_plain(_MAGIC), _plain(1001), _plain({"little_endian": True}), _plain({}), _plain([])]
        parts[place] = payload(bait)
        path = folder / "weights.pt"
        path.write_bytes(b"".join(parts))
        return path

    return make


def _new(payload: Payload, member: str = "archive/data.pkl") -> Callable[[Path, Bait], Path]:
    """Put it into the zip of the new format."""

    def make(folder: Path, bait: Bait) -> Path:
        path = folder / "weights.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/version", "3\n")
            archive.writestr(member, payload(bait))
        return path

    return make


for _name, (_payload, _dud) in PAYLOADS.items():
    put(f"torch-{_name}", _old(_payload, 3), "torch", "pickle", _dud)
for _number in (0, 1, 2, 4):
    put(f"torch-place-{_number}", _old(PAYLOADS["system"][0], _number), "torch", "pickle")
put("torch-zip", _new(PAYLOADS["system"][0]), "torch", "pickle")
put("torch-zip-outside", _new(PAYLOADS["system"][0], "../data.pkl"), "torch", "pickle")
