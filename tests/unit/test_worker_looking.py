"""From bytes to faces: the size at which a picture is looked at, and boxes in the full picture."""

import io

import numpy as np
import pytest
from drawn import FORMATS, encoded, quarters
from PIL import Image
from planted import PlantedEncoder, planted_picture
from real_pictures import real_pictures

from facematch.faces import Box, Pixels
from worker.decode import decode
from worker.encoder import Found
from worker.looking import DirectLooker, PictureLimits, see
from worker.onnx_encoder import OnnxEncoder

ORIENTATION = 0x0112


class Recorder:
    """Finds one face that fills the right half of the picture, and remembers the picture."""

    model = "recorder"

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        self.pixels = pixels
        height, width = pixels.shape[:2]
        return Found([Box(0, width, height, width // 2)], 1, np.zeros((1, 128), dtype=np.float32))

    def encode(self, crops: np.ndarray) -> np.ndarray:
        return crops


def limits(max_side: int) -> PictureLimits:
    return PictureLimits(max_pixels=10**8, max_side=max_side, max_faces=10)


def jpeg(width: int, height: int, orientation: int = 1) -> bytes:
    image = quarters().resize((width, height), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, "JPEG", exif=exif.tobytes(), quality=95)


@pytest.mark.parametrize("form", FORMATS)
def test_a_large_picture_is_looked_at_small_and_told_of_in_full(form: str) -> None:
    data = encoded(quarters().resize((960, 640)), form)
    recorder = Recorder()
    seen = see(data, recorder, limits(300))
    assert recorder.pixels.shape == (200, 300, 3)
    assert (seen.width, seen.height) == (960, 640)
    assert seen.boxes == [Box(0, 960, 640, 480)]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_pictures_of_every_mode_are_made_smaller(mode: str) -> None:
    form = "TIFF" if mode in ("CMYK", "I;16", "I", "F") else "PNG"
    if mode.startswith("I;16"):
        image = Image.fromarray(np.full((400, 600), 30_000, dtype=np.uint16))
    else:
        image = Image.new("L", (600, 400), 255).convert(mode)
    picture = decode(encoded(image, form), 10**6, 60)
    assert picture.pixels.shape == (40, 60, 3)
    assert (picture.width, picture.height) == (600, 400)


def test_a_picture_within_the_size_is_not_touched() -> None:
    data = planted_picture(np.random.default_rng(3).normal(size=(2, 128)).astype(np.float32))
    whole, limited = decode(data, 10**6), decode(data, 10**6, 512)
    assert (whole.pixels == limited.pixels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_side", [0, 250, 100])
def test_sizes_are_those_of_the_upright_picture(orientation: int, max_side: int) -> None:
    data = jpeg(960, 640, orientation)
    picture = decode(data, 10**6, max_side)
    upright = (960, 640) if orientation < 5 else (640, 960)
    assert (picture.width, picture.height) == upright
    longer = max_side or 960
    assert max(picture.pixels.shape[:2]) == longer
    assert (picture.pixels.shape[1] > picture.pixels.shape[0]) == (orientation < 5)
    # The same quarters are where they are without a limit.
    whole = decode(data, 10**6).pixels
    for down in (0.25, 0.75):
        for across in (0.25, 0.75):
            places = [
                pixels[int(down * pixels.shape[0]), int(across * pixels.shape[1])].astype(int)
                for pixels in (whole, picture.pixels)
            ]
            assert np.abs(places[0] - places[1]).max() < 20


@pytest.mark.parametrize(("width", "height"), [(5000, 1), (1, 5000), (5000, 3)])
def test_a_thread_of_a_picture_keeps_a_pixel(width: int, height: int) -> None:
    picture = decode(encoded(Image.new("RGB", (width, height)), "PNG"), 10**6, 100)
    assert min(picture.pixels.shape[:2]) == 1
    assert (picture.width, picture.height) == (width, height)
    inside = picture.in_full(Box(0, picture.pixels.shape[1], picture.pixels.shape[0], 0))
    assert inside == Box(0, width, height, 0)


def test_a_face_is_found_in_a_large_picture_where_it_is_in_the_small_one() -> None:
    small = Image.open(real_pictures()["obama.jpg"]).convert("RGB").resize((600, 750))
    buffer = io.BytesIO()
    small.resize((2400, 3000), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=95)
    looker = DirectLooker(OnnxEncoder(), limits(750))
    (large,) = looker.look(buffer.getvalue()).faces
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    (expected,) = looker.look(buffer.getvalue()).faces
    for side in ("top", "right", "bottom", "left"):
        assert abs(getattr(large.box, side) - 4 * getattr(expected.box, side)) < 40
    assert np.linalg.norm(large.encoding - expected.encoding) < 0.3


def test_what_is_planted_is_looked_up_as_it_was() -> None:
    encodings = np.random.default_rng(4).normal(size=(3, 128)).astype(np.float32)
    looked = DirectLooker(PlantedEncoder(), limits(0)).look(planted_picture(encodings))
    assert (np.stack([face.encoding for face in looked.faces]) == encodings).all()
    assert (looked.total, looked.width, looked.height) == (3, 512, 3)
