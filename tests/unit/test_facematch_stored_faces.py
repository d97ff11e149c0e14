"""The value that keeps an image's faces, in both of its forms."""

import numpy as np
import pytest

from facematch.errors import Unavailable
from facematch.faces import pack_encodings
from facematch.stored_faces import StoredFaces, face_count

_rng = np.random.default_rng(1)
ENCODINGS = _rng.random((300, 128), dtype=np.float32)
NORMS = _rng.random((300, 2), dtype=np.float32)


@pytest.mark.parametrize("count", [1, 2, 61, 256])
def test_a_value_is_read_as_it_was_written(count: int) -> None:
    for norms, size in ((None, 0), (NORMS[:count], 2**40 + 3)):
        data = StoredFaces(ENCODINGS[:count], norms, size).pack()
        found = StoredFaces.unpack(data)
        assert face_count(len(data)) == count
        assert np.array_equal(found.encodings, ENCODINGS[:count])
        assert found.size == size
        if norms is None:
            assert found.norms is None
            assert data == pack_encodings(ENCODINGS[:count])
        else:
            assert found.norms is not None
            assert np.array_equal(found.norms, norms)


def test_no_length_can_be_of_both_forms() -> None:
    assert not {520 * count + 9 for count in range(1, 257)} & set(range(0, 2**18, 512))
    assert face_count(0) == 0


def test_a_value_of_another_version_is_not_read() -> None:
    data = StoredFaces(ENCODINGS[:2], NORMS[:2], 7).pack()
    for other in (data[:-1] + b"\2", data[:-8], data + b"\1"):
        with pytest.raises(Unavailable) as raised:
            StoredFaces.unpack(other)
        assert raised.value.code == "newer_data"
