"""Looking at many pictures, as a worker does: in its sandbox, on every core, with progress."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from facematch import progress
from worker.consumer import HANDS_PER_SLOT
from worker.encoder import load_encoder
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.looking import DirectLooker, Looked, PictureLimits
from worker.onnx_encoder import OnnxEncoder
from worker.sandbox import Sandbox, SandboxedLooker

#: The defaults of facematch.settings.
DEFAULT_LIMITS = PictureLimits(max_pixels=64_000_000, max_side=1600, max_faces=100)
#: Everything as it comes: face_recognition looks at every pixel.
UNLIMITED = PictureLimits(max_pixels=10**9, max_side=0, max_faces=10**6)


def direct(detector: str = "hog", limits: PictureLimits = DEFAULT_LIMITS) -> DirectLooker:
    """What a worker has, without the sandbox: one picture at a time, in this process."""
    return DirectLooker(OnnxEncoder(detector, limits.max_side), limits)


@contextmanager
def looker(slots: int, encoder: str = "onnx") -> Iterator[SandboxedLooker]:
    """A worker's looker with so many slots, while the context lasts."""
    settings = ChildSettings(
        encoder=encoder,
        detector="hog",
        picture=DEFAULT_LIMITS,
        fetch=FetchLimits(max_bytes=1, timeout=1.0, redirects=0),
        memory=8 << 30,
        cpu_seconds=3600,
    )
    with Sandbox(settings, lookers=slots, fetchers=1) as sandbox:
        yield SandboxedLooker(sandbox, load_encoder(encoder, "hog", DEFAULT_LIMITS.max_side))


def look_at_all(
    looker: SandboxedLooker, slots: int, pictures: Sequence[Path | bytes]
) -> list[Looked]:
    """What is seen in each picture, in their order."""

    def look(picture: Path | bytes) -> Looked:
        return looker.look(picture if isinstance(picture, bytes) else picture.read_bytes())

    with (
        closing(progress.on(sys.stderr, "pictures")) as shown,
        ThreadPoolExecutor(slots * HANDS_PER_SLOT) as pool,
    ):
        found = []
        for seen in pool.map(look, pictures):
            found.append(seen)
            shown.update(len(found), len(pictures))
    return found
