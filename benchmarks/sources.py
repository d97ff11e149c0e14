"""Many pictures, whatever they come from: a folder (LFW's folders of people, say), a list of URLs
whose files are in a folder, or drawn ones."""

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import overload
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from benchmarks.drawn_encoder import drawn_picture
from benchmarks.pictures import jpeg
from facematch.ingest.source import entries

#: Pixels that a changed picture is cropped by at the most, above and on the left each.
_CROPPED = 8


@dataclass(frozen=True)
class Picture:
    """One to submit, under a name: the bytes, or where `url` is not "" the URL. `read` gives the
    bytes in both cases; it raises OSError."""

    name: str
    read: Callable[[], bytes]
    url: str = ""


def folder_pictures(folder: Path, count: int | None, made: Path) -> list[Picture]:
    """The pictures in a folder and all below it, in an order that mixes them, always the same.

    `count`: so many of them; None: all. When there are fewer, further ones are made by small
    changes, and kept in the folder `made`. Raises Rejected("unreadable"), and ValueError for a
    folder without pictures.
    """
    found = {entry.name: entry.path for entry in entries(folder) if entry.path is not None}
    if not found:
        raise ValueError(f"there is no picture in {folder}")
    names = sorted(found)
    np.random.default_rng(1).shuffle(names)
    pictures = []
    numbers = range(len(names) if count is None else count)
    for number in tqdm(numbers, "pictures", disable=not sys.stderr.isatty()):
        name = names[number % len(names)]
        path, version = found[name], number // len(names)
        if version:
            path = made / f"{number}.jpg"
            path.write_bytes(changed(found[name].read_bytes(), version))
            name = f"{name}, changed {version}"
        pictures.append(Picture(name, path.read_bytes))
    return pictures


def listed_pictures(file: Path, root: Path, server: str, count: int | None) -> list[Picture]:
    """The first `count` (None: all) of a list of URLs, one a line, as they are at `server`, a URL
    like http://127.0.0.1:8000, that serves `root` as `served_file` says. Raises
    Rejected("unreadable")."""
    urls = [entry.name for entry in entries(file)][:count]
    return [
        Picture(url, partial(_served, root, urlsplit(url).path), f"{server}{urlsplit(url).path}")
        for url in urls
    ]


def served_file(root: Path, path: str) -> Path | None:
    """The file in `root` that is meant by the path of a URL: the longest end of it that is one.

    So /lfw/images/Some_One/Some_One_0001.jpg is found in a folder with the folder Some_One, in one
    with the folder images, and in one with the folder lfw.
    """
    parts = [part for part in PurePosixPath(unquote(path)).parts if part != "/"]
    if ".." in parts:
        return None
    ends = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((file for file in ends if file.is_file()), None)


class DrawnPictures(Sequence[Picture]):
    """Pictures of the drawn faces with these numbers; a million of them need no memory."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Picture: ...

    @overload
    def __getitem__(self, index: slice) -> "DrawnPictures": ...

    def __getitem__(self, index: int | slice) -> "Picture | DrawnPictures":
        if isinstance(index, slice):
            return DrawnPictures(self._numbers[index])
        number = self._numbers[index]
        return Picture(f"drawn {number}", partial(drawn_picture, number))


def changed(data: bytes, version: int) -> bytes:
    """A picture, as another image: cropped by some pixels, every other version mirrored, and
    encoded again. What is no picture, or too small, only gets some bytes more."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return data + version.to_bytes(4, "little")
    if min(image.size) <= 4 * _CROPPED:
        return data + version.to_bytes(4, "little")
    left, top = 1 + version % _CROPPED, 1 + version // _CROPPED % _CROPPED
    image = image.crop((left, top, *image.size))
    return jpeg(ImageOps.mirror(image) if version % 2 else image)


def _served(root: Path, path: str) -> bytes:
    file = served_file(root, path)
    if file is None:
        raise FileNotFoundError(f"{root} has no file for {path}")
    return file.read_bytes()
