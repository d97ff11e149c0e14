"""Connecting to Redis or Valkey: the only module that imports `redis`.

Used by the store (`facematch.redis_store`) and by the Redis Streams broker (`facematch.streams`).
"""

from collections.abc import Callable
from contextlib import ContextDecorator
from functools import wraps
from inspect import isgeneratorfunction
from types import TracebackType
from typing import Any, TypeVar, cast

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from facematch.errors import Misconfigured, Unavailable

__all__ = ["Redis", "ResponseError", "Script", "connect", "translated"]

_CONNECT_TIMEOUT = 5.0
_MAX_CONNECTIONS = 1024

_Function = TypeVar("_Function", bound=Callable[..., Any])


def connect(url: str, *, timeout: float = 10.0) -> Redis:
    """A client, connected on first use; bytes in, bytes out; safe to share between threads.

    `url`: `redis://`, `rediss://` or `unix:///path`. `timeout`: seconds for one answer, so a
    blocking command must ask for less. Raises Misconfigured when `url` is none of these.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=min(timeout, _CONNECT_TIMEOUT),
            health_check_interval=30,
            # The driver's own limit of 100 is less than the api's threads.
            max_connections=_MAX_CONNECTIONS,
            # Once more at once when the connection broke: everything sent is safe to send
            # twice. Not after a timeout: who waited once must not wait twice.
            retry=Retry(ConstantBackoff(0.05), 1, (RedisConnectionError,)),
        )
    except ValueError:
        # The driver's own words may quote the password.
        raise Misconfigured(
            "a Redis URL is redis://, rediss:// or unix:///path, with a numeric port"
        ) from None


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
        if isinstance(error, RedisError):
            raise Unavailable(self._code, f"{type(error).__name__}: {error}") from error

    def __call__(self, func: _Function) -> _Function:
        if not isgeneratorfunction(func):
            return super().__call__(func)

        @wraps(func)
        def iterate(*args: Any, **kwargs: Any) -> Any:
            with self:
                return (yield from func(*args, **kwargs))

        return cast(_Function, iterate)


def translated(code: str = "store_unavailable") -> _Translated:
    """Turn what the driver raises into Unavailable(code).

    For a `with` block, a function, or a generator function (all of its iteration).
    """
    return _Translated(code)
