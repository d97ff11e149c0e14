"""Driving a reindex to another encoder: carrying images over, and comparing two editions."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from planted import OtherPlantedEncoder, PlantedEncoder, people, pictures_of, planted_picture

from facematch import carrying, parity, reencode
from facematch.broker import MemoryBroker
from facematch.carrying import CarryParts, carry_all, pictures_in
from facematch.commands.reencode import model_of
from facematch.errors import Conflict, Misconfigured, Rejected, Unavailable
from facematch.faces import image_hash
from facematch.job import Message
from facematch.memory_reencoding import MemoryFront, MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.policy import PolicyChange
from facematch.reencode import Encoder, Outcome, begin_or_go_on, build, judge
from facematch.reencoding import Standing
from facematch.reindexing import Phase
from facematch.store import NewJob, State, Store
from worker.encoder import Encoder as WorkerEncoder
from worker.looking import DirectLooker, PictureLimits
from worker.pipeline import Parts, process

OTHER = Encoder(OtherPlantedEncoder.model, "planted:OtherPlantedEncoder", "hog")
_rng = np.random.default_rng(11)
_encodings = pictures_of(_rng, people(_rng, 1)[0], 4)
# Of the first, at distances of 0.11, 0.4 and 0.5.
_encodings[1:] = _encodings[0] + np.float32([[0.01], [0.036], [0.045]])
PICTURES = [planted_picture(encoding[None]) for encoding in _encodings]
HASHES = [image_hash(picture) for picture in PICTURES]
BROKEN = b"no picture"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_SETTLE_SECONDS", 0)
    for module in (carrying, reencode):
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reencode, "_CATCH_UP_SECONDS", 0.1)


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total


class Service:
    """A collection in memory, and what is behind URLs."""

    def __init__(self) -> None:
        self.reencoding = MemoryReencoding(MemoryStore())
        self.front = MemoryFront(self.reencoding)
        self.reencoding.served().create(PlantedEncoder.model, 0.6)
        self.web: dict[str, bytes] = {}
        self.broker = MemoryBroker()

    def store(self, number: int) -> Store:
        return self.reencoding.stores[number]

    def submit(self, data: bytes, name: str = "") -> str:
        job = secrets.token_hex(4)
        self.front.accept(NewJob(job, name or "a.png", "", image_hash(data), data), 10**6)
        return job

    def submit_url(self, url: str) -> str:
        job = secrets.token_hex(4)
        self.front.accept(NewJob(job, url, url), 10**6)
        return job

    def work(self, number: int, *jobs: str) -> None:
        """A worker of an edition looks at some jobs."""
        encoder: WorkerEncoder = OtherPlantedEncoder() if number else PlantedEncoder()
        store = self.store(number)
        looker = DirectLooker(encoder, PictureLimits(10**6, 0, 100))
        index = ExactNeighbours(store)
        for job in jobs:
            process(job, Parts(store, index, self._fetch, looker, encoder.model, 3))

    def _fetch(self, url: str) -> bytes:
        if url not in self.web:
            raise Rejected("unreachable")
        return self.web[url]

    def parts(self, number: int, **more: object) -> CarryParts:
        return CarryParts(
            self.reencoding, self.broker, number, **{"pictures": {}, "backlog": 10**6} | more
        )  # type: ignore[arg-type]

    @contextmanager
    def working(self, number: int) -> Iterator[None]:
        """A worker of an edition takes what is published."""
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                delivery = self.broker.receive(0.01)
                if delivery is not None:
                    self.work(number, Message.decode(delivery.body).job)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def service() -> Service:
    return Service()


def carry(service: Service, number: int, **more: object) -> list[tuple[int, int]]:
    """The progress of carrying everything over."""
    seen = list[tuple[int, int]]()
    with service.working(number):
        carry_all(service.parts(number, **more), lambda done, total: seen.append((done, total)))
    return seen


def begin(service: Service) -> int:
    return begin_or_go_on(service.reencoding, OTHER, PolicyChange()).later.number


def listed(service: Service, number: int, image: str) -> tuple[State, str]:
    found = service.store(number).image(image)
    return found.state, found.code


# -- begin --------------------------------------------------------------------------------------


def test_one_that_is_there_is_gone_on_with(service: Service) -> None:
    made = begin_or_go_on(service.reencoding, OTHER, PolicyChange(0.5))
    assert made.other is not None
    assert (made.other.encoder, made.other.detector) == (OTHER.name, "hog")
    assert made.other.threshold == 0.5
    for threshold in (None, 0.5):
        assert begin_or_go_on(service.reencoding, OTHER, PolicyChange(threshold)) == made
    with pytest.raises(Conflict, match=r"threshold 0\.5") as raised:
        begin_or_go_on(service.reencoding, OTHER, PolicyChange(0.4))
    assert raised.value.code == "reindex_exists"
    with pytest.raises(Conflict, match="model other-planted") as raised:
        begin_or_go_on(service.reencoding, Encoder("a-third", "x:Y", "hog"), PolicyChange())
    assert raised.value.code == "reindex_exists"


def test_the_threshold_is_that_of_what_is_served(service: Service) -> None:
    assert begin_or_go_on(service.reencoding, OTHER, PolicyChange()).later.threshold == 0.6


def test_the_model_is_asked_of_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chatty.py").write_text(
        "print('my nice model')\nclass Of:\n    model = 'mine'\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert model_of("chatty:Of", "hog") == "mine"
    with pytest.raises(Misconfigured, match=r"no worker .* here: no encoder 'chatty:Nope'"):
        model_of("chatty:Nope", "hog")


# -- carry --------------------------------------------------------------------------------------


def test_a_folder_is_read_whatever_its_files_are_called(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "a.jpg").write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"b")
    (tmp_path / ".hidden").write_bytes(b"c")
    seen = list[tuple[int, int]]()
    found = pictures_in(tmp_path, lambda done, total: seen.append((done, total)))
    assert found == {image_hash(b"a"): below / "a.jpg", image_hash(b"b"): tmp_path / "b.txt"}
    assert seen == [(1, 2), (2, 2)]


def test_images_are_had_from_the_folder_or_from_their_urls(
    service: Service, tmp_path: Path
) -> None:
    service.web = {"http://x/1": PICTURES[1], "http://x/2": PICTURES[2]}
    jobs = [service.submit(PICTURES[0]), *map(service.submit_url, service.web)]
    service.work(0, *jobs)
    # A URL that gives nothing any more, and another one of the same image that does.
    service.submit(PICTURES[2], "http://a/gone")
    number = begin(service)
    (tmp_path / "other.png").write_bytes(PICTURES[0])
    pictures = pictures_in(tmp_path, silent)
    seen = carry(service, number, pictures=pictures)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for image in HASHES[:3]:
        assert listed(service, number, image) == (State.DONE, "")
    assert service.store(number).image(HASHES[2]).names == ("http://a/gone", "http://x/2")
    assert carry(service, number) == seen


def test_what_cannot_be_had_is_listed_with_its_reason_and_may_be_had_later(
    service: Service, tmp_path: Path
) -> None:
    service.web = {"http://x/1": PICTURES[1], "http://x/2": PICTURES[2]}
    service.work(0, service.submit(PICTURES[0]), *map(service.submit_url, service.web))
    number = begin(service)
    del service.web["http://x/1"]
    service.web["http://x/2"] = PICTURES[3]
    carry(service, number)
    codes = [listed(service, number, image)[1] for image in HASHES[:3]]
    assert codes == ["no_source", "unreachable", "changed"]
    for own, picture in enumerate(PICTURES[:3]):
        (tmp_path / f"{own}.png").write_bytes(picture)
    carry(service, number, pictures=pictures_in(tmp_path, silent))
    for image in HASHES[:3]:
        assert listed(service, number, image) == (State.DONE, "")


def test_a_file_that_has_changed_since_is_not_taken(service: Service, tmp_path: Path) -> None:
    service.work(0, service.submit(PICTURES[0]))
    file = tmp_path / "a.png"
    file.write_bytes(PICTURES[0])
    pictures = pictures_in(tmp_path, silent)
    file.write_bytes(PICTURES[1])
    number = begin(service)
    carry(service, number, pictures=pictures)
    assert listed(service, number, HASHES[0]) == (State.FAILED, "no_source")


def test_what_was_submitted_before_and_ends_meanwhile_is_carried_too(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = service.submit_url("http://x/1")
    service.web["http://x/1"] = PICTURES[1]
    number = begin(service)
    waits = threading.Timer(0.1, lambda: service.work(0, job))
    waits.start()
    carry(service, number)
    assert listed(service, number, HASHES[1]) == (State.DONE, "")


def test_bytes_wait_for_room(service: Service, tmp_path: Path) -> None:
    service.work(0, *map(service.submit, PICTURES))
    for own, picture in enumerate(PICTURES):
        (tmp_path / f"{own}.png").write_bytes(picture)
    number = begin(service)
    backlog = max(map(len, PICTURES))
    carry(service, number, pictures=pictures_in(tmp_path, silent), backlog=backlog)
    for image in HASHES:
        assert listed(service, number, image) == (State.DONE, "")


def test_without_a_worker_it_is_not_waited_for_ever(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "_PATIENCE_SECONDS", 0.1)
    service.work(0, service.submit(PICTURES[0], "http://x/1"))
    number = begin(service)
    with pytest.raises(Unavailable, match="edition 1 has done anything") as raised:
        carry_all(service.parts(number), silent)
    assert raised.value.code == "service_unavailable"
    # Begun again, it goes on with what is under way.
    monkeypatch.setattr(carrying, "_PATIENCE_SECONDS", 600.0)
    service.web["http://x/1"] = PICTURES[0]
    carry(service, number)
    assert listed(service, number, HASHES[0]) == (State.DONE, "")


def test_work_is_handed_out_for_a_share_of_the_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = list[float]()
    clock = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("facematch.carrying.time.sleep", sleep)
    monkeypatch.setattr("facematch.carrying.time.monotonic", lambda: clock[0])
    resting = carrying._Pass(service.parts(1, share=0.25), silent)
    for begun, rest in ((0.1, []), (0.4, []), (0.6, [1.4]), (1.9, [0.1]), (2.3, [])):
        clock[0] = begun
        slept.clear()
        resting._rest()
        assert slept == pytest.approx(rest)


def test_a_store_that_is_away_for_a_while_is_waited_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.web["http://x/1"] = PICTURES[1]
    service.work(0, service.submit_url("http://x/1"))
    number = begin(service)
    real, away = service.reencoding.standing, [1, 1, 0, 1]

    def standing(number: int, images: list[str]) -> list[Standing]:
        if away and away.pop(0):
            raise Unavailable("store_unavailable")
        return real(number, images)

    monkeypatch.setattr(service.reencoding, "standing", standing)
    carry(service, number)
    assert (listed(service, number, HASHES[1]), away) == ((State.DONE, ""), [])
    monkeypatch.setattr(carrying, "_PATIENCE_SECONDS", -1.0)
    away.append(1)
    with pytest.raises(Unavailable):
        carry(service, number)


def test_nobody_carries_for_one_that_was_given_up(service: Service) -> None:
    service.work(0, service.submit(PICTURES[0], "http://x/1"))
    number = begin(service)
    threading.Timer(0.05, lambda: service.reencoding.cancel(number)).start()
    with pytest.raises(Conflict) as raised:
        carry_all(service.parts(number), silent)
    assert raised.value.code == "no_reindex"


# -- judge --------------------------------------------------------------------------------------


def built(service: Service, *pictures: bytes, names: str = "http://x/") -> int:
    """Another edition with these pictures."""
    for own, picture in enumerate(pictures):
        service.web[f"{names}{own}"] = picture
        service.work(0, service.submit(picture, f"{names}{own}"))
    number = begin(service)
    with service.working(number):
        build(service.parts(number), silent)
    assert service.reencoding.editions().phase is Phase.BUILT
    return number


def judged(service: Service, most_change: float = 0.0, check: bool = True) -> Outcome:
    return judge(
        service.reencoding, service.store, most_change, check=check, shown=lambda unit: silent
    )


def test_pairs_gained_and_lost_and_how_far_distances_moved_is_told(service: Service) -> None:
    built(service, *PICTURES)
    outcome = judged(service)
    # Of six pairs, at 0.11, 0.4, 0.5, 0.29, 0.39 and 0.1, those below 0.3 are left.
    found = outcome.parity
    assert (found.unchanged, found.moved, found.gained, found.lost) == (0, 3, 0, 3)
    assert found.most_moved == pytest.approx(0.29, abs=0.01)
    assert {len({sample.image, sample.other} & set(HASHES)) for sample in found.samples_lost} == {2}
    assert outcome.images == 4
    assert (outcome.missing, outcome.faces_changed) == ((), 0)
    assert outcome.fsck is not None
    assert outcome.fsck.findings == ()
    assert "50.00% of the pairs" in outcome.stopped
    assert judged(service, 0.5).stopped == ""
    assert judged(service, 0.5, check=False).fsck is None


def test_what_is_missing_is_told_and_stops_it(service: Service) -> None:
    service.work(0, service.submit(PICTURES[3], "lost.png"), service.submit(BROKEN, "broken.png"))
    number = built(service, *PICTURES[:3])
    outcome = judged(service, 0.0)
    assert [(one.image, one.code, one.names) for one in outcome.missing] == [
        (HASHES[3], "no_source", ("lost.png",))
    ]
    assert (outcome.images, outcome.parity.lost) == (4, 1)
    assert outcome.stopped == "25.00% of the images are missing, and 0.00% may"
    assert judged(service, 0.4).stopped == ""
    service.front.erase(HASHES[3])
    assert judged(service, 0.4).missing == ()
    assert listed(service, number, image_hash(BROKEN))[0] is State.FAILED


def test_findings_stop_it(service: Service) -> None:
    number = built(service, *PICTURES)
    store = service.reencoding.stores[number]
    del store._links[0][1]
    outcome = judged(service, 1.0)
    assert "findings" in outcome.stopped


def test_an_edition_that_does_not_keep_up_is_not_switched_to(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reencode, "_FEW", 1)
    built(service, *PICTURES[:2])
    service.work(0, *map(service.submit, PICTURES[2:]))
    assert "2 images behind" in judged(service, 1.0, check=False).stopped
