import numpy as np
import pytest
from scipy.spatial.distance import cdist

from edge.distance import METRICS


@pytest.mark.parametrize(("metric", "scipys"), [("manhattan", "cityblock"), ("cosine", "cosine")])
def test_it_is_scipys_distance(metric: str, scipys: str) -> None:
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(5, 64)).astype(np.float32), rng.normal(size=(7, 64)).astype(np.float32)
    pairs = np.nonzero(np.ones((5, 7), bool))
    got = METRICS[metric](queries, gallery, pairs).reshape(5, 7)
    np.testing.assert_allclose(got, cdist(queries, gallery, scipys), rtol=1e-5, atol=1e-6)


def test_cosine_of_nothing_is_one_and_not_nan() -> None:
    zeros, pairs = np.zeros((1, 4), np.float32), (np.array([0]), np.array([0]))
    assert METRICS["cosine"](zeros, zeros, pairs).tolist() == [1.0]
