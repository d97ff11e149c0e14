"""The golden picture: the same everywhere, and a worker that encodes it otherwise does not work."""

import hashlib

import numpy as np
import pytest

from facematch.errors import Misconfigured, Rejected
from facematch.faces import Box, Encodings, Face
from worker.dlib_encoder import DlibEncoder
from worker.dlib_weights import MODEL
from worker.encoder import Encoder
from worker.golden import ENCODING, TOLERANCE, check_golden
from worker.golden_drawing import canvas, golden_picture
from worker.looking import Crashed, DirectLooker, Looked, PictureLimits
from worker.onnx_encoder import OnnxEncoder

LIMITS = PictureLimits(max_pixels=10**6, max_side=0, max_faces=10)


def test_the_drawing_is_the_same_byte_for_byte_and_far_from_being_rounded_otherwise() -> None:
    digest = hashlib.sha256(golden_picture().tobytes()).hexdigest()
    assert digest == "493f4381f486c4932c1aaa8f0c292aca14b09d61f2fa697ff979dfc190d1a2bb"
    assert np.abs(canvas() % 1 - 0.5).min() > 1e-5


@pytest.mark.parametrize("encoder", [OnnxEncoder(), DlibEncoder()], ids=["onnx", "dlib"])
def test_both_encoders_agree_with_it(encoder: Encoder) -> None:
    check_golden(DirectLooker(encoder, LIMITS), encoder.model)
    (face,) = DirectLooker(encoder, LIMITS).look(_png()).faces
    assert np.linalg.norm(face.encoding - np.array(ENCODING)) < TOLERANCE / 100


def _png() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(golden_picture()).save(buffer, "PNG")
    return buffer.getvalue()


class Told:
    """Sees faces with these encodings, or raises."""

    def __init__(self, *encodings: Encodings, error: Exception | None = None) -> None:
        self.encodings, self.error = encodings, error

    def look(self, data: bytes) -> Looked:
        if self.error:
            raise self.error
        faces = [Face(Box(0, 1, 1, 0), encoding) for encoding in self.encodings]
        return Looked(180, 180, faces, len(faces))


GOLDEN = np.array(ENCODING, dtype=np.float32)
OFF = GOLDEN + np.eye(1, 128, dtype=np.float32)[0] * np.float32(2 * TOLERANCE)


def test_what_encodes_as_it_should_is_taken() -> None:
    check_golden(Told(GOLDEN), MODEL)


@pytest.mark.parametrize(
    ("looker", "reason"),
    [
        (Told(OFF), "off by 0.002"),
        (Told(), "one face, not 0"),
        (Told(GOLDEN, GOLDEN), "one face, not 2"),
        (Told(error=Rejected("bad_image")), "cannot be looked at"),
        (Told(error=Crashed("timed_out")), "cannot be looked at"),
    ],
)
def test_what_does_not_is_refused(looker: Told, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        check_golden(looker, MODEL)


def test_a_busy_machine_is_given_time() -> None:
    class Busy(Told):
        failures = 2

        def look(self, data: bytes) -> Looked:
            if self.failures:
                self.failures -= 1
                raise Crashed("timed_out")
            return super().look(data)

    check_golden(Busy(GOLDEN), MODEL)


def test_another_model_is_not_compared() -> None:
    check_golden(Told(OFF), "another model")
