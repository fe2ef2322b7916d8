"""Both sides of each limit, on files made here: what is just allowed, and what is one step beyond."""

import io
import os
import socket
import stat
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import limits, picture_header
from edge.limits import (
    LimitError,
    check_picture,
    check_unfolding,
    check_zip,
    open_file,
    open_zip,
    plain_name,
    read_file,
    read_npz,
)

# ---------------------------------------------------------------- files


def test_a_file_is_read_whole_up_to_the_limit(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_file(file, 5) == b"12345"
    with pytest.raises(LimitError, match="want at most 4 bytes, got a file of 5 bytes"):
        read_file(file, 4)


def test_the_size_is_known_before_a_byte_is_read(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(limits.MOST_FILE_BYTES + 1)
    with pytest.raises(LimitError, match=r"want at most 512.0 MB"):
        read_file(tmp_path / "sparse")


def test_what_is_not_a_file_is_refused_and_never_blocks(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path, kind in [("fifo", "a fifo"), ("socket", "a socket"), ("/dev/zero", "a device"), (".", "a folder")]:
            with pytest.raises(LimitError, match=f"want a file, got {kind}"):
                open_file(Path(path))
    with pytest.raises(LimitError, match="zero byte"):
        open_file(Path("a\0b"))
    with pytest.raises(FileNotFoundError):
        open_file(Path("missing"))


def test_a_file_that_becomes_a_fifo_between_look_and_open_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "a")
    (tmp_path / "regular").touch()
    regular = (tmp_path / "regular").stat()
    monkeypatch.setattr(Path, "stat", lambda self: regular)
    with pytest.raises(LimitError, match="a fifo"):
        open_file(tmp_path / "a")


def test_a_link_to_a_file_is_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").symlink_to("a")
    assert read_file(tmp_path / "b") == b"x"


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["a", "model.tflite", "Fuß 1.png", "dense_kernel:0", "貓.jpg", "x" * 200])
def test_plain_names(name):
    assert plain_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *["", ".", "..", ".hidden", "a/b", "a\\b", "a\x1b[2J", "a\nb", "a\0", "a\x7f", "a\x9b", "a\u202eb", "a\u200fb"],
        *["a\u2028b", "a\ud800", "\udcff.png", "a\u2066b", "x" * 201, "ß" * 101],
    ],
)
def test_names_that_are_not_plain(name):
    with pytest.raises(LimitError, match="want a file name") as caught:
        plain_name(name)
    assert str(caught.value).isprintable()


# ---------------------------------------------------------------- archives


def test_unfolding_is_free_up_to_a_size_and_then_proportional():
    check_unfolding(1, limits.FREE_BYTES, "x")
    with pytest.raises(LimitError, match=r"want x of 1 bytes to unfold to 64.0 MB at most, got 64.0 MB"):
        check_unfolding(1, limits.FREE_BYTES + 1, "x")
    large = limits.FREE_BYTES
    check_unfolding(large, limits.UNFOLDING * large, "x")
    with pytest.raises(LimitError):
        check_unfolding(large, limits.UNFOLDING * large + 1, "x")


def zipped(members: dict[str, bytes] | list[tuple[zipfile.ZipInfo | str, bytes]], method=zipfile.ZIP_DEFLATED) -> bytes:
    """An archive; Python's warning about names that stand there twice is not wanted."""
    held = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(held, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return held.getvalue()


def check(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive)
    open_zip(io.BytesIO(data)).close()


def test_an_ordinary_archive_passes():
    check(zipped({"a": b"x", "folder/": b"", "folder/b.txt": b"y" * 1000}))


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/../b", ".a", "a/.b", "a\x1bb", "a\\b", "a\n"])
def test_members_with_names_that_are_not_plain(name):
    with pytest.raises(LimitError, match="want a file name"):
        check(zipped({name: b""}))


def special(mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("link")
    member.external_attr = mode << 16
    return member


def test_links_devices_duplicates_and_locked_members_are_refused():
    check(zipped([(special(stat.S_IFREG | 0o644), b"x")]))
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO):
        with pytest.raises(LimitError, match="got a link or device"):
            check(zipped([(special(kind | 0o777), b"/etc/passwd")]))
    with pytest.raises(LimitError, match="'a' twice"):
        check(zipped([("a", b"1"), ("a", b"2")]))
    with pytest.raises(LimitError, match="'a' twice"):
        check(zipped([("a", b"1"), ("a/", b"")]))
    locked = zipped({"a": b"x"}).replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")
    with pytest.raises(LimitError, match="encrypted"):
        check(locked)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_python_unfolds_without_a_bound_are_refused(method):
    with pytest.raises(LimitError, match="another compression"):
        check(zipped({"a": b"x"}, method))


def test_an_archive_of_zeros_is_refused_before_it_is_unfolded():
    check(zipped({"a": bytes(limits.FREE_BYTES)}))
    with pytest.raises(LimitError, match="unfold"):
        check(zipped({"a": bytes(limits.FREE_BYTES // 2), "b": bytes(limits.FREE_BYTES // 2 + 1)}))


def test_overlapping_members_do_not_count_as_stored_twice():
    """Every entry of the list says that its data are the whole file: 1 MB of noise, 300 times."""
    noise = os.urandom(1_000_000)
    data = bytearray(zipped([(f"{i:03}", noise if i == 0 else b"") for i in range(300)], zipfile.ZIP_STORED))
    place = data.find(b"PK\1\2")
    while place >= 0:
        struct.pack_into("<II", data, place + 20, len(noise), len(noise))
        place = data.find(b"PK\1\2", place + 4)
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive, pytest.raises(LimitError, match="unfold"):
        check_zip(archive)


def test_too_many_members_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "MOST_MEMBERS", 3)
    check(zipped({f"{i}": b"" for i in range(3)}))
    with pytest.raises(LimitError, match="want at most 3 files in an archive, got 4"):
        check(zipped({f"{i}": b"" for i in range(4)}))


def end_of_zip(directory: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, directory, 0, len(comment)) + comment


def test_the_list_of_files_is_measured_before_python_reads_it(monkeypatch):
    data = zipped({"a": b"x"})
    (length,) = struct.unpack_from("<I", data, len(data) - 10)
    monkeypatch.setattr(limits, "MOST_DIRECTORY_BYTES", length)
    open_zip(io.BytesIO(data)).close()
    monkeypatch.setattr(limits, "MOST_DIRECTORY_BYTES", length - 1)
    with pytest.raises(LimitError, match="want a list of files of at most"):
        open_zip(io.BytesIO(data))
    for tail in (end_of_zip(10**9), end_of_zip(10**9, b"comment")):
        with pytest.raises(LimitError, match=r"got 1000.0 MB"):
            open_zip(io.BytesIO(data + tail))


def test_the_64_bit_end_of_an_archive_is_measured_too():
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 10**10, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    with pytest.raises(LimitError, match=r"got 10000.0 MB"):
        open_zip(io.BytesIO(record + locator + end_of_zip(0xFFFFFFFF)))
    with pytest.raises(LimitError, match="end is damaged"):
        open_zip(io.BytesIO(bytes(56) + locator + end_of_zip(46)))


@pytest.mark.parametrize(
    "data", [b"", b"PK\5\6", b"no archive" * 10, b"PK\3\4" + bytes(99), bytes(99) + end_of_zip(50)]
)
def test_what_is_no_archive(data):
    with pytest.raises(LimitError, match="zip archive"):
        open_zip(io.BytesIO(data))


# ---------------------------------------------------------------- arrays


def packed(compressed: bool = False, **arrays: np.ndarray) -> bytes:
    held = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(held, **arrays)
    return held.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back_as_numpy_wrote_them(tmp_path, compressed):
    rng = np.random.default_rng(0)
    arrays = {
        "floats": rng.normal(size=(3, 4, 5)).astype(np.float32),
        "columns": np.asfortranarray(rng.normal(size=(3, 4))),
        "big_endian": np.arange(5, dtype=">i4"),
        "truth": np.array([True, False]),
        "text": np.array(["a", "Füße"]),
        "bytes": np.array([b"ab", b"c"]),
        "scalar": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.uint8),
        "large": rng.integers(0, 9, 3_000_001, np.uint8),
    }
    data = packed(compressed, **arrays)
    (tmp_path / "a.npz").write_bytes(data)
    for source in (data, tmp_path / "a.npz"):
        got = read_npz(source)
        assert list(got) == list(arrays)
        for name, array in arrays.items():
            assert got[name].dtype == array.dtype
            assert got[name].flags.f_contiguous == array.flags.f_contiguous
            np.testing.assert_array_equal(got[name], array)
    got["floats"][0] = 0  # the caller owns them


def npy(header: str, body: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + body


def one(array: bytes) -> bytes:
    return zipped({"a.npy": array})


FINE = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize("version", [1, 2])
def test_an_array_has_the_bytes_that_it_declares(version):
    assert read_npz(one(npy(FINE, bytes(8), version)))["a"].tolist() == [0, 0]
    for wrong in (7, 9):
        with pytest.raises(LimitError, match=f"want 8 bytes in 'a.npy' as its header says, got {wrong}"):
            read_npz(one(npy(FINE, bytes(wrong), version)))


@pytest.mark.parametrize(
    "header",
    [
        FINE.replace("(2,)", "(4000000000000,)"),
        FINE.replace("(2,)", "(-2,)"),
        FINE.replace("(2,)", "(-1, -2)"),
        FINE.replace("(2,)", "(2" + ",1" * 70 + ")"),
        FINE.replace("<f4", "|O"),
        FINE.replace("'<f4'", "[('a', '|O')]"),
        FINE.replace("'<f4'", "[('a', '<f4')]"),
        FINE.replace("<f4", "|V4"),
        FINE.replace("<f4", "<U0"),
        FINE.replace("<f4", "nonsense"),
        FINE.replace("(2,)", "(" * 3000 + "2," + ")" * 3000),
        FINE.replace("(2,)", "'2'"),
        "__import__('os')",
        "{",
        "",
        "{'descr': '<f4'}",
        FINE + " " * 20_000,
    ],
)
def test_headers_of_arrays_that_are_refused(header):
    with pytest.raises(LimitError, match=r"'a.npy'"):
        read_npz(one(npy(header, bytes(8))))


def test_damaged_archives_of_arrays_are_refused():
    good = packed(a=np.arange(100))
    for data in (b"", b"PK", good[:-30], good[: len(good) // 2], one(b"no array"), one(npy(FINE, bytes(8), 3))):
        with pytest.raises(LimitError):
            read_npz(data)
    changed = bytearray(good)
    changed[300] ^= 1  # a bit of the numbers
    with pytest.raises(LimitError, match="CRC"):
        read_npz(bytes(changed))


def test_an_object_array_is_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    data = packed(a=np.array([Trap()], object))
    with pytest.raises(LimitError, match="want arrays of numbers or text"):
        read_npz(data)
    assert not (tmp_path / "ran").exists()


def test_an_array_of_zeros_is_refused_before_it_is_unfolded():
    with pytest.raises(LimitError, match="unfold"):
        read_npz(packed(compressed=True, a=np.zeros(limits.FREE_BYTES, np.uint8)))


# ---------------------------------------------------------------- pictures


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + struct.pack(">I", zlib.crc32(header))


def jpeg(width: int, height: int, before: bytes = b"", frame: int = 0xC0) -> bytes:
    return b"\xff\xd8" + before + b"\xff" + bytes([frame]) + struct.pack(">HBHHB", 11, 8, height, width, 1)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, width, height)


def bmp_core(width: int, height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<IHH", 12, width, height)


def riff(chunk: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def vp8(width: int, height: int) -> bytes:
    return riff(b"VP8 \x20\0\0\0" + b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width | 1 << 14, height | 2 << 14))


def vp8l(width: int, height: int) -> bytes:
    return riff(b"VP8L\x20\0\0\0\x2f" + struct.pack("<I", width - 1 | height - 1 << 14 | 1 << 28))


def vp8x(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"VP8X\x0a\0\0\0\x10\0\0\0" + sides)


def tiff(width: int, height: int, *more: tuple[int, int, tuple[int, ...]], order: str = "<", place: int = 8) -> bytes:
    """Tags as (number, type, values); several values stand behind the tags."""
    tags = [(256, 4, (width,)), (257, 3 if height < 65536 else 4, (height,)), *more]
    behind = place + 2 + 12 * len(tags) + 4
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, place) + bytes(place - 8)
    entries, values = b"", b""
    for tag, kind, numbers in tags:
        packed_numbers = struct.pack(f"{order}{len(numbers)}{'_B_HI'[kind]}", *numbers)
        if len(packed_numbers) > 4:
            packed_numbers, values = struct.pack(order + "I", behind + len(values)), values + packed_numbers
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + packed_numbers.ljust(4, b"\0")
    return head + struct.pack(order + "H", len(tags)) + entries + bytes(4) + values


def tiff_big_endian(width: int, height: int) -> bytes:
    return tiff(width, height, order=">", place=100)


def pnm(width: int, height: int) -> bytes:
    return b"P6 #made by\n # 3 4\r\n%d #x\n\t%d\n255\n" % (width, height)


HEADERS = [png, jpeg, bmp, bmp_core, vp8, vp8l, vp8x, tiff, tiff_big_endian, pnm]


@pytest.mark.parametrize("header", HEADERS)
def test_the_size_is_read_and_limited(header, monkeypatch):
    assert check_picture(header(7, 300)) == (7, 300)
    assert check_picture(header(8192, 8192)) == (8192, 8192)
    assert picture_header.MOST_PIXELS == 8192 * 8192
    with pytest.raises(LimitError, match=r"at most 67 million pixels, got 8192 x 8193"):
        check_picture(header(8192, 8193))


@pytest.mark.parametrize("header", [png, tiff, bmp, vp8x, pnm, jpeg, tiff_big_endian, bmp_core])
def test_40000_by_40000_is_refused_from_the_header(header):
    with pytest.raises(LimitError, match="40000 x 40000"):
        check_picture(header(40_000, 40_000))


@pytest.mark.parametrize("header", HEADERS)
def test_headers_that_are_cut_short_are_refused_at_every_byte(header):
    whole = header(7, 300)
    shortest = next(n for n in range(len(whole) + 1) if _size_or_none(whole[:n]) is not None)
    assert shortest > 9
    for length in range(shortest):
        with pytest.raises(LimitError, match="want a"):
            check_picture(whole[:length])


def _size_or_none(data: bytes) -> tuple[int, int] | None:
    try:
        return check_picture(data)
    except LimitError:
        return None


@pytest.mark.parametrize("header", [png, jpeg, bmp, bmp_core, vp8, tiff, pnm])
def test_a_picture_has_pixels(header):
    for size in [(0, 5), (5, 0)]:
        with pytest.raises(LimitError, match="with pixels, got"):
            check_picture(header(*size))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".pgm", ".pbm"])
def test_the_sizes_of_files_that_opencv_wrote(suffix):
    picture = np.zeros((37, 53, 3) if suffix not in (".pgm", ".pbm") else (37, 53), np.uint8)
    data = cv2.imencode(suffix, picture)[1].tobytes()
    assert check_picture(data) == (53, 37)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (37, 53, 3)


@pytest.mark.parametrize("flags", [[cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]])
def test_progressive_jpeg_and_restart_markers(flags):
    data = cv2.imencode(".jpg", np.zeros((37, 53, 3), np.uint8), flags)[1].tobytes()
    assert check_picture(data) == (53, 37)


def segment(code: int, body: bytes) -> bytes:
    return b"\xff" + bytes([code]) + struct.pack(">H", len(body) + 2) + body


def test_segments_before_the_size_of_a_jpeg_are_skipped():
    """What looks like a frame header inside another segment is none; tables are none; stray bytes are skipped."""
    hidden = segment(0xE1, jpeg(1, 1)) + segment(0xC4, bytes(20)) + segment(0xCC, b"") + b"\xff\x01"
    assert check_picture(jpeg(7, 300, hidden + b"\xff\xff\xff")) == (7, 300)
    stray = jpeg(7, 300, segment(0xFE, b"x") + b"stray\xff\0")
    assert check_picture(stray) == (7, 300)
    for frame in (0xC1, 0xC2, 0xC9, 0xCA):
        assert check_picture(jpeg(7, 300, frame=frame)) == (7, 300)


def test_a_jpeg_says_its_size_before_its_pixels_and_soon():
    for early in (0xD9, 0xDA, 0xD8):
        with pytest.raises(LimitError, match="before its pixels"):
            check_picture(jpeg(7, 300, segment(0xE0, b"x") + b"\xff" + bytes([early])))
    many = segment(0xFE, b"") * (picture_header.MOST_MARKERS - 1)
    assert check_picture(jpeg(7, 300, many)) == (7, 300)
    with pytest.raises(LimitError, match="before its pixels"):
        check_picture(jpeg(7, 300, many + segment(0xFE, b"")))


def test_a_jpeg_has_a_bounded_number_of_scans():
    scans = segment(0xDA, b"") * picture_header.MOST_SCANS
    assert check_picture(jpeg(7, 300) + scans) == (7, 300)
    with pytest.raises(LimitError, match="at most 40 scans, got 41"):
        check_picture(jpeg(7, 300) + scans + segment(0xDA, b""))


def test_a_bmp_may_have_its_rows_upside_down():
    assert check_picture(bmp(7, -300)) == (7, 300)
    with pytest.raises(LimitError, match="8192 x 8193"):
        check_picture(bmp(8192, -8193))
    with pytest.raises(LimitError, match="2147483648"):
        check_picture(bmp(1, -(2**31)))
    with pytest.raises(LimitError, match="with pixels"):
        check_picture(bmp(-7, 300))


def test_a_png_starts_with_its_size():
    with pytest.raises(LimitError, match="another chunk"):
        check_picture(png(7, 300).replace(b"IHDR", b"IDAT"))
    with pytest.raises(LimitError, match="another chunk"):
        check_picture(png(7, 300).replace(b"\0\0\0\x0dIHDR", b"\0\0\0\x0eIHDR"))


def test_a_webp_starts_with_one_of_three_chunks():
    for wrong in (
        vp8(7, 300).replace(b"\x9d", b"\x9c"),
        vp8l(7, 300).replace(b"\x2f", b"\x2e"),
        riff(b"EXIF" + bytes(30)),
    ):
        with pytest.raises(LimitError, match="WebP"):
            check_picture(wrong)


@pytest.mark.parametrize("order", ["<", ">"])
def test_blocks_and_pixels_of_a_tiff_are_limited_too(order):
    def made(*tags):
        return check_picture(tiff(7, 300, *tags, order=order))

    assert made((258, 3, (16, 16, 16, 16)), (277, 3, (4,))) == (7, 300)
    with pytest.raises(LimitError, match="want a TIFF picture of 8 bytes a pixel at most, got 12"):
        made((258, 3, (8, 8, 32)), (277, 3, (3,)))
    assert made((322, 3, (256,)), (323, 3, (256,))) == (7, 300)
    with pytest.raises(LimitError, match="blocks of a TIFF picture of at most 67 million pixels, got 16777216 x 65535"):
        made((322, 4, (2**24,)), (323, 3, (65535,)))


def test_tiffs_that_two_readers_could_understand_in_two_ways_are_refused():
    for tags in [[(256, 4, (1,))], [(258, 3, (8,) * 17)]]:
        with pytest.raises(LimitError, match="once and in numbers"):
            check_picture(tiff(7, 300, *tags))
    signed = bytearray(tiff(7, 300))
    struct.pack_into("<H", signed, 12, 9)
    with pytest.raises(LimitError, match="once and in numbers"):
        check_picture(bytes(signed))
    for big in (b"II+\0" + bytes(30), b"MM\0+" + bytes(30)):
        with pytest.raises(LimitError, match="BigTIFF"):
            check_picture(big)


def test_a_pnm_says_its_size_in_a_form_that_all_readers_agree_on():
    assert check_picture(b"P5\n7\n300\n255\n") == (7, 300)
    for wrong in (b"P6 7#9\n300\n255", b"P6 7 300", b"P6 -7 300 255", b"P6 9999999999 1 1 ", b"P6 x"):
        with pytest.raises(LimitError, match="PNM"):
            check_picture(wrong)
    comment = b"#" * (picture_header.MOST_COMMENT_BYTES - len(b"P5 7 300 \n")) + b"\n"
    assert check_picture(b"P5 " + comment + b"7 300 ") == (7, 300)
    with pytest.raises(LimitError, match="PNM"):
        check_picture(b"P5 #" + comment + b"7 300 ")


@pytest.mark.parametrize(
    "data",
    [
        *[b"", b"GIF89a" + bytes(50), b"v/1\1" + bytes(50), b"#?RADIANCE\n\n", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50)],
        *[
            b"\0\0\0\x20ftypavif" + bytes(50),
            b"Pf\n1 1\n-1\n",
            b"P7\nWIDTH 1\n",
            b"\x59\xa6\x6a\x95" + bytes(50),
            b"text",
        ],
    ],
)
def test_formats_that_opencv_knows_and_this_project_does_not_want(data):
    with pytest.raises(LimitError, match="want a PNG, JPEG, BMP, WebP, TIFF or PNM picture, got something else"):
        check_picture(data)
