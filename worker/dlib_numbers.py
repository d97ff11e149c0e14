"""Reads the numbers in what dlib has serialized (dlib/serialize.h, dlib/float_details.h)."""

import math


class NumberReader:
    """Methods raise ValueError where the bytes are not dlib's."""

    #: What the bytes should be, for people.
    what = "number"

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Begins at the byte `at`."""
        self._data = data
        self._at = at

    def integer(self) -> int:
        """One byte with the number of bytes and the sign, then the bytes, little-endian."""
        if self._at >= len(self._data):
            raise ValueError(f"not a {self.what} that dlib wrote")
        head = self._data[self._at]
        start, end = self._at + 1, self._at + 1 + (head & 0x7F)
        self._at = end
        value = int.from_bytes(self._data[start:end], "little")
        return -value if head & 0x80 else value

    def real(self) -> float:
        """A mantissa and an exponent of two."""
        mantissa = self.integer()
        try:
            return math.ldexp(mantissa, self.integer())
        except OverflowError as error:
            raise ValueError("a number that is too large") from error
