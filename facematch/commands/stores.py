"""Where the commands for who looks after a service find its store and its index."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from facematch.collection_name import DEFAULT, edition_name
from facematch.data_folder import default_data, running_service
from facematch.embedded import redis_url_of
from facematch.errors import Misconfigured
from facematch.redis_connection import Redis
from facematch.redis_reencoding import RedisReencoding
from facematch.settings import load


@contextlib.contextmanager
def urls(data: Path | None) -> Iterator[tuple[str, str | None]]:
    """(URL of Redis, URL of an index if one may be there): of a data folder; without one, what
    FACEMATCH_REDIS_URL and so on name; without that, of the default data folder.

    Raises Misconfigured for a folder without data, Unavailable.
    """
    if data is None and "redis_url" in (settings := load()).model_fields_set:
        yield settings.redis_url.get_secret_value(), settings.index_url.get_secret_value()
        return
    folder = data or default_data()
    with redis_url_of(folder) as redis_url:
        service = running_service(folder)
        yield redis_url, service.index_url if service else None


def ledger_folder(data: Path | None) -> Path:
    """The erasure ledger that belongs to what `urls` says."""
    settings = load()
    if "ledger" in settings.model_fields_set or (
        data is None and "redis_url" in settings.model_fields_set
    ):
        return Path(settings.ledger)
    return (data or default_data()).expanduser() / "ledger"


def audit_folder(data: Path | None) -> Path:
    """The audit log that belongs to what `urls` says. Raises Misconfigured where none is kept."""
    settings = load()
    if settings.audit:
        return Path(settings.audit)
    if data is None and "redis_url" in settings.model_fields_set:
        raise Misconfigured("no audit log is kept (FACEMATCH_AUDIT)")
    return (data or default_data()).expanduser() / "audit"


def served_edition(client: Redis, collection: str = DEFAULT) -> str:
    """The name of the edition of a collection that is served. Raises NotFound, Unavailable."""
    return edition_name(collection, RedisReencoding(client, collection).editions().served.number)
