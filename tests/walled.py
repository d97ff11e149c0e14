"""`walled()`: fetch and post from a machine of its own, whose every address is a canary.

The program is started in a network of its own, in which there is nothing but itself: loopback has
private addresses, that of the metadata of clouds, those that carry an IPv4 address in an IPv6 one,
and one that is public. All are listened to, on three ports; the public one serves a picture and
redirects, and whoever reaches another one is counted. A name server there answers the C library,
and changes its mind. So whatever slips through the guard arrives somewhere.

It tries everything twice: as the service does, and without the guard, to see that canaries sing.
"""

import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, unquote

from name_server import GARBAGE, SILENT, NameServer
from picture_server import head
from written_addresses import urls_of

from facematch.errors import Rejected
from worker.fetch import Fetcher, FetchLimits
from worker.posting import Poster

PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1::1"
PICTURE = b"a picture"
PORT = 8080
_PORTS = (80, 443, PORT)
_SECONDS = 4.0
_AT_ONCE = 8
_ROOT = Path(__file__).parents[1]
_ADDRESSES = (
    *(PUBLIC, "169.254.169.254", "169.254.170.2", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("192.168.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
    *("203.0.113.1", "192.88.99.1", "172.31.255.255", "198.51.100.1", "192.0.0.1"),
)
_ADDRESSES6 = (
    *(PUBLIC6, "fd00:ec2::254", "fc00::1", "fd00::1", "fec0::1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:7f00:1::", "2001::80ff:fffe"),
    *("2a00:1::5efe:7f00:1", "2001:db8::5efe:7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1"),
    *("2002:a9fe:a9fe::", "100::1", "3fff::1", "5f00::1", "2001:db8::1", "4000::1", "fe80::1"),
)
#: Lists of addresses, in turns.
_NAMES = {
    "public.example": [[PUBLIC]],
    "public6.example": [[PUBLIC6]],
    "loopback.example": [["127.0.0.1"]],
    "loopback6.example": [["::1"]],
    "both.example": [["127.0.0.1", "::1"]],
    "zero.example": [["0.0.0.0"]],
    "zero6.example": [["::"]],
    "metadata.example": [["169.254.169.254"]],
    "metadata6.example": [["fd00:ec2::254"]],
    "private.example": [["10.0.0.1"]],
    "shared.example": [["100.64.0.1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "nat64.example": [["64:ff9b::7f00:1"]],
    "6to4.example": [["2002:7f00:1::1"]],
    "teredo.example": [["2001::80ff:fffe"]],
    "isatap.example": [["2a00:1::5efe:7f00:1"]],
    "site-local.example": [["fec0::1"]],
    "none.example": [[]],
    # Some of each: whichever is taken is looked at.
    "mixed.example": [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC]],
    "mixed6.example": [[PUBLIC, "::1"]],
    "mixed-private.example": [["10.0.0.1", PUBLIC, "192.168.1.1"]],
    "many.example": [[PUBLIC, *(f"127.0.0.{number}" for number in range(1, 20))]],
    # Rebinding: public when it is looked at, and then not any more, or the other way round.
    "rebinding.example": [[PUBLIC], ["127.0.0.1"]],
    "rebinding-late.example": [[PUBLIC], [PUBLIC], ["127.0.0.1"]],
    "rebinding-early.example": [["127.0.0.1"], [PUBLIC]],
    "rebinding-6.example": [[PUBLIC6], ["::1"]],
    "rebinding-metadata.example": [[PUBLIC], ["169.254.169.254"]],
    "rebinding-to-6.example": [[PUBLIC, PUBLIC6], ["::1", "127.0.0.1"]],
    "rebinding-to-nothing.example": [[PUBLIC], []],
}
_ALIASES = {"alias.example": "loopback.example", "alias-public.example": "public.example"}


class Everywhere:
    """Listens on all addresses. The public ones are served; who comes to another is counted."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self.served = 0
        for port in _PORTS:
            for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                listening = socket.create_server((address, port), family=family, backlog=512)
                threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            connection = listening.accept()[0]
            address = connection.getsockname()[0]
            if address in (PUBLIC, PUBLIC6):
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
            else:
                self.reached[address] += 1
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, IndexError), connection:
            connection.settimeout(_SECONDS)
            received = b""
            while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
                received += piece
            path = received.split(b" ", 2)[1].decode("latin-1")
            self.served += 1
            if path.startswith("/to?"):
                target = unquote(path[4:]).encode().decode("latin-1")
                connection.sendall(head(302, location=target, content_length=0))
            elif path.startswith("/error"):  # and so it is asked once more
                connection.sendall(head(500, content_length=0))
            else:
                connection.sendall(head(content_length=len(PICTURE)) + PICTURE)


def _run(*command: str) -> None:
    subprocess.run(command, check=False, capture_output=True)


def _move_in(folder: Path) -> None:
    """Be a machine of its own: addresses, and who answers for names."""
    for address in _ADDRESSES:
        _run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    for address in _ADDRESSES6:
        _run("ip", "-6", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
    for name, text in {
        "hosts": "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n",
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "hosts: files dns\n",
    }.items():
        (folder / name).write_text(text)
        _run("mount", "--bind", str(folder / name), f"/etc/{name}")


def _urls(step: int) -> list[str]:
    names = [*_NAMES, *_ALIASES, SILENT, GARBAGE, "whatever.example", "a.b.c.metadata.example."]
    by_name = [f"http://{name}:{PORT}/" for name in names]
    # A second look at the name: by the second try, and by a redirect to itself.
    again = [f"http://{name}:{PORT}/error" for name in names if name.startswith("rebinding")]
    circle = [
        f"http://{name}:{PORT}/to?{quote(f'http://{name}:{PORT}/to?' + quote(f'http://{name}/'))}"
        for name in names
        if name.startswith(("rebinding", "mixed"))
    ]
    return [*urls_of(PORT)[::step], *by_name, *again, *circle]


def _end(do: Callable[[], object]) -> str:
    try:
        do()
    except Rejected as error:
        return error.code
    except Exception as error:
        return type(error).__name__
    return "reached"


def _try_all(urls: Iterable[str]) -> Counter[str]:
    """Fetch each, be redirected to each, and post to each: how that ended."""
    fetcher = Fetcher(FetchLimits(100_000, _SECONDS, 3))
    poster = Poster(_SECONDS)
    attempts: list[Callable[[], object]] = []
    for url in urls:
        attempts.append(lambda url=url: fetcher.fetch(url))  # type: ignore[misc]
        attempts.append(lambda url=url: poster.post(url, b"{}", {}))  # type: ignore[misc]
        with suppress(UnicodeError):
            away = f"http://{PUBLIC}:{PORT}/to?{quote(url)}"
            attempts.append(lambda url=away: fetcher.fetch(url))  # type: ignore[misc]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return Counter(pool.map(_end, attempts))


def _unguarded(host: str, port: int | None, **_: object) -> str:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        raise ConnectionError from error
    return f"[{address}]" if ":" in str(address) else str(address)


def main(step: int) -> None:
    """Print what happened, as JSON; of the ways to write an address every so manieth is tried."""
    with tempfile.TemporaryDirectory() as folder:
        _move_in(Path(folder))
        names = NameServer(_NAMES, _ALIASES, others=["127.0.0.1", "::1"])
        names.serve("127.0.0.1", 53)
        everywhere = Everywhere()
        fetcher = Fetcher(FetchLimits(100_000, _SECONDS, 3))
        fine = [
            _end(lambda url=url: fetcher.fetch(url))
            for url in (  # type: ignore[misc]
                f"http://public.example:{PORT}/",
                f"http://public6.example:{PORT}/",
                f"http://alias-public.example:{PORT}/",
                f"http://{PUBLIC}/",
            )
        ]
        urls = _urls(step)
        logging.disable()  # requests_hardened names each address that it refuses
        with mock.patch("worker.fetch.RETRY_PAUSE", 0.01):
            ends = _try_all(urls)
            reached = dict(everywhere.reached)
            with (
                mock.patch("requests_hardened.ip_filter_adapter.filter_host", _unguarded),
                mock.patch("worker.outbound._is_public", return_value=True),
            ):
                _try_all(urls)
        told = {
            "urls": len(urls),
            "attempts": ends.total(),
            "fine": fine,
            "ends": ends,
            "reached": reached,
            "unguarded": dict(everywhere.reached),
            "asked": sum(names.asked.values()),
        }
        print(json.dumps(told))


def walled(step: int) -> dict[str, Any] | None:
    """What `main` prints; None where there can be no network of its own."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return None
    # urllib3 asks as it is imported whether there is IPv6.
    begin = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    apart = ["unshare", "--user", "--map-root-user", "--net", "--mount", *begin]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        return None
    done = subprocess.run(
        [*apart, sys.executable, "-W", "ignore", __file__, str(step)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]))
