"""What tests of fetching share: limits, and how a fetch is refused. Their fixtures are in
fetching_fixtures.
"""

import socket
import threading
from typing import Any

import pytest
from picture_server import PictureServer
from waiting import eventually

from facematch.errors import CODES, Rejected
from worker.fetch import Fetcher, FetchLimits

PICTURE = bytes(range(256)) * 40
#: The codes of a URL that leads nowhere.
REFUSED = {"address_not_allowed", "bad_url", "unreachable"}


def limits(server: PictureServer | None = None, **changed: Any) -> FetchLimits:
    """Limits that let the server through, unless changed."""
    usual: dict[str, Any] = {"max_bytes": 100_000, "timeout": 5.0, "redirects": 3}
    if server is not None:
        usual["allowed"] = frozenset({server.address})
    return FetchLimits(**usual | changed)


def refusal(url: str, limits: FetchLimits) -> Rejected:
    """How a fetch is refused; its code is documented and its text fit to be shown."""
    with pytest.raises(Rejected) as caught:
        Fetcher(limits).fetch(url)
    error = caught.value
    assert error.code in CODES
    assert 0 < len(str(error)) < 300
    str(error).encode()
    return error


def code(url: str, limits: FetchLimits) -> str:
    """The code of how a fetch is refused."""
    return refusal(url, limits).code


def assert_all_end() -> None:
    """No fetching thread is left behind for long."""

    def none() -> bool:
        return all(thread.name != "fetch" for thread in threading.enumerate())

    eventually(none, "the threads that fetch end", 10)


def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
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
