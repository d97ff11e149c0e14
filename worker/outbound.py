"""Connections to strangers' servers: address checked and pinned, time and bytes metered.

Used by `worker.fetch`, for one request each.
"""

import io
import ipaddress
import socket
import time
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from facematch.errors import Rejected

PORTS = {"http": 80, "https": 443}

#: Every IPv6 address in public use. Outside are site-local fec0::/10, IPv4-compatible ::/96,
#: NAT64 64:ff9b::/96 and 64:ff9b:1::/48, multicast, and whatever else leads elsewhere.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Teredo, 6to4 and ISATAP carry an IPv4 address, which may be private.
_TUNNELS = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))
_ISATAP = 0x00005EFE
_UNIVERSAL_BIT = 0x02000000


class Budget:
    """The seconds and the bytes on the wire that one fetch may still take."""

    def __init__(self, seconds: float, wire_bytes: int) -> None:
        self._end = time.monotonic() + seconds
        self._bytes = wire_bytes

    @property
    def overdrawn(self) -> bool:
        """Whether more bytes came than may come."""
        return self._bytes < 0

    def seconds(self) -> float:
        """What is left, more than 0. Raises TimeoutError."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def spend(self, count: int) -> None:
        """Count bytes. Raises OSError when they are too many."""
        self._bytes -= count
        if self.overdrawn:
            raise OSError("too many bytes")


class GuardedAdapter(IPFilterAdapter):  # type: ignore[misc]
    """Looks the host up, checks and pins the address. `allowed` hosts and ports are let through.

    Besides what requests raises: Rejected("address_not_allowed"), TimeoutError.
    """

    def __init__(self, is_https: bool, allowed: frozenset[tuple[str, int]], budget: Budget) -> None:
        super().__init__(is_https_proto=is_https)
        self._allowed = allowed
        self._budget = budget
        self._responses: list[HTTPResponse] = []

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        plain: Any = HTTPAdapter.build_connection_pool_key_attributes
        host, pool = plain(self, request, verify, cert)
        if (host["host"], host["port"] or PORTS[host["scheme"]]) in self._allowed:
            return host, pool
        name = str(host["host"])[:100]
        try:
            host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
            public = _is_public(host["host"])
        except InvalidIPAddress:
            public = False
        if not public:
            raise Rejected("address_not_allowed", f"{name} is not at a public address")
        self._budget.seconds()  # the lookup may have taken it all
        return host, pool

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _HTTPS if pool.scheme == "https" else _HTTP
        pool.conn_kw |= {"budget": self._budget, "responses": self._responses}
        return pool

    def close(self) -> None:
        super().close()
        # urllib3 forgets those of answers whose head it does not like.
        for response in self._responses:
            response.close()


def _is_public(address: str) -> bool:
    """Of an address, IPv6 in brackets, that requests_hardened took for public."""
    ip = ipaddress.ip_address(address.strip("[]"))
    if not ip.is_global or ip.is_multicast:
        return False
    if ip.version == 4:
        return True
    isatap = int(ip) >> 32 & 0xFFFFFFFF & ~_UNIVERSAL_BIT == _ISATAP
    return ip in _GLOBAL_UNICAST and not isatap and not any(ip in tunnel for tunnel in _TUNNELS)


class _Metered(io.RawIOBase):
    """What a socket sends: each read waits no longer than the time that is left, and counts."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, budget: Budget) -> None:
        self._raw = raw
        self._sock = sock
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._budget.seconds())
        count: int | None = self._raw.readinto(buffer)
        self._budget.spend(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, budget: Budget, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Metered(self.fp.detach(), sock, budget))


class _Connection(HTTPConnection):
    def __init__(
        self, *args: Any, budget: Budget, responses: list[HTTPResponse], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._budget = budget
        self._responses = responses
        self.response_class = self._response  # type: ignore[assignment]

    def _response(self, *args: Any, **kwargs: Any) -> HTTPResponse:
        response = _Response(self._budget, *args, **kwargs)
        self._responses.append(response)
        return response

    def connect(self) -> None:
        self.timeout = self._budget.seconds()
        super().connect()


class _HTTP(_Connection):
    pass


class _HTTPS(_Connection, HTTPSConnection):
    pass
