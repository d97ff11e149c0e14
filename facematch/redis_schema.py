"""Which form the data of a collection has, and how that of an older version becomes this one's.

A schema is a whole number, kept beside the data. It rises when versions that do not know of a
change would do harm: they refuse data of a higher one than theirs, in every script. A version reads
older data, and writes it so that processes of the version before it, which run beside it during an
upgrade, can go on; the rest is done by `facematch migrate`, when these are gone.
"""

from dataclasses import dataclass

from facematch.collection_name import DEFAULT, served_name
from facematch.errors import Unavailable
from facematch.redis_connection import Redis, translated, unless_erasing
from facematch.redis_scripts import SCHEMA, Scripted

#: What is done to come to each schema: by `migrate` in prelude.lua.
STEPS = {
    1: "the number of the last submission moves from the meta of the first edition to a key that"
    " all editions share; `facematch reindex --encoder` needs that",
    2: "faces are counted, and kept with their norms from then on: so that the matches that"
    " `facematch reindex` makes have false match rates",
}


@dataclass(frozen=True)
class Standing:
    """The schema that the data has, and the one that this version writes."""

    schema: int
    newest: int = SCHEMA

    @property
    def steps(self) -> dict[int, str]:
        """What is left to do, by the schema that it leads to."""
        return {step: what for step, what in STEPS.items() if self.schema < step <= self.newest}


class RedisSchema(Scripted):
    """That of one collection, with all its editions."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))

    @translated()
    def standing(self) -> Standing:
        """How the data stands. Raises Unavailable: newer_data; store_unavailable, also when there
        is no collection yet."""
        return self._standing("schema")

    def check(self) -> None:
        """Raise Unavailable("newer_data") for data of a newer version; none is as good as old."""
        with unless_erasing(), translated():
            self._run("schema")

    @translated()
    def migrate(self) -> Standing:
        """Take all steps that are left, in one; how it stood before. Raises as `standing` does.

        Repeatable. No process of a version before this one may run.
        """
        return self._standing("migrate")

    def _standing(self, script: str) -> Standing:
        told = self._run(script)
        if told is None:
            raise Unavailable("store_unavailable", "the collection was not created yet")
        return Standing(int(told))
