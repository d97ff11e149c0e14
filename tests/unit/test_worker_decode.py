"""Decoding: every format, orientation and colour mode."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from drawn import (
    BLUE,
    FORMATS,
    GREEN,
    LIMIT,
    RED,
    WHITE,
    YELLOW,
    chunk,
    corners,
    encoded,
    near,
    png,
    quarters,
)
from PIL import Image

from facematch.errors import Rejected
from worker.costly import Room
from worker.decode import decode


# -- formats ----------------------------------------------------------------------------------
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_its_pixels(form: str) -> None:
    assert near(corners(encoded(quarters(), form)), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_exactly_their_pixels(form: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    picture = decode(encoded(Image.fromarray(pixels), form), LIMIT)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.width, picture.height) == (47, 31)


@pytest.mark.parametrize(
    "options",
    [
        {"form": "JPEG", "progressive": True},
        {"form": "JPEG", "subsampling": 0, "quality": 95},
        {"form": "WEBP", "lossless": True},
        {"form": "TIFF", "compression": "tiff_lzw"},
        {"form": "TIFF", "compression": "tiff_deflate"},
        {"form": "TIFF", "compression": "jpeg"},
        {"form": "TIFF", "big_tiff": True},
    ],
    ids=str,
)
def test_variants_of_formats_are_decoded(options: dict[str, object]) -> None:
    form = str(options.pop("form"))
    assert near(corners(encoded(quarters(), form, **options)), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_counts(form: str) -> None:
    second = Image.new("RGB", (96, 64), "black")
    data = encoded(quarters(), form, save_all=True, append_images=[second])
    assert near(corners(data), [RED, GREEN, BLUE, YELLOW], 24)


def test_a_picture_with_bytes_appended_is_decoded() -> None:
    data = encoded(quarters(), "JPEG") + b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40
    assert near(corners(data), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("size", [(1, 65500), (65500, 1)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
def test_a_picture_one_pixel_wide_is_fine(form: str, size: tuple[int, int]) -> None:
    picture = decode(encoded(Image.new("RGB", size, RED), form), LIMIT)
    assert (picture.width, picture.height) == size
    assert near([tuple(picture.pixels[-1, -1].tolist())], [RED])


def test_a_strip_of_65535_pixels_is_fine() -> None:
    assert decode(encoded(Image.new("L", (1, 65535), 7), "PNG"), LIMIT).height == 65535


def test_nothing_is_registered_before_the_first_picture() -> None:
    program = """if True:
        import sys
        from PIL import Image
        from worker.decode import decode
        assert "HEIF" not in Image.OPEN
        print(decode(sys.stdin.buffer.read(), 10_000).width)
    """
    data = encoded(quarters(), "HEIF")
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    assert (done.stdout.strip(), done.stderr) == (b"96", b"")


# -- orientation ------------------------------------------------------------------------------
def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


#: Where the stored picture's corners come to lie: what EXIF's eight orientations mean.
UPRIGHT = {
    1: [RED, GREEN, BLUE, YELLOW],
    2: [GREEN, RED, YELLOW, BLUE],
    3: [YELLOW, BLUE, GREEN, RED],
    4: [BLUE, YELLOW, RED, GREEN],
    5: [RED, BLUE, GREEN, YELLOW],
    6: [BLUE, RED, YELLOW, GREEN],
    7: [YELLOW, GREEN, BLUE, RED],
    8: [GREEN, YELLOW, RED, BLUE],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_pictures_are_turned_upright(form: str, orientation: int) -> None:
    data = encoded(quarters(), form, exif=oriented(orientation).tobytes())
    assert near(corners(data), UPRIGHT[orientation])
    picture = decode(data, LIMIT)
    assert (picture.width, picture.height) == ((96, 64) if orientation < 5 else (64, 96))


BROKEN_EXIF = {
    "nonsense": b"Exif\x00\x00" + bytes(range(1, 200)),
    "a cut header": b"Exif\x00\x00MM\x00*",
    "entries beyond the end": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x12" * 9,
    "an offset beyond the end": b"Exif\x00\x00II*\x00\xff\xff\xff\x7f",
    "orientation as text": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01"
    + b"\x01\x12\x00\x02\x00\x00\x00\x04abc\x00"
    + bytes(4),
    "orientation 99": oriented(99).tobytes(),
}


@pytest.mark.parametrize("exif", BROKEN_EXIF.values(), ids=BROKEN_EXIF.keys())
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_broken_exif_block_is_ignored(form: str, exif: bytes) -> None:
    if form == "JPEG":
        data = encoded(quarters(), form)
        block = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        data = data[:2] + block + data[2:]
    elif form == "PNG":
        data = encoded(quarters(), form)
        data = data[:33] + chunk(b"eXIf", exif.removeprefix(b"Exif\x00\x00")) + data[33:]
    else:
        described = Image.Exif()
        described[0x010E] = "x" * 300
        data = encoded(quarters(), form, exif=described.tobytes())
        start, end = data.index(b"MM\x00*"), data.index(b"x" * 300) + 300
        broken = exif.removeprefix(b"Exif\x00\x00").ljust(end - start, b"\xee")
        data = data[:start] + broken + data[end:]
    assert near(corners(data), [RED, GREEN, BLUE, YELLOW])


def test_an_orientation_counts_although_the_rest_of_the_exif_is_broken() -> None:
    exif = oriented(6)
    exif[0x0131] = "some software"
    block = exif.tobytes().replace(b"some software", b"")
    data = encoded(quarters(), "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    assert near(corners(data), UPRIGHT[6])


# -- colours ----------------------------------------------------------------------------------
def half_transparent(mode: str) -> Image.Image:
    """The left half red (or dark grey), the right half transparent."""
    image = Image.new("RGBA", (96, 64), (*RED, 255))
    image.paste((0, 0, 0, 0), (48, 0, 96, 64))
    return image.convert(mode)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF"])
def test_transparent_parts_become_white(form: str) -> None:
    assert near(corners(encoded(half_transparent("RGBA"), form)), [RED, WHITE, RED, WHITE])


def test_half_transparency_is_blended_with_white() -> None:
    data = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG")
    assert near(corners(data), [(127, 127, 127)] * 4, 1)


def test_grey_with_alpha_is_composited_on_white() -> None:
    image = Image.new("LA", (8, 8), (40, 255))
    image.paste((40, 0), (4, 0, 8, 8))
    grey = (40, 40, 40)
    assert corners(encoded(image, "PNG")) == [grey, WHITE, grey, WHITE]


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"], ids=["one index", "a table"])
def test_a_palette_with_transparency_is_composited_on_white(transparency: int | bytes) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*GREEN, *RED])
    image.paste(0, (4, 0, 8, 8))
    data = encoded(image, "PNG", transparency=transparency)
    assert corners(data) == [RED, WHITE, RED, WHITE]


@pytest.mark.parametrize(("mode", "colour", "clear"), [("RGB", RED, GREEN), ("L", 40, 90)])
def test_a_transparent_colour_is_composited_on_white(
    mode: str, colour: object, clear: object
) -> None:
    image = Image.new(mode, (8, 8), colour)  # type: ignore[arg-type]
    image.paste(clear, (4, 0, 8, 8))  # type: ignore[arg-type]
    opaque = RED if mode == "RGB" else (40, 40, 40)
    data = encoded(image, "PNG", transparency=clear)
    assert corners(data) == [opaque, WHITE, opaque, WHITE]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(form: str) -> None:
    data = encoded(quarters().convert("CMYK"), form)
    assert near(corners(data), [RED, GREEN, BLUE, YELLOW], 24)


def test_lab_becomes_rgb() -> None:
    data = encoded(Image.new("LAB", (8, 8), (255, 128, 128)), "TIFF")
    assert near(corners(data), [WHITE] * 4, 4)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_black_and_white_grey_and_palettes_become_rgb(form: str, mode: str) -> None:
    image = Image.new("L", (96, 64), 0)
    image.paste(255, (48, 0, 96, 64))
    black = (0, 0, 0)
    assert corners(encoded(image.convert(mode), form)) == [black, WHITE, black, WHITE]


RAMP = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_and_not_clipped(form: str) -> None:
    picture = decode(encoded(Image.fromarray(RAMP), form), LIMIT)
    assert picture.pixels.min() == 0
    assert picture.pixels.max() == 255
    np.testing.assert_allclose(picture.pixels[:, :, 1], RAMP / 257, atol=1)


def test_dark_grey_of_16_bits_stays_dark() -> None:
    picture = decode(encoded(Image.fromarray(RAMP // 257), "PNG"), LIMIT)
    assert picture.pixels.max() == 1


def test_big_endian_grey_of_16_bits_is_scaled() -> None:
    image = Image.frombytes("I;16B", (64, 64), RAMP.astype(">u2").tobytes())
    picture = decode(encoded(image, "TIFF"), LIMIT)
    np.testing.assert_allclose(picture.pixels[:, :, 0], RAMP / 257, atol=1)


@pytest.mark.parametrize("top", [255, 65535, 2**31 - 1])
def test_grey_of_32_bits_is_scaled_by_the_range_it_uses(top: int) -> None:
    ramp = np.linspace(0, top, 64 * 64).reshape(64, 64).astype(np.int32)
    picture = decode(encoded(Image.fromarray(ramp), "TIFF"), LIMIT)
    np.testing.assert_allclose(picture.pixels[:, :, 2], ramp / top * 255, atol=1)


@pytest.mark.parametrize("top", [1.0, 255.0, 1e9])
def test_grey_in_fractions_is_scaled_by_the_range_it_uses(top: float) -> None:
    ramp = np.linspace(0, top, 64 * 64).reshape(64, 64).astype(np.float32)
    ramp[0, 0] = np.nan
    picture = decode(encoded(Image.fromarray(ramp), "TIFF"), LIMIT)
    expected = np.nan_to_num(ramp) / top * 255
    np.testing.assert_allclose(picture.pixels[:, :, 2], expected, atol=1)


def test_colours_of_16_bits_are_scaled() -> None:
    row = b"\x00" + struct.pack(">3H", 65535, 32768, 0) * 8
    assert near(corners(png(8, 8, 16, 2, row * 8)), [(255, 128, 0)] * 4, 1)


# -- what needs more memory than there is ------------------------------------------------------
@pytest.mark.parametrize(
    ("form", "options", "each"),
    [
        ("JPEG", {}, 8),
        ("JPEG", {"progressive": True}, 16),
        ("PNG", {}, 20),
        ("AVIF", {}, 20),
        ("WEBP", {"lossless": True}, 20),
    ],
)
def test_what_may_find_more_room_at_another_time_is_not_tried_in_too_little(
    form: str, options: dict[str, object], each: int
) -> None:
    data, needed = encoded(quarters(), form, **options), 96 * 64 * each
    assert decode(data, LIMIT, room=Room(needed, more=True)).width == 96
    with pytest.raises(MemoryError):
        decode(data, LIMIT, room=Room(needed - 1, more=True))
    assert form in ("WEBP", "AVIF") or decode(data, LIMIT, room=Room(1, more=False)).width == 96


def test_what_seems_to_be_broken_where_there_is_little_room_may_not_be() -> None:
    data = bytearray(encoded(quarters(), "PNG"))
    data[data.index(b"IDAT") + 9] ^= 0xFF
    with pytest.raises(Rejected) as caught:
        decode(bytes(data), LIMIT, room=Room(96 * 64 * 20, more=False))
    assert caught.value.code == "bad_image"
    with pytest.raises(MemoryError):
        decode(bytes(data), LIMIT, room=Room(96 * 64 * 20 - 1, more=False))


@pytest.mark.parametrize(("mode", "each"), [("RGB", 9), ("RGBA", 14)])
def test_an_avif_that_will_never_find_its_memory_has_too_many_pixels(mode: str, each: int) -> None:
    image, needed = quarters().convert(mode), 96 * 64 * each
    image.putpixel((0, 0), (1, 2, 3, 4)[: len(mode)])
    data = encoded(image, "AVIF")
    assert decode(data, LIMIT, room=Room(needed, more=False)).width == 96
    with pytest.raises(Rejected) as caught:
        decode(data, LIMIT, room=Room(needed - 1, more=False))
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"save_all": True, "exif": b"II"}])
def test_a_webp_is_not_opened_in_less_than_pillow_takes_for_it(options: dict[str, object]) -> None:
    data, needed = encoded(quarters(), "WEBP", **options), 96 * 64 * 16
    assert decode(data, LIMIT, room=Room(needed, more=False)).width == 96
    with pytest.raises(MemoryError):
        decode(data, LIMIT, room=Room(needed - 1, more=True))
    for limit, room in ((LIMIT, Room(needed - 1, more=False)), (96 * 64 - 1, Room(1, more=True))):
        with pytest.raises(Rejected) as caught:
            decode(data, limit, room=room)
        assert caught.value.code == "too_many_pixels"
