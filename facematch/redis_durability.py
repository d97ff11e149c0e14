"""Whether a Redis keeps what it has acknowledged: asked by api and worker before they serve."""

from collections.abc import Iterator, Mapping

from facematch.errors import Misconfigured
from facematch.redis_connection import Redis, ResponseError, translated

#: What `check_durable` asks for.
_KEEPING = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory*")


def check_durable(client: Redis, allow_volatile: bool) -> list[str]:
    """What is wrong with how this Redis keeps data; empty when nothing is.

    Raises Misconfigured when something is wrong and `allow_volatile` does not accept it.
    """
    with translated():
        try:
            wrong = list(_volatile(client.config_get(*_KEEPING)))
        except ResponseError as error:
            if str(error).startswith("BUSY"):
                raise
            wrong = [f"it does not tell how it keeps data: CONFIG GET is refused ({error})"]
    if wrong and not allow_volatile:
        raise Misconfigured(
            f"Redis may lose what was acknowledged: {'; '.join(wrong)}."
            " Set appendonly yes, appendfsync always, no-appendfsync-on-rewrite no,"
            " maxmemory-policy noeviction, and allow CONFIG GET"
            " (or accept the loss with FACEMATCH_ALLOW_VOLATILE=true)"
        )
    return wrong


def _volatile(config: Mapping[str | None, str | None]) -> Iterator[str]:
    if config.get("appendonly") != "yes":
        yield "no append-only file"
    elif config.get("appendfsync") != "always":
        yield f"appendfsync is {config.get('appendfsync')}"
    elif config.get("no-appendfsync-on-rewrite") == "yes":
        yield "it does not sync while it rewrites its file (no-appendfsync-on-rewrite)"
    if config.get("maxmemory", "0") != "0" and config.get("maxmemory-policy") != "noeviction":
        yield f"it evicts data when full ({config.get('maxmemory-policy')})"
