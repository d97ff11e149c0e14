"""Whether the process answers, and whether it can do its work."""

from http import HTTPStatus

from apiflask import APIBlueprint

from api.ledger import Ledger
from api.openapi import also
from api.publishing import Publisher
from api.replaying import Replayer
from api.schemas import Alive, Answer, Ready
from api.scopes import open_to_all
from facematch.errors import FacematchError
from facematch.probe import ALIVE, READY
from facematch.store import Front


def readiness(store: Front, publisher: Publisher, ledger: Ledger, replayer: Replayer) -> Ready:
    """How each dependency is.

    Ready is who can take pictures in and answer for what was erased. The broker is no part of
    that: without it, accepted jobs wait.
    """
    ready = Ready(status="ready", store="up", broker=publisher.state, ledger="up")
    try:
        store.check()
    except FacematchError as error:
        ready.store = f"down: {error}"
    try:
        ledger.check()
    except FacematchError as error:
        ready.ledger = f"down: {error}"
    else:
        if not replayer.replayed:
            ready.ledger = "not played back to the store yet"
    if (ready.store, ready.ledger) != ("up", "up"):
        ready.status = "not ready"
    return ready


def blueprint(
    store: Front, publisher: Publisher, ledger: Ledger, replayer: Replayer
) -> APIBlueprint:
    """The routes that orchestrators ask."""
    routes = APIBlueprint("health", __name__, tag="Health")

    @routes.get(ALIVE)
    @routes.output(Alive)
    @open_to_all
    def healthz() -> Answer:
        """Whether the process answers"""
        return Alive(status="ok")

    @routes.get(READY)
    @routes.output(Ready)
    @routes.doc(responses=also(503, "A dependency is down", Ready))
    @open_to_all
    def readyz() -> Answer:
        """Whether the process can do its work"""
        ready = readiness(store, publisher, ledger, replayer)
        status = HTTPStatus.OK if ready.status == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        return ready, status

    return routes
