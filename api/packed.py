"""Many pictures in one body: a list of URLs, a form with files, or a zip archive. Read one at a
time, so that no more than one of them is in memory.
"""

import itertools
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio import multipart

from api.body import too_large
from api.submission import Address, Picture
from facematch.errors import Rejected

_CHUNK = 64 * 1024
#: A list of URLs; the directory of an archive; what is between the files of a form.
_MOST_JSON = 4 * 1024**2
_MOST_DIRECTORY = 1024**2
_MOST_BETWEEN = 1024**2
#: Methods whose memory is bounded whatever an archive says.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Refused:
    """Something that is no picture to be submitted: why, and the name it came under."""

    error: Rejected
    name: str


Packed: TypeAlias = Picture | Address | Refused


def urls(file: IO[bytes]) -> Iterator[Packed]:
    """Those of a JSON document {"urls": […]}. Raises Rejected."""
    data = file.read(_MOST_JSON + 1)
    if len(data) > _MOST_JSON:
        raise too_large(_MOST_JSON)
    form = Rejected(
        "bad_request", 'the JSON document has to be of the form {"urls": ["https://…"]}'
    )
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise form from None
    listed = document.get("urls") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(url, str) for url in listed):
        raise form
    return map(Address, listed)


def files_of_form(file: IO[bytes], boundary: bytes, max_bytes: int) -> Iterator[Packed]:
    """The files of a multipart form; its fields are passed over. Raises Rejected."""
    decoder = multipart.MultipartDecoder(boundary, _MOST_BETWEEN)
    name: str | None = None
    data, size = bytearray(), 0
    try:
        for chunk in itertools.chain(iter(lambda: file.read(_CHUNK), b""), [None]):
            decoder.receive_data(chunk)
            while not isinstance(event := decoder.next_event(), multipart.NeedData):
                if isinstance(event, multipart.Field):
                    name = None
                elif isinstance(event, multipart.File):
                    name, data, size = event.filename or "", bytearray(), 0
                elif isinstance(event, multipart.Data) and name is not None:
                    size += len(event.data)
                    if size <= max_bytes:
                        data += event.data
                    if not event.more_data:
                        yield _picture(bytes(data), size, name, max_bytes)
                        data = bytearray()
                elif isinstance(event, multipart.Epilogue):
                    return
    except (ValueError, RequestEntityTooLarge):
        pass
    raise Rejected("bad_request", "the form cannot be read")


def files_of_zip(
    file: IO[bytes], max_bytes: int, most_files: int, most_bytes: int
) -> Iterator[Packed]:
    """The files of a zip archive, which unpacked are no more than `most_bytes`. Folders and hidden
    files are passed over. Raises Rejected."""
    careful = _Careful(file)
    try:
        archive = zipfile.ZipFile(careful)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Rejected("bad_archive") from error
    # From now on it is pictures that are read, and how much of one is said below.
    careful.most = max(_MOST_DIRECTORY, max_bytes + 1)
    with archive:
        if any(map(_leads_out, archive.infolist())):
            raise Rejected("bad_archive", "a name in the archive leads out of it")
        listed = [info for info in archive.infolist() if not _is_passed_over(info)]
        if len(listed) > most_files:
            raise too_many(most_files)
        for info in listed:
            packed = _unpacked(archive, info, max_bytes)
            most_bytes -= len(packed.data) if isinstance(packed, Picture) else max_bytes
            if most_bytes < 0:
                raise Rejected("too_large", "unpacked, the archive has more bytes than the limit")
            yield packed


def too_many(most: int) -> Rejected:
    """The refusal of more than so many pictures."""
    return Rejected("too_large", f"more than {most:,} pictures in one batch")


class _Careful:
    """A file of which no more than `most` is read at once, at first what the directory of an
    archive may have: zipfile believes what an archive says of its size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.most = _MOST_DIRECTORY

    def read(self, size: int = -1) -> bytes:
        if size > self.most:
            raise zipfile.BadZipFile("its directory is too large")
        return self._file.read(size if size >= 0 else self.most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> Packed:
    name = info.filename.rpartition("/")[2]
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        return Refused(Rejected("bad_archive", "encrypted, or packed in an unusual way"), name)
    try:
        with archive.open(info) as member:
            data = member.read(max_bytes + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        OSError,
        NotImplementedError,
    ) as e:
        return Refused(Rejected("bad_archive", f"it cannot be unpacked: {e}"), name)
    return _picture(data, len(data), name, max_bytes)


def _picture(data: bytes, size: int, name: str, max_bytes: int) -> Packed:
    if size > max_bytes:
        return Refused(too_large(max_bytes), name)
    return Picture(data, name)


def _is_passed_over(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.split("/")
    # Not is_dir(), which some versions of Python cannot tell of an empty name.
    return parts[-1] == "" != info.filename or parts[0] == "__MACOSX" or parts[-1].startswith(".")


def _leads_out(info: zipfile.ZipInfo) -> bool:
    """Nothing is ever written under such a name. But who sends one means no good, or a link."""
    name = info.orig_filename.replace("\\", "/")
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    return name.startswith("/") or name[1:2] == ":" or ".." in name.split("/") or is_link
