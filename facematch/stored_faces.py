"""The faces of an image as a store keeps them, in one value.

    encodings  k × 512 bytes, float32
    norms      k × 8 bytes, float32: see facematch.calibration
    size       8 bytes, unsigned: the faces that had been committed in this edition, these included
    version    1 byte

all little-endian. A value of encodings alone, whose length is a multiple of 512, has no norms yet,
or there are none for its model; versions before schema 2 wrote and read no other. Norms and size
never change once they are there, so that whatever follows from them stays what it is.
"""

import struct
from dataclasses import dataclass

import numpy as np

from facematch.calibration import Norms
from facematch.errors import Unavailable
from facematch.faces import ENCODING_BYTES, Encodings, pack_encodings, unpack_encodings

_NORM_BYTES = 8
_END = struct.Struct("<QB")
_VERSION = 1


@dataclass(frozen=True, eq=False)
class StoredFaces:
    """Encodings (k, 128); norms (k, 2), None where they have not been computed; and the faces ever
    committed when these were, 0 without norms."""

    encodings: Encodings
    norms: Norms | None = None
    size: int = 0

    def pack(self) -> bytes:
        """As a value."""
        encodings = pack_encodings(self.encodings)
        if self.norms is None:
            return encodings
        return encodings + pack_norms(self.norms) + _END.pack(self.size, _VERSION)

    @classmethod
    def unpack(cls, data: bytes) -> "StoredFaces":
        """The inverse. Raises Unavailable("newer_data") for a value of a version not known."""
        count = face_count(len(data))
        encodings = unpack_encodings(data[: count * ENCODING_BYTES])
        if len(data) == count * ENCODING_BYTES:
            return cls(encodings)
        if len(data) != count * (ENCODING_BYTES + _NORM_BYTES) + _END.size or data[-1] != _VERSION:
            raise Unavailable("newer_data", "faces are kept in a form that is not known here")
        norms = data[count * ENCODING_BYTES : -_END.size]
        size, _ = _END.unpack(data[-_END.size :])
        return cls(encodings, np.frombuffer(norms, dtype="<f4").reshape(-1, 2), size)


def pack_norms(norms: Norms) -> bytes:
    """Norms (k, 2) as little-endian float32, 8 bytes a face."""
    return np.ascontiguousarray(norms, dtype="<f4").reshape(-1, 2).tobytes()


def face_count(length: int) -> int:
    """How many faces a value of so many bytes has."""
    if length % ENCODING_BYTES == 0:
        return length // ENCODING_BYTES
    return (length - _END.size) // (ENCODING_BYTES + _NORM_BYTES)
