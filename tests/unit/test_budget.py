import time

import numpy as np
import pytest

from edge.budget import PROBE_EVERY, SHED_SETTLED, SHED_UNSETTLED, Budget, Cost
from edge.profiler import StageClock
from edge.types import Frame

MS = 1_000_000


def frame(age_ms: float = 0.0) -> Frame:
    return Frame(0, time.monotonic_ns() - int(age_ms * MS), np.zeros((2, 2, 3), np.uint8))


def spent(embed_ms: float, match_ms: float = 0.0) -> StageClock:
    clock = StageClock()
    clock.stage_ns["embed"], clock.stage_ns["match"] = int(embed_ms * MS), int(match_ms * MS)
    return clock


def test_all_is_admitted_when_time_allows() -> None:
    assert Budget(10_000 * MS, 2 * MS).admit(frame(), wanted=10, urgent=3) == (10, ())


def test_an_old_frame_gets_fewer_embeddings_and_the_result_says_so() -> None:
    budget = Budget(10_000 * MS, 1000 * MS)
    assert budget.admit(frame(age_ms=4500), wanted=10, urgent=3) == (5, (SHED_SETTLED,))
    assert budget.admit(frame(age_ms=7500), wanted=10, urgent=3) == (2, (SHED_SETTLED, SHED_UNSETTLED))


def test_the_cost_is_learnt_from_what_embeddings_took() -> None:
    budget = Budget(10_000 * MS, 1 * MS)
    for _ in range(100):
        budget.learn(spent(embed_ms=8000), embedded=4)  # 2 s each
    count, _ = budget.admit(frame(age_ms=500), wanted=10, urgent=0)
    assert count == 4


def test_it_recovers_by_probing_when_nothing_fits() -> None:
    budget = Budget(1000 * MS, 5000 * MS)
    admitted = 0
    for _ in range(100 * PROBE_EVERY):
        count, _ = budget.admit(frame(), wanted=5, urgent=5)
        if count:
            budget.learn(spent(embed_ms=count * 1.0), embedded=count)  # the machine is fast again
        admitted += count
        if count == 5:
            break
    assert count == 5
    assert admitted > 5, "it came back by probes"


def test_a_frame_over_its_deadline_sheds_everything() -> None:
    assert Budget(100 * MS, MS).admit(frame(age_ms=200), wanted=3, urgent=0) == (0, (SHED_SETTLED,))


def test_nothing_wanted_is_nothing_shed() -> None:
    assert Budget(100 * MS, MS).admit(frame(age_ms=200), wanted=0, urgent=0) == (0, ())


def test_the_cost_is_the_mean_and_two_mean_deviations_with_a_gain_of_a_tenth() -> None:
    cost = Cost(100)
    assert cost.ns == 100
    cost.learn(200)  # mean 110, deviation 10
    assert cost.ns == pytest.approx(110 + 2 * 10)
    cost.learn(60)  # 50 below the mean: mean 105, deviation 14
    assert cost.ns == pytest.approx(105 + 2 * 14)


def test_time_for_the_matching_after_the_embeddings_is_set_aside() -> None:
    budget = Budget(10_000 * MS, 1000 * MS)
    for _ in range(100):
        budget.learn(spent(embed_ms=0, match_ms=4000), embedded=0)
    assert budget.admit(frame(age_ms=500), wanted=10, urgent=0) == (5, (SHED_SETTLED,))


def test_a_frame_without_embeddings_teaches_nothing_of_their_cost() -> None:
    budget = Budget(10_000 * MS, 1000 * MS)
    for _ in range(100):
        budget.learn(spent(embed_ms=0), embedded=0)
    assert budget.admit(frame(age_ms=500), wanted=20, urgent=0)[0] == 9


def test_one_object_is_embedded_in_the_thirtieth_frame_that_can_afford_none() -> None:
    budget = Budget(100 * MS, MS)
    late = [budget.admit(frame(age_ms=200), wanted=3, urgent=0)[0] for _ in range(61)]
    assert [number for number, count in enumerate(late, start=1) if count] == [30, 60]


def test_frames_that_could_afford_some_begin_the_count_anew() -> None:
    budget = Budget(10_000 * MS, MS)
    for _ in range(29):
        budget.admit(frame(age_ms=20_000), wanted=3, urgent=0)
    assert budget.admit(frame(), wanted=3, urgent=0)[0] == 3
    assert budget.admit(frame(age_ms=20_000), wanted=3, urgent=0)[0] == 0


def test_what_is_shed_is_named_by_whom_it_leaves_out() -> None:
    budget = Budget(10_000 * MS, 1000 * MS)
    assert budget.admit(frame(age_ms=6500), wanted=3, urgent=3) == (3, ())
    assert budget.admit(frame(age_ms=7500), wanted=3, urgent=3) == (2, (SHED_UNSETTLED,))
    assert budget.admit(frame(age_ms=7500), wanted=3, urgent=2) == (2, (SHED_SETTLED,))


def test_embeddings_that_cost_nothing_are_all_admitted() -> None:
    assert Budget(10_000 * MS, 0).admit(frame(), wanted=10**6, urgent=0) == (10**6, ())
