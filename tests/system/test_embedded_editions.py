"""`facematch serve` while its collection is given another encoder: a crew for each edition."""

import json
import signal
from collections import Counter
from contextlib import ExitStack, suppress

import numpy as np
import psutil
import pytest
from planted import OTHER_PLANTED, PLANTED, people, pictures_of, planted_picture
from served import Served, matches, submit
from waiting import eventually

from facematch.errors import NotFound
from facematch.faces import image_hash
from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.store import State


@pytest.fixture
def serve(tmp_path):
    """Start the service, again and again on the same data; nothing of it is left behind."""
    started = []

    def start(encoder=PLANTED):
        settings = {"encoder": encoder, "sweep_seconds": "0.5", "sweep_age": "0.5"}
        log = tmp_path / f"console-{len(started)}.txt"
        served = Served(tmp_path / "data", log, "--port", "0", **settings)
        started.append(served)
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.terminate()
            served.end()
        for processes in served.parts().values():
            for process in processes:
                process.kill()


def workers(served):
    """How many workers there are with each encoder."""
    found = []
    for process in served.parts().get("worker", []):
        with suppress(psutil.Error):  # it has just ended
            found.append(process.environ()["FACEMATCH_ENCODER"])
    return Counter(found)


def done(store, pictures):
    """Whether all of them are done in this edition."""
    try:
        return all(store.image(image_hash(data)).state == State.DONE for data in pictures)
    except NotFound:
        return False


def test_each_edition_has_a_crew_from_when_it_is_made_until_it_is_given_up(serve):
    rng = np.random.default_rng(1)
    alike = pictures_of(rng, people(rng, 1)[0], 3)
    first, second, third = (planted_picture(encoding[None, :]) for encoding in alike)
    served = serve()
    url = served.url()
    assert workers(served) == {PLANTED: 2}
    redis_url = json.loads((served.data / "service.json").read_text())["redis_url"]
    with ExitStack() as stack:
        client = stack.enter_context(connect(redis_url))
        reencoding, other = RedisReencoding(client), RedisStore(client, "default~1")
        reencoding.begin("other-planted", 1.2, OTHER_PLANTED, "")
        eventually(lambda: workers(served) == {PLANTED: 2, OTHER_PLANTED: 1}, "a worker for it")
        a, b = submit(url, "a.png", first), submit(url, "b.png", second)
        matches(url, a)
        assert matches(url, b) == [a]
        eventually(lambda: done(other, [first, second]), "they are in both editions")
        assert [match.hash for match in other.matches(b, 10).matches] == [a]
        position = RedisStore(client).image(a).position
        assert np.allclose(RedisStore(client).faces([position])[position][0], alike[0])
        position = other.image(a).position
        assert np.allclose(other.faces([position])[position][0], 2 * alike[0])

        reencoding.built(1)
        reencoding.switch(1)
        eventually(lambda: workers(served) == {PLANTED: 2, OTHER_PLANTED: 2}, "the crew is whole")
        reencoding.drop(1)
        eventually(lambda: workers(served) == {OTHER_PLANTED: 2}, "the former one has ended")
        assert served.process.poll() is None
        assert matches(url, b) == [a]
        c = submit(url, "c.png", third)
        assert sorted(matches(url, c)) == sorted([a, b])
    eventually(lambda: served.console().count("its edition was given up") == 2, "it says so")
    assert served.process.poll() is None
    served.process.send_signal(signal.SIGTERM)
    assert served.end() == 0
    assert not served.parts()

    served = serve()
    url = served.url()
    assert workers(served) == {OTHER_PLANTED: 2}
    assert f"FACEMATCH_ENCODER={PLANTED} does not" in served.own_lines()[0]
    assert sorted(matches(url, c)) == sorted([a, b])
    served.wait_for_workers()
    served.parts()["worker"][0].send_signal(signal.SIGTERM)
    # An end without any fault, but of one that was not to end.
    assert served.end() == 1
    assert "ended with exit code 0" in served.own_lines()[-1]
