"""dlib's encoder on real pictures, and encoders by name."""

import sys

import numpy as np
import pytest
from PIL import ImageFile
from planted import PlantedEncoder
from real_pictures import real_pictures, reference_data

from facematch.errors import Misconfigured
from facematch.faces import Box, Encodings, distances
from worker.decode import decode
from worker.encoder import DlibEncoder, load_encoder

MAX_PIXELS = 10**8


@pytest.fixture(scope="module")
def encoder() -> DlibEncoder:
    return DlibEncoder()


def encoded(encoder: DlibEncoder, name: str) -> Encodings:
    pixels = decode(real_pictures()[name].read_bytes(), MAX_PIXELS).pixels
    found = encoder.encode(pixels, 100)
    assert (len(found.faces), found.total) == (1, 1)
    return found.faces[0].encoding


def test_one_person_is_near_and_another_far(encoder: DlibEncoder) -> None:
    obama = encoded(encoder, "obama.jpg")
    assert (obama.shape, obama.dtype) == ((128,), np.float32)
    assert distances(obama[None], encoded(encoder, "obama2.jpg")[None]) < 0.6
    assert distances(obama[None], encoded(encoder, "biden.jpg")[None]) > 0.6


def test_a_picture_without_a_face_has_none(encoder: DlibEncoder) -> None:
    found = encoder.encode(np.full((200, 200, 3), 127, dtype=np.uint8), 100)
    assert (list(found.faces), found.total) == ([], 0)


def test_only_the_largest_faces_are_kept_and_the_others_counted(encoder: DlibEncoder) -> None:
    small = decode(real_pictures()["biden.jpg"].read_bytes(), MAX_PIXELS).pixels
    large = np.kron(small, np.ones((2, 2, 1), dtype=np.uint8))
    both = np.zeros((large.shape[0], small.shape[1] + large.shape[1], 3), dtype=np.uint8)
    both[: small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = large
    found = encoder.encode(both, 1)
    assert found.total == 2
    assert [face.box.left > small.shape[1] for face in found.faces] == [True]


def test_the_encodings_are_those_of_the_reference(encoder: DlibEncoder) -> None:
    data = reference_data()
    stored = np.load(data / "lfw-reference.npz", allow_pickle=False)
    for row in range(0, len(stored["files"]), len(stored["files"]) // 12):
        picture = decode((data / "lfw" / stored["files"][row]).read_bytes(), MAX_PIXELS)
        found = encoder.encode(picture.pixels, 100)
        of_this = stored["image"] == row
        assert [face.box for face in found.faces] == [
            Box(*map(int, b)) for b in stored["box"][of_this]
        ]
        for face, encoding in zip(found.faces, stored["encoding"][of_this], strict=True):
            assert np.abs(face.encoding - encoding).max() < 1e-5


def test_loading_it_leaves_pillow_strict_about_truncated_pictures(encoder: DlibEncoder) -> None:
    assert "face_recognition" in sys.modules
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert encoder.model.startswith("dlib-resnet-v1-")


def test_an_encoder_of_your_own_is_loaded_by_name() -> None:
    assert isinstance(load_encoder("planted:PlantedEncoder"), PlantedEncoder)


@pytest.mark.parametrize("name", ["", "nothing", "planted:Nothing", "no_module:X", ":"])
def test_an_encoder_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured):
        load_encoder(name)
