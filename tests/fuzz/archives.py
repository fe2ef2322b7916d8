"""Zips whose every field can be set, arrays with headers that lie, and zeros that unfold to more than memory holds."""

import functools
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.mutate import FLOATS, INTEGERS, STRINGS, Change, mutate_bytes

BOMB_MB = 1500
"""What the zeros unfold to: more than a case may take."""

_STORED, _DEFLATED = 0, 8
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DATE = 0x21  # 1 January 1980
_SYMLINK, _FIFO, _FOLDER = 0o120777 << 16, 0o010644 << 16, 0o040755 << 16


@dataclass(frozen=True)
class Member:
    """One file of a zip, as its headers say.

    Attributes:
        raw: the bytes as they are stored.
    """

    name: str
    raw: bytes
    crc: int
    size: int
    method: int = _DEFLATED
    flags: int = 0
    external: int = 0o100644 << 16
    packed: int = -1


def member(name: str, data: bytes) -> Member:
    """Return a whole member."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return Member(name, packer.compress(data) + packer.flush(), zlib.crc32(data), len(data))


@functools.lru_cache(maxsize=3)
def zeros(head: bytes, megabytes: int, window: int = -15) -> tuple[bytes, int, int]:
    """Return `head` and so many zeros deflated, with their CRC-32 and size.

    A block that ends in a full flush knows nothing of what came before, so one megabyte is packed once and repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = b"\0" * 2**20
    repeated = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    crc, adler = zlib.crc32(head), zlib.adler32(head)
    for _ in range(megabytes):
        crc = zlib.crc32(block, crc)
        adler = zlib.adler32(block, adler) if window > 0 else 0
    raw = start + repeated * megabytes + packer.flush()
    if window > 0:
        raw = b"\x78\xda" + raw + struct.pack(">I", adler)
    return raw, crc, len(head) + megabytes * 2**20


def bomb(name: str, head: bytes = b"") -> Member:
    """Return a member that unfolds to `head` and 1.5 GB of zeros."""
    raw, crc, size = zeros(head, BOMB_MB)
    return Member(name, raw, crc, size)


def read_zip(data: bytes) -> list[Member]:
    """Read a whole zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [member(info.filename, archive.read(info)) for info in archive.infolist()]


def write_zip(members: list[Member], comment: bytes = b"") -> bytes:
    """Write a zip, however wrong its members are."""
    out, directory = bytearray(), bytearray()
    for m in members:
        name = m.name.encode("utf-8", "surrogatepass")[:65535]
        flags = m.flags | (0 if name.isascii() else 0x800)
        packed = (len(m.raw) if m.packed < 0 else m.packed) & 0xFFFFFFFF
        common = (flags, m.method, 0, _DATE, m.crc, packed, m.size & 0xFFFFFFFF, len(name))
        directory += _CENTRAL.pack(b"PK\1\2", 0x314, 20, *common, 0, 0, 0, 0, m.external & 0xFFFFFFFF, len(out)) + name
        out += _LOCAL.pack(b"PK\3\4", 20, *common, 0) + name + m.raw
    count = min(65535, len(members))
    end = _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), len(out), len(comment))
    return bytes(out + directory + end + comment)


def mutate_zip(data: bytes, random: Random) -> Change:
    """Change the structure of a zip: names, sizes, kinds, doubles, bombs; or its bytes."""
    what = random.choice(("name", "name", "remove", "double", "size", "method", "flags", "bomb", "kind", "add", "crc",
                          "many", "bytes", "bytes", "cut", "nested"))  # fmt: skip
    if what == "bytes":
        return mutate_bytes(data, random)
    if what == "cut":
        return data[: random.randrange(len(data))], "cut"
    members = read_zip(data)
    index = random.randrange(len(members))
    one = members[index]
    words = f"{what} of {one.name}"
    if what == "remove":
        del members[index]
    elif what == "double":
        members.insert(random.randrange(len(members) + 1), replace(one, name=random.choice((one.name, "bundle.json"))))
    elif what == "many":
        members += [replace(member(f"{one.name}{n}", b""), external=0) for n in range(random.choice((2000, 60_000)))]
    elif what == "add":
        root = one.name.partition("/")[0]
        members.append(member(f"{root}/{random.choice(STRINGS[:20])[:200]}", random.randbytes(50)))
    elif what == "bomb":
        members[index] = bomb(random.choice((one.name, one.name + ".more")))
    elif what == "nested":
        members[index] = member(one.name, data)
    else:
        members[index] = _other_field(one, what, random)
        words += f" -> {ascii(members[index].name)[:60]}" if what == "name" else ""
    return write_zip(members), words


def _other_field(one: Member, what: str, random: Random) -> Member:
    folder, _, file = one.name.rpartition("/")
    if what == "name":
        odd = random.choice((*STRINGS, "x" * 300, "a/" * 3000 + "b", "C:\\x", "//x", one.name + "/", one.name + "\0x"))
        return replace(one, name=random.choice((odd, f"{folder}/{odd}", f"{odd}/{file}", f"../../{one.name}")))
    if what == "size":
        value = random.choice((0, 1, 2**31, 2**32 - 1, one.size + 1, max(0, one.size - 1)))
        return replace(one, size=value) if random.random() < 0.5 else replace(one, packed=value)
    if what == "method":
        return replace(one, method=random.choice((_STORED, 1, 6, 9, 12, 14, 93, 99, 65535)))
    if what == "flags":
        return replace(one, flags=random.choice((1, 8, 0x20, 0x40, 0x2000, 0xFFFF)))
    if what == "crc":
        return replace(one, crc=one.crc ^ 1)
    target = member(one.name, random.choice((b"/etc/passwd", b"../../..", one.name.encode())))
    return replace(target, external=random.choice((_SYMLINK, _FIFO, _FOLDER, 0, 0xFFFFFFFF)))


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read a whole npz."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def npy(array: NDArray[Any], **lies: Any) -> bytes:
    """Return the bytes of an .npy file; `lies` replace what its header says (descr, fortran_order, shape)."""
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **lies}
    text = repr(header).encode("utf-8", "surrogatepass")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    magic = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) if len(text) < 65536 else b""
    magic = magic or b"\x93NUMPY\2\0" + struct.pack("<I", len(text))
    return magic + text + np.ascontiguousarray(array).tobytes()


def mutate_npz(data: bytes, random: Random) -> Change:
    """Change arrays, their headers, the zip around them, or bytes."""
    what = random.choices(("array", "header", "zip", "bytes", "bomb"), (6, 4, 2, 2, 1))[0]
    if what == "zip":
        return mutate_zip(data, random)
    if what == "bytes":
        return mutate_bytes(data, random)
    arrays = read_arrays(data)
    members = {name: npy(array) for name, array in arrays.items()}
    name = random.choice(sorted(arrays))
    array = arrays[name]
    if what == "bomb":
        count = BOMB_MB * 2**20 // array.itemsize
        head = npy(array[:0].reshape(-1) if array.ndim else np.empty(0, array.dtype), shape=(count,))
        rest = [member(f"{key}.npy", value) for key, value in members.items() if key != name]
        return write_zip([*rest, bomb(f"{name}.npy", head)]), f"{name}: a bomb of zeros"
    if what == "header":
        members[name], words = _lie(array, random)
    else:
        words = _other_array(arrays, members, name, random)
    return write_zip([member(f"{key}.npy", value) for key, value in members.items()]), f"{name}: {words}"


def _lie(array: NDArray[Any], random: Random) -> Change:
    what = random.choice(("shape", "descr", "fortran_order", "bytes", "text"))
    whole = npy(array)
    if what == "shape":
        big = random.choice(((10**9, 4), (2**40,), (2**62, 2), (-1,), (-5, -5), (0,), (2**31, 2**31, 2**31), (1,) * 70))
        big = random.choice((big, (*array.shape, 2), array.shape[::-1], (array.size,), (300_000_000,)))
        return npy(array, shape=big), f"header says {big if len(big) < 9 else 'shape of 70'}"
    if what == "descr":
        odd = random.choice(
            ("|O", "<U1000000", "<f2", "<c16", ">f4", "|V0", "|S0", "<M8[ns]", "<f4x", "", "|b1", "<f16")
        )
        other = random.choice((odd, [("a", "<f4")], [("a", "|O"), ("b", "<i4", (10**6,))], None, 5))
        return npy(array, descr=other), f"header says {other}"
    if what == "fortran_order":
        other = random.choice((True, 5, None))
        return npy(array, fortran_order=other), f"fortran_order {other}"
    if what == "text":
        text = random.choice(
            (b"{" * 5000, b"(" * 9000 + b")" * 9000, b"{'descr': '<f4'}", b"\xff\xfe", b"-" * 60_000 + b"1")
        )
        return whole[:8] + struct.pack("<H", len(text)) + text + whole[128:], "another text in the header"
    return mutate_bytes(whole, random)


def _other_array(arrays: dict[str, NDArray[Any]], members: dict[str, bytes], name: str, random: Random) -> str:
    array = arrays[name]
    what = random.choice(("gone", "renamed", "type", "shape", "values", "values", "other", "added"))
    if what == "gone":
        del members[name]
    elif what == "renamed":
        members[random.choice((*STRINGS[:20], "input_99", "places_-1"))[:200]] = members.pop(name)
    elif what == "added":
        members[f"{name}_more"] = members[name]
    elif what == "other":
        members[name] = members[random.choice(sorted(members))]
    elif what == "type":
        kind = random.choice(("f2", "f8", "i1", "u8", "i8", "c8", "?", "U4", "S3", "M8[s]", "i4,f4"))
        members[name] = npy(np.zeros(array.shape, kind))
        what = f"of type {kind}"
    elif what == "shape":
        shape = random.choice(((), (0,), (1,), (1, 1, 1, 1, 1, 1), (3, 0, 5), (4_000_000,), (1, *array.shape)))
        members[name] = npy(np.zeros(shape, array.dtype))
        what = f"of shape {shape}"
    else:
        members[name] = npy(_other_values(array, random))
        what = "other values"
    return what


def _other_values(array: NDArray[Any], random: Random) -> NDArray[Any]:
    changed = array.copy()
    flat = changed.reshape(-1)
    places = random.choice((slice(None), slice(0, 1), slice(None, None, 7)))
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        fitting = [value for value in INTEGERS if limits.min <= value <= limits.max]
        flat[places] = random.choice(fitting)
    else:
        with np.errstate(over="ignore"):
            flat[places] = np.array(random.choice(FLOATS)).astype(array.dtype)
    return changed
