"""Fixtures of the tests of fetching: servers, and a machine without a net.

pytest_plugins = ["fetching_fixtures"]
pytestmark = pytest.mark.usefixtures("offline", "no_pause")
"""

from collections.abc import Iterator

import pytest
from fetching import only_this_machine
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
    only_this_machine(monkeypatch)
