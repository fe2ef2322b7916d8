"""VP8 by libvpx, the BSD-licensed library that OpenCV's FFmpeg already brings into the process.

OpenCV's own `VideoWriter` gives libvpx no settings and then takes 57 ms for a picture of 768 x 576, in its slow mode
with the finest quantiser; asked directly, the same library takes 6. Only functions and leading fields that have
stayed where they are since libvpx 1.4 (2015) are used, and each open checks that they are there.
"""

import ctypes
import ctypes.util
import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from edge.types import U8

LARGEST_SIDE = 16382
"""Of a VP8 picture: 14 bits, and even."""
BITS_PER_PIXEL = 0.25
"""Most on average: 8 MB a minute at 768 x 576 and 10 frames a second."""
FINEST = 20
"""Smallest quantiser, of 0 to 63. At libvpx's own 4 the noise of a sensor is coded: twice the bytes, half more time."""
_SPEED = -16
"""Of the real-time mode, fixed: 16 is its fastest, and a positive number would change it with the machine's load."""
_I420, _REALTIME_US, _FORCE_KEY, _IS_KEY = 0x102, 1, 1, 1
_SET_CPU_USED = 13
_ABI_MISMATCH = 3
_ABIS = range(79, 9, -1)
"""Versions of the interface, tried in turn: libvpx 1.12 wants 25 or less, 1.15 wants 37 and 1.16 wants 39."""
_ROOM = 4096
"""Bytes for structs of which only the beginning is known: the largest has 500."""


class _Config(ctypes.Structure):
    """The beginning of `vpx_codec_enc_cfg_t`."""

    _fields_ = (
        *((name, ctypes.c_uint) for name in ("usage", "threads", "profile", "width", "height", "depth", "input_depth")),
        *(("tick", ctypes.c_int), ("ticks", ctypes.c_int)),  # a second is `ticks` of `tick`
        *((name, ctypes.c_uint) for name in ("resilient", "passes", "lag", "drop", "resize", "wide", "high")),
        *((name, ctypes.c_uint) for name in ("resize_up", "resize_down", "mode")),
        *((name, ctypes.c_void_p * 2) for name in ("stats_in", "first_stats_in")),
        *((name, ctypes.c_uint) for name in ("kilobits", "finest", "coarsest")),
        ("rest", ctypes.c_ubyte * _ROOM),
    )


class _Packet(ctypes.Structure):
    """The beginning of `vpx_codec_cx_pkt_t` that holds a coded picture."""

    _fields_ = (
        *(("kind", ctypes.c_int), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("time", ctypes.c_int64)),
        *(("duration", ctypes.c_ulong), ("flags", ctypes.c_uint32)),
    )


class Vp8Error(Exception):
    """There is no libvpx that we know how to talk to, or it refused."""


@cache
def library() -> ctypes.CDLL:
    """Return libvpx: the one that OpenCV has loaded, else the system's.

    Raises:
        Vp8Error: neither is there, or it is not as we know it.
    """
    loaded = {line.split(maxsplit=5)[-1].strip() for line in _maps() if re.search(r"/libvpx[^/]*\.so", line)}
    for name in [*sorted(loaded), ""]:
        try:
            vpx = ctypes.CDLL(name or ctypes.util.find_library("vpx") or "libvpx.so")
            vpx.vpx_codec_vp8_cx.restype = ctypes.c_void_p
            vpx.vpx_img_wrap.restype = ctypes.c_void_p
            vpx.vpx_codec_get_cx_data.restype = ctypes.POINTER(_Packet)
        except (OSError, AttributeError):  # gone from the disk, or built without the encoder
            continue
        config = _defaults(vpx)
        known = (320, 240, 1, 30, 256, 4, 63)  # libvpx's documented defaults
        have = (config.width, config.height, config.tick, config.ticks)
        if (*have, config.kilobits, config.finest, config.coarsest) == known:
            return vpx
    raise Vp8Error("want libvpx, which OpenCV's FFmpeg has, got none that can be used")


class Vp8Encoder:
    """Codes pictures of one size, each at once: no picture waits for a later one."""

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        """Open the encoder.

        Args:
            size: (width, height), even, 2 to `LARGEST_SIDE`.
            fps: nominal rate; with the size it gives the wanted bits a second.

        Raises:
            Vp8Error: there is no libvpx, or it refuses.
        """
        self._vpx = library()
        width, height = size
        config = _defaults(self._vpx)
        config.width, config.height, config.threads = width, height, 1
        config.tick, config.ticks, config.lag = 1, 1000, 0
        config.kilobits, config.finest = max(50, round(BITS_PER_PIXEL * width * height * fps / 1000)), FINEST
        self._context: ctypes.Array[ctypes.c_char] | None = ctypes.create_string_buffer(_ROOM)
        codec = ctypes.c_void_p(self._vpx.vpx_codec_vp8_cx())
        for abi in _ABIS:
            code = self._vpx.vpx_codec_enc_init_ver(self._context, codec, ctypes.byref(config), ctypes.c_long(0), abi)
            if code != _ABI_MISMATCH:
                break
        if code:
            self._context = None
            raise Vp8Error(f"want an encoder for {width}x{height}, got libvpx's error {code}")
        self._vpx.vpx_codec_control_(self._context, ctypes.c_int(_SET_CPU_USED), ctypes.c_int(_SPEED))
        self._size = size

    def encode(self, picture: U8, time_ms: int, duration_ms: int, key: bool) -> tuple[bytes, bool]:
        """Code one picture.

        Args:
            picture: uint8 (H, W, 3) BGR of the encoder's size.
            time_ms: must grow from call to call.
            duration_ms: nominal, 1 or more.
            key: True to make it a key frame, which needs none before it.

        Returns:
            The coded picture, and whether it is a key frame.

        Raises:
            Vp8Error: libvpx refused.
        """
        width, height = self._size
        planes = np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420))
        image = ctypes.c_void_p(
            self._vpx.vpx_img_wrap(None, _I420, width, height, 1, ctypes.c_void_p(planes.ctypes.data))
        )
        flags = ctypes.c_long(_FORCE_KEY if key else 0)
        when, how_long = ctypes.c_int64(time_ms), ctypes.c_ulong(duration_ms)
        try:
            code = self._vpx.vpx_codec_encode(self._context, image, when, how_long, flags, ctypes.c_ulong(_REALTIME_US))
        finally:
            self._vpx.vpx_img_free(image)
        if code:
            raise Vp8Error(f"want a coded picture, got libvpx's error {code}")
        position = ctypes.c_void_p()
        while packet := self._vpx.vpx_codec_get_cx_data(self._context, ctypes.byref(position)):
            if packet.contents.kind == 0:
                data = ctypes.string_at(packet.contents.data, packet.contents.size)
                return data, bool(packet.contents.flags & _IS_KEY)
        raise Vp8Error("want a coded picture, got nothing from libvpx")

    def close(self) -> None:
        """Free the encoder. May be called twice."""
        if self._context is not None:
            self._vpx.vpx_codec_destroy(self._context)
            self._context = None


def _defaults(vpx: ctypes.CDLL) -> _Config:
    config = _Config()
    vpx.vpx_codec_enc_config_default(ctypes.c_void_p(vpx.vpx_codec_vp8_cx()), ctypes.byref(config), 0)
    return config


def _maps() -> list[str]:
    """Return the lines of what this process has loaded; none where the system does not tell."""
    try:
        return Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
