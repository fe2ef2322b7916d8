"""Pictures of every format, as sources and as calibration data; arrays as calibration data."""

import os
import re
import shutil
import struct
import zlib
from pathlib import Path
from random import Random

from tests.fuzz.archives import mutate_npz, zeros
from tests.fuzz.case import Attempt
from tests.fuzz.mutate import Change, file_name, mutate_bytes, set_integer
from tests.fuzz.odd import SHARE, replace_by_odd

FORKED = True
FORMS = {"run": 30, "folder": 20, "classify": 10, "examples": 20, "npz": 20}
"""One picture and `edge-run`; a folder and `edge-run`; `edge classify`; a folder and an .npz to calibrate with."""

SUFFIXES = ("png", "png", "jpg", "jpg", "bmp", "webp", "tif", "tif", "ppm", "pgm")
_BOMB_SIDE = 30_000
_SOF = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]\x00[\x0b-\x14]")


def whole(form: str, originals: Path, folder: Path) -> Attempt:
    """Put whole pictures or arrays into a folder."""
    if form == "npz":
        path = folder / "data.npz"
        shutil.copy(originals / "pictures" / "whole.npz", path)
        return _attempt(form, originals, path)
    place = folder if form == "run" else folder / "pictures"
    if form != "run":
        shutil.copytree(originals / "pictures" / "several", place)
    path = place / "one.png"
    shutil.copy(originals / "pictures" / "whole.png", path)
    return _attempt(form, originals, path if form == "run" else place)


def mutated(form: str, originals: Path, folder: Path, random: Random) -> Attempt:
    """Change the arrays, or one of the pictures."""
    attempt = whole(form, originals, folder)
    if form == "npz":
        path = folder / "data.npz"
        data, words = mutate_npz(path.read_bytes(), random)
    else:
        first = next(folder.rglob("one.png"))
        suffix = random.choice(SUFFIXES)
        path = first.with_suffix(f".{suffix}")
        first.unlink()
        data, words = mutate_picture((originals / "pictures" / f"whole.{suffix}").read_bytes(), suffix, random)
    if random.random() < SHARE:
        words = replace_by_odd(path, random)
    else:
        path.write_bytes(data)
    if form == "run":
        attempt = _attempt(form, originals, path)
    elif path.suffix != ".npz" and random.random() < 0.06 and os.path.lexists(path):
        path, words = _rename(path, random), f"{words}, another name"
    return Attempt(attempt.form, attempt.entry, attempt.arguments, f"{path.suffix[1:]}: {words}")


def _attempt(form: str, originals: Path, path: Path) -> Attempt:
    bundles = originals / "bundles"
    looks = ("--detector", f"{bundles}/fake-detect", "--embedder", f"{bundles}/fake-embed")
    if form in ("run", "folder"):
        return Attempt(form, "edge-run", ("--source", str(path), *looks, "--sink", "null:"))
    if form == "classify":
        return Attempt(form, "edge", ("classify", str(path), "--bundle", f"{bundles}/fake-classify"))
    return Attempt(form, "calibrate", (str(path),))


def _rename(path: Path, random: Random) -> Path:
    """Give a picture a name that no person would."""
    return path.rename(path.with_name(f"{file_name(random)}{path.suffix}"))


def mutate_picture(data: bytes, suffix: str, random: Random) -> Change:
    """Change the header of a picture, or its bytes."""
    header = {"png": _png, "jpg": _jpeg, "bmp": _bmp, "webp": _webp, "tif": _tiff, "ppm": _pnm, "pgm": _pnm}[suffix]
    return header(data, random) if random.random() < 0.65 else mutate_bytes(data, random)


def _png(data: bytes, random: Random) -> Change:
    """Change one chunk, with its checksum made right; or write a picture of zeros that is as large as it says."""
    if random.random() < 0.12:
        side = random.choice((_BOMB_SIDE, 2**31 - 1))
        raw, _, _ = zeros(b"", _BOMB_SIDE**2 // 2**20 + 1, 15)
        header = struct.pack(">IIBBBBB", side, _BOMB_SIDE, 8, random.choice((0, 2, 6)), 0, 0, random.choice((0, 1)))
        return data[:8] + _chunk(b"IHDR", header) + _chunk(b"IDAT", raw) + _chunk(b"IEND", b""), "a bomb of zeros"
    chunks = []
    place = 8
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    index = random.choices(range(len(chunks)), [6, *[1] * (len(chunks) - 1)])[0]
    kind, body = chunks[index]
    what = random.choice(("integer", "integer", "integer", "double", "remove", "kind", "text", "length"))
    words = f"{kind.decode()}: {what}"
    if what == "integer":
        wide = random.choice((0, 4)) if kind == b"IHDR" else 0
        body, words = (
            set_integer(body, wide, random, 4, True)
            if kind == b"IHDR" and random.random() < 0.7
            else set_integer(body or b"\0", random.randrange(max(1, len(body))), random, 1)
        )
        chunks[index] = (kind, body)
    elif what == "double":
        chunks.insert(index, chunks[index])
    elif what == "remove":
        del chunks[index]
    elif what == "kind":
        chunks[index] = (random.choice((b"IHDR", b"PLTE", b"acTL", b"fcTL", b"eXIf", b"iCCP", b"tRNS")), body)
    elif what == "text":
        raw, _, _ = zeros(b"", 1500, 15)
        chunks.insert(1, (random.choice((b"zTXt", b"iCCP")), b"x\0\0" + raw))
    out = data[:8] + b"".join(_chunk(*chunk) for chunk in chunks)
    return set_integer(out, 8, random, 4, True) if what == "length" else (out, words)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg(data: bytes, random: Random) -> Change:
    """Change the size or the components in the frame's header, or put EXIF data in that lie."""
    found = _SOF.search(data)
    if random.random() < 0.3 or found is None:
        tag = struct.pack("<HHI", random.choice((0x112, 0x8769, 0x100, 0x10E)), random.randrange(14), random.choice(
            (1, 2**16, 2**32 - 1)))  # fmt: skip
        body = b"Exif\0\0II*\0" + struct.pack("<IH", random.choice((8, 2**31, 0)), random.choice((1, 65535)))
        body += tag + struct.pack("<II", random.choice((6, 2**32 - 1, 8)), random.choice((0, 8, 2**31)))
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:], "odd EXIF data"
    place = found.start() + random.choice((5, 7))
    if random.random() < 0.7:
        side = random.choice((0, 1, 65500, 65535))
        both = random.random() < 0.7
        first = found.start() + 5 if both else place
        return data[:first] + struct.pack(">H", side) * (1 + both) + data[first + 2 + 2 * both :], f"side {side}"
    return set_integer(data, found.start() + random.randrange(2, 18), random, 1)


def _bmp(data: bytes, random: Random) -> Change:
    places = ((2, 4), (10, 4), (14, 4), (18, 4), (18, 4), (22, 4), (22, 4), (26, 2), (28, 2), (30, 4), (34, 4), (46, 4))
    place, width = random.choice(places)
    return set_integer(data, place, random, width, False)


def _webp(data: bytes, random: Random) -> Change:
    """Change sizes: of the file, of the chunk, of the picture; or say that it is an animation of a size."""
    if random.random() < 0.3:
        flags = random.choice((0, 2, 0x10, 0x3E))
        side = random.choice((0, 2**14, 2**24 - 1)).to_bytes(3, "little")
        extended = b"VP8X" + struct.pack("<II", 10, flags) + side * 2
        return data[:12] + extended + data[12:], f"VP8X with flags {flags}"
    place, width = random.choice(((4, 4), (16, 4), (20, 4), (21, 4), (23, 2), (26, 2), (28, 2)))
    return set_integer(data, place, random, width, False)


def _tiff(data: bytes, random: Random) -> Change:
    """Change one entry of the directory."""
    big = data[:2] == b"MM"
    order = ">" if big else "<"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, start)[0]
    if random.random() < 0.1:
        return set_integer(data, random.choice((4, start)), random, 4, big)
    entry = start + 2 + 12 * random.randrange(count)
    if random.random() < 0.4:  # width and length are the first two that matter
        entry = start + 2 + 12 * random.randrange(min(3, count))
    place, width = random.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 4)))
    return set_integer(data, entry + place, random, width, big)


def _pnm(data: bytes, random: Random) -> Change:
    """Change one of the numbers at the beginning."""
    numbers = list(re.finditer(rb"\d+", data[:40]))
    number = random.choice(numbers[:4])
    new = str(
        random.choice((0, -1, 7, 65535, 65536, 30_000, 2**31 - 1, 2**32, 10**12, "9" * 3000, "1e9", "# x"))
    ).encode()
    return data[: number.start()] + new + data[number.end() :], f"{number[0].decode()} -> {new[:20].decode()}"
