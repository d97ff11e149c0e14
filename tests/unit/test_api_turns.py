"""Short requests take turns, and none is held up for long by those in front."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from waiting import eventually

from api.turns import Turns


class Slow:
    """An application that answers once it is let, and knows how many are in it."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.within, self.most = 0, 0
        self._lock = threading.Lock()

    def __call__(self, environ: object, start_response: object) -> Iterable[bytes]:
        with self._lock:
            self.within += 1
            self.most = max(self.most, self.within)
        self.let.wait(10)
        with self._lock:
            self.within -= 1
        return [b"here"]


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def ask(slow: Slow) -> Iterator[Callable[..., object]]:
    turns = Turns(slow)

    def ask(method: str = "GET", query: str = "") -> list[bytes]:
        environ = {"REQUEST_METHOD": method, "QUERY_STRING": query}
        return list(turns(environ, lambda *_: lambda _: None))

    with ThreadPoolExecutor(8) as pool:
        yield lambda *asked: pool.submit(ask, *asked)
        slow.let.set()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.turns._PATIENCE", 30)


@pytest.mark.usefixtures("patient")
def test_two_are_in_work_and_the_next_one_follows(slow: Slow, ask: Callable[..., object]) -> None:
    slow.let.set()
    assert all(one.result() == [b"here"] for one in [ask() for _ in range(50)])
    assert slow.most <= 2


def test_nobody_waits_long_for_those_in_front(slow: Slow, ask: Callable[..., object]) -> None:
    for _ in range(5):
        ask()
    eventually(lambda: slow.within == 5)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("asked", [("POST", ""), ("GET", "limit=1&wait=5")])
def test_what_may_take_long_takes_no_turn(
    asked: tuple[str, str], slow: Slow, ask: Callable[..., object]
) -> None:
    for _ in range(5):
        ask(*asked)
    eventually(lambda: slow.within == 5)
