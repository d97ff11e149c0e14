"""What a world of `edition_worlds` comes to, and whether that is what was said to the api."""

import contextlib
from typing import cast

from edition_worlds import LIVE, OTHERS_CODES, Submission, World
from worlds import HASHES, true_matches

from facematch import fsck
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.memory_store import MemoryStore
from facematch.store import State
from worker.pipeline import finish, process


def settle(world: World) -> None:
    """Everything ends: deliveries, redeliveries, sweeps, what was given up."""
    for worker in world.workers:
        worker.finish()
        expected = (Unavailable, NotFound, *([Misconfigured] if world.lost else []))
        if worker.error is not None and not isinstance(worker.error, expected):
            raise worker.error
    for index in world.indexes.values():
        index.limit = None
    while not world.reencoding.drop_some():
        pass
    there = world.reencoding.editions()
    end_all(world, there.served.number)
    if there.other is not None:
        end_all(world, there.other.number)


def end_all(world: World, edition: int) -> None:
    for job in world.jobs:
        with contextlib.suppress(NotFound):  # lost with the tail, or not in this edition
            process(job, world.parts(edition, job, 0))
    store = world.service.store(edition)
    for image in store.due_images(100, age=-1):
        finish(image, world.parts(edition, "", 1))
    for position in store.erasing():
        while not store.unlink(position):
            pass


def check(world: World) -> None:
    world.look(0)
    there = world.reencoding.editions()
    served = live_in(world, there.served.number)
    assert world.told.uploaded() - world.told.missing <= served
    check_jobs(world)
    check_edition(world, there.served.number, served)
    if there.other is not None:
        check_other(world, there.other.number, served)
    assert leftovers(world, there.numbers) == []


def check_jobs(world: World) -> None:
    """Every job that was acknowledged and not lost has ended as it should."""
    numbers = world.reencoding.editions().numbers
    for new in world.told.submissions():
        try:
            job = world.front.job(new.job)
        except NotFound:
            assert not new.editions & numbers
            continue
        assert job.state in (State.DONE, State.FAILED, State.ERASED)
        pictures = {new.picture} if new.picture is not None else world.fetched.get(new.job, set())
        if job.state is State.DONE:
            assert HASHES.index(job.image) in pictures
        elif job.state is State.ERASED:
            erased = [event for event in after(world, new) if isinstance(event, int)]
            assert HASHES.index(job.image) in erased if job.image else set(erased) & pictures
        else:
            refused = ("unreachable",) if new.picture is None else ()
            assert job.code in (*refused, *(codes(new) if world.swapped else ()))


def codes(new: Submission) -> tuple[str, ...]:
    """Why a job may have failed in the edition that was not served."""
    return ("changed", "unreachable") if new.picture is None else ("backlog_full",)


def after(world: World, new: Submission) -> list[Submission | int]:
    return world.told.events[world.told.events.index(new) + 1 :]


def check_edition(world: World, edition: int, live: set[int]) -> None:
    """It holds what a plain reading of the submissions and erasures says of these pictures."""
    store = world.service.store(edition)
    assert live <= world.possible()
    for picture in live:
        page = store.matches(HASHES[picture], 100)
        assert page.image.state is State.DONE
        assert set(page.image.names) <= world.names(picture)
        found = [(match.hash, match.distance) for match in page.matches]
        threshold = store.collection().threshold
        assert sorted(found) == sorted(true_matches(picture, live, threshold))
    report = fsck.run(store)
    assert report.findings == ()
    assert report.unfinished == 0
    assert waiting(world, edition) == 0


def check_other(world: World, edition: int, served: set[int]) -> None:
    check_other_jobs(world, edition)
    if not world.apart:
        assert live_in(world, edition) <= served
    lag = world.reencoding.lag(edition)
    assert (lag.before, lag.jobs, lag.images) == (0, 0, 0)
    store = world.service.store(edition)
    if world.told.complete and not world.apart:
        for picture in served - live_in(world, edition):
            assert store.image(HASHES[picture]).code in OTHERS_CODES
    for again in (False, True):
        world.carry_all(3 if again else len(world.jobs), again=again)
        end_all(world, edition)
        live = live_in(world, edition)
        check_edition(world, edition, live)
        for picture in served - live:
            shown = store.image(HASHES[picture])
            assert shown.state is State.FAILED
            assert shown.code in OTHERS_CODES
    # The bytes of all of them were there to be had.
    assert served <= live


def check_other_jobs(world: World, edition: int) -> None:
    """Of a URL, no other picture is there than in the edition that is served."""
    if world.apart:
        return
    for new in world.told.submissions():
        if edition in new.editions:
            own, led = world.service.store(edition).job(new.job), world.front.job(new.job)
            if own.state is State.DONE:
                assert (own.state, own.image) == (led.state, led.image)
            elif own.state is State.FAILED:
                assert own.code == led.code or own.code in codes(new)
            else:
                assert (own.state, led.state) == (State.ERASED, State.ERASED)


def live_in(world: World, edition: int) -> set[int]:
    store = world.service.store(edition)
    found = set()
    for picture, image in enumerate(HASHES):
        with contextlib.suppress(NotFound):
            if store.image(image).state in LIVE:
                found.add(picture)
    return found


def waiting(world: World, edition: int) -> int:
    """Bytes that count as waiting for workers."""
    if world.service.client is None:
        store = world.service.store(edition)
        return sum(map(len, cast(MemoryStore, store)._blobs.values()))
    prefix = f"fm:{{default}}:{f'~{edition}:' if edition else ''}"
    blobs = world.service.client.keys(f"{prefix}blob:*")
    counts = (f"{prefix}meta", "backlog"), ("fm:uploads", "total")
    return sum(int(world.service.client.hget(*one) or 0) for one in counts) + len(blobs)


def leftovers(world: World, numbers: frozenset[int]) -> list[str]:
    """What is left of editions that were given up."""
    gone = world.known - numbers
    if world.service.client is None:
        return []
    keys = [key.decode().removeprefix("fm:{default}:") for key in world.service.client.keys("*")]
    shared = ("editions", "happened", "submissions")
    found = [key for key in keys if key.startswith(tuple(f"~{number}:" for number in gone))]
    if 0 in gone:
        found += [key for key in keys if not key.startswith("~") and key not in shared]
    return found
