"""The size of a picture from its header, before a decoder takes memory for it.

Only the formats below are read: OpenCV knows more by their content, whatever the file's name, and one that is not
checked here would be decoded at any size.
"""

import re
import struct
from collections.abc import Callable

from edge.errors import LimitError

MOST_PIXELS = 2**26
"""The largest picture, 67 million pixels: the largest camera module of such boards has 9248 x 6944 = 64 million.
A progressive JPEG of that size takes 3 x 2 bytes a pixel while it is decoded, and 3 for the result: 600 MB."""
MOST_MARKERS = 10_000
"""Segments of a JPEG before its size: an ICC profile and EXIF take a few hundred at the very most."""
MOST_SCANS = 40
"""Passes over the pixels of a JPEG, each of which may be a few bytes long and takes the time of a whole picture: 0.2 s
on a workstation for `MOST_PIXELS`. Encoders write 1 to 15."""
MOST_COMMENT_BYTES = 65_536
"""A PNM picture says its size within this many bytes, comments included."""
MOST_SAMPLE_BYTES = 8
"""Bytes of one pixel in a TIFF: four channels of 16 bits, or two of 32."""


def check_picture(data: bytes) -> tuple[int, int]:
    """Return a picture's width and height, pixels, as its header declares them.

    Args:
        data: the whole file.

    Raises:
        LimitError: not PNG, JPEG, BMP, WebP, TIFF or PNM; a header that is cut short or damaged; more than
            `MOST_PIXELS`.
    """
    found = next((row for row in _PICTURES if row[0].match(data)), None)
    if found is None:
        raise LimitError("want a PNG, JPEG, BMP, WebP, TIFF or PNM picture, got something else")
    _, kind, read_size = found
    try:
        width, height = read_size(data)
    except struct.error as error:
        raise LimitError(f"want a whole {kind} picture, got one whose header is cut short") from error
    if width < 1 or height < 1:
        raise LimitError(f"want a {kind} picture with pixels, got {width} x {height}")
    _check_pixels(width, height, f"a {kind} picture")
    return width, height


def _check_pixels(width: int, height: int, what: str) -> None:
    if width * height > MOST_PIXELS:
        raise LimitError(f"want {what} of at most {MOST_PIXELS // 10**6} million pixels, got {width} x {height}")


def _png(data: bytes) -> tuple[int, int]:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if length != 13 or kind != b"IHDR":
        raise LimitError("want a PNG picture that starts with its size, got another chunk")
    return width, height


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk from segment to segment as libjpeg does, bytes that belong to none skipped, until the frame header."""
    scans = data.count(b"\xff\xda")
    if scans > MOST_SCANS:
        raise LimitError(f"want a JPEG picture of at most {MOST_SCANS} scans, got {scans}")
    place = 2
    for _ in range(MOST_MARKERS):
        marker = _JPEG_MARKER.search(data, place)
        if marker is None:
            break
        place, code = marker.end(), data[marker.end() - 1]
        if code in _JPEG_PIXELS:
            break
        if code in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, place + 3)
            return width, height
        if code not in _JPEG_BARE:
            (length,) = struct.unpack_from(">H", data, place)
            place += max(2, length)
    raise LimitError("want a JPEG picture that says its size before its pixels, got none")


_JPEG_MARKER = re.compile(rb"\xff[^\xff\0]")
_JPEG_PIXELS = frozenset({0xD8, 0xD9, 0xDA})
"""A second start, the end, and the start of pixels."""
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Frame headers, which give the size; the three others are tables."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers that no length follows."""


def _bmp(data: bytes) -> tuple[int, int]:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)  # 12: the header of OS/2
    return width, abs(height)  # negative: its rows go down


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        wide, wide_high, high, high_high = struct.unpack_from("<HBHB", data, 24)
        return (wide | wide_high << 16) + 1, (high | high_high << 16) + 1
    raise LimitError("want a WebP picture that starts with its size, got something else")


def _pnm(data: bytes) -> tuple[int, int]:
    header = _PNM.match(data[:MOST_COMMENT_BYTES])
    if header is None:
        raise LimitError("want a PNM picture that starts with its size, got something else")
    return int(header[1]), int(header[2])


_GAP = rb"(?:\s|#[^\r\n]*[\r\n])*"
_PNM = re.compile(rb"P[1-6]\s" + _GAP + rb"(\d{1,9})\s" + _GAP + rb"(\d{1,9})\s")


def _tiff(data: bytes) -> tuple[int, int]:
    """Read the first picture's tags: its size, and that of the blocks in which it is decoded."""
    order = "<" if data.startswith(b"II") else ">"
    version, place = struct.unpack_from(order + "HI", data, 2)
    if version != 42:
        raise LimitError("want a TIFF picture of up to 4 GB, got a BigTIFF")
    tags = _tiff_tags(data, order, place)
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    pixel_bytes = tags.get(_CHANNELS, 1) * -(-tags.get(_BITS, 1) // 8)
    if pixel_bytes > MOST_SAMPLE_BYTES:
        raise LimitError(f"want a TIFF picture of {MOST_SAMPLE_BYTES} bytes a pixel at most, got {pixel_bytes}")
    if _TILE_WIDTH in tags or _TILE_HEIGHT in tags:
        _check_pixels(tags.get(_TILE_WIDTH, 0), tags.get(_TILE_HEIGHT, 0), "blocks of a TIFF picture")
    return width, height


def _tiff_tags(data: bytes, order: str, place: int) -> dict[int, int]:
    """Return the numbers of the tags in `_TIFF_TAGS`; of several numbers (bits of each channel) the largest."""
    tags: dict[int, int] = {}
    (count,) = struct.unpack_from(order + "H", data, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        if tag not in _TIFF_TAGS:
            continue
        if tag in tags or kind not in _TIFF_NUMBERS or not 1 <= length <= 16:
            raise LimitError("want a TIFF picture that says its size once and in numbers, got another header")
        numbers = struct.Struct(f"{order}{length}{_TIFF_NUMBERS[kind]}")
        inline = numbers.size <= 4
        start = entry + 8 if inline else struct.unpack_from(order + "I", data, entry + 8)[0]
        tags[tag] = max(numbers.unpack_from(data, start))
    return tags


_WIDTH, _HEIGHT, _BITS, _CHANNELS, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 258, 277, 322, 323
_TIFF_TAGS = frozenset({_WIDTH, _HEIGHT, _BITS, _CHANNELS, _TILE_WIDTH, _TILE_HEIGHT})
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}

_PICTURES: tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], tuple[int, int]]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", _png),
    (re.compile(rb"\xff\xd8\xff"), "JPEG", _jpeg),
    (re.compile(rb"BM"), "BMP", _bmp),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP", _webp),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF", _tiff),
    (re.compile(rb"P[1-6]\s"), "PNM", _pnm),
)
"""How a file of each kind starts, its name, and the function that reads the size from its header."""
