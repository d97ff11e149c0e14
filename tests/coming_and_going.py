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


class Client:
    """Submits, erases and reads pictures of people at the service at this URL, and notes in the
    ledger what it acknowledges."""

    def __init__(self, url: str, ledger: Ledger, rng: np.random.Generator) -> None:
        self.url, self.ledger, self.rng = url, ledger, rng
        self._persons = people(np.random.default_rng(0), PEOPLE)
        #: Pictures that were not acknowledged: hash, bytes, whose.
        self.refused: list[tuple[str, bytes, int]] = []

    def draw(self, owner: int | None = None) -> tuple[int, bytes, str]:
        """A new picture, of anybody or of this person: whose, its bytes, its hash."""
        owner = int(self.rng.integers(PEOPLE)) if owner is None else owner
        picture = planted_picture(pictures_of(self.rng, self._persons[owner], 1))
        return owner, picture, hashlib.sha256(picture).hexdigest()

    def submit(self, owner: int | None = None) -> str:
        """A new picture; its hash."""
        owner, picture, image = self.draw(owner)
        self.send(image, picture, owner)
        return image

    def send(self, image: str, picture: bytes, owner: int) -> None:
        """This picture, perhaps again."""
        answer = patient("POST", f"{self.url}/v1/images", data=picture)
        assert answer.status_code in (200, 202), answer.text
        self.note(image, picture, owner, answer.json()["job"])

    def note(self, image: str, picture: bytes, owner: int, job: str) -> None:
        """What was acknowledged."""
        self.ledger.person[image], self.ledger.pictures[image] = owner, picture
        self.ledger.jobs.append(job)

    def erase(self, owner: int | None = None) -> None:
        """Any picture, or one of this person."""
        old = sorted(
            image
            for image, person in self.ledger.person.items()
            if image not in self.ledger.erased and owner in (None, person)
        )
        gone = old[int(self.rng.integers(len(old)))]
        answer = patient("DELETE", f"{self.url}/v1/images/{gone}")
        assert answer.status_code == 204, answer.text
        self.ledger.erased.add(gone)

    def look(self, image: str) -> None:
        """Nothing that was erased is among its matches."""
        answer = patient("GET", f"{self.url}/v1/images/{image}/matches")
        shown = {match["hash"] for match in answer.json().get("matches") or ()}
        assert not self.ledger.erased & shown


def come_and_go(
    url: str, ledger: Ledger, rng: np.random.Generator, stop: threading.Event, pause: float
) -> None:
    """Submit pictures to the service at this URL and erase some, until `stop` is set; up to `pause`
    seconds between two."""
    client = Client(url, ledger, rng)
    while not stop.is_set():
        image = client.submit()
        if rng.random() < 0.1:
            client.erase()
        client.look(image)
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
