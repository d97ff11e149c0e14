"""A script that Redis runs; where its rules let nobody send it one, as a function it has.

Whoever may send Redis a script may try whatever its interpreter has wrong. So a user of Redis may
do without: `facematch functions load` puts the scripts of a version there as functions, as somebody
else, and processes then call those. Functions are data: they are in the append-only file, on
replicas, and survive a restart. Those of two versions have different names, so that both can run
side by side.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from facematch.redis_connection import (
    ConnectionPool,
    NoPermissionError,
    NoScriptError,
    Redis,
    translated,
)

#: What the name of a library of ours begins with. There is one for each script, with one function.
PREFIX = "facematch_"
_NOBODYS = "0" * 40

#: Whether the server behind a pool of connections takes no scripts from its user.
_refused: "WeakKeyDictionary[ConnectionPool, bool]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Source:
    """A script as it is sent, and what a function of it has to be declared for.

    `reads`: it writes nothing, so that it also runs where Redis is full or cannot write. `frees`:
    it runs where Redis is full, because it makes room.
    """

    name: str
    text: str
    reads: bool = False
    frees: bool = False

    @property
    def function(self) -> str:
        """The name of the function and of its library."""
        digest = hashlib.sha256(self.library_text("").encode()).hexdigest()
        return f"{PREFIX}{self.name}_{digest[:16]}"

    @property
    def script(self) -> str:
        """What `EVAL` takes."""
        return f"#!lua flags=allow-oom\n{self.text}" if self.frees else self.text

    def library(self) -> str:
        """What `FUNCTION LOAD` takes."""
        return self.library_text(self.function)

    def library_text(self, function: str) -> str:
        """The same, with the function called so."""
        flags = "'no-writes'" if self.reads else "'allow-oom'" if self.frees else ""
        return (
            f"#!lua name={function}\n"
            f"redis.register_function{{function_name='{function}', flags={{{flags}}},"
            f" callback=function(KEYS, ARGV)\n{self.text}\nend}}\n"
        )


class ServerScript:
    """One script on one server. Safe to share between threads."""

    def __init__(self, client: Redis, source: Source) -> None:
        self._redis = client
        self._script = client.register_script(source.script)
        self._function = source.function

    def __call__(self, keys: Sequence[Any], args: Iterable[Any], client: Any = None) -> Any:
        """What it returns; of a pipeline as `client`, when that is executed. Raises RedisError."""
        try:
            # Asked for beforehand: in a pipeline a refusal would come too late to do otherwise.
            if refuses_scripts(self._redis):
                asked = self._redis if client is None else client
                return asked.fcall(self._function, len(keys), *keys, *args)
            return self._script(keys=keys, args=args, client=client)
        except NoPermissionError:
            # Its rules have changed: look again.
            _refused.pop(self._redis.connection_pool, None)
            raise


def refuses_scripts(client: Redis) -> bool:
    """Whether a client may send no script. Asked once for all clients that share connections.

    Raises RedisError.
    """
    known = _refused.get(client.connection_pool)
    if known is None:
        try:
            client.evalsha(_NOBODYS, 0)
        except NoScriptError:
            known = False
        except NoPermissionError:
            known = True
        _refused[client.connection_pool] = bool(known)
    return bool(known)


@translated()
def load(client: Redis, sources: Iterable[Source]) -> int:
    """Put these on the server; how many it did not have. Repeatable.

    Raises Unavailable("store_unavailable"), also where that is not allowed.
    """
    there = set(_names(client))
    new = [source for source in sources if source.function not in there]
    for source in new:
        client.function_load(source.library(), replace=True)  # somebody else may be doing the same
    return len(new)


@translated()
def missing(client: Redis, sources: Iterable[Source]) -> list[str]:
    """The names of those that the server does not have. Raises Unavailable, as `load` does."""
    there = set(_names(client))
    return [source.name for source in sources if source.function not in there]


@translated()
def prune(client: Redis, sources: Iterable[Source]) -> int:
    """Delete those of ours that are not of these; how many there were. No process of another
    version may run. Raises Unavailable, as `load` does."""
    ours = {source.function for source in sources}
    others = [name for name in _names(client) if name not in ours]
    for name in others:
        client.function_delete(name)
    return len(others)


def _names(client: Redis) -> list[str]:
    """Of the libraries of ours on the server."""
    told: Any = client.function_list(library=f"{PREFIX}*")
    return [_field(library, b"library_name").decode() for library in told]


def _field(library: Any, name: bytes) -> bytes:
    """Of what RESP 2 tells as a list, RESP 3 as a map."""
    fields = (
        library
        if isinstance(library, dict)
        else dict(zip(library[::2], library[1::2], strict=True))
    )
    value: bytes = fields[name]
    return value
