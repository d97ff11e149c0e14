"""`facematch keys`: makes, shows and ends API keys."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from facematch.commands.quietly import quiet
from facematch.commands.stores import urls
from facematch.commands.text import Document
from facematch.data_folder import claimed, default_data, holds_data
from facematch.errors import NotFound
from facematch.keys import UNLIMITED, ApiKey, Keys, Scope, new_key
from facematch.redis_connection import connect
from facematch.redis_keys import RedisKeys
from facematch.settings import load
from facematch.terminal import printable

_HOUR = 3600.0


def create(
    data: Path | None,
    name: str,
    scopes: Sequence[Scope],
    collections: Sequence[str],
    lives: float | None,
    *,
    rate: str | None,
    quota: str | None,
) -> tuple[ApiKey, str]:
    """A new key and its text. `lives`: for how many seconds, None: for good. Raises Misconfigured,
    Unavailable."""
    _make_folder(data)
    with _keys(data) as keys:
        now = time.time()
        expires = now + lives if lives is not None else None
        key, text = new_key(name, scopes, collections, now, expires=expires, rate=rate, quota=quota)
        keys.add(key)
    return key, text


def listed(data: Path | None) -> list[ApiKey]:
    """All there are, the first first. Raises Misconfigured, Unavailable."""
    with _keys(data) as keys:
        return keys.keys()


def revoke(data: Path | None, ids: Sequence[str]) -> tuple[list[ApiKey], list[str]]:
    """End keys: those that were, and ids that there are not. Raises Misconfigured, Unavailable."""
    revoked, unknown = [], []
    with _keys(data) as keys:
        for id_ in ids:
            try:
                revoked.append(keys.revoke(id_, time.time()))
            except NotFound:
                unknown.append(id_)
    return revoked, unknown


def document(key: ApiKey) -> Document:
    """A key for a script, without its secret. Times are in seconds since 1970."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "collections": sorted(key.collections),
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "used": key.used,
        "rate": key.rate,
        "quota": key.quota,
        "works": key.is_alive(time.time()),
    }


def lines(keys: Sequence[ApiKey]) -> Iterator[str]:
    """Keys for people."""
    if not keys:
        yield "no keys: nobody is asked for one"
        return
    now = time.time()
    for key in keys:
        yield f"{key.id}  {printable(key.name)}: {_about(key)}; {_state(key, now)}"


def created_lines(key: ApiKey) -> Iterator[str]:
    """What is said of a new key, beside it."""
    yield f"{key.id}  {printable(key.name)}: {_about(key)}. The key, shown this once:"


def revoked_lines(keys: Sequence[ApiKey], unknown: Sequence[str]) -> Iterator[str]:
    """What became of keys that were to be ended."""
    for key in keys:
        yield f"{key.id}  {printable(key.name)}: revoked"
    for id_ in unknown:
        yield f"{printable(id_)}: there is no such key"


def _about(key: ApiKey) -> str:
    limits = [
        f"{limit} {what}"
        for limit, what in ((key.rate, "requests"), (key.quota, "submissions"))
        if limit
    ]
    limits += [
        f"any {what}"
        for limit, what in ((key.rate, "requests"), (key.quota, "submissions"))
        if limit == UNLIMITED
    ]
    until = [f"until {_day(key.expires)}"] if key.expires is not None else []
    scopes, collections = " ".join(sorted(key.scopes)), " ".join(sorted(key.collections))
    return ", ".join([f"{scopes} of {collections}", *limits, *until])


def _state(key: ApiKey, now: float) -> str:
    if key.revoked is not None:
        return f"revoked {_day(key.revoked)}"
    if not key.is_alive(now):
        return "expired"
    if key.used is None:
        return f"made {_day(key.created)}, never used"
    hours = (now - key.used) / _HOUR
    return "in use" if hours < 2 else f"last used {_day(key.used)}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _make_folder(data: Path | None) -> None:
    """A folder that is yet to be served, so that its first start finds the key."""
    if data is None and "redis_url" in load().model_fields_set:
        return
    folder = data or default_data()
    if not holds_data(folder):
        with claimed(folder):
            pass


@contextmanager
def _keys(data: Path | None) -> Iterator[Keys]:
    with quiet(), urls(data) as (redis_url, _), connect(redis_url) as client:
        yield RedisKeys(client)
