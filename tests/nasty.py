"""Nasty pictures: seven hundred files that mean harm, are broken, or merely odd.

All are made by code and the same in every run; none shows a person, none is larger than the
service's limit. Used by tests/unit/test_worker_nasty.py, and by whoever wants to submit them.

The first word of a name says how decoding must end: see ENDS. The others say what is nasty.
"""

import nasty_avif
import nasty_bmp
import nasty_exif
import nasty_fine
import nasty_gif
import nasty_jpeg
import nasty_others
import nasty_png
import nasty_strips
import nasty_tiff
import nasty_webp
from nasty_parts import LARGEST, Builders

#: What decoding makes of files named like this; "picture" when it succeeds. With any other first
#: word, which is `any`, it may be a picture or any code.
ENDS = {
    "fine": "picture",
    "empty": "empty",
    "wrong": "not_an_image",
    "bomb": "too_many_pixels",
    "cut": "truncated_image",
    "broken": "bad_image",
}

_FAMILIES = (
    nasty_others,
    nasty_fine,
    nasty_exif,
    nasty_jpeg,
    nasty_png,
    nasty_tiff,
    nasty_strips,
    nasty_gif,
    nasty_bmp,
    nasty_webp,
    nasty_avif,
)

#: What makes each file, by its name. Nothing is built before it is called.
BUILDERS: Builders = {
    name: build for family in _FAMILIES for name, build in family.BUILDERS.items()
}

#: What keeps a processor busy for as long as it is let: only the long test in chaos/ has the time.
ENDLESS = {
    "any-heif-grid-of-961-tiles-that-says-96-x-64": "libheif decodes 15 gigapixels of tiles",
    "any-avif-grid-of-3600-tiles-that-say-64-x-64": "libavif decodes 57 gigapixels of tiles",
}


def expected_end(name: str) -> str | None:
    """How decoding a file must end: "picture" or a code. None when several ends are right."""
    return ENDS.get(name.partition("-")[0])


__all__ = ["BUILDERS", "ENDLESS", "ENDS", "LARGEST", "expected_end"]
