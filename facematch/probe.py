"""`python -m facematch.probe URL`: asks a process of ours whether it is well, for orchestrators.

    python -m facematch.probe http://127.0.0.1:5000/healthz
    python -m facematch.probe unix:/run/facematch/index.sock:/readyz

The exit status is 0 when the answer is 200; otherwise 1, with one line of why. It is run every few
seconds in a container, so it imports nothing that takes time.
"""

import http.client
import json
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

#: What api and index answer: whether the process lives, and whether it can do its work.
ALIVE, READY = "/healthz", "/readyz"
_SECONDS = 4.0
_USAGE = "usage: python -m facematch.probe http://HOST:PORT/PATH | unix:/SOCKET:/PATH"


def ask(url: str) -> str:
    """Why what is behind the URL is not well; "" when it is. Raises ValueError for another URL."""
    connection, path = _behind(url)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return "" if answer.status == HTTPStatus.OK else f"{answer.status} {_reason(body)}".rstrip()


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def _behind(url: str) -> tuple[http.client.HTTPConnection, str]:
    scheme, _, rest = url.partition(":")
    if scheme == "unix":
        path, _, asked = rest.partition(":")
        if path.startswith("/") and asked.startswith("/"):
            return _OverSocket(path), asked
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname and parts.path:
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS), parts.path
    raise ValueError(f"{url} is not to be asked")


def _reason(body: bytes) -> str:
    """What an index, or the api, says of itself."""
    with suppress(ValueError, AttributeError):
        told = json.loads(body)
        return str(told.get("detail") or told.get("status") or "")
    return ""


def main(arguments: list[str]) -> int:
    """Ask; the exit status."""
    try:
        (url,) = arguments
        wrong = ask(url)
    except (ValueError, http.client.InvalidURL):
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    if wrong:
        sys.stderr.write(f"{wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
