"""Both encoders on real pictures, that they agree, and encoders by name."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from planted import PlantedEncoder
from real_pictures import real_pictures, reference_data

from facematch.errors import Misconfigured
from facematch.faces import Box, Encodings, Pixels, distances
from worker.decode import decode
from worker.dlib_encoder import DlibEncoder
from worker.encoder import Encoder, largest, load_encoder
from worker.onnx_encoder import OnnxEncoder

MAX_PIXELS = 10**8
PARITY = 1e-4
ENCODERS = {"onnx": OnnxEncoder(), "dlib": DlibEncoder()}


@pytest.fixture(params=list(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return ENCODERS[request.param]


def pixels_of(name: str) -> Pixels:
    return decode(real_pictures()[name].read_bytes(), MAX_PIXELS).pixels


def encoded(encoder: Encoder, name: str) -> Encodings:
    found = encoder.find(pixels_of(name), 100)
    assert (len(found.boxes), found.total) == (1, 1)
    return encoder.encode(found.crops)


def test_one_person_is_near_and_another_far(encoder: Encoder) -> None:
    obama = encoded(encoder, "obama.jpg")
    assert (obama.shape, obama.dtype) == ((1, 128), np.float32)
    assert distances(obama, encoded(encoder, "obama2.jpg")) < 0.6
    assert distances(obama, encoded(encoder, "biden.jpg")) > 0.6


def test_a_picture_without_a_face_has_none(encoder: Encoder) -> None:
    found = encoder.find(np.full((200, 200, 3), 127, dtype=np.uint8), 100)
    assert (list(found.boxes), found.total) == ([], 0)
    assert encoder.encode(found.crops).shape == (0, 128)


def test_only_the_largest_faces_are_kept_and_the_others_counted(encoder: Encoder) -> None:
    small = pixels_of("biden.jpg")
    large = np.kron(small, np.ones((2, 2, 1), dtype=np.uint8))
    both = np.zeros((large.shape[0], small.shape[1] + large.shape[1], 3), dtype=np.uint8)
    both[: small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = large
    found = encoder.find(both, 1)
    assert (found.total, len(found.crops)) == (2, 1)
    assert [box.left > small.shape[1] for box in found.boxes] == [True]


def test_the_largest_are_kept_in_the_order_in_which_they_were_seen() -> None:
    sides = (3, 9, 1, 9, 5)
    seen = [Box(0, side, side, 0) for side in sides]
    assert [box.right for box in largest(seen, 3)] == [9, 9, 5]
    assert largest(seen, 9) == seen


def test_both_encoders_say_the_same_of_the_same_model() -> None:
    onnx, dlib = ENCODERS["onnx"], ENCODERS["dlib"]
    assert onnx.model == dlib.model
    for name in real_pictures():
        pixels = pixels_of(name)
        ours, theirs = onnx.find(pixels, 100), dlib.find(pixels, 100)
        assert (ours.boxes, ours.total) == (theirs.boxes, theirs.total)
        apart = np.abs(onnx.encode(ours.crops) - dlib.encode(theirs.crops))
        assert apart.max(initial=0) < PARITY


def test_both_detectors_find_the_face_of_a_portrait() -> None:
    # Small, since the network takes seconds for a large picture.
    pixels = np.asarray(Image.fromarray(pixels_of("obama.jpg")).resize((200, 250)))
    by_hog, by_cnn = (OnnxEncoder(name).find(pixels, 9) for name in ("hog", "cnn"))
    assert (by_hog.total, by_cnn.total) == (1, 1)
    ours, theirs = by_hog.boxes[0], by_cnn.boxes[0]
    middle = (theirs.left + theirs.right) / 2, (theirs.top + theirs.bottom) / 2
    assert ours.left < middle[0] < ours.right
    assert ours.top < middle[1] < ours.bottom
    assert DlibEncoder("cnn").find(pixels, 9).boxes == by_cnn.boxes


def test_the_encodings_are_those_of_the_reference(encoder: Encoder) -> None:
    data = reference_data()
    stored = np.load(data / "lfw-reference.npz", allow_pickle=False)
    for row in range(0, len(stored["files"]), len(stored["files"]) // 12):
        picture = decode((data / "lfw" / stored["files"][row]).read_bytes(), MAX_PIXELS)
        found = encoder.find(picture.pixels, 100)
        of_this = stored["image"] == row
        assert found.boxes == [Box(*map(int, b)) for b in stored["box"][of_this]]
        apart = np.abs(encoder.encode(found.crops) - stored["encoding"][of_this])
        assert apart.max(initial=0) < PARITY


def test_loading_face_recognition_leaves_pillow_strict_about_truncated_pictures() -> None:
    ENCODERS["dlib"].find(np.zeros((80, 80, 3), dtype=np.uint8), 1)
    assert "face_recognition" in sys.modules
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(
    ("step", "needed", "spared"),
    [
        ("find(np.zeros((80, 80, 3), dtype=np.uint8), 1)", "dlib", "onnxruntime"),
        ("encode(np.zeros((1, 150, 150, 3), dtype=np.uint8))", "onnxruntime", "dlib"),
    ],
)
def test_a_process_loads_only_what_its_step_needs(step: str, needed: str, spared: str) -> None:
    code = (
        "import sys, numpy as np; from worker.encoder import load_encoder;"
        f"load_encoder('onnx', 'hog', 0).{step};"
        f"assert '{needed}' in sys.modules; assert '{spared}' not in sys.modules;"
        "assert 'face_recognition' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_onnx_runtime_tells_nobody_what_it_does(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from worker.encoder import load_encoder;"
        "load_encoder('onnx', 'hog', 0).encode(np.zeros((1, 150, 150, 3), dtype=np.uint8))"
    )
    # It is silent there by itself.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=Path(__file__).parents[2],
        env=environment | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
    )
    # Where it does tell, it keeps the machine's number, and what is still to be sent.
    assert {path.name for path in tmp_path.iterdir()} == {"facematch"}


def test_an_encoder_of_your_own_is_loaded_by_name() -> None:
    assert isinstance(load_encoder("planted:PlantedEncoder", "hog", 0), PlantedEncoder)


@pytest.mark.parametrize("name", ["", "nothing", "planted:Nothing", "no_module:X", ":"])
def test_an_encoder_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured):
        load_encoder(name, "hog", 0)
