"""Films whose boxes and chunks are changed, and playlists, through `edge-run` and as calibration data."""

import re
import shutil
import struct
from pathlib import Path
from random import Random

from tests.fuzz.case import Attempt
from tests.fuzz.kinds.pictures import _SOF
from tests.fuzz.mutate import Change, mutate_bytes, set_integer
from tests.fuzz.odd import SHARE, replace_by_odd

FORKED = True
FORMS = {"mp4": 40, "avi": 35, "playlist": 10, "calibrate": 15}

_HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf")
_PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{one}\n#EXTINF:1,\n{two}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{one}'\nduration 1\nfile '{two}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 26\na=control:{one}\n",
    "mpd": '<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT2S"><Period><AdaptationSet><Representa'
    'tion id="1" bandwidth="1"><BaseURL>{one}</BaseURL></Representation></AdaptationSet></Period></MPD>',
}
_NAMED = ("{self}", "whole.avi", "/dev/zero", "/etc/passwd", "file:///dev/zero", "http://127.0.0.1:9/x", "../whole.avi",
          "concat:whole.avi|whole.avi", "subfile,,start,0,end,0,,:whole.avi", "tcp://127.0.0.1:9", "pipe:0",
          "data:video/mp4;base64,AAAA")  # fmt: skip


def whole(form: str, originals: Path, folder: Path) -> Attempt:
    """Put a whole film into a folder."""
    suffix = "avi" if form in ("avi", "playlist") else "mp4"
    path = folder / f"whole.{suffix}"
    shutil.copy(originals / "films" / path.name, path)
    return _attempt(form, originals, path)


def mutated(form: str, originals: Path, folder: Path, random: Random) -> Attempt:
    """Change a film, or write a playlist."""
    path = Path(whole(form, originals, folder).arguments[0 if form == "calibrate" else 1])
    if form == "playlist":
        path, words = _playlist(folder, random)
    else:
        if form == "calibrate" and random.random() < 0.5:
            path.unlink()
            path = path.with_suffix(".avi")
            shutil.copy(originals / "films" / path.name, path)
        change = _mutate_mp4 if path.suffix == ".mp4" else _mutate_avi
        data, words = change(path.read_bytes(), random)
        path.write_bytes(data)
    if random.random() < SHARE:
        words = replace_by_odd(path, random)
    attempt = _attempt(form, originals, path)
    return Attempt(attempt.form, attempt.entry, attempt.arguments, words)


def _attempt(form: str, originals: Path, path: Path) -> Attempt:
    if form == "calibrate":
        return Attempt(form, "calibrate", (str(path),))
    bundles = originals / "bundles"
    looks = ("--detector", f"{bundles}/fake-detect", "--embedder", f"{bundles}/fake-embed")
    return Attempt(form, "edge-run", ("--source", str(path), *looks, "--sink", "null:"))


def _playlist(folder: Path, random: Random) -> tuple[Path, str]:
    kind = random.choice(sorted(_PLAYLISTS))
    path = folder / f"list.{random.choice((kind, kind, 'avi', 'mp4', 'txt'))}"
    one, two = (random.choice(_NAMED).replace("{self}", path.name) for _ in range(2))
    text = _PLAYLISTS[kind].format(one=one, two=two)
    words = f"{kind} named {path.name} of {one} and {two}"
    if random.random() < 0.3:
        lines = text.splitlines(keepends=True)
        line = random.randrange(len(lines))
        lines[line] = random.choice((lines[line] * 50_000, "", lines[line].upper(), lines[line].strip() * 5000 + "\n"))
        text, words = "".join(lines), f"{words}, line {line} changed"
    path.write_bytes(text.encode())
    return path, words


class _Box:
    """A box of an MP4 or a chunk of a RIFF file; `parts` where it holds others."""

    def __init__(self, kind: bytes, body: bytes, parts: "list[_Box] | None" = None) -> None:
        self.kind, self.body, self.parts = kind, body, parts

    def all(self) -> "list[_Box]":
        """Return it and all inside."""
        return [self, *(box for part in self.parts or () for box in part.all())]


def _read_mp4(data: bytes) -> list[_Box]:
    boxes, place = [], 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        size = max(8, size) if size else len(data) - place
        body = data[place + 8 : place + size]
        boxes.append(_Box(kind, body, _read_mp4(body) if kind in _HOLDERS else None))
        place += size
    return boxes


def _write_mp4(boxes: list[_Box]) -> bytes:
    out = b""
    for box in boxes:
        body = box.body if box.parts is None else _write_mp4(box.parts)
        out += struct.pack(">I4s", len(body) + 8, box.kind) + body
    return out


def _read_riff(data: bytes) -> list[_Box]:
    chunks, place = [], 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + size]
        holds = kind in (b"RIFF", b"LIST")
        chunks.append(_Box(kind, body[:4] if holds else body, _read_riff(body[4:]) if holds else None))
        place += 8 + size + size % 2
    return chunks


def _write_riff(chunks: list[_Box]) -> bytes:
    out = b""
    for chunk in chunks:
        body = chunk.body if chunk.parts is None else chunk.body + _write_riff(chunk.parts)
        out += struct.pack("<4sI", chunk.kind, len(body)) + body + b"\0" * (len(body) % 2)
    return out


def _mutate_mp4(data: bytes, random: Random) -> Change:
    if random.random() < 0.25:
        return mutate_bytes(data, random)
    root = _Box(b"", b"", _read_mp4(data))
    words = _mutate_boxes(root, random, True)
    out = _write_mp4(root.parts or [])
    if random.random() < 0.15:  # a size that lies
        kinds = [match.start() - 4 for match in re.finditer(rb"moov|trak|mdia|stbl|stsz|mdat|stts|stsd", out)]
        return set_integer(out, random.choice(kinds or [0]), random, 4, True)
    return out, words


def _mutate_avi(data: bytes, random: Random) -> Change:
    what = random.random()
    if what < 0.25:
        return mutate_bytes(data, random)
    if what < 0.4:
        side = random.choice((0, 1, 16_000, 32_000, 65_500))
        frames = [match.start() for match in _SOF.finditer(data)]
        for place in frames if random.random() < 0.7 else frames[:1]:
            data = data[: place + 5] + struct.pack(">HH", side, side) + data[place + 9 :]
        if random.random() < 0.5:
            place = data.find(b"strf") + 12
            data = data[:place] + struct.pack("<II", side, side) + data[place + 8 :]
        return data, f"frames of side {side}"
    root = _Box(b"", b"", _read_riff(data))
    words = _mutate_boxes(root, random, False)
    out = _write_riff(root.parts or [])
    if random.random() < 0.15:
        kinds = [match.start() + 4 for match in re.finditer(rb"RIFF|LIST|strh|strf|avih|idx1|00dc", out)]
        return set_integer(out, random.choice(kinds or [0]), random, 4, False)
    return out, words


def _mutate_boxes(root: _Box, random: Random, big: bool) -> str:
    """Change one box: an integer in it, its kind, its place, how often it is there."""
    holder = random.choice([box for box in root.all() if box.parts])
    parts = holder.parts or []
    index = random.randrange(len(parts))
    box = parts[index]
    what = random.choices(
        ("integer", "remove", "double", "many", "kind", "swap", "cut", "deep"), (9, 1, 1, 1, 1, 1, 1, 1)
    )[0]
    words = f"{box.kind.decode('latin-1')}: {what}"
    if what == "integer":
        leaves = [
            leaf for leaf in root.all() if leaf.parts is None and leaf.body and leaf.kind not in (b"mdat", b"00dc")
        ]
        leaf = random.choice(leaves)
        said = []
        for _ in range(random.choice((1, 1, 2))):
            place = 4 * random.randrange(max(1, min(len(leaf.body), 120) // 4))
            leaf.body, change = set_integer(leaf.body, place, random, random.choice((2, 4, 4, 4)), big)
            said.append(change)
        return f"{leaf.kind.decode('latin-1')}: {', '.join(said)}"
    if what == "remove":
        del parts[index]
    elif what == "double":
        parts.insert(index, box)
    elif what == "many":
        parts[index:index] = [box] * min(1000, 200_000 // (len(box.body) + 8))
    elif what == "kind":
        box.kind = random.choice(
            [other.kind for other in root.all() if other.kind] + [b"free", b"JUNK", b"moof", b"cmov"]
        )
    elif what == "swap":
        other = random.randrange(len(parts))
        parts[index], parts[other] = parts[other], parts[index]
    elif what == "cut":
        box.body, box.parts = box.body[: len(box.body) // 2], None
    else:
        for _ in range(500):
            box = _Box(b"moov" if big else b"LIST", b"" if big else b"movi", [box])
        parts[index] = box
    return words
