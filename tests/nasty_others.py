"""What is no picture, more than a picture, or less than one."""

import gzip
import io
import json
import struct
import zipfile
from functools import partial

from drawn import FORMATS, chunk, encoded, quarters
from nasty_parts import MEBIBYTE, Builders, after_start, box, noise, quartered, segment

PAGE = b"<!doctype html>\n<html><head><title>404</title></head><body>Not here.</body></html>\n"
SVG = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>\n"
PDF = b"%PDF-1.7\n1 0 obj <</Type /XObject /Subtype /Image /Filter /DCTDecode>> stream\n"
SCRIPT = b"*/=1;alert(1);//"


def zipped(data: bytes = PAGE) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("picture.jpg"), data)
    return buffer.getvalue()


def icon() -> bytes:
    data = quartered("PNG")
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 96, 64, 0, 0, 1, 32, len(data), 22) + data


def film(brand: bytes) -> bytes:
    return box(b"ftyp", brand + bytes(4) + b"isommp42") + box(b"mdat", bytes(999))


#: What is no picture of a format that is looked at, whatever the file is called.
WRONG: Builders = {
    "page": lambda: PAGE,
    "page-after-a-byte-order-mark": lambda: b"\xef\xbb\xbf" + PAGE,
    "json": lambda: json.dumps({"error": "not found"}).encode(),
    "text": lambda: b"GIF by somebody\n" * 99,
    "svg": lambda: SVG,
    "eps": lambda: encoded(quarters(), "EPS"),
    "pdf": lambda: PDF,
    "pdf-with-a-jpeg": lambda: PDF + quartered("JPEG") + b"\nendstream",
    "fits": lambda: b"SIMPLE  =                    T / FITS".ljust(2880),
    "photoshop": lambda: (
        b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 64, 96, 8, 3) + bytes(99)
    ),
    "icon": icon,
    "cursor": lambda: b"\x00\x00\x02" + icon()[3:],
    "apple-icon": lambda: encoded(quarters().resize((64, 64)), "ICNS"),
    "jpeg-2000": lambda: encoded(quarters(), "JPEG2000"),
    "jpeg-xl": lambda: b"\xff\x0a" + bytes(range(99)),
    "jpeg-xl-in-boxes": lambda: box(b"JXL ", b"\r\n\x87\n") + bytes(99),
    "flif": lambda: b"FLIF31" + bytes(range(99)),
    "portable-pixmap": lambda: encoded(quarters(), "PPM"),
    "targa": lambda: encoded(quarters(), "TGA"),
    "pcx": lambda: encoded(quarters(), "PCX"),
    "dds": lambda: encoded(quarters(), "DDS"),
    "radiance": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n" + bytes(256),
    "open-exr": lambda: b"v/1\x01\x02\x00\x00\x00" + bytes(99),
    "djvu": lambda: b"AT&TFORM\x00\x00\x00\x63DJVU" + bytes(99),
    "metafile": lambda: b"\xd7\xcd\xc6\x9a" + bytes(99),
    "zip": zipped,
    "zip-with-a-jpeg": lambda: zipped(quartered("JPEG")),
    "gzip": lambda: gzip.compress(quartered("PNG"), mtime=0),
    "tar": lambda: b"picture.jpg".ljust(257, b"\x00") + b"ustar\x0000" + bytes(999),
    "elf": lambda: b"\x7fELF\x02\x01\x01" + bytes(99),
    "exe": lambda: b"MZ\x90\x00" + bytes(99),
    "java": lambda: b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + bytes(99),
    "sqlite": lambda: b"SQLite format 3\x00" + bytes(99),
    "mp4": partial(film, b"isom"),
    "quicktime": partial(film, b"qt  "),
    "mp3": lambda: b"ID3\x04\x00\x00" + bytes(99),
    "mp3-without-a-tag": lambda: b"\xff\xfb\x90\x64" + bytes(413),
    "ogg": lambda: b"OggS\x00\x02" + bytes(99),
    "matroska": lambda: b"\x1a\x45\xdf\xa3" + bytes(99),
    "wave": lambda: b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(99),
    "avi": lambda: b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(99),
    "webp-of-an-unknown-kind": lambda: b"RIFF\x24\x00\x00\x00WEBPVP9 " + bytes(99),
    "jpeg-after-a-line": lambda: b"\r\n" + quartered("JPEG"),
    "jpeg-without-its-start": lambda: quartered("JPEG")[2:],
    "png-that-went-through-text-mode": lambda: quartered("PNG").replace(b"\r\n", b"\n"),
    "jpeg-in-base64": lambda: b"data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==",
    "jpeg-as-text": lambda: quartered("JPEG").decode("latin-1").encode(),
    "gif-of-another-version": lambda: b"GIF88a" + quartered("GIF")[6:],
    "zero-byte": lambda: b"\x00",
    "byte-of-ones": lambda: b"\xff",
    "letter-of-a-bmp": lambda: b"B",
    "zeros": lambda: bytes(1000),
    "10-megabytes-of-ones": lambda: b"\xff" * (10 * MEBIBYTE),
}


# -- more than a picture ------------------------------------------------------------------------
def gif_and_script() -> bytes:
    """A GIF whose width reads as the start of a comment."""
    data = quartered("GIF")
    return data[:6] + b"/*" + data[8:] + SCRIPT


def bmp_and_script() -> bytes:
    return quartered("BMP")[:2] + b"/*\x00\x00" + quartered("BMP")[6:] + SCRIPT


def png_and_page() -> bytes:
    data = quartered("PNG")
    return data[:33] + chunk(b"tEXt", b"Comment\x00<script>alert(1)</script>") + data[33:]


MORE: Builders = {
    "fine-jpeg-and-zip": lambda: quartered("JPEG") + zipped(),
    "fine-jpeg-and-page": lambda: after_start(segment(0xFE, PAGE)),
    "fine-jpeg-and-pdf": lambda: after_start(segment(0xFE, PDF)),
    "fine-jpeg-and-film": lambda: quartered("JPEG") + film(b"mp42"),
    "fine-jpeg-and-jpeg": lambda: quartered("JPEG") * 2,
    "fine-jpeg-and-2-megabytes-of-jpegs": lambda: (
        quartered("JPEG") * (2 * MEBIBYTE // len(quartered("JPEG")))
    ),
    "any-gif-and-script": gif_and_script,
    "fine-bmp-and-script": bmp_and_script,
    "fine-png-and-page": png_and_page,
    "fine-png-and-zip": lambda: quartered("PNG") + zipped(),
    "fine-tiff-and-pdf": lambda: quartered("TIFF") + PDF,
    "fine-webp-and-zip": lambda: quartered("WEBP") + zipped(),
}

# -- less than a picture ------------------------------------------------------------------------
CUTS = {"header": 20, "third": 1 / 3, "half": 1 / 2, "most": 0.9}


def cut(form: str, at: float, **options: object) -> bytes:
    data = encoded(noise(128, 96), form, **options)
    return data[: int(at if at > 1 else at * len(data))]


BUILDERS: Builders = {
    "empty": lambda: b"",
    **{f"wrong-{name}": build for name, build in WRONG.items()},
    **MORE,
    **{
        f"cut-{form.lower()}-{name}": partial(cut, form, at)
        for form in FORMATS
        for name, at in CUTS.items()
    },
    "cut-jpeg-progressive-half": partial(cut, "JPEG", 0.5, progressive=True),
    "cut-webp-lossless-half": partial(cut, "WEBP", 0.5, lossless=True),
    "cut-tiff-lzw-half": partial(cut, "TIFF", 0.5, compression="tiff_lzw"),
    "cut-png-in-its-signature-and-no-more": lambda: quartered("PNG")[:16],
    "any-jpeg-of-3-bytes": lambda: b"\xff\xd8\xff",
    "any-tiff-of-4-bytes": lambda: b"MM\x00*",
    "any-gif-of-6-bytes": lambda: b"GIF89a",
    "any-webp-of-16-bytes": lambda: quartered("WEBP")[:16],
    "any-png-of-8-bytes": lambda: quartered("PNG")[:8],
    "any-avif-of-12-bytes": lambda: quartered("AVIF")[:12],
}
