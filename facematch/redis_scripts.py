"""Scripts that Redis runs on the keys of one edition of a collection, or of the one that is served
at the time. Used by the modules that have them."""

from functools import cache
from importlib.resources import files
from typing import Any

from facematch.collection_name import base_prefix, key_prefix
from facematch.events import EVENTS_KEPT
from facematch.faces import FACES_PER_POSITION
from facematch.redis_connection import Redis
from facematch.redis_functions import ServerScript, Source

#: Of the data that this version writes; see facematch.redis_schema. What older versions must not
#: work on has a higher one, and is refused by prelude.lua, in each script.
SCHEMA = 2
_FOLDER = files("facematch") / "scripts"
#: Those that also run where there is no collection, or where it is being erased.
_FOR_ANY = frozenset(
    {"create", "collection_make", "collection_drop", "collection_forget", "collection_standing"}
)
#: Those that write nothing.
_READING = frozenset(
    {
        *("collection", "collection_about", "collection_standing", "edition_lag"),
        *("edition_standing", "editions", "events", "failed_codes", "failed_jobs", "image", "job"),
        *("log", "matches", "people", "people_due", "people_of", "person", "reindex", "schema"),
        *("shown_faces", "thumbnail", "vitals", "webhooks"),
    }
)
#: Those that make room, or take none, and so are to run where there is none.
_FREEING = frozenset(
    {"erase", "unlink", "drop_some", "collection_drop", "collection_forget", "give_back"}
)


class Scripted:
    """What has scripts. Safe to share between threads."""

    def __init__(self, client: Redis, name: str) -> None:
        """`name`: see facematch.collection_name. Raises ValueError for none."""
        self._redis = client
        self._base = base_prefix(name)
        self._prefix = key_prefix(name)
        self._scripts: dict[str, ServerScript] = {}

    def _key(self, *parts: object) -> str:
        if not self._prefix.endswith(":"):
            raise ValueError("which edition is served, only scripts know")
        return self._prefix + ":".join(map(str, parts))

    def _run(self, name: str, *args: Any, client: Any = None) -> Any:
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = ServerScript(self._redis, source(name))
        return script([self._prefix], args, client)


def sources() -> list[Source]:
    """All scripts."""
    names = (one.name.removesuffix(".lua") for one in _FOLDER.iterdir())
    return [source(name) for name in sorted(names) if name != "prelude"]


@cache
def source(name: str) -> Source:
    """The script of this name."""
    prelude, script = ((_FOLDER / f"{one}.lua").read_text() for one in ("prelude", name))
    any_ = str(name in _FOR_ANY).lower()
    constants = (
        f"local SCHEMA, FACES_PER_POSITION, FOR_ANY = {SCHEMA}, {FACES_PER_POSITION}, {any_}\n"
        f"local EVENTS_KEPT = {EVENTS_KEPT}\n"
    )
    text = f"{constants}{prelude}{script}"
    return Source(name, text, reads=name in _READING, frees=name in _FREEING)
