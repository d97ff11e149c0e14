"""A worker without processes between, for tests of who has it search: what it is asked, it does."""

from dataclasses import dataclass, field

import numpy as np
from planted import PlantedEncoder, people, pictures_of, planted_picture
from submitting import BACKLOG

from facematch.errors import FacematchError
from facematch.faces import image_hash
from facematch.job import new_job_id
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.searching import Found, Probe
from facematch.store import Bounds, NewJob
from worker.looking import DirectLooker, PictureLimits
from worker.pipeline import Parts, process
from worker.searching import SearchParts, search

#: Pictures of two people: of each alone, and one of both, ada first.
RNG = np.random.default_rng(5)
ADA, BOB = people(RNG, 2)
ADAS = [planted_picture(encoding[None]) for encoding in pictures_of(RNG, ADA, 4)]
BOBS = [planted_picture(encoding[None]) for encoding in pictures_of(RNG, BOB, 2)]
BOTH = planted_picture(np.stack([pictures_of(RNG, ADA, 1)[0], pictures_of(RNG, BOB, 1)[0]]))
LIMITS = PictureLimits(max_pixels=10**6, max_side=0, max_faces=100)


@dataclass
class Worker:
    """See facematch.searching.Searcher; fails with `error` where it is to."""

    store: MemoryStore = field(default_factory=MemoryStore)
    probes: list[Probe] = field(default_factory=list)
    error: FacematchError | None = None

    def __post_init__(self) -> None:
        self.store.create(PlantedEncoder.model, 0.6, PlantedEncoder.calibration, Bounds())
        looker = DirectLooker(PlantedEncoder(), LIMITS)
        index = ExactNeighbours(self.store)
        self.parts = Parts(
            *(self.store, index, lambda url: ADAS[0], looker, PlantedEncoder.model, 3),
            calibration=PlantedEncoder.calibration,
        )
        self._search = SearchParts(
            self.store, index, lambda url: ADAS[0], looker, served=lambda: True
        )

    def submit(self, picture: bytes, name: str = "a.png") -> str:
        """Take in a picture, to the end; its hash."""
        job, image = new_job_id(), image_hash(picture)
        self.store.accept(NewJob(job, name, image=image, data=picture), 10**6 + BACKLOG)
        process(job, self.parts)
        return image

    def search(self, probe: Probe) -> Found:
        """See Searcher."""
        self.probes.append(probe)
        if self.error is not None:
            raise self.error
        return search(probe, self._search)
