"""Pictures of some people come and go, and what the service has acknowledged is remembered."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from patience import patient
from planted import people, pictures_of, planted_picture

PEOPLE = 20


@dataclass
class Ledger:
    """What the service has acknowledged: pictures taken, jobs, images erased."""

    person: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)

    def live_of(self, person: int) -> set[str]:
        return {h for h, owner in self.person.items() if owner == person and h not in self.erased}


def come_and_go(
    url: str, ledger: Ledger, rng: np.random.Generator, stop: threading.Event, pause: float
) -> None:
    """Submit pictures to the service at this URL and erase some, until `stop` is set; up to `pause`
    seconds between two."""
    persons = people(np.random.default_rng(0), PEOPLE)
    while not stop.is_set():
        owner = int(rng.integers(PEOPLE))
        picture = planted_picture(pictures_of(rng, persons[owner], 1))
        image = hashlib.sha256(picture).hexdigest()
        answer = patient("POST", f"{url}/v1/images", data=picture)
        assert answer.status_code in (200, 202), answer.text
        ledger.person[image], ledger.pictures[image] = owner, picture
        ledger.jobs.append(answer.json()["job"])
        if rng.random() < 0.1:
            old = sorted(ledger.person.keys() - ledger.erased)
            gone = old[int(rng.integers(len(old)))]
            answer = patient("DELETE", f"{url}/v1/images/{gone}")
            assert answer.status_code == 204, answer.text
            ledger.erased.add(gone)
        shown = patient("GET", f"{url}/v1/images/{image}/matches").json()
        assert not ledger.erased & {match["hash"] for match in shown.get("matches") or ()}
        time.sleep(float(rng.random()) * pause)


@contextmanager
def coming_and_going(
    url: str, ledger: Ledger, seed: int, pause: float
) -> Iterator[list[BaseException]]:
    """The same in a thread, for the time of the block: what went wrong so far. Raises it at the
    end."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            come_and_go(url, ledger, np.random.default_rng(seed), stop, pause)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def wait_for_all(url: str, ledger: Ledger, seconds: float = 120) -> None:
    """Until every job has ended, none of them failed."""
    until = time.monotonic() + seconds
    for job in ledger.jobs:
        while True:
            shown = patient("GET", f"{url}/v1/jobs/{job}", params={"wait": 10}).json()
            if shown["state"] in ("done", "erased"):
                break
            assert shown["state"] != "failed", shown
            assert time.monotonic() < until, shown
