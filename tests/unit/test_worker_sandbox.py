"""What a picture can do to the child that looks at it, and that nobody else notices."""

import io
import itertools
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import poison
import psutil
import pytest
from PIL import Image
from waiting import eventually

from facematch.errors import Rejected, Unavailable
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.looking import Crashed, PictureLimits
from worker.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
MEMORY = 200 * 1024 * 1024


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    monkeypatch.setattr("worker.sandbox._CLOCK_TIMES", 2.0)
    monkeypatch.setenv("FACEMATCH_REDIS_URL", "redis://:a-password@localhost")


@pytest.fixture
def sandbox(paths: None) -> Iterator[Sandbox]:
    settings = ChildSettings(
        encoder=poison.POISON,
        detector="hog",
        picture=PictureLimits(10**6, 0, 100),
        fetch=FetchLimits(10**6, 2.0, 3),
        memory=MEMORY,
        cpu_seconds=1,
    )
    with Sandbox(settings, lookers=2, fetchers=1) as made:
        yield made


def picture(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def told(sandbox: Sandbox, red: int = poison.FINE) -> str:
    return sandbox.look(picture(red)).crops.tobytes().rstrip(b"\0").decode()


@pytest.mark.parametrize(
    ("red", "code"),
    [
        (poison.ABORT, "decoder_crashed"),
        (poison.SEGFAULT, "decoder_crashed"),
        (poison.LEAVE, "decoder_crashed"),
        (poison.BUG, "decoder_crashed"),
        (poison.SLEEP, "timed_out"),
        (poison.HOARD, "out_of_memory"),
        (poison.KILLED, "out_of_memory"),
        (poison.SILENT, "out_of_memory"),  # as far as can be seen from outside
        (poison.LEFT, "timed_out"),
    ],
)
def test_a_picture_ends_with_its_code_and_the_next_is_looked_at(
    sandbox: Sandbox, red: int, code: str
) -> None:
    for _ in range(3):
        with pytest.raises(Crashed) as caught:
            sandbox.look(picture(red))
        assert caught.value.code == code
        assert "secret" not in str(caught.value)
        assert told(sandbox)


def test_a_picture_that_takes_too_much_processor_time_is_ended_long_before_the_clock_would(
    sandbox: Sandbox,
) -> None:
    sandbox._look_seconds = 60.0
    start = time.monotonic()
    with pytest.raises(Crashed) as caught:
        sandbox.look(picture(poison.SPIN))
    assert caught.value.code == "timed_out"
    assert time.monotonic() - start < 50
    assert told(sandbox)


def test_a_child_is_used_again_and_no_more_are_started_than_needed(sandbox: Sandbox) -> None:
    assert len({told(sandbox) for _ in range(20)}) == 1


def test_children_look_at_the_same_time_and_one_that_hangs_holds_up_nobody_else(
    sandbox: Sandbox,
) -> None:
    sandbox._look_seconds = 6.0
    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(sandbox.look, picture(poison.SLEEP))
        for _ in range(20):
            assert told(sandbox)
        assert not hanging.done()
        assert isinstance(hanging.exception(30), Crashed)


def test_what_needs_more_than_half_of_the_memory_is_looked_at_while_nothing_else_is(
    sandbox: Sandbox,
) -> None:
    def during(red: int) -> tuple[int, float, float]:
        start, end = map(float, told(sandbox, red).split())
        return red, start, end

    with ThreadPoolExecutor(6) as pool:
        # First some that have nothing to wait for but each other.
        seen = list(pool.map(during, [poison.CLOCK] * 6))
        seen += pool.map(during, [poison.CLOCK, poison.LARGE, poison.CLOCK] * 6)
    together = [
        {one, other}
        for (one, start, end), (other, begin, finish) in itertools.combinations(seen, 2)
        if start < finish and begin < end
    ]
    assert together
    assert all(pair == {poison.CLOCK} for pair in together)


def test_what_is_looked_at_alone_has_all_the_memory_whatever_the_children_have_kept(
    sandbox: Sandbox,
) -> None:
    with ThreadPoolExecutor(2) as pool:
        keepers = set(pool.map(lambda red: told(sandbox, red), [poison.KEEP] * 2))
    assert len(keepers) == 2
    assert told(sandbox, poison.LARGE)


def test_what_is_no_picture_is_rejected_and_its_child_goes_on(sandbox: Sandbox) -> None:
    before = told(sandbox)
    with pytest.raises(Rejected) as caught:
        sandbox.look(b"nonsense")
    assert caught.value.code == "not_an_image"
    assert told(sandbox) == before


def test_urls_are_fetched_by_children_of_their_own(sandbox: Sandbox) -> None:
    with pytest.raises(Rejected) as caught:
        sandbox.fetch("http://127.0.0.1:1/")
    assert caught.value.code == "address_not_allowed"
    with pytest.raises(Rejected) as caught:
        sandbox.fetch("nonsense")
    assert caught.value.code == "bad_url"


def test_a_child_inherits_no_secret(sandbox: Sandbox) -> None:
    environment = told(sandbox, poison.TELL)
    assert "PYTHONPATH" in environment
    assert "FACEMATCH" not in environment
    assert "password" not in environment
    process = psutil.Process(int(told(sandbox)))
    assert "password" not in " ".join(process.cmdline())
    inherited = {Path(file.path) for file in process.open_files()} - {Path(os.devnull)}
    assert inherited == set()
    assert process.net_connections("inet") == []


def test_a_child_cannot_write_a_file(sandbox: Sandbox) -> None:
    child = told(sandbox)
    with pytest.raises(Crashed):
        sandbox.look(picture(poison.WRITE))
    left = Path(f"/tmp/facematch-{child}")
    assert not left.exists() or left.stat().st_size == 0
    left.unlink(missing_ok=True)


def test_a_nursery_that_ends_with_many_children_ends_once(sandbox: Sandbox) -> None:
    sandbox._look_seconds = 6.0
    with ThreadPoolExecutor(2) as pool:
        hanging = [pool.submit(sandbox.look, picture(poison.SLEEP)) for _ in range(2)]
        eventually(lambda: len(nurseries()) == 1 and len(nurseries()[0].children()) == 2)
        (first,) = nurseries()
        first.kill()
        for each in hanging:
            with pytest.raises(Unavailable) as caught:
                each.result(30)
            assert caught.value.code == "sandbox_unavailable"
    sandbox.check()
    (second,) = nurseries()
    assert len({told(sandbox) for _ in range(5)}) == 1
    assert nurseries() == [second]


def test_a_nursery_that_is_gone_is_noticed_before_a_picture_is_taken(sandbox: Sandbox) -> None:
    sandbox.check()
    (first,) = nurseries()
    first.kill()
    eventually(lambda: first.status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(Unavailable):
        sandbox.check()
    sandbox.check()
    assert told(sandbox)


def nurseries() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and "worker.nursery" in process.cmdline()
    ]


def test_a_nursery_that_is_gone_is_started_again(sandbox: Sandbox) -> None:
    child = psutil.Process(int(told(sandbox)))
    nursery = child.parent()
    assert nursery is not None
    nursery.kill()
    eventually(lambda: not child.is_running())

    def looks() -> bool:
        try:
            return bool(told(sandbox))
        except Unavailable:
            return False

    eventually(looks, seconds=30)


def test_nothing_is_left_when_it_is_closed(sandbox: Sandbox) -> None:
    child = psutil.Process(int(told(sandbox)))
    nursery = child.parent()
    assert nursery is not None
    sandbox.__exit__()
    eventually(lambda: not child.is_running() and not nursery.is_running())
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            sandbox.look(picture(poison.FINE))
        assert caught.value.code == "sandbox_unavailable"


def test_a_nursery_does_not_stop_when_the_terminal_or_a_supervisor_says_so(
    sandbox: Sandbox,
) -> None:
    child = psutil.Process(int(told(sandbox)))
    nursery = child.parent()
    assert nursery is not None
    for process in (child, nursery):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    assert told(sandbox) == str(child.pid)
