"""A pair is decided alike whichever of the two images came first and whatever is compared beside
it, to the last bit of its distance."""

import math

import numpy as np
from histories import MODEL, add
from hypothesis import given, settings
from hypothesis import strategies as st

from facematch.faces import distances
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from worker.matching import find_matches


def matches(first: np.ndarray, second: np.ndarray, threshold: float, beside: int) -> bool:
    """Whether the second image to come matches the first, with so many others beside that."""
    store = MemoryStore()
    store.create(MODEL, threshold)
    add(store, "first", first)
    if beside:
        add(store, "beside", np.full((beside, 128), 9.0, dtype=np.float32))
    position = add(store, "second", second)
    found = find_matches(store, ExactNeighbours(store), second, position, threshold)
    return 1 in [other for other, _ in found.pairs]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), apart=st.floats(0.59, 0.61), beside=st.sampled_from([0, 99]))
def test_at_the_threshold_and_one_step_beside_it_all_decide_alike(
    seed: int, apart: float, beside: int
) -> None:
    rng = np.random.default_rng(seed)
    one = rng.normal(size=(1, 128)).astype(np.float32)
    way = rng.normal(size=(1, 128))
    other = (one + apart * way / np.linalg.norm(way)).astype(np.float32)
    distance = float(distances(one, other)[0, 0])
    for threshold in (distance, math.nextafter(distance, 0), math.nextafter(distance, 1)):
        verdicts = {
            matches(first, second, threshold, beside)
            for first, second in ((one, other), (other, one))
        }
        assert verdicts == {distance <= threshold}
