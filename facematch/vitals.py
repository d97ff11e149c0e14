"""What the store says of itself and of the work in it, for metrics: a few numbers, got within
milliseconds however large the collection is.

`facematch.redis_vitals` reads them; who tells them (`api.vitals`) takes a function that gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from facematch.reindexing import Phase

#: Of the jobs that were looked after longest ago so many are looked at for the oldest one. No more
#: than that are ever published again at once, so it is the oldest, or one about as old.
JOBS_LOOKED_AT = 1000


@dataclass(frozen=True)
class EditionVitals:
    """Of one edition. Ages are in seconds, 0.0 where there is nothing of the kind; of
    what has failed and is tried again, or is for another edition, since that began.

    `jobs`: accepted and not ended, also those in hand; `oldest_job`: since it was submitted.
    `images`: live ones with faces; `pending`: of these, indexed and not done; `oldest_pending`:
    since that at the lowest position was submitted. `position`: the log's; `entries`: of the log
    that are kept. `erasures`: images that are hidden, and still in match sets of others.
    `upload_bytes`: uploaded and not looked at. `phase`: of a reindex, None without; `ranges_left`
    of its `ranges`.
    """

    number: int
    jobs: int = 0
    oldest_job: float = 0.0
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
class Checked:
    """The last `fsck` of all: how many findings by invariant, and how many seconds ago it ended."""

    findings: Mapping[str, int]
    age: float


@dataclass(frozen=True)
class Vitals:
    """Of a collection, and of the store's server.

    `editions`: the one that is served first. `memory` and `memory_limit` (0: none): bytes that the
    server has taken for data, and may take. `persists`: its last write to disk went well. A server
    whose rules refuse INFO tells neither: 0, 0 and True then.
    """

    editions: tuple[EditionVitals, ...]
    memory: int = 0
    memory_limit: int = 0
    persists: bool = True
    checked: Checked | None = field(default=None)
