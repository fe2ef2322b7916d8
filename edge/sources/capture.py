"""Opening a video file or stream with OpenCV so that it stays what it was given for.

FFmpeg understands more than films: a text file may be a playlist, a session description or a list of other files, and
a file's name may be a pattern. Here a local file must start as a film does, only demuxers of films may read it, and
none may open an address or another file.
"""

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2

from edge.errors import LimitError, SourceError
from edge.limits import open_file, plain_name
from edge.quiet import quietly
from edge.redact import hide_password, printable
from edge.settings import nearest
from edge.sources.source import quiet_opencv

MOST_FRAME_PIXELS = 36_000_000
"""The largest frame of a film or stream: 8192 x 4352, the most that the highest level of H.264 and H.265 knows. Those
keep up to 16 frames of 1.5 bytes a pixel for reference: 860 MB."""

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_FILM_OPTIONS = (
    "protocol_whitelist;file|format_whitelist;"
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,ivf,yuv4mpegpipe,gif,mjpeg,jpeg_pipe"
    "|codec_whitelist;"
    "h264,hevc,av1,libdav1d,libaom-av1,vp8,vp9,libvpx,libvpx-vp9,mpeg4,mpeg1video,mpeg2video,mpegvideo,mjpeg,mjpegb,"
    "h263,flv,wmv1,wmv2,wmv3,vc1,msmpeg4v1,msmpeg4v2,msmpeg4,theora,prores,dnxhd,rawvideo,huffyuv,ffvhuff,ffv1,gif,"
    "dvvideo,svq1,svq3,cinepak,vp3,vp6,vp6f,aac,mp3,mp3float,ac3,opus,vorbis,flac,pcm_s16le"
)
"""The last list is of decoders that FFmpeg may run to learn a film's frame size, before that size can be checked. A
codec of still pictures is none of them: 1 MB of PNG would be decoded to gigabytes."""
_STREAM_OPTIONS = "protocol_whitelist;tcp,udp,tls,rtp,srtp,rtsp,rtsps,http,https,httpproxy,hls,crypto"
_STREAM_DEFAULTS = "rtsp_flags;prefer_tcp"
"""What OpenCV itself asks for where the environment names no options."""
_BACKENDS = (cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER, cv2.CAP_AVFOUNDATION, cv2.CAP_MSMF, cv2.CAP_OPENCV_MJPEG)
"""What may open a film. Not OpenCV's picture sequences, which read all files with numbers like the given one's."""

_MOST_LOOKED_AT = 1000
"""Names of a folder among which a mistyped one is looked for."""
_HEAD_BYTES = 200
_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\0\0\1",  # MPEG, H.264, H.265
    b"\0\0\0\1",
    b"FLV\1",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
    b"OggS",
    b"DKIF",  # IVF
    b"YUV4MPEG2 ",
    b"GIF8",
    b"\xff\xd8\xff",  # Motion JPEG
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp", b"pnot")
"""How the files of the MP4 and QuickTime family start, after four bytes of length."""
_PICTURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)

_PICTURE_CODECS = frozenset(
    {"MPNG", "PNG1", "PNG", "TIFF", "MJP2", "MJ2C", "LJ2C", "LJ2K", "IPJ2", "AVJ2", "MTGA", "TGA", "SGI", "DPX", "EXR"}
    | {"WEBP", "BMP", "JXS1", "QOI", "MJLS"}
)
"""Four-letter codes of films that are a row of still pictures, each of which says its own size when it is decoded."""

_environment = threading.Lock()


def open_film(path: Path) -> cv2.VideoCapture:
    """Open a video file, without grabbing a frame.

    Raises:
        SourceError: missing, empty, unreadable, no file, a picture, nothing that starts as a film does, nothing that
            OpenCV can read, or frames of more than `MOST_FRAME_PIXELS`.
    """
    name = film_name(path)
    _check_file(path, name)
    quiet_opencv()
    for backend in _BACKENDS:
        if backend not in cv2.videoio_registry.getBackends():
            continue
        with quietly(), _options(_FILM_OPTIONS):
            capture = cv2.VideoCapture(str(path.absolute()), backend)
        if capture.isOpened():
            _check_size(capture, name)
            return capture
        capture.release()
    raise unreadable(name)


def film_name(path: Path) -> str:
    """Return the words for a film in messages."""
    return f"video {printable(hide_password(str(path)))}"


def unreadable(name: str) -> SourceError:
    """Make the sentence for a film without a picture."""
    return SourceError(
        f"{name}: want a video, got no picture that OpenCV could decode; "
        "is the file whole? An mp4 that was never closed cannot be read"
    )


def open_stream(url: str, limits: list[int], name: str) -> cv2.VideoCapture:
    """Open a network stream, without grabbing a frame; the capture is closed where that failed.

    What the server sends may lead to other addresses, as HLS does, but never to a file of this machine.

    Args:
        url: the address with user and password.
        limits: properties and values for FFmpeg, as `cv2.VideoCapture` takes them.
        name: words for messages.

    Raises:
        SourceError: frames of more than `MOST_FRAME_PIXELS`.
    """
    if cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends():
        capture = cv2.VideoCapture(url, cv2.CAP_GSTREAMER)  # knows no limits
    else:
        with _options(_STREAM_OPTIONS, _STREAM_DEFAULTS):
            capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    _check_size(capture, name)
    return capture


@contextlib.contextmanager
def _options(ours: str, defaults: str = "") -> Iterator[None]:
    """Give FFmpeg options while something is opened; the user's own stay, but for those that ours set as well."""
    with _environment:
        before = os.environ.get(_OPTIONS)
        theirs = defaults if before is None else before
        os.environ[_OPTIONS] = f"{theirs}|{ours}" if theirs else ours
        try:
            yield
        finally:
            if before is None:
                del os.environ[_OPTIONS]
            else:
                os.environ[_OPTIONS] = before


def _check_size(capture: cv2.VideoCapture, name: str) -> None:
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    codec = code.to_bytes(4, "little").decode("latin1").strip(" \0").upper()
    if codec in _PICTURE_CODECS:
        capture.release()
        raise SourceError(f"{name}: want a film, got still pictures ({codec}) in a row; convert it to H.264")
    width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MOST_FRAME_PIXELS:
        capture.release()
        raise SourceError(
            f"{name}: want frames of at most {MOST_FRAME_PIXELS // 10**6} million pixels, "
            f"got {width:.0f} x {height:.0f}; record it smaller"
        )


def _check_file(path: Path, name: str) -> None:
    try:
        plain_name(path.name)
        str(path.absolute()).encode()  # OpenCV takes names of UTF-8 alone
        with open_file(path) as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise SourceError(f"{name}: want a file, got no such file; {_nearest_file(path)}") from error
    except OSError as error:
        raise SourceError(f"{name}: want a readable file, got '{error.strerror}'; check the path") from error
    except UnicodeEncodeError as error:
        raise SourceError(f"{name}: want folders named in UTF-8, got other bytes; move the file") from error
    except LimitError as error:
        raise SourceError(f"{name}: {error}; give a video file with a plain name") from error
    if not head:
        raise SourceError(f"{name}: want a video, got an empty file; copy or record it again")
    kind = next((kind for magic, kind in _PICTURES if head.startswith(magic)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        kind = "WebP"
    if kind is not None and path.suffix.lower() not in {".mjpg", ".mjpeg"}:
        raise SourceError(f"{name}: want a video, got a {kind} picture; rename it to .{kind.lower()}")
    if not _is_film(head):
        raise SourceError(f"{name}: want a video (mp4, mov, mkv, webm, avi...), got another file; convert it to mp4")


def _nearest_file(path: Path) -> str:
    """Say which file of the same folder was probably meant."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_LOOKED_AT) if entry.name[0] != "."]
    except OSError:
        names = []
    by_stem = {Path(name).stem: name for name in names}
    meant = by_stem.get(nearest(path.stem, by_stem) or "")
    return f"did you mean '{printable(hide_password(meant))}'?" if meant else "check the path"


def _is_film(head: bytes) -> bool:
    """Say whether a file starts as a film does."""
    packets = any(
        head[first : first + 1] == head[first + step : first + step + 1] == b"\x47"
        for first, step in ((0, 188), (4, 192))
    )  # MPEG transport stream, as broadcast and as on discs
    riff = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return packets or riff or head[4:8] in _BOXES or head.startswith(_STARTS)
