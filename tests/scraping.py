"""Asks processes for their metrics, for tests that look at them from outside."""

import os
import socket
from collections.abc import Iterable

import requests
from prometheus_client.parser import text_string_to_metric_families


def free_ports(count: int) -> int:
    """The first of so many ports in a row that are free now."""
    # Of its own for each process of a run: two that look at once would find the same.
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for first in range(20_000 + process % 12 * 1_000, 32_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for number, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + number))
        except OSError:
            continue
        else:
            return first
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free ports")


def scrape(port: int) -> str:
    """What a process tells."""
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert answer.status_code == 200
    return answer.text


def total(ports: Iterable[int], name: str, **labels: str) -> float:
    """The sum of a metric, by its full name, over processes and other labels."""
    return sum(
        sample.value
        for port in ports
        for family in text_string_to_metric_families(scrape(port))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
