import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.profiler import STAGES, Histogram, Profiler, StageClock
from edge.types import Detections, Frame, FrameResult, Tracks


def result(age_ns: int, shed: tuple[str, ...] = ()) -> FrameResult:
    none = np.zeros(0, np.float32)
    tracks = Tracks(
        np.zeros(0, np.int64), np.zeros((0, 4), np.float32), none, np.zeros(0, np.int32), np.zeros(0, np.int32),
        np.zeros(0, np.int64), none,
    )  # fmt: skip
    return FrameResult(Frame(0, 0, np.zeros((2, 2, 3), np.uint8)), Detections.none(), tracks, {}, shed, age_ns)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.sampled_from([1, 50, 95, 99, 100]))
def test_percentiles_are_numpys_to_one_step_of_the_histogram(durations: list[int], percent: int) -> None:
    histogram = Histogram()
    for ns in durations:
        histogram.add(ns)
    want = float(np.percentile(durations, percent, method="inverted_cdf"))
    # A step is 1/128 of an octave's lower end, so the answer is right to 0.8 %.
    assert want <= histogram.percentile_ns(percent) <= want * (1 + 1 / 128) + 1
    assert histogram.max_ns == max(durations)
    assert histogram.count == len(durations)
    assert histogram.total_ns == sum(durations)


def test_memory_does_not_grow_with_the_run() -> None:
    histogram = Histogram()
    for ns in range(0, 50_000_000, 500):
        histogram.add(ns)
    assert len(histogram._counts) < 128 * 30


def test_misses_and_shed_work_are_counted_and_nothing_is_left_out() -> None:
    profiler = Profiler(budget_ns=100)
    for age, shed in ((50, ()), (100, ()), (101, ("embed_settled",)), (10**9, ("embed_settled",))):
        profiler.record(StageClock(), result(age, shed))
    summary = profiler.summary(dropped=7)
    assert summary["frames"] == 4
    assert summary["deadline_missed"] == 2
    assert summary["shed"] == {"embed_settled": 2}
    assert summary["dropped"] == 7
    assert summary["stages"]["age"]["max_ms"] == 1000.0
    table = profiler.table(dropped=7)
    assert "embed_settled in 2 frames" in table
    assert all(stage in table for stage in STAGES)


def test_decoding_that_another_thread_did_is_not_taken_for_waiting() -> None:
    clock = StageClock()
    clock.received(Frame(0, 0, np.zeros((2, 2, 3), np.uint8), decode_ns=10**12))
    assert clock.stage_ns["decode"] == 10**12
    assert clock.stage_ns["capture_wait"] == 0


def test_a_lap_counts_for_every_stage_it_names() -> None:
    clock = StageClock()
    spent = clock.lap("detect", "detect_invoke")
    assert clock.stage_ns["detect"] == clock.stage_ns["detect_invoke"] == spent
    assert clock.stage_ns["match"] == 0
    assert spent > 0
