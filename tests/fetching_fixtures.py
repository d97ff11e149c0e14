"""Fixtures of the tests of fetching: servers, and a machine without a net.

pytest_plugins = ["fetching_fixtures"]
pytestmark = pytest.mark.usefixtures("offline", "no_pause")
"""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from picture_server import Canary, PictureServer


@pytest.fixture
def server() -> Iterator[PictureServer]:
    """A picture server, running."""
    with PictureServer() as running:
        yield running


@pytest.fixture
def canary() -> Iterator[Canary]:
    """Listens on all addresses of this machine."""
    with Canary() as listening:
        yield listening


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second try follows at once."""
    monkeypatch.setattr("worker.fetch.RETRY_PAUSE", 0.01)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only addresses and names of this machine can be looked up: no test asks a name server."""
    real = socket.getaddrinfo

    def numeric(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if not name.rstrip(".").lower().endswith(("localhost", "localdomain", "loopback")):
            flags |= socket.AI_NUMERICHOST
        return real(host, port, family, type, proto, flags)

    monkeypatch.setattr(socket, "getaddrinfo", numeric)
