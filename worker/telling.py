"""What a worker tells of itself without working: see `worker.__main__` for the words."""

import json
import os
import sys
from collections.abc import Callable

from facematch import logs, startup
from facematch.errors import Misconfigured
from facematch.settings import Settings, load
from worker.consumer import HANDS_PER_SLOT
from worker.encoder import Encoder, calibration_of, load_encoder
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.golden import check_golden
from worker.looking import PictureLimits
from worker.requested import answer_all
from worker.sandbox import Sandbox, SandboxedLooker

#: A picture of 1600 × 1600 pixels took 5 to 7 seconds of processor time with the detector `cnn`,
#: about 1 with `hog`: each may take some ten times what it needs.
CNN_TIMES = 8


def child_settings(settings: Settings) -> ChildSettings:
    """What the children of a worker go by."""
    return ChildSettings(
        encoder=settings.encoder,
        detector=settings.detector,
        picture=PictureLimits(
            settings.max_pixels, settings.max_side, settings.max_faces, settings.keep_thumbnails
        ),
        fetch=FetchLimits(
            settings.max_bytes,
            settings.fetch_timeout,
            settings.fetch_redirects,
            settings.fetch_allowed,
        ),
        memory=settings.picture_memory,
        cpu_seconds=settings.picture_seconds * (CNN_TIMES if settings.detector == "cnn" else 1),
    )


def check_here(settings: Settings, encoder: Encoder) -> None:
    """Raise Misconfigured unless a drawn face is found and encoded as it should be."""
    with Sandbox(child_settings(settings), lookers=1, fetchers=1) as sandbox:
        check_golden(SandboxedLooker(sandbox, encoder), encoder.model)


def look() -> int:
    """Look at files named on standard input; the exit code."""
    # What anything else may print, a library or a child, goes where complaints go.
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        settings = load()
        logs.configure(settings, "worker")
        encoder = load_encoder(settings.encoder, settings.detector, settings.max_side)
        about = {"model": encoder.model, "calibration": calibration_of(encoder)}
        slots = settings.slots or startup.usable_cores()
        with Sandbox(child_settings(settings), lookers=slots, fetchers=1) as sandbox:
            looker = SandboxedLooker(sandbox, encoder)
            check_golden(looker, encoder.model)
            told.write(json.dumps(about) + "\n")
            answer_all(sys.stdin, told, looker, slots * HANDS_PER_SLOT)
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def say_model(check: Callable[[Settings, Encoder], None]) -> int:
    """Print the model, once it is checked; the exit code."""
    try:
        settings = load()
        # On standard output there is the answer alone.
        logs.configure(settings, "worker")
        encoder = load_encoder(settings.encoder, settings.detector, settings.max_side)
        check(settings, encoder)
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{encoder.model}\n")
    return 0
