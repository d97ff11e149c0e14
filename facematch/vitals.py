"""What the store says of itself and of the work in it: a few numbers, got within milliseconds
however large the collection is.

`facematch.redis_vitals` reads them, for metrics (`api.vitals`), `facematch status` and `doctor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from facematch.reindexing import Phase

#: Of the jobs that were looked after longest ago so many are looked at for the oldest one. No more
#: than that are ever published again at once, so it is the oldest, or one about as old.
JOBS_LOOKED_AT = 1000


@dataclass(frozen=True)
class EditionVitals:
    """Of one edition. Ages are in seconds, 0.0 where there is nothing of the kind; of
    what has failed and is tried again, or is for another edition, since that began.

    `jobs`: accepted and not ended, with those `in_hand` of a worker; `oldest_job`: since it was
    submitted; `left_lying`: since anybody looked after the one left longest.
    `images`: live ones with faces; `pending`: of these, indexed and not done; `oldest_pending`:
    since that at the lowest position was submitted. `position`: the log's; `entries`: of the log
    that are kept. `erasures`: images that are hidden, and still in match sets of others.
    `upload_bytes`: uploaded and not looked at. `phase`: of a reindex, None without; `ranges_left`
    of its `ranges`.
    """

    number: int
    jobs: int = 0
    in_hand: int = 0
    oldest_job: float = 0.0
    left_lying: float = 0.0
    images: int = 0
    pending: int = 0
    oldest_pending: float = 0.0
    position: int = 0
    entries: int = 0
    erasures: int = 0
    upload_bytes: int = 0
    phase: Phase | None = None
    ranges: int = 0
    ranges_left: int = 0


@dataclass(frozen=True)
class Others:
    """The collections but the default one: how many there are, how many are being erased, and of
    those in which something was done lately, by name, the edition that is served."""

    count: int
    erasing: int
    busy: Mapping[str, EditionVitals]


@dataclass(frozen=True)
class Checked:
    """The last `fsck` of all: how many findings by invariant, and how many seconds ago it ended."""

    findings: Mapping[str, int]
    age: float


@dataclass(frozen=True)
class Server:
    """The store's server, as far as its rules let it tell: else nothing but the clock.

    `name`: with its version; `version`: that of the Redis it is compatible with, (0, 0) where it
    does not tell. `memory`, `most_memory` (0: any), `machine_memory`: bytes. `write_problem`: what
    is wrong with how it writes its file, "" when nothing is. `clock`: seconds that its clock is
    ahead of ours.
    """

    name: str = "Redis"
    version: tuple[int, ...] = (0, 0)
    memory: int = 0
    most_memory: int = 0
    machine_memory: int = 0
    write_problem: str = ""
    clock: float = 0.0


@dataclass(frozen=True)
class Vitals:
    """Of a collection, and of the store's server.

    `editions`: the one that is served first. `ahead`: how far the number given to a submission
    last, a time, lies in the future of the server's clock; below 0 in its past. `uploads`: bytes
    that wait for workers, in all collections, in the edition of each that is served.
    """

    editions: tuple[EditionVitals, ...]
    server: Server = Server()
    ahead: float = 0.0
    checked: Checked | None = None
    uploads: int = 0

    @property
    def served(self) -> EditionVitals:
        """That of the edition that is served."""
        return self.editions[0]
