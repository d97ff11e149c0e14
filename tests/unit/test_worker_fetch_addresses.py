"""Fetching never connects to a private address, however it is written."""

import socket
from typing import Any

import pytest
from fetching import PICTURE, REFUSED, code, limits
from picture_server import Canary, PictureServer
from written_addresses import PRIVATE, urls_of

from worker.fetch import Fetcher
from worker.outbound import _is_public

pytest_plugins = ["fetching_fixtures"]
pytestmark = pytest.mark.usefixtures("offline", "no_pause")


def test_a_canary_sings_when_it_is_reached(canary: Canary) -> None:
    allowed = frozenset({("127.0.0.1", canary.port), ("::1", canary.port)})
    for host in ("127.0.0.1", "[::1]"):
        code(f"http://{host}:{canary.port}/", limits(allowed=allowed, timeout=2.0))
    assert canary.connections == 2


def test_no_way_to_write_this_machine_leads_to_it(canary: Canary) -> None:
    urls = urls_of(canary.port)
    assert len(urls) >= 150
    codes = {url: code(url, limits(timeout=3.0)) for url in urls}
    assert {url: found for url, found in codes.items() if found not in REFUSED} == {}
    assert canary.connections == 0
    plain = [url for url in urls if url.removeprefix("http://").startswith(("127", "0", "[::"))]
    assert {codes[url] for url in plain} >= {"address_not_allowed"}


def test_no_redirect_leads_to_this_machine(server: PictureServer, canary: Canary) -> None:
    urls = [url for url in urls_of(canary.port) if url.isascii() and url.isprintable()]
    assert len(urls) >= 100
    # A target without a host is relative: it stays at the server, which does not know it.
    answers = {code(server.redirect(url), limits(server, timeout=3.0)) for url in urls}
    assert answers <= REFUSED | {"http_status"}
    assert canary.connections == 0


@pytest.mark.parametrize("host", PRIVATE)
def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    assert code(f"http://{host}/a.jpg", limits(timeout=3.0)) == "address_not_allowed"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("[2606:4700::1111]", True),
        ("[2a00:1450:4001::5efe]", True),
        ("[2a00:1450:4001::5efe:0:1]", False),
        ("[2a00:1450:4001:0:200:5efe:a00:1]", False),
        ("[2001:0:4136:e378:8000:63bf:3fff:fdd2]", False),
        ("[2002:c0a8:101::1]", False),
        ("[fec0::1]", False),
        ("[feff::1]", False),
        ("[::8.8.8.8]", False),
        ("[::a00:1]", False),
        ("[64:ff9b::808:808]", False),
        ("[64:ff9b:1::1]", False),
        ("[ff0e::1]", False),
        ("224.0.0.1", False),
        ("100.64.0.1", False),
    ],
)
def test_only_plain_global_addresses_are_public(address: str, public: bool) -> None:
    assert _is_public(address) is public


def test_allowed_means_this_host_and_this_port(canary: Canary, server: PictureServer) -> None:
    url = server.serve(PICTURE)
    here = limits(server)
    assert Fetcher(here).fetch(url) == PICTURE
    assert code(url.replace("127.0.0.1", "localhost"), here) == "address_not_allowed"
    assert code(url.replace("127.0.0.1", "127.1"), here) == "address_not_allowed"
    assert code(f"http://127.0.0.1:{canary.port}/", here) == "address_not_allowed"
    assert code("http://127.0.0.1/", here) == "address_not_allowed"
    assert canary.connections == 0


@pytest.mark.parametrize(("named", "written"), [("localhost", "LOCALHOST"), ("[::1]", "[0::1]")])
def test_hosts_are_allowed_by_name_whatever_their_case(named: str, written: str) -> None:
    with Canary() as canary:
        allowed = frozenset({(named, canary.port)})
        found = code(f"http://{written}:{canary.port}/", limits(allowed=allowed, timeout=2.0))
        expected = ("fetch_timed_out", 1) if named == "localhost" else ("address_not_allowed", 0)
        assert (found, min(1, canary.connections)) == expected


def test_a_port_that_is_not_written_is_that_of_the_scheme() -> None:
    allowed = frozenset({("127.0.0.1", 80)})
    assert code("http://127.0.0.1/", limits(allowed=allowed)) != "address_not_allowed"
    assert code("https://127.0.0.1/", limits(allowed=allowed)) == "address_not_allowed"


def test_redirects_lead_from_allowed_to_allowed_but_not_to_other_private_hosts(
    server: PictureServer, canary: Canary
) -> None:
    with PictureServer() as second:
        target = second.serve(PICTURE)
        url = server.redirect(target)
        both = limits(allowed=frozenset({server.address, second.address}))
        assert Fetcher(both).fetch(url) == PICTURE
        seen = len(second.requests)
        assert code(url, limits(server)) == "address_not_allowed"
        assert len(second.requests) == seen
    away = server.redirect(server.redirect(f"http://127.0.0.1:{canary.port}/"))
    assert code(away, limits(server)) == "address_not_allowed"
    assert canary.connections == 0


@pytest.mark.parametrize("first", ["93.184.216.34", "127.0.0.1"])
def test_a_name_is_looked_up_once_and_its_address_kept(
    first: str, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names whose address changes between the check and the connection (DNS rebinding)."""
    lookups, connects, real = [], [], socket.getaddrinfo

    def rebinding(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host == "rebinding.example":
            lookups.append(host)
            host = first if len(lookups) == 1 else "127.0.0.1"
        return real(host, port, *arguments, **named)

    def connect(sock: socket.socket, address: Any) -> None:
        connects.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    if first != "127.0.0.1":
        monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr("worker.fetch.stop_after_attempt", lambda _: lambda _state: True)
    found = code(f"http://rebinding.example:{canary.port}/", limits())
    assert len(lookups) == 1
    assert canary.connections == 0
    if first == "127.0.0.1":
        assert (found, connects) == ("address_not_allowed", [])
    else:
        assert (found, connects) == ("unreachable", [first])
