"""Faces drawn from the distribution are spread as it says."""

import numpy as np

from facematch.encoding_model import encoding_model
from facematch.faces import distances


def test_the_directions_are_orthonormal_and_by_falling_variance() -> None:
    model = encoding_model()
    assert model.basis.shape == (128, 80)
    assert np.abs(model.basis.T @ model.basis - np.eye(80)).max() < 1e-12
    assert model.weights.sum() == 1.0


def test_drawn_faces_are_spread_as_the_model_says() -> None:
    model = encoding_model()
    drawn = model.draw(70_000, np.random.default_rng(1))
    assert drawn.shape == (70_000, 128)
    assert drawn.dtype == np.float32
    points = (drawn - model.mean) @ model.basis
    assert np.abs(points.std(axis=0) / model.deviations() - 1).max() < 0.03
    assert np.abs(drawn - model.mean - points @ model.basis.T).max() < 1e-6
    # Of two people 0.6 % are within 0.6, as among real ones.
    some = distances(drawn[:1000], drawn[1000:2000])
    assert 0.003 < (some <= 0.6).mean() < 0.012


def test_the_same_seed_draws_the_same() -> None:
    one, other = (encoding_model().draw(10, np.random.default_rng(5)) for _ in range(2))
    assert (one == other).all()
