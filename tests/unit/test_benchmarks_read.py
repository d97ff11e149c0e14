"""Open-loop load: what counts as latency, and when a service is late."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from waiting import quietly

from benchmarks.getting import Getter, Refused
from benchmarks.open_loop import Latencies, run
from benchmarks.read import Ladder, climb, in_time


def test_every_request_is_sent_once_at_its_rate() -> None:
    def check() -> None:
        sent: list[tuple[int, float]] = []
        start = time.perf_counter()
        found = run(lambda number: sent.append((number, time.perf_counter() - start)), 200, 0.5)
        assert sorted(number for number, _ in sent) == list(range(100))
        assert 0.45 < max(at for _, at in sent) < 0.9
        assert (len(found.seconds), found.unsent, found.failures) == (100, 0, Counter())
        assert found.percentile(50) < 0.02
        assert 100 < found.answered < 210

    quietly(check)


def test_who_is_due_while_all_wait_for_a_slow_answer_is_late() -> None:
    """A closed loop would send those later, and see one slow answer of a hundred."""

    def stall(number: int) -> None:
        if number == 10:
            time.sleep(0.3)

    def check() -> None:
        found = run(stall, 200, 0.5, threads=1)
        late = int((found.seconds > 0.05).sum())
        assert 40 < late < 75  # a quarter of a second's worth
        assert found.percentile(50) > 0.02
        assert found.seconds.max() == pytest.approx(0.3, abs=0.05)

    quietly(check)


def test_other_threads_are_not_held_up_by_one_that_waits() -> None:
    def check() -> None:
        others = threading.Event()

        def stall(number: int) -> None:
            if number == 10:
                assert others.wait(20)  # until thirty behind it were sent
            elif number == 40:
                others.set()

        found = run(stall, 200, 0.5, threads=8)
        assert (found.failures, found.unsent, len(found.seconds)) == (Counter(), 0, 100)
        assert int((found.seconds > 0.05).sum()) == 1

    quietly(check)


def test_what_is_never_sent_counts_with_the_time_it_waited() -> None:
    def check() -> None:
        found = run(lambda number: time.sleep(0.1), 100, 1.0, threads=1)
        assert len(found.seconds) == 100
        assert 70 < found.unsent < 95
        assert found.percentile(99) > 1.0
        assert found.answered == pytest.approx(10, rel=0.4)
        assert found.lasted < 3

    quietly(check)


def test_failures_are_counted_by_what_was_raised_and_have_no_latency() -> None:
    def send(number: int) -> None:
        if number % 10 == 0:
            raise Refused(503)
        if number % 10 == 1:
            raise TimeoutError

    found = run(send, 1000, 0.1)
    assert found.failures == Counter({"503": 10, "TimeoutError": 10})
    assert len(found.seconds) == 80
    assert np.isfinite(found.percentile(80))
    assert found.percentile(81) == float("inf")


def test_a_percentile_is_a_latency_that_was_seen() -> None:
    found = Latencies(1.0, np.array([0.3, 0.1, 0.2, 0.4]))
    assert [found.percentile(share) for share in (0, 25, 50, 51, 100)] == [0.1, 0.1, 0.2, 0.3, 0.4]
    assert np.isnan(Latencies(1.0, np.empty(0)).percentile(50))


@pytest.mark.parametrize(("rate", "seconds", "threads"), [(0, 1, 1), (1, 0.5, 1), (10, 1, 0)])
def test_a_rate_at_which_nothing_is_sent_is_refused(
    rate: float, seconds: float, threads: int
) -> None:
    with pytest.raises(ValueError, match="nothing is sent"):
        run(lambda number: None, rate, seconds, threads)


@pytest.mark.parametrize(
    ("typical", "late", "asked", "highest"),
    [
        # Late at one rate by chance, and then half of all.
        ({200: 0.06}, {71, 200}, [50, 71, 100, 141, 200], 141),
        # Some are late for four rates.
        ({}, {100, 141, 200, 283, 400}, [50, 71, 100, 141, 200, 283], 71),
        ({}, {71, 100, 141}, [50, 71, 100, 141, 200, 283, 400], 400),
    ],
)
def test_a_ladder_ends_when_it_does_not_keep_up(
    typical: dict[int, float],
    late: set[int],
    asked: list[int],
    highest: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[int] = []

    def pretend(send: object, rate: float, seconds: float, threads: int) -> Latencies:
        rates.append(round(rate))
        taken = np.full(100, typical.get(rates[-1], 0.01))
        taken[-2:] = 0.2 if rates[-1] in late else taken[0]
        return Latencies(rate, taken)

    monkeypatch.setattr("benchmarks.read.run_open_loop", pretend)
    ladder = Ladder(lambda number: None)
    climb({"it": ladder}, 1.0, len(asked))
    assert rates == asked
    assert round(ladder.highest) == highest
    assert ladder.over is (len(asked) < 7)


def test_a_ladder_that_is_never_in_time_has_no_rate() -> None:
    assert Ladder(lambda number: None, [Latencies(50.0, np.full(9, 1.0))]).highest == 0.0
    unsent = Latencies(50.0, np.full(9, 0.001), unsent=1)
    assert not in_time(unsent)


class TestGetter:
    @pytest.fixture
    def served(self) -> Iterator[tuple[str, list[int]]]:
        """A server, and the port of each connection's other end, by request."""
        ports: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                ports.append(self.client_address[1])
                self.send_response(404 if self.path == "/none" else 200)
                body = b"x" * 1000
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if self.path == "/last":
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}", ports
            finally:
                server.shutdown()
                thread.join()

    def test_a_connection_is_kept_also_after_a_refusal(self, served: tuple[str, list[int]]) -> None:
        url, ports = served
        getter = Getter(url, lambda number: ["/", "/none", "/"][number])
        getter(0)
        with pytest.raises(Refused) as refused:
            getter(1)
        assert refused.value.code == "404"
        getter(2)
        getter.close()
        assert len(ports) == 3
        assert len(set(ports)) == 1

    def test_one_that_the_server_ended_is_replaced(self, served: tuple[str, list[int]]) -> None:
        url, ports = served
        getter = Getter(url, lambda number: "/last")
        getter(0)
        getter(1)
        getter.close()
        assert len(set(ports)) == 2
