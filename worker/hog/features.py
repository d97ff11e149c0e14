"""The 31 features of a cell: its histogram, normalised by the energy of its neighbours.

18 with and 9 without the sign of the orientation, and 4 of texture. Source:
dlib/image_transforms/fhog.h (`impl_extract_fhog_features`), after Felzenszwalb et al. 2010,
section 6.2. The sums differ from dlib's in the order of additions.
"""

import math

from numpy import float32

from facematch.vector_code import Floats
from worker.hog.compiled import fast

PLANES = 31


@fast
def row_features(
    histogram: Floats,
    above: Floats,
    here: Floats,
    below: Floats,
    count: int,
    room: Floats,
    features: Floats,
    row: int,
) -> None:
    """The features of a row of `count` cells to `features[:, row, 4 : 4 + count]`.

    `histogram` (18, count + 2) is of the row; `above`, `here`, `below` (count + 2,) are energies
    of it and its neighbours. `room`, (3, 4, count), is to work in. The features of the cells at
    the border of a level, and the first four columns, stay as they are.
    """
    limits, scales, textures = room[0], room[1], room[2]
    _normalise(above, here, below, count, limits, scales)
    l0, l1, l2, l3 = limits[0], limits[1], limits[2], limits[3]
    s0, s1, s2, s3 = scales[0], scales[1], scales[2], scales[3]
    t0, t1, t2, t3 = textures[0], textures[1], textures[2], textures[3]
    textures[:, :count] = 0
    for orientation in range(18):
        signed = features[orientation, row, 4 : 4 + count]
        own = histogram[orientation, 1 : 1 + count]
        for x in range(count):
            a, b = min(own[x], l0[x]) * s0[x], min(own[x], l1[x]) * s1[x]
            c, d = min(own[x], l2[x]) * s2[x], min(own[x], l3[x]) * s3[x]
            signed[x] = (a + b) + (c + d)
            t0[x] += a
            t1[x] += b
            t2[x] += c
            t3[x] += d
    for orientation in range(9):
        unsigned = features[18 + orientation, row, 4 : 4 + count]
        own = histogram[orientation, 1 : 1 + count]
        opposite = histogram[orientation + 9, 1 : 1 + count]
        for x in range(count):
            both = own[x] + opposite[x]
            a, b = min(both, l0[x]) * s0[x], min(both, l1[x]) * s1[x]
            c, d = min(both, l2[x]) * s2[x], min(both, l3[x]) * s3[x]
            unsigned[x] = (a + b) + (c + d)
    for number in range(4):
        texture = features[27 + number, row, 4 : 4 + count]
        total = textures[number]
        for x in range(count):
            texture[x] = total[x] * float32(0.4714)


@fast
def _normalise(
    above: Floats, here: Floats, below: Floats, count: int, limits: Floats, scales: Floats
) -> None:
    """Where a value is cut off, and by what it is multiplied then, for each of the four squares
    of cells that a cell belongs to."""
    for x in range(count):
        left, right = here[x] + here[x + 1], here[x + 1] + here[x + 2]
        e0, e1 = right + (below[x + 1] + below[x + 2]), right + (above[x + 1] + above[x + 2])
        e2, e3 = left + (below[x] + below[x + 1]), left + (above[x] + above[x + 1])
        limits[0, x] = float32(0.2) * math.sqrt(e0 + float32(1e-4))
        limits[1, x] = float32(0.2) * math.sqrt(e1 + float32(1e-4))
        limits[2, x] = float32(0.2) * math.sqrt(e2 + float32(1e-4))
        limits[3, x] = float32(0.2) * math.sqrt(e3 + float32(1e-4))
        scales[0, x], scales[1, x] = float32(0.1) / limits[0, x], float32(0.1) / limits[1, x]
        scales[2, x], scales[3, x] = float32(0.1) / limits[2, x], float32(0.1) / limits[3, x]
