"""TLS to Redis and RabbitMQ: the files that a rediss:// or amqps:// URL names.

`?ca=` is a file with the certificate of who signed the server's, besides those that the system
trusts; `?cert=` and `?key=` are files with our own certificate, for a server that wants one. The
server's certificate and its name are always checked; there is no way to turn that off.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from facematch.errors import Misconfigured

_SCHEMES = frozenset({"rediss", "amqps"})
_OURS = ("ca", "cert", "key")


@dataclass(frozen=True)
class Files:
    """Paths; "" for none."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """What checks the server, and shows it our certificate. Raises Misconfigured for files
        that are not there, or are not what they should be."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        name = self.ca
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
            name = f"{self.cert} and {self.key}"
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None)
        except (OSError, ValueError) as error:  # that of ssl is an OSError
            raise Misconfigured(f"TLS, {name}: {error}") from error
        return context


def split(url: str) -> tuple[str, Files | None]:
    """A URL without what is said of TLS in it, and that; None where it is not of TLS.

    Raises Misconfigured for what a URL cannot say, also for such files in one that is not of TLS;
    ValueError for what is no URL. Any other comes back as it is.
    """
    parts = urlsplit(url)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    if parts.scheme not in _SCHEMES:
        if any(name in _OURS for name, _ in asked):
            raise Misconfigured("ca=, cert= and key= are for rediss:// or amqps://")
        return url, None
    if any(name.startswith("ssl_") for name, _ in asked):
        # Those of the drivers, which differ, and with which nothing may be checked.
        raise Misconfigured("a URL of TLS takes ca=, cert= and key=, files, and nothing of ssl_…")
    files = Files(**{name: value for name, value in asked if name in _OURS})
    if files.key and not files.cert:
        raise Misconfigured("a URL of TLS has key= and no cert=")
    rest = urlencode([(name, value) for name, value in asked if name not in _OURS])
    return urlunsplit(parts._replace(query=rest)), files
