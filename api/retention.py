"""Erases what is older than its collection keeps it: in the api, because the ledger is there."""

import secrets
import threading
from collections.abc import Callable

import structlog

from api.ledger import Ledger, unlink
from facematch.errors import NotFound, Unavailable
from facematch.jitter import jittered
from facematch.privacy import Privacy
from facematch.store import Erased, Front

SECONDS = 600.0
_FIRST_SECONDS = 30.0
_PUT_OFF = "retention put off"

_log = structlog.get_logger()


def destroy(privacy: Privacy, store_of: Callable[[str], Front], ledger: Ledger) -> int:
    """Erase all that is too old by the rules of its collection; how many images.

    What is in the way in one collection is not in that of the others. A call that was cut short is
    finished by the next. Raises Unavailable.
    """
    count = 0
    for name, rules in privacy.ruled().items():
        if rules.keep_days is None:
            continue
        store, own = store_of(name), ledger.of(name)
        try:
            for image, number in privacy.older_than(name, rules.keep_days):
                _end_life(store, own, Erased(image, number))
                count += 1
        except NotFound:
            continue  # the collection is gone, or not there yet
        except Unavailable as error:
            _log.warning(_PUT_OFF, collection=name, code=error.code, detail=str(error))
    return count


def _end_life(store: Front, ledger: Ledger, erased: Erased) -> None:
    """Erase what began with a submission, and nothing that somebody has put in since it was found.

    In the ledger first: what is erased already is not found a second time.
    """
    ledger.append(erased)
    unlink(store, store.erase(erased.image, erased.upto))
    _log.info("erased", image=erased.image)


class Retention:
    """A thread that does it every ten minutes. A lease spares several apis from doing the same."""

    def __init__(
        self,
        privacy: Privacy,
        store_of: Callable[[str], Front],
        ledger: Ledger,
        seconds: float = SECONDS,
    ) -> None:
        self._parts = privacy, store_of, ledger
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let it end."""
        self._stopped.set()

    def _run(self) -> None:
        holder = secrets.token_hex(8)
        wait = min(_FIRST_SECONDS, self._seconds)
        while not self._stopped.wait(jittered(wait)):
            wait = self._seconds
            try:
                if self._parts[0].lease(holder, self._seconds * 0.9):
                    count = destroy(*self._parts)
                    if count:
                        _log.info("erased what was too old", images=count)
            except Unavailable as error:
                _log.warning(_PUT_OFF, code=error.code, detail=str(error))
            except Exception:  # noqa: BLE001 - the next round may do better
                _log.exception("retention failed")
