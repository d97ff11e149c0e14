"""`facematch reindex --encoder`: a second edition of the collection, made by workers with another
encoder while the first is served."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from facematch import progress
from facematch.carrying import CarryParts, pictures_in
from facematch.commands.reindex_parts import Wanted, parts_of
from facematch.embedded import environment
from facematch.errors import Conflict, Misconfigured
from facematch.job import queue_of
from facematch.reencode import Encoder, Outcome, begin_or_go_on, build, judge, switch
from facematch.reindexing import Phase
from facematch.settings import load

#: Of the uploaded bytes that may wait, so many for pictures from a folder; the rest is for clients.
_SHARE_OF_BACKLOG = 0.5


@dataclass(frozen=True)
class OtherEncoder:
    """`name` and `detector` as in the settings, None for the detector as it is set; `pictures`: a
    folder with pictures, None for none."""

    name: str
    detector: str | None
    pictures: Path | None


def run(data: Path | None, wanted: Wanted, other: OtherEncoder) -> Outcome | None:
    """Begin a reindex, or go on with the one there is; carry the images over, compare, switch. None
    when that was done before.

    Raises Conflict, Misconfigured, Rejected, Unavailable.
    """
    settings = load()
    detector = other.detector or settings.detector
    encoder = Encoder(model_of(other.name, detector), other.name, detector)
    with parts_of(data) as parts, progress.one_after_another(sys.stderr) as shown:
        parts.require_service()
        if parts.has_other_collections():
            raise Conflict("other_collections")
        there = begin_or_go_on(parts.reencoding, encoder, wanted.policy)
        if there.phase is Phase.SWITCHED:
            return None
        number = there.later.number
        pictures = {}
        if other.pictures is not None:
            pictures = pictures_in(other.pictures, shown("files read"))
        with parts.broker(queue_of(number)) as broker:
            carry = CarryParts(
                reencoding=parts.reencoding,
                broker=broker,
                number=number,
                pictures=pictures,
                backlog=max(int(settings.backlog_bytes * _SHARE_OF_BACKLOG), settings.max_bytes),
                share=wanted.share or 1.0,
            )
            build(carry, shown("images"))
        outcome = judge(
            parts.reencoding, parts.store, wanted.most_change, check=wanted.check, shown=shown
        )
        if wanted.switch and not outcome.stopped:
            switch(parts.reencoding, number)
        return outcome


def model_of(encoder: str, detector: str) -> str:
    """The fingerprint of what a worker with these settings makes. Raises Misconfigured."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "worker", "model"],
        env=environment(FACEMATCH_ENCODER=encoder, FACEMATCH_DETECTOR=detector),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        # A module may print something when it is imported.
        return done.stdout.strip().rpartition("\n")[2]
    said = done.stderr.strip().splitlines() or [""]
    raise Misconfigured(f"no worker with this encoder can be started here: {said[-1]}")
