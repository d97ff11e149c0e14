"""From bytes to faces: the size at which a picture is looked at, and boxes in the full picture."""

import io
from dataclasses import replace

import numpy as np
import pytest
from drawn import FORMATS, encoded, quarters
from PIL import Image
from planted import PlantedEncoder, planted_picture
from real_pictures import real_pictures

from facematch.faces import Box, Pixels
from worker.decode import decode
from worker.dlib_encoder import DlibEncoder
from worker.encoder import Found
from worker.looking import DirectLooker, PictureLimits, see
from worker.onnx_encoder import OnnxEncoder
from worker.working_size import locate

ORIENTATION = 0x0112


class Recorder:
    """Finds one face that fills the right half of the picture, and remembers the picture."""

    model = "recorder"

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        self.pixels = pixels
        return Found(right_half(pixels), 1, np.zeros((1, 128), dtype=np.float32))

    def encode(self, crops: np.ndarray) -> np.ndarray:
        return crops


def right_half(pixels: Pixels) -> list[Box]:
    height, width = pixels.shape[:2]
    return [Box(0, width, height, width // 2)]


def limits(max_side: int) -> PictureLimits:
    return PictureLimits(max_pixels=10**8, max_side=max_side, max_faces=10)


def jpeg(width: int, height: int, orientation: int = 1) -> bytes:
    image = quarters().resize((width, height), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, "JPEG", exif=exif.tobytes(), quality=95)


@pytest.mark.parametrize(
    ("width", "height", "small"),
    [(960, 640, (480, 320)), (300, 200, (300, 200)), (640, 1, (480, 1)), (2000, 3000, (320, 480))],
)
def test_a_thumbnail_is_upright_small_and_has_no_metadata(
    width: int, height: int, small: tuple[int, int]
) -> None:
    turned = 8  # a quarter to the left
    wanted = replace(limits(0), thumbnail=True)
    data = jpeg(height, width, turned)
    with Image.open(io.BytesIO(see(data, Recorder(), wanted).thumbnail)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", small, {})
        upright = np.asarray(Image.fromarray(decode(data, 10**8).pixels).resize(small))
        assert np.abs(np.asarray(image).astype(int) - upright).mean() < 4
    assert see(data, Recorder(), limits(0)).thumbnail == b""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("max_side", "decoded"), [(0, 960), (500, 960), (481, 960), (240, 480), (100, 240), (10, 120)]
)
def test_a_picture_is_decoded_no_larger_than_needed_and_told_of_in_full(
    form: str, max_side: int, decoded: int
) -> None:
    recorder = Recorder()
    seen = see(encoded(quarters().resize((960, 640)), form), recorder, limits(max_side))
    assert recorder.pixels.shape == (decoded * 2 // 3, decoded, 3)
    assert (seen.width, seen.height) == (960, 640)
    assert seen.boxes == [Box(0, 960, 640, 480)]


@pytest.mark.parametrize(("max_side", "looked_at"), [(0, 960), (960, 960), (959, 959), (300, 300)])
def test_faces_are_looked_for_in_a_picture_within_the_size(max_side: int, looked_at: int) -> None:
    sizes = []

    def detect(pixels: Pixels) -> list[Box]:
        sizes.append(pixels.shape)
        return right_half(pixels)

    pixels = np.zeros((640, 960, 3), dtype=np.uint8)
    (box,) = locate(pixels, max_side, detect)
    assert sizes == [(round(looked_at * 2 / 3), looked_at, 3)]
    assert (box.top, box.right, box.bottom) == (0, 960, 640)
    assert abs(box.left - 480) <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_pictures_of_every_mode_look_the_same_when_made_smaller(mode: str) -> None:
    grey = quarters().convert("L").resize((960, 640))
    form = "TIFF" if mode in ("CMYK", "I;16", "I", "F") else "PNG"
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    elif mode in ("I", "F"):
        image = Image.fromarray(np.asarray(grey, dtype=np.int32)).convert(mode)
    else:
        image = grey.convert(mode)
    data = encoded(image, form)
    small, whole = decode(data, 10**6, 240), decode(data, 10**6)
    assert (small.pixels.shape, small.width, small.height) == ((160, 240, 3), 960, 640)
    shrunk = np.asarray(Image.fromarray(whole.pixels).reduce(4)).astype(int)
    assert np.abs(small.pixels - shrunk).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("enough", [0, 480, 100])
def test_sizes_are_those_of_the_upright_picture(orientation: int, enough: int) -> None:
    data = jpeg(960, 640, orientation)
    picture = decode(data, 10**6, enough)
    upright = (960, 640) if orientation < 5 else (640, 960)
    assert (picture.width, picture.height) == upright
    assert max(picture.pixels.shape[:2]) == {0: 960, 480: 480, 100: 120}[enough]
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
    recorder = Recorder()
    seen = see(encoded(Image.new("RGB", (width, height)), "JPEG"), recorder, limits(100))
    assert 1 <= min(recorder.pixels.shape[:2]) <= 2
    assert (seen.width, seen.height) == (width, height)
    (box,) = locate(recorder.pixels, 100, right_half)
    assert (box.right, box.bottom) == recorder.pixels.shape[1::-1]


@pytest.mark.parametrize("encoder", [OnnxEncoder, DlibEncoder])
def test_the_size_in_which_a_face_is_found_hardly_changes_its_encoding(
    encoder: type[OnnxEncoder | DlibEncoder],
) -> None:
    small = Image.open(real_pictures()["obama.jpg"]).convert("RGB").resize((600, 750))
    data = encoded(small.resize((1200, 1500), Image.Resampling.LANCZOS), "JPEG", quality=95)
    whole = DirectLooker(encoder(), limits(0)).look(data)
    for max_side in (700, 300):
        fast = DirectLooker(encoder("hog", max_side), limits(max_side)).look(data)
        assert (fast.width, fast.height, fast.total) == (1200, 1500, 1)
        for side in ("top", "right", "bottom", "left"):
            apart = getattr(whole.faces[0].box, side) - getattr(fast.faces[0].box, side)
            assert abs(apart) < 50
        assert np.linalg.norm(whole.faces[0].encoding - fast.faces[0].encoding) < 0.2


def test_both_encoders_agree_on_pictures_that_are_made_smaller() -> None:
    data = real_pictures()["obama.jpg"].read_bytes()
    ours = DirectLooker(OnnxEncoder("hog", 400), limits(400)).look(data)
    theirs = DirectLooker(DlibEncoder("hog", 400), limits(400)).look(data)
    assert [face.box for face in ours.faces] == [face.box for face in theirs.faces]
    assert np.abs(ours.faces[0].encoding - theirs.faces[0].encoding).max() < 1e-4


def test_what_is_planted_is_looked_up_as_it_was() -> None:
    encodings = np.random.default_rng(4).normal(size=(3, 128)).astype(np.float32)
    looked = DirectLooker(PlantedEncoder(), limits(0)).look(planted_picture(encodings))
    assert (np.stack([face.encoding for face in looked.faces]) == encodings).all()
    assert (looked.total, looked.width, looked.height) == (3, 512, 3)
