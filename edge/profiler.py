"""Where the time of every frame goes: one histogram a stage, nothing left out, bounded memory.

A histogram has 128 steps an octave, so a percentile is right to 0.8 %; count, total and maximum are exact. Memory
does not grow with the length of a run.
"""

import time
from collections import Counter
from collections.abc import Sequence

from edge.types import Frame, FrameResult

STAGES = ("capture_wait", "decode", "preprocess", "detect", "embed", "match", "sinks")
"""What a frame passes through, in order."""
PARTS = ("detect_invoke", "embed_invoke")
"""Time inside the models: parts of `detect` and `embed`, measured apart."""
ANSWER_STAGES = ("capture_wait", "decode", "preprocess", "model", "sinks")
"""The same for a frame that one model alone is asked about."""

_STEP_BITS = 7


class Histogram:
    """Durations in nanoseconds, kept as counts in steps that grow with the value."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.total_ns = 0
        self.max_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration."""
        shift = max(0, ns.bit_length() - _STEP_BITS - 1)
        self._counts[(shift << (_STEP_BITS + 1)) + (ns >> shift)] += 1
        self.count += 1
        self.total_ns += ns
        if ns > self.max_ns:
            self.max_ns = ns

    def percentile_ns(self, percent: float) -> int:
        """Return the smallest step that at least this part of all durations does not exceed; 0 if there are none."""
        rank = max(1, -(-self.count * percent // 100))
        seen = 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= rank:
                shift, low = step >> (_STEP_BITS + 1), step & ((1 << (_STEP_BITS + 1)) - 1)
                return min(self.max_ns, ((low + 1) << shift) - 1)
        return 0


class StageClock:
    """Laps of one frame.

    Attributes:
        stage_ns: stage -> time so far.
    """

    def __init__(self, stages: Sequence[str] = (*STAGES, *PARTS)) -> None:
        self.stage_ns: dict[str, int] = dict.fromkeys(stages, 0)
        self._last_ns = time.monotonic_ns()

    def received(self, frame: Frame) -> None:
        """Split the time since the start into decoding, where it was done meanwhile, and waiting."""
        self.lap("capture_wait")
        decoded_here = min(frame.decode_ns, self.stage_ns["capture_wait"])
        self.stage_ns["capture_wait"] -= decoded_here
        self.stage_ns["decode"] = frame.decode_ns

    def lap(self, *stages: str) -> int:
        """Give the time since the last lap to these stages and return it, ns."""
        now = time.monotonic_ns()
        spent, self._last_ns = now - self._last_ns, now
        for stage in stages:
            self.stage_ns[stage] += spent
        return spent


class Profiler:
    """The whole run's histograms, deadline misses and shed work."""

    def __init__(self, budget_ns: int) -> None:
        """Start empty.

        Args:
            budget_ns: a frame whose result is older than this missed its deadline.
        """
        self._budget_ns = budget_ns
        self._stages = {name: Histogram() for name in (*STAGES, *PARTS, "frame", "age")}
        self._shed: Counter[str] = Counter()
        self._started_ns = time.monotonic_ns()
        self._ended_ns = self._started_ns
        self.missed = 0

    def record(self, clock: StageClock, result: FrameResult) -> None:
        """Count one finished frame."""
        for name, ns in clock.stage_ns.items():
            self._stages[name].add(ns)
        self._stages["frame"].add(sum(clock.stage_ns[name] for name in STAGES))
        self._stages["age"].add(result.age_ns)
        self._shed.update(result.shed)
        self.missed += result.age_ns > self._budget_ns
        self._ended_ns = time.monotonic_ns()

    @property
    def frames(self) -> int:
        """Frames recorded so far."""
        return self._stages["age"].count

    def summary(self, dropped: int = 0) -> dict[str, object]:
        """Return all figures as plain values, as `--profile FILE.json` writes them; times in milliseconds.

        Args:
            dropped: frames that the source gave and nobody read.
        """
        seconds = (self._ended_ns - self._started_ns) / 1e9
        return {
            "frames": self.frames,
            "dropped": dropped,
            "seconds": round(seconds, 3),
            "fps": round(self.frames / seconds, 2) if seconds else 0.0,
            "budget_ms": self._budget_ns / 1e6,
            "deadline_missed": self.missed,
            "shed": dict(self._shed),
            "stages": {
                name: {
                    "count": h.count,
                    "p50_ms": round(h.percentile_ns(50) / 1e6, 3),
                    "p95_ms": round(h.percentile_ns(95) / 1e6, 3),
                    "p99_ms": round(h.percentile_ns(99) / 1e6, 3),
                    "max_ms": round(h.max_ns / 1e6, 3),
                    "mean_ms": round(h.total_ns / max(h.count, 1) / 1e6, 3),
                }
                for name, h in self._stages.items()
            },
        }

    def table(self, dropped: int = 0) -> str:
        """Return the figures as the table printed at the end of a run."""
        names = {"detect_invoke": "  model of detect", "embed_invoke": "  model of embed", "age": "age of result"}
        order = ["capture_wait", "decode", "preprocess", "detect", "detect_invoke", "embed", "embed_invoke", "match"]
        lines = [f"{'stage, ms':<18}{'count':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}"]
        for name in [*order, "sinks", "frame", "age"]:
            h = self._stages[name]
            figures = [*(h.percentile_ns(p) for p in (50, 95, 99)), h.max_ns]
            lines.append(f"{names.get(name, name):<18}{h.count:>8}" + "".join(f"{ns / 1e6:>9.2f}" for ns in figures))
        seconds = max((self._ended_ns - self._started_ns) / 1e9, 1e-9)
        shed = ", ".join(f"{name} in {count} frames" for name, count in self._shed.most_common()) or "nothing"
        lines.append(
            f"{self.frames} frames in {seconds:.1f} s ({self.frames / seconds:.1f}/s), {dropped} dropped by "
            f"the source; budget {self._budget_ns / 1e6:g} ms missed by {self.missed}; shed: {shed}"
        )
        return "\n".join(lines)
