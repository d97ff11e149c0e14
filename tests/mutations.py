"""Files changed a little, without end: what fuzzing feeds to a decoder.

Used by tests/unit/test_worker_nasty.py. The same seed and samples give the same files.
"""

import random
import struct
from collections.abc import Callable, Iterator, Sequence

from nasty_parts import LARGEST

#: Most changes happen here: this is where formats say what they are.
HEADER = 512
_LONGEST = 4096

_BYTES = (0x00, 0x7F, 0x80, 0xFF)
_NUMBERS = {
    "H": (0, 1, 2, 3, 7, 8, 255, 256, 4095, 32767, 32768, 65534, 65535),
    "I": (0, 1, 7, 8, 65535, 65536, 2**24 - 1, 2**30, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1),
}

_Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutations(seed: int, samples: Sequence[bytes]) -> Iterator[bytes]:
    """Samples with one to eight changes, for ever; none is larger than an upload may be."""
    rng = random.Random(seed)
    while True:
        data = bytearray(rng.choice(samples))
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            rng.choice(_CHANGES)(rng, data, samples)
        yield bytes(data[:LARGEST])


def _place(rng: random.Random, data: bytearray) -> int:
    reach = HEADER if rng.random() < 0.7 else len(data)
    return rng.randrange(max(1, min(reach, len(data))))


def _stretch(rng: random.Random, data: bytearray) -> slice:
    """A few bytes or, seldom, thousands."""
    start = _place(rng, data)
    return slice(start, start + min(int(2 ** rng.uniform(0, 13)), _LONGEST))


def _flip_bits(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _fill(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    stretch = _stretch(rng, data)
    data[stretch] = bytes((rng.choice(_BYTES),)) * len(data[stretch])


def _randomize(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    stretch = _stretch(rng, data)
    data[stretch] = rng.randbytes(len(data[stretch]))


def _write_number(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    kind, numbers = rng.choice(tuple(_NUMBERS.items()))
    written = struct.pack(rng.choice("<>") + kind, rng.choice(numbers))
    start = _place(rng, data)
    data[start : start + len(written)] = written


def _write_length(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    """A number that may have to do with how much there is."""
    start = _place(rng, data)
    left = max(0, len(data) - start + rng.randint(-8, 8))
    written = struct.pack(rng.choice("<>") + "I", left)
    data[start : start + len(written)] = written


def _delete(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    del data[_stretch(rng, data)]


def _duplicate(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    stretch = _stretch(rng, data)
    data[stretch.start : stretch.start] = data[stretch] * rng.choice((1, 1, 2, 30))


def _insert(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    other = bytearray(rng.choice(samples))
    start = _place(rng, data)
    data[start:start] = other[_stretch(rng, other)]


def _swap(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    one, other = sorted((_stretch(rng, data), _stretch(rng, data)), key=lambda part: part.start)
    if one.stop <= other.start:
        data[one.start : other.stop] = data[other] + data[one.stop : other.start] + data[one]


def _truncate(rng: random.Random, data: bytearray, _samples: Sequence[bytes]) -> None:
    del data[_place(rng, data) + 1 :]


def _splice(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    """The start of the one and the end of another."""
    other = rng.choice(samples)
    at = _place(rng, data)
    data[at:] = other[at if rng.random() < 0.5 else rng.randrange(len(other) + 1) :]


_CHANGES: tuple[_Change, ...] = (
    _flip_bits,
    _flip_bits,
    _fill,
    _randomize,
    _write_number,
    _write_number,
    _write_length,
    _delete,
    _duplicate,
    _insert,
    _swap,
    _truncate,
    _splice,
)
