"""What computer this is, as far as its kernel tells: for the figures that `edge profile` writes. No names, no paths."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import msgspec

_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd42": "Cortex-A78AE",
}
"""Arm's part numbers, field PartNum of MIDR_EL1 in the technical reference manual of each core."""

_DOT_PRODUCT = ("asimddp", "avx512_vnni", "avx_vnni")
"""Names in /proc/cpuinfo of instructions that add products of 8-bit numbers: int8 gains most where one is there."""

_THROTTLED = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of `vcgencmd get_throttled`: now; 16 places higher: since the start. From the Raspberry Pi documentation."""
_SINCE_START = 16
_SECONDS = 5


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A computer.

    Attributes:
        board: "Raspberry Pi 5 Model B Rev 1.0"; the processor where the system names no board.
        cpu: name of its cores.
        cores: that this process may use.
        dot_product: whether it has an instruction for int8 dot products; None = not known.
        memory_mb: of the whole machine; None = not known.
        governor: of the first core's clock; "" = not known.
        system: kernel and machine: "Linux 6.12, aarch64".
    """

    board: str
    cpu: str
    cores: int
    dot_product: bool | None
    memory_mb: int | None
    governor: str
    system: str


class Heat(msgspec.Struct, frozen=True, kw_only=True):
    """How warm and how fast it is at one moment.

    Attributes:
        celsius: of the hottest sensor; None = not known.
        clock_mhz: of the first core; None = not known.
        throttled: what holds the clock down now or did since the start, in words; "" = nothing; None = not known.
    """

    celsius: float | None
    clock_mhz: int | None
    throttled: str | None


def describe(root: Path = Path("/")) -> Machine:
    """Describe this machine.

    Args:
        root: where /proc and /sys are.
    """
    cpu = _read(root / "proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in cpu.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    part = fields.get("CPU part", "")
    name = fields.get("model name") or _PARTS.get(part) or (f"Arm part {part}" if part else platform.machine())
    board = _read(root / "proc/device-tree/model").strip("\0\n ") or fields.get("Model", "")
    features = f"{fields.get('Features', '')} {fields.get('flags', '')}".split()
    memory = next((line.split()[1] for line in _read(root / "proc/meminfo").splitlines() if "MemTotal" in line), "")
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return Machine(
        board=board or name,
        cpu=name,
        cores=len(os.sched_getaffinity(0)),
        dot_product=any(word in features for word in _DOT_PRODUCT) if features else None,
        memory_mb=int(memory) // 1024 if memory.isdigit() else None,
        governor=_read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
        system=f"{platform.system()} {release}, {platform.machine()}",
    )


def heat(root: Path = Path("/")) -> Heat:
    """Read temperature, clock and throttling.

    Args:
        root: where /sys is.
    """
    zones = [_read(path).strip() for path in sorted(root.glob("sys/class/thermal/thermal_zone*/temp"))]
    degrees = [int(text) / 1000 for text in zones if text.lstrip("-").isdigit()]
    clock = _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").strip()
    return Heat(
        celsius=max(degrees, default=None),
        clock_mhz=int(clock) // 1000 if clock.isdigit() else None,
        throttled=_throttled(),
    )


def resident_mb() -> float | None:
    """Return the most memory that this process has held so far, 10^6 bytes; None where the system does not tell."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return None


def explain_throttled(bits: int) -> str:
    """Say in words what `vcgencmd get_throttled` means by a number; "" = nothing."""
    now = [words for bit, words in _THROTTLED.items() if bits >> bit & 1]
    before = [f"{words} since the start" for bit, words in _THROTTLED.items() if bits >> (bit + _SINCE_START) & 1]
    return ", ".join([f"{words} now" for words in now] + before)


def _throttled() -> str | None:
    """Ask the firmware of a Raspberry Pi."""
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        done = subprocess.run([command, "get_throttled"], capture_output=True, text=True, timeout=_SECONDS)
        return explain_throttled(int(done.stdout.strip().partition("=")[2], 16))
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None  # not a Pi's, or not allowed: not known


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
