"""Ids of faces: of one image, and of many at once."""

import numpy as np

from facematch.faces import face_ids, ids_of_all


def test_the_ids_of_many_images_are_those_of_each() -> None:
    counts = {0: 1, 3: 0, 7: 256, 5: 2, 2**54: 3}
    faces = {position: np.zeros((k, 128), np.float32) for position, k in counts.items()}
    expected = np.concatenate([face_ids(position, k) for position, k in counts.items()])
    assert ids_of_all(faces).tolist() == expected.tolist()
    assert ids_of_all(faces).dtype == np.int64


def test_of_no_images_there_are_none() -> None:
    assert ids_of_all({}).shape == (0,)
