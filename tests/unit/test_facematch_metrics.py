"""What a process tells, and the port that it tells it on."""

import socket
from collections.abc import Iterator

import pytest
import requests

from facematch import __version__
from facematch.errors import Misconfigured
from facematch.metrics import CONTENT_TYPE, Gauge, Registry, gauge
from facematch.metrics_port import MetricsPort, open_port
from facematch.settings import Settings


@pytest.fixture
def registry() -> Registry:
    return Registry("part")


@pytest.fixture
def port() -> Iterator[MetricsPort]:
    port = MetricsPort("127.0.0.1", 0)
    yield port
    port.close()


def url_of(port: MetricsPort, path: str = "/metrics") -> str:
    return f"http://127.0.0.1:{port.port}{path}"


def test_a_process_says_which_version_of_what_it_is(registry: Registry) -> None:
    told = registry.value("facematch_build_info", part="part", version=__version__)
    assert told == 1
    assert registry.value("process_resident_memory_bytes") > 2**20


def test_a_gauge_is_read_whenever_somebody_asks(registry: Registry) -> None:
    values = iter((1, 2))
    registry.watch(lambda: [gauge("now", "Now", next(values))])
    assert registry.value("facematch_now") == 1
    assert registry.value("facematch_now") == 2


def test_labels_are_told_with_their_values_as_they_are(registry: Registry) -> None:
    registry.watch(lambda: [Gauge("by", "By", [(('a"\n', "b"), 3)], ("one", "two"))])
    assert b'facematch_by{one="a\\"\\n",two="b"} 3.0' in registry.encode()
    assert registry.value("facematch_by", one="c", two="d") is None


def test_the_port_answers_for_metrics_and_nothing_else(
    port: MetricsPort, registry: Registry
) -> None:
    registry.counter("times", "Times").inc()
    port.serve(registry.encode)
    answer = requests.get(url_of(port), timeout=5)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert "facematch_times_total 1.0" in answer.text
    assert requests.get(url_of(port, "/metrics?x=1"), timeout=5).status_code == 200
    assert requests.get(url_of(port, "/"), timeout=5).status_code == 404
    assert requests.get(url_of(port, "/metrics/.."), timeout=5).status_code == 404
    assert requests.post(url_of(port), data=b"x", timeout=5).status_code == 501


def test_an_error_while_telling_is_no_answer_and_the_next_one_is(port: MetricsPort) -> None:
    answers = iter([b"", b"a 1\n"])

    def encode() -> bytes:
        if not (answer := next(answers)):
            raise ZeroDivisionError
        return answer

    port.serve(encode)
    with pytest.raises(requests.ConnectionError):
        requests.get(url_of(port), timeout=5)
    assert requests.get(url_of(port), timeout=5).text == "a 1\n"


def test_who_says_nothing_keeps_nobody_waiting(port: MetricsPort, registry: Registry) -> None:
    port.serve(registry.encode)
    with socket.create_connection(("127.0.0.1", port.port)):
        assert requests.get(url_of(port), timeout=5).status_code == 200


def test_a_port_in_use_is_refused_with_the_setting(port: MetricsPort) -> None:
    settings = Settings(metrics_port=port.port)
    with pytest.raises(Misconfigured, match=rf"{port.port}: Address already in use .*METRICS_PORT"):
        open_port(settings)


def test_an_address_of_nobody_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"192\.0\.2\.1"):
        MetricsPort("192.0.2.1", 0)


def test_without_a_port_there_is_none_and_the_world_is_not_told() -> None:
    assert open_port(Settings()) is None
    assert Settings().metrics_host == "127.0.0.1"
