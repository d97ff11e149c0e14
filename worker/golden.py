"""A worker proves at its start that it encodes as every other one does, or refuses to work.

It looks at a drawn face the way it will look at pictures, sandbox and all, and compares the
encoding with the one that face_recognition 1.3.0 with dlib 20.0.1 makes of it.
"""

import io

import numpy as np
from PIL import Image
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from facematch.errors import Misconfigured, Rejected, Unavailable
from facematch.faces import distances
from worker.dlib_weights import MODEL
from worker.golden_drawing import golden_picture
from worker.looking import Looker

#: Above this distance something is computed in another way: it is twice what a change of one
#: pixel by one makes, and a thirtieth of what one landmark makes that lies a pixel off.
TOLERANCE = 1e-3
_ATTEMPTS = 3

# fmt: off
ENCODING = (
    -0.09920835, 0.06236124, 0.05512432, -0.04445732, -0.1292424, 0.04066716, -0.09779958,
    -0.1101856, 0.07257778, -0.1308222, 0.2028135, -0.1056064, -0.2006789, -0.06670372,
    -0.006857351, 0.1335558, -0.1278008, -0.09882984, -0.04133068, -0.1712676, 0.01885747,
    0.1397333, -0.02445046, 0.002748455, -0.1688782, -0.3153833, -0.09249315, -0.1658769, 0.1173,
    -0.02687532, 0.01667616, 0.04556587, -0.1134161, 0.001230579, 0.08347556, 0.1038313,
    -0.08877791, -0.07811075, 0.1508616, -0.0004362604, -0.09683128, 0.02951962, 0.03716405,
    0.2432188, 0.095022, -0.006328183, 0.06102163, -0.09840608, 0.07662635, -0.2174453, 0.03922892,
    0.1436593, 0.1541841, 0.1177871, 0.04941423, -0.1029604, 0.02149654, 0.09946102, -0.2672695,
    0.1184517, 0.05706218, -0.1003217, -0.05813912, -0.03371806, 0.2029343, 0.1624746, -0.126712,
    -0.1818442, 0.1392204, -0.1889241, -0.07729895, 0.1120934, -0.09402456, -0.1266451, -0.2703027,
    0.02988574, 0.3506394, 0.1563754, -0.1539616, -0.03808738, -0.04176175, -0.00986289,
    0.02625955, 0.08534977, -0.08745372, -0.08336135, -0.01612522, 0.07442206, 0.1631664,
    -0.1026863, -0.04032999, 0.2130416, 0.02758918, 0.05205694, -0.005610481, 0.07619579,
    -0.1324057, -0.09407568, 0.02108007, -0.05672725, 0.07083084, -0.06175933, 0.07987087,
    0.129155, -0.1492278, 0.2431218, -0.07548795, -0.06355912, 0.01873074, 0.001335808,
    -0.02805089, 0.007158251, 0.1995458, -0.2220541, 0.1748514, 0.1674972, 0.0351634, 0.1635517,
    0.06272801, 0.04070886, -0.05182013, -0.068738, -0.1446717, -0.1155521, -0.01862063,
    -0.02283229, -0.01246634, 0.006184635,
)
# fmt: on


def check_golden(looker: Looker, model: str) -> None:
    """Raise Misconfigured unless the looker encodes the golden picture as it should.

    Encoders of other models than dlib's are not compared with it.
    """
    if model != MODEL:
        return
    buffer = io.BytesIO()
    Image.fromarray(golden_picture()).save(buffer, "PNG")
    # A machine that has just been started may be too busy for it at first.
    retrying = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        retry=retry_if_exception_type(Unavailable),
        reraise=True,
    )
    try:
        found = retrying(looker.look, buffer.getvalue())
    except (Rejected, Unavailable) as error:
        raise Misconfigured(f"the golden picture cannot be looked at: {error}") from error
    if len(found.faces) != 1:
        raise Misconfigured(f"the golden picture shows one face, not {len(found.faces)}")
    expected = np.array(ENCODING, dtype=np.float32)
    off = distances(found.faces[0].encoding[None], expected[None])[0, 0]
    if not off <= TOLERANCE:
        raise Misconfigured(
            f"this worker does not encode as others do: the golden picture is off by {off:.2g}"
        )
