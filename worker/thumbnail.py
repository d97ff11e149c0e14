"""The small picture that is kept of an image where the operator wants it: made where its pixels
are, which is in a sandboxed child."""

import io

from PIL import Image

from facematch.faces import Pixels

#: Pixels of its longer side: enough to know a face by in a picture of a few people.
SIDE = 480
#: Bytes that no such picture has: the worst case is about a third of it.
MOST_BYTES = 512 * 1024
_QUALITY = 80


def thumbnail(pixels: Pixels) -> bytes:
    """A JPEG of an upright picture (h, w, 3), nothing of its metadata in it; never larger than it
    was."""
    small = Image.fromarray(pixels)
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def is_thumbnail(data: bytes) -> bool:
    """Whether bytes may be one, or none: they come from a process that may have been taken over."""
    return not data or (len(data) <= MOST_BYTES and data.startswith(b"\xff\xd8\xff"))
