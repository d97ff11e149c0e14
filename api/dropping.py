"""Erasing a whole collection: hidden first, then in the ledger; workers forget the rest."""

import structlog

from api.ledger import Ledger
from facematch.collections import Collections

_log = structlog.get_logger()


def drop(collections: Collections, ledger: Ledger, name: str) -> None:
    """Erase a collection. Repeatable: a call after one that was cut short finishes it.

    Raises NotFound("unknown_collection"), Unavailable.
    """
    upto = collections.drop(name)
    ledger.of(name).append_dropped(upto)
    _log.info("collection erased", collection=name)
