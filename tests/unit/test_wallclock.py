"""The wall clock of a board without a battery."""

import shutil
import subprocess
from pathlib import Path

import pytest

from edge.wallclock import LOOK_S, RELEASED_S, STEP_S, WallClock, kernel_synchronized

NOW = RELEASED_S + 1000


class Clocks:
    """A wall clock and a monotonic one that tests turn."""

    def __init__(self, wall_s: float) -> None:
        self.wall_s, self.monotonic_s = wall_s, 50.0

    def go(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds

    def watched(self, run: Path, rtc: Path) -> WallClock:
        return WallClock(
            services=[run / "other", run], synchronized=(run / "synchronized").exists, rtc=rtc,
            wall_ns=lambda: round(self.wall_s * 1e9), monotonic_ns=lambda: round(self.monotonic_s * 1e9),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("wall_s", "service", "told", "battery", "known"),
    [
        (NOW, False, False, None, True),  # no timesyncd: somebody else looks after the clock
        (NOW, True, True, None, True),
        (NOW, True, False, None, False),
        (NOW, True, False, NOW, True),
        (NOW, True, False, RELEASED_S - 1, False),
        (NOW, True, False, "nonsense", False),
        (RELEASED_S - 1, False, False, NOW, False),
        (0, True, True, None, False),
    ],
)
def test_when_the_clock_counts_as_set(
    tmp_path: Path, wall_s: float, service: bool, told: bool, battery: object, known: bool
) -> None:
    run, rtc = tmp_path / "timesync", tmp_path / "since_epoch"
    if service:
        run.mkdir()
    if told:
        (run / "synchronized").touch()
    if battery is not None:
        rtc.write_text(f"{battery}\n")
    at = Clocks(wall_s).watched(run, rtc).at(round(50.0 * 1e9))
    assert at == (wall_s if known else None)


def test_a_clock_is_known_from_its_setting_on_and_stays_known(tmp_path: Path) -> None:
    run = tmp_path / "timesync"
    run.mkdir()
    clocks = Clocks(10.0)
    watched = clocks.watched(run, tmp_path / "none")
    assert watched.at(0) is None
    (run / "synchronized").touch()
    clocks.wall_s = NOW
    clocks.go(LOOK_S)
    assert watched.step_s() == pytest.approx(NOW - 10.0)
    assert watched.at(round((clocks.monotonic_s - 2) * 1e9)) == pytest.approx(NOW + LOOK_S - 2)
    (run / "synchronized").unlink()
    clocks.go(LOOK_S)
    assert watched.at(0) is not None
    clocks.wall_s = 5.0
    clocks.go(LOOK_S)
    watched.step_s()
    assert watched.at(0) is None, "set back before the release: nobody knows the time"


def test_steps_are_told_once_and_slow_drift_is_none(tmp_path: Path) -> None:
    clocks = Clocks(NOW)
    watched = clocks.watched(tmp_path, tmp_path)
    clocks.go(3600)
    assert watched.step_s() == 0
    clocks.wall_s += STEP_S * 0.9
    assert watched.step_s() == 0
    clocks.wall_s -= 7.5
    assert watched.step_s() == pytest.approx(-7.5)
    assert watched.step_s() == 0
    clocks.wall_s += STEP_S * 1.1
    assert watched.step_s() == pytest.approx(STEP_S * 1.1)


def test_the_release_is_no_later_than_this_machine_s_clock() -> None:
    assert WallClock().at(0) is not None or not Path("/run/systemd/timesync/synchronized").exists()


def test_the_kernel_says_what_timedatectl_says() -> None:
    """Against the system's own tool where it runs; elsewhere only that it answers."""
    answer = kernel_synchronized()
    assert isinstance(answer, bool)
    tool = shutil.which("timedatectl")
    asked = subprocess.run([tool, "show", "-p", "NTPSynchronized"], capture_output=True, text=True) if tool else None
    if asked and asked.returncode == 0:
        assert asked.stdout.strip() == f"NTPSynchronized={'yes' if answer else 'no'}"
