"""Scripts that Redis runs on the keys of one edition of a collection, or of the one that is served
at the time. Used by the modules that have them."""

from functools import cache
from importlib.resources import files
from typing import Any

from facematch.collection_name import base_prefix, key_prefix
from facematch.events import EVENTS_KEPT
from facematch.faces import FACES_PER_POSITION
from facematch.redis_connection import Redis, Script

#: Of the data that this version writes; see facematch.redis_schema. What older versions must not
#: work on has a higher one, and is refused by prelude.lua, in each script.
SCHEMA = 2
#: Those that also run where there is no collection, or where it is being erased.
_FOR_ANY = frozenset(
    {"create", "collection_make", "collection_drop", "collection_forget", "collection_standing"}
)


class Scripted:
    """What has scripts. Safe to share between threads."""

    def __init__(self, client: Redis, name: str) -> None:
        """`name`: see facematch.collection_name. Raises ValueError for none."""
        self._redis = client
        self._base = base_prefix(name)
        self._prefix = key_prefix(name)
        self._scripts: dict[str, Script] = {}

    def _key(self, *parts: object) -> str:
        if not self._prefix.endswith(":"):
            raise ValueError("which edition is served, only scripts know")
        return self._prefix + ":".join(map(str, parts))

    def _run(self, name: str, *args: Any, client: Any = None) -> Any:
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self._redis.register_script(_source(name))
        return script(keys=[self._prefix], args=args, client=client)


@cache
def _source(name: str) -> str:
    scripts = files("facematch") / "scripts"
    prelude, script = ((scripts / f"{one}.lua").read_text() for one in ("prelude", name))
    any_ = str(name in _FOR_ANY).lower()
    constants = (
        f"local SCHEMA, FACES_PER_POSITION, FOR_ANY = {SCHEMA}, {FACES_PER_POSITION}, {any_}\n"
        f"local EVENTS_KEPT = {EVENTS_KEPT}\n"
    )
    return f"{constants}{prelude}{script}"
