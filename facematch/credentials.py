"""Passwords that everybody knows, and none: refused, but for a server on this machine."""

from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

from facematch.errors import Misconfigured
from facematch.settings import PREFIX, Settings

#: Of RabbitMQ and Milvus as they come, and of the example in Redis's configuration.
_KNOWN = frozenset({"guest", "Milvus", "foobared"})
_NEED_ONE = frozenset({"redis", "rediss", "amqp", "amqps"})
#: As it comes, it asks nobody for a password.
_MILVUS = frozenset({"milvus+http", "milvus+https"})


def check_credentials(settings: Settings) -> None:
    """Raise Misconfigured where there are `weaknesses`."""
    found = weaknesses(settings)
    if found:
        raise Misconfigured("; ".join(found))


def weaknesses(settings: Settings) -> list[str]:
    """For each setting with a URL whose server anybody else could use, what is wrong with it: over
    the network without a password, or with one that everybody knows.

    Over a unix socket, and to an address of this machine alone, there may be none; to Redis also
    with a certificate of ours, and to Milvus.
    """
    names = ("redis_url", "broker_url", "index_url")
    urls = {name: getattr(settings, name).get_secret_value() for name in names}
    reasons = {name: weakness(url) for name, url in urls.items()}
    return [f"{PREFIX}{name.upper()}: {reason}" for name, reason in reasons.items() if reason]


def weakness(url: str) -> str:
    """What is wrong with the credentials in a URL, in words that do not tell them; "" for nothing,
    also for what is no URL: others say so."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query)
        # Both drivers take a URL without a host for this machine; that of Redis looks here, too.
        host = unquote(parts.hostname or "") or asked.get("host", ["localhost"])[0]
    except ValueError:
        return ""
    if parts.scheme not in _NEED_ONE | _MILVUS or is_loopback(host):
        return ""
    password = unquote(parts.password or "") or asked.get("password", [""])[0]
    if password in _KNOWN:
        return f"everybody knows this password, and {host} is not on this machine"
    needs_one = parts.scheme in _NEED_ONE and not (parts.scheme == "rediss" and asked.get("cert"))
    if needs_one and not password:
        return f"there is no password, and {host} is not on this machine"
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and nobody else reaches it. No name but one is looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
