"""API keys: what one is, its text, and the port to those that there are.

A key is `fm_<id>_<secret>`. The id names it and is no secret; of the secret, 256 random bits, only
the SHA-256 is kept. That is as safe as a slow hash is for a password: nobody guesses such a number.

The real port is `facematch.redis_keys.RedisKeys`, the one for tests
`facematch.memory_keys.MemoryKeys`; one contract test runs against both. Every method raises
Unavailable("store_unavailable") when the store does not answer.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

#: In place of the names of collections: all of them, also those to come.
EVERY = "*"
#: Of a limit: there is none, whatever the settings say.
UNLIMITED = ""
_TEXT = re.compile(r"fm_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_LIMIT = re.compile(r"[1-9][0-9]{0,11}/(second|minute|hour|day)")


class Scope(StrEnum):
    """What a key may be good for."""

    SUBMIT = "submit"  # puts pictures in, and says who is who
    READ = "read"  # images, matches, people
    SEARCH = "search"  # asks for a picture without storing it
    ERASE = "erase"
    ADMIN = "admin"  # collections; and everything else


@dataclass(frozen=True)
class ApiKey:
    """A key, without its secret. Times are in seconds since 1970.

    `digest`: SHA-256 of the secret, hexadecimal. `collections`: their names, or EVERY. `used`: when
    it was last used, to the hour or so. `rate`: how many requests, `quota`: how many submissions,
    as `100/minute`; None: as the settings say, UNLIMITED: any.
    """

    id: str
    name: str
    digest: str = field(repr=False)
    scopes: frozenset[Scope]
    collections: frozenset[str]
    created: float
    expires: float | None = None
    revoked: float | None = None
    used: float | None = None
    rate: str | None = None
    quota: str | None = None

    def has(self, scope: Scope) -> bool:
        """Whether it is good for this; ADMIN is for everything."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_use(self, collection: str) -> bool:
        """Whether it is for this collection; EVERY asks for one that is for all."""
        return EVERY in self.collections or collection in self.collections

    def is_alive(self, now: float) -> bool:
        """Whether it was neither revoked nor has expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def is_of(self, secret: str) -> bool:
        """Whether this is its secret; takes as long whatever the secret is."""
        return hmac.compare_digest(digest_of(secret), self.digest)


class Keys(Protocol):
    """The keys of a service, of all its collections. None is ever forgotten, so that a service
    which has once asked for keys does not stop to when the last one is revoked."""

    def add(self, key: ApiKey) -> None:
        """From now on there is this one."""

    def key(self, id_: str) -> ApiKey | None:
        """That with an id, revoked or not; None when there is none."""

    def keys(self) -> list[ApiKey]:
        """All, the first first."""

    def revoke(self, id_: str, at: float) -> ApiKey:
        """It is good for nothing from now on; what it is then. Raises NotFound("no_key_here").
        Repeatable: the first time counts."""

    def note_use(self, id_: str, at: float) -> None:
        """It was used."""

    def exist(self) -> bool:
        """Whether there ever was one."""


def new_key(
    name: str,
    scopes: Iterable[Scope],
    collections: Iterable[str],
    now: float,
    *,
    expires: float | None = None,
    rate: str | None = None,
    quota: str | None = None,
) -> tuple[ApiKey, str]:
    """A fresh key, and its text, which is nowhere else."""
    id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(
        id_,
        name,
        digest_of(secret),
        frozenset(scopes),
        frozenset(collections),
        now,
        expires=expires,
        rate=rate,
        quota=quota,
    )
    return key, f"fm_{id_}_{secret}"


def parsed(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None for what is none."""
    found = _TEXT.fullmatch(text)
    return (found[1], found[2]) if found else None


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_limit(text: str) -> str:
    """The limit itself: `100/minute`, several with commas, or UNLIMITED. Raises ValueError."""
    if text != UNLIMITED and not all(_LIMIT.fullmatch(one) for one in text.split(",")):
        raise ValueError(f"{text!r} is not of the form 100/minute (second, minute, hour, day)")
    return text
