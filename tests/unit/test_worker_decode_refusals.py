"""Decoding: every way in which bytes can be no picture ends in its own code."""

import struct
import threading
import zlib

import numpy as np
import pytest
from drawn import BLUE, FORMATS, GREEN, RED, YELLOW, code_of, corners, encoded, near, png, quarters
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from worker.costly import MAX_JPEG_SCANS, MAX_JPEG_SEGMENTS, MAX_PNG_PROFILES


# -- what is no picture -----------------------------------------------------------------------
def test_no_bytes_are_empty() -> None:
    assert code_of(b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"<!doctype html><title>404</title>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        b"SIMPLE  =                    T / FITS".ljust(2880),
        b"PK\x03\x04 a zip",
        b"P6 2 2 255\n" + bytes(12),
        b"\x00\x00\x01\x00\x01\x00",
        b"8BPS\x00\x01" + bytes(20),
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\x00",
        bytes(1000),
        "ÿØÿ as text".encode(),
        b"{}",
    ],
)
def test_other_bytes_are_not_an_image(data: bytes) -> None:
    assert code_of(data) == "not_an_image"


@pytest.mark.parametrize(
    "form", ["PPM", "ICO", "PCX", "TGA", "ICNS", "DDS", "EPS", "PDF", "SGI", "JPEG2000"]
)
def test_formats_that_nobody_asked_for_are_not_an_image(form: str) -> None:
    assert code_of(encoded(quarters(), form)) == "not_an_image"


# -- what ends too early ----------------------------------------------------------------------
def noisy() -> Image.Image:
    rng = np.random.default_rng(2)
    return Image.fromarray(
        np.kron(rng.integers(0, 256, (12, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    )


@pytest.mark.parametrize("loads_truncated", [True, False])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {}),
        ("HEIF", {}),
    ],
    ids=str,
)
def test_a_picture_cut_anywhere_is_truncated(
    form: str,
    options: dict[str, object],
    loads_truncated: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", loads_truncated)
    data = encoded(noisy(), form, **options)
    assert code_of(data) == ""
    cuts = [*range(16, 200, 9), *range(200, len(data) - 40, max(1, len(data) // 40))]
    assert {cut: code_of(data[:cut]) for cut in cuts} == dict.fromkeys(cuts, "truncated_image")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is loads_truncated


def test_a_picture_without_its_last_marker_is_still_whole() -> None:
    data = encoded(quarters(), "PNG")
    assert near(corners(data[:-12]), [RED, GREEN, BLUE, YELLOW])


# -- what is broken ---------------------------------------------------------------------------
def test_a_picture_with_a_wrong_checksum_is_broken() -> None:
    data = bytearray(encoded(noisy(), "PNG"))
    data[60] ^= 0xFF
    assert code_of(bytes(data)) == "bad_image"


@pytest.mark.parametrize(
    "data",
    [
        b"BM" + bytes(200),
        b"II*\x00\x08\x00\x00\x00" + bytes(200),
        b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"\x3b" + bytes(50),
        png(8, 8, 7, 2, b""),
        png(8, 8, 8, 2, b"\x09" * 400),
        b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(200),
        b"\x00\x00\x00\x18ftypheic" + bytes(8) + b"heic" + bytes(400),
    ],
)
def test_a_signature_followed_by_nonsense_is_broken(data: bytes) -> None:
    assert code_of(data) == "bad_image"


def test_a_jpeg_that_repaints_itself_for_hours_is_broken() -> None:
    data = encoded(quarters(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    assert code_of(data[:start] + scan * 50 + data[-2:]) == ""
    assert code_of(data[:start] + scan * (MAX_JPEG_SCANS + 1) + data[-2:]) == "bad_image"


def test_a_jpeg_or_png_of_far_more_parts_than_any_needs_is_broken() -> None:
    comment, jpeg = b"\xff\xfe\x00\x02", encoded(quarters(), "JPEG")
    assert code_of(jpeg[:2] + comment * (MAX_JPEG_SEGMENTS // 2) + jpeg[2:]) == ""
    assert code_of(jpeg[:2] + comment * (MAX_JPEG_SEGMENTS + 1) + jpeg[2:]) == "bad_image"
    profile = struct.pack(">I", 0) + b"iCCP" + struct.pack(">I", zlib.crc32(b"iCCP"))
    picture = encoded(quarters(), "PNG")
    many = picture[:33] + profile * (MAX_PNG_PROFILES + 1) + picture[33:]
    assert code_of(many) == "bad_image"


# -- what is too large ------------------------------------------------------------------------
@pytest.mark.parametrize("form", FORMATS)
def test_the_limit_of_pixels_is_inclusive(form: str) -> None:
    data = encoded(quarters(), form)
    assert code_of(data, 96 * 64) == ""
    assert code_of(data, 96 * 64 - 1) == "too_many_pixels"
    assert code_of(data, 100) == "too_many_pixels"


def bomb_webp() -> bytes:
    header = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\x00" + b"\xff\x3f\x00"
    body = b"WEBP" + header + encoded(quarters(), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bomb(form: str) -> bytes:
    """A small file whose header promises hundreds of millions of pixels or more."""
    data = encoded(quarters(), form)
    match form:
        case "PNG":
            return png(100_000, 100_000, 8, 2, b"")
        case "WEBP":
            return bomb_webp()
        case "GIF":
            return data[:6] + struct.pack("<HH", 65535, 65535) + data[10:]
        case "JPEG":
            at = data.index(b"\xff\xc0") + 5
            return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
        case "BMP":
            return data[:18] + struct.pack("<ii", 60_000, 60_000) + data[26:]
        case _:
            return data.replace(
                struct.pack("<HHII", 256, 4, 1, 96), struct.pack("<HHII", 256, 4, 1, 10**6)
            ).replace(struct.pack("<HHII", 257, 4, 1, 64), struct.pack("<HHII", 257, 4, 1, 10**6))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "JPEG", "BMP", "TIFF"])
def test_a_bomb_is_refused_by_its_header(form: str) -> None:
    data = bomb(form)
    assert len(data) < 100_000
    assert code_of(data) == "too_many_pixels"


def test_the_limit_is_ours_and_not_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert code_of(encoded(quarters(), "PNG")) == ""
    assert Image.MAX_IMAGE_PIXELS == 10


def test_threads_with_different_limits_do_not_disturb_each_other() -> None:
    data, results = encoded(quarters(), "PNG"), []

    def repeatedly(limit: int, expected: str) -> None:
        results.extend(code_of(data, limit) == expected for _ in range(20))

    threads = [
        threading.Thread(target=repeatedly, args=arguments)
        for arguments in ((96 * 64, ""), (100, "too_many_pixels")) * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 120


# -- anything at all --------------------------------------------------------------------------
SAMPLES = [encoded(quarters().resize((24, 16)), form) for form in FORMATS]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=6),
    st.floats(0.2, 1),
)
def test_damaged_pictures_end_as_a_picture_or_a_code(
    data: bytes, damages: list[tuple[float, bytes]], kept: float
) -> None:
    damaged = bytearray(data[: int(len(data) * kept)])
    for place, new in damages:
        at = int(place * len(damaged))
        damaged[at : at + len(new)] = new
    assert code_of(bytes(damaged), 10**6) in {
        "",
        "empty",
        "bad_image",
        "truncated_image",
        "too_many_pixels",
        "not_an_image",
    }


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([data[:16] for data in SAMPLES]), st.binary(max_size=400))
def test_a_signature_with_anything_behind_it_ends_in_a_code(signature: bytes, rest: bytes) -> None:
    assert code_of(signature + rest, 10**6) in {
        "",
        "bad_image",
        "truncated_image",
        "too_many_pixels",
    }
