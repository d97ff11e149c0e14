"""How a Redis keeps match sets: as lists that take a fifth of the memory, up to a size."""

from facematch.redis_connection import Redis, ResponseError, translated

#: The setting, and its value in all configurations that come with facematch. A set with more
#: matches takes 76 bytes for each and not 16; but the longer a list, the longer it takes to find
#: its place for a match: see benchmarks/README.md.
LISTPACK, LISTPACK_ENTRIES = "zset-max-listpack-entries", 1024


def listpack_entries(client: Redis) -> int | None:
    """The largest match set that is kept as a list; None where that is not told.

    Raises Unavailable.
    """
    with translated():
        try:
            told = client.config_get(LISTPACK)
        except ResponseError as error:
            if str(error).startswith("BUSY"):
                raise
            return None
    value = told.get(LISTPACK)
    return int(value) if value is not None else None
