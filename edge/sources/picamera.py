"""A Raspberry Pi camera through Picamera2.

Tested against a stand-in for picamera2 only; this file was never run on a board.
"""

import importlib
import time
from typing import Any

import cv2
import numpy as np

from edge.errors import SourceError
from edge.sources.source import fps_option, size_option, split_options
from edge.types import U8, Frame

DEFAULT_SIZE, DEFAULT_FPS = (1280, 720), 30.0
MOST_DIGITS = 3
"""Of a camera's number."""
BUFFERS = 4
"""Buffers the camera may fill. A request is copied and given back at once, so few are enough."""


class PiCamera:
    """A Pi camera, read frame by frame; blocks until the next one. Meant for the capture thread.

    Pictures are the main stream in the format that Picamera2 calls "BGR888": its name is that of the memory
    layout of a little-endian word, the array it gives is RGB, as `Frame.image` wants it. With the option `lores`
    they are the low-resolution stream instead, which the camera's own hardware scales down: less to copy where
    the detector wants a small picture anyway. That stream is YUV420, the one format every Pi gives.
    """

    def __init__(self, uri: str) -> None:
        """Open `picamera:[N]` with options `?size=1280x720&fps=30&lores=640x360`.

        Raises:
            SourceError: Picamera2 is not installed or does not start, or there is no such camera.
            ConfigError: an unknown option.
        """
        readers = {"size": size_option, "fps": fps_option, "lores": size_option}
        device, options = split_options(uri.removeprefix("picamera:"), readers)
        self.name = f"picamera {device or 0}"
        if device and not (device.isdecimal() and len(device) <= MOST_DIGITS):
            raise SourceError(f"picamera: want a camera number, got '{device[:40]}'; write picamera:0")
        fps = options.get("fps", DEFAULT_FPS)
        self.fps: float | None = fps if isinstance(fps, float) else DEFAULT_FPS
        self._stream = "lores" if "lores" in options else "main"
        camera_type = _import_picamera2(self.name)
        number, cameras = int(device or 0), len(camera_type.global_camera_info())
        if number >= cameras:
            raise SourceError(f"{self.name}: want a camera of this number, got {cameras} here; check the ribbon cable")
        try:
            self._camera = camera_type(number)
            configuration = self._camera.create_video_configuration(
                main={"size": options.get("size", DEFAULT_SIZE), "format": "BGR888"},
                lores={"size": options["lores"], "format": "YUV420"} if "lores" in options else None,
                controls={"FrameRate": self.fps},
                buffer_count=BUFFERS,
            )
            self._camera.configure(configuration)
            self._size: tuple[int, int] = tuple(self._camera.camera_configuration()[self._stream]["size"])
            self._camera.start()
        except (RuntimeError, IndexError) as error:  # picamera2's own; a busy camera is one of them
            raise SourceError(
                f"{self.name}: want a camera that starts, got '{error}'; is another program using it?"
            ) from error
        self.frames: int | None = None
        self._index = -1
        self._first_ns: int | None = None

    def read(self) -> Frame:
        """Wait for the next picture.

        Raises:
            SourceError: the camera stopped.
        """
        try:
            request = self._camera.capture_request()
        except RuntimeError as error:
            raise SourceError(f"{self.name}: want frames, got '{error}'; check the ribbon cable") from error
        t_capture_ns = time.monotonic_ns()
        try:
            array = request.make_array(self._stream)
            stamp_ns = int(request.get_metadata().get("SensorTimestamp", t_capture_ns))
        finally:
            request.release()
        image = array if self._stream == "main" else yuv420_to_rgb(array, *self._size)
        self._index += 1
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        decode_ns = time.monotonic_ns() - t_capture_ns
        return Frame(self._index, t_capture_ns, image, stamp_ns - self._first_ns, decode_ns)

    def close(self) -> None:
        """Stop the camera and let it go."""
        self._camera.stop()
        self._camera.close()


def yuv420_to_rgb(planes: U8, width: int, height: int) -> U8:
    """Turn a low-resolution buffer into an RGB picture.

    Args:
        planes: uint8 (height * 3 / 2, stride), Y above U and V. The camera pads rows, so stride >= width, and the
            rows of U and V are half a stride long. Only the whole buffer is a valid I420 picture (stride wide):
            it is converted first and cropped afterwards.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Returns:
        uint8 (height, width, 3) RGB, contiguous, owned by the caller.
    """
    rgb = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    return np.ascontiguousarray(rgb[:height, :width], np.uint8)


def _import_picamera2(name: str) -> Any:
    try:
        return importlib.import_module("picamera2").Picamera2
    except ImportError as error:
        raise SourceError(
            f"{name}: want Picamera2, got '{error}'; run 'sudo apt install python3-picamera2' "
            "and make the venv with --system-site-packages"
        ) from error
    except ValueError as error:  # "numpy.dtype size changed": modules of the system built for numpy 1
        raise SourceError(
            f"{name}: want Picamera2 and numpy that fit together, got '{error}'; "
            'on Raspberry Pi OS Bookworm run \'pip install "numpy<2" "opencv-python<4.12"\''
        ) from error
