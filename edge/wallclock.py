"""Wall-clock time of frames on boards without a battery: unknown until the clock was set, and allowed to step."""

import calendar
import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path

RELEASED_S = calendar.timegm((2026, 11, 1, 0, 0, 0))
"""First of the month of this release, seconds since 1970: a clock that shows less was never set."""
STEP_S = 1.0
"""A change of wall clock against monotonic clock from which on it is a step. Time services slew less at once, and what
a suspend adds is a step too."""
LOOK_S = 1.0
"""Seconds between two looks at the system while the clock is not set."""

SERVICES = tuple(
    Path("/run") / name for name in ("systemd/timesync", "chrony", "ntpd.pid", "ntpsec", "ntpd.sock", "openntpd.sock")
)
"""One of these is there while a time service runs: systemd-timesyncd, chrony, ntpd, NTPsec, OpenNTPD."""
RTC = Path("/sys/class/rtc/rtc0/since_epoch")
"""What a clock with a battery shows, seconds since 1970."""

_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronized."""
_TIMEX_BYTES = 512
"""Room for `struct timex`, which has 208 bytes; all zeros ask and change nothing."""


def kernel_synchronized() -> bool:
    """Tell whether a time service has told the kernel that the clock is right (adjtimex(2)); False where unknown."""
    try:
        state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return False
    return 0 <= state < _TIME_ERROR


class WallClock:
    """Tells the wall-clock time of moments of the monotonic clock, and of steps between two of them."""

    def __init__(
        self,
        *,
        services: Sequence[Path] = SERVICES,
        synchronized: Callable[[], bool] = kernel_synchronized,
        rtc: Path = RTC,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Look at the system's clocks for the first time.

        Args:
            services: see `SERVICES`.
            synchronized: see `kernel_synchronized`.
            rtc: see `RTC`.
            wall_ns: the wall clock.
            monotonic_ns: the clock that `Frame.t_capture_ns` counts on.
        """
        self._services, self._synchronized, self._rtc = services, synchronized, rtc
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._offset_ns = wall_ns() - monotonic_ns()
        self._set = False
        self._look_ns = -1

    def step_s(self) -> float:
        """Return by how much the clock stepped since the last call, seconds; 0.0 = it did not."""
        offset_ns = self._wall_ns() - self._monotonic_ns()
        step_s = (offset_ns - self._offset_ns) / 1e9
        self._offset_ns = offset_ns
        return step_s if abs(step_s) > STEP_S else 0.0

    def at(self, moment_ns: int) -> float | None:
        """Return the wall-clock time of a moment of the monotonic clock, seconds since 1970; None if not set yet."""
        return (self._offset_ns + moment_ns) / 1e9 if self._is_set() else None

    def _is_set(self) -> bool:
        """Tell whether somebody set the clock; once it was, it stays so while it shows a possible time."""
        now_ns = self._monotonic_ns()
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + round(LOOK_S * 1e9)
            self._set = self._wall_ns() >= RELEASED_S * 1e9 and (self._set or self._was_told())
        return self._set

    def _was_told(self) -> bool:
        if self._synchronized() or not any(service.exists() for service in self._services):
            return True
        try:
            return int(self._rtc.read_text()) >= RELEASED_S
        except (OSError, ValueError):
            return False
