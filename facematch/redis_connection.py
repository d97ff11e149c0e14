"""Connecting to Redis or Valkey: the only module that imports `redis`.

Used by the store (`facematch.redis_store`) and by the Redis Streams broker (`facematch.streams`).
"""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ContextDecorator, contextmanager, suppress
from types import TracebackType
from typing import Any, cast

from redis import ConnectionPool, Redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from facematch import tls
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.presence import Process

__all__ = [
    "ConnectionPool",
    "NoPermissionError",
    "NoScriptError",
    "Redis",
    "ResponseError",
    "Subscription",
    "connect",
    "info_of",
    "server_of",
    "translated",
    "unless_erasing",
]

_CONNECT_TIMEOUT = 5.0
_MAX_CONNECTIONS = 1024
#: What prelude.lua says; in a transaction, the driver puts words before it.
_NEWER = re.compile(r"NEWERDATA (\S+) (\S+)$")
_NO_FUNCTION = re.compile(r"Function not found$")
_NO_COLLECTION, _ERASING = re.compile(r"NOCOLLECTION$"), re.compile(r"ERASING$")


def connect(url: str, *, timeout: float = 10.0, part: str = "") -> Redis:
    """A client, connected on first use; bytes in, bytes out; safe to share between threads.

    `url`: `redis://`, `rediss://` (see facematch.tls) or `unix:///path`. `timeout`: seconds for one
    answer, so a blocking command must ask for less. `part`: which of ours this process is, for who
    asks the server (`facematch.presence`). Raises Misconfigured when `url` is none of these.
    """
    try:
        plain, files = tls.split(url)
        client = Redis.from_url(
            plain,
            **(_encrypted(files) if files else {}),
            redis_connect_func=_named(part) if part else None,
            socket_timeout=timeout,
            socket_connect_timeout=min(timeout, _CONNECT_TIMEOUT),
            health_check_interval=30,
            # The driver's own limit of 100 is less than the api's threads.
            max_connections=_MAX_CONNECTIONS,
            # Once more at once when the connection broke: everything sent is safe to send
            # twice. Not after a timeout: who waited once must not wait twice.
            retry=Retry(ConstantBackoff(0.05), 1, (RedisConnectionError,)),
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # for its error, which would come later
    except (TypeError, ValueError):
        # The driver's own words may quote the password.
        raise Misconfigured(
            "a Redis URL is redis://, rediss:// or unix:///path, with a numeric port, and no"
            " parameter that the driver does not know"
        ) from None
    return client


def _encrypted(files: tls.Files) -> dict[str, Any]:
    files.context()  # for its error: the driver would say it when it connects
    return {
        "ssl_ca_certs": files.ca or None,
        "ssl_certfile": files.cert or None,
        "ssl_keyfile": files.key or None,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }


def _named(part: str) -> Callable[[AbstractConnection], None]:
    """What makes a connection ready and gives it this process's name, if that is allowed: a server
    with rules may refuse it, and that must not keep anybody from working."""

    def prepare(connection: AbstractConnection) -> None:
        connection.on_connect()  # type: ignore[no-untyped-call]
        # Only now: the process may have been forked since.
        name = Process.here(part).encode()
        connection.send_command("CLIENT", "SETNAME", name)  # type: ignore[no-untyped-call]
        with suppress(ResponseError):
            connection.read_response()

    return prepare


class Subscription:
    """The messages of one channel, or of those of a pattern, over a connection of its own that is
    never replaced: what was published while it was away is lost, and whoever listens has to hear
    of that."""

    def __init__(
        self, client: Redis, channel: str, timeout: float, *, pattern: bool = False
    ) -> None:
        """Returns once the server has confirmed. Raises RedisError."""
        pool = client.connection_pool
        settings = {**pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
        settings |= {"health_check_interval": 0}
        own = ConnectionPool(connection_class=pool.connection_class, **settings)
        self._client = Redis.from_pool(own)
        self._channel = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._pinged = False
        try:
            (self._channel.psubscribe if pattern else self._channel.subscribe)(channel)
            if self._channel.get_message(timeout=timeout) is None:
                raise RedisConnectionError("no answer to a subscription")  # noqa: TRY301
        except BaseException:
            self.close()
            raise

    def next(self, timeout: float, ending: bytes = b"") -> bytes | None:
        """The next message, or None after `timeout` seconds without one. `ending`: that of the
        names of the channels that are meant.

        Raises RedisError when the connection is lost, or the server has not answered for so long.
        """
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            message = self._channel.get_message(timeout=left)
            if message is not None:
                self._pinged = False
                its_own = message["type"] in ("message", "pmessage")
                if its_own and message["channel"].endswith(ending):
                    return cast(bytes, message["data"])
        if self._pinged:
            raise RedisConnectionError("no answer to a ping")
        self._channel.ping()
        self._pinged = True
        return None

    def close(self) -> None:
        """Disconnect."""
        self._channel.close()
        self._client.close()


def info_of(client: Redis) -> Mapping[str, Any]:
    """What a server says to INFO; nothing where its rules refuse that. Raises RedisError."""
    try:
        told: Mapping[str, Any] = client.info()
    except NoPermissionError:
        return {}
    return told


def server_of(info: Mapping[str, Any]) -> str:
    """Name and version of a server, of what it says to INFO."""
    name = info.get("server_name")
    if name and f"{name}_version" in info:
        return f"{name.capitalize()} {info[f'{name}_version']}"
    return f"Redis {info.get('redis_version', '')}".rstrip()


class _Translated(ContextDecorator):
    def __init__(self, code: str) -> None:
        self._code = code

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, ResponseError) and (newer := _NEWER.search(str(error))):
            detail = (
                f"the data is of schema {newer[1]}, which a newer version of facematch has made;"
                f" this one knows schemas up to {newer[2]}"
            )
            raise Unavailable("newer_data", detail) from error
        if isinstance(error, ResponseError) and _NO_COLLECTION.search(str(error)):
            raise NotFound("unknown_collection") from error
        if isinstance(error, ResponseError) and _ERASING.search(str(error)):
            raise Unavailable("collection_erasing") from error
        if isinstance(error, ResponseError) and _NO_FUNCTION.search(str(error)):
            detail = (
                "Redis lets this process send no scripts, and does not have the functions of this"
                " version: facematch functions load puts them there"
            )
            raise Unavailable(self._code, detail) from error
        if isinstance(error, RedisError):
            raise Unavailable(self._code, f"{type(error).__name__}: {error}") from error


def translated(code: str = "store_unavailable") -> _Translated:
    """Turn what the driver raises into Unavailable(code); what prelude.lua refuses with, into
    Unavailable: newer_data, collection_erasing; or NotFound("unknown_collection").

    For a `with` block or a function; a generator function needs the block inside.
    """
    return _Translated(code)


@contextmanager
def unless_erasing() -> Iterator[None]:
    """For who asks whether the store is there: it is, also while a collection is emptied."""
    try:
        yield
    except Unavailable as error:
        if error.code != "collection_erasing":
            raise
