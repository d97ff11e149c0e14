"""The application: every route, given the parts it works with."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from apiflask import APIFlask
from flask import Response, request

from api import (
    batch_routes,
    collections_routes,
    course_routes,
    cross_origin,
    docs_routes,
    event_routes,
    health,
    openapi,
    openapi_keys,
    page_routes,
    people_routes,
    privacy_routes,
    probe_erasing,
    problems,
    search_routes,
    status_routes,
    thumbnail_routes,
    v1_routes,
    webhook_routes,
)
from api.auditing import Audit
from api.basis import basis_here
from api.batching import Batching
from api.caller import tenant
from api.collection_of import choose, collection_of_request, mount, require_name
from api.compression import compressed
from api.face_reading import FaceReading
from api.guard import Guard
from api.ledger import Ledger
from api.listening import Listeners
from api.metrics import Metrics
from api.publishing import Publisher
from api.reading import Reading
from api.replaying import Replayer
from api.status_routes import Operation
from api.submission import Submission
from api.turns import Turns
from api.waiting import Waiting
from facematch import __version__
from facematch.batches import Batches
from facematch.collections import Collections
from facematch.errors import Unavailable
from facematch.events import Events
from facematch.people import PeopleFront
from facematch.privacy import NoRules, Privacy
from facematch.searching import Nobody, Searcher
from facematch.settings import Settings
from facematch.store import Front
from facematch.webhooks import Webhooks

#: In the environment of a request: its route as a pattern. Its path may have the name of a picture.
ROUTE = "facematch.route"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "Content-Security-Policy": page_routes.policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
}


@dataclass(frozen=True, kw_only=True)
class AppParts:
    """What the application works with. What is of a collection is that of the request: see
    api.collection_of.

    `collections`: those there are; None: the default one is the only one. `searcher`: who searches.
    `guard`: who lets callers in. `metrics`: where requests are counted.
    `privacy`: the rules of collections. `audit`: where
    what is done is noted.
    """

    store: Front
    people: PeopleFront
    ledger: Ledger
    batches: Batches
    events: Events
    listeners: Listeners
    webhooks: Webhooks
    operation: Operation
    collections: Collections | None
    publisher: Publisher
    waiting: Waiting
    replayer: Replayer
    guard: Guard
    searcher: Searcher = field(default_factory=Nobody)
    metrics: Metrics = field(default_factory=Metrics)
    privacy: Privacy = field(default_factory=NoRules)
    audit: Audit | None = None


def create_app(parts: AppParts, settings: Settings) -> APIFlask:
    """The WSGI application. It starts nothing: who calls this starts the parts."""
    app = APIFlask("api", title="facematch", version=__version__, docs_path=None)
    app.config.update(
        VALIDATION_ERROR_STATUS_CODE=HTTPStatus.BAD_REQUEST,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        SEND_FILE_MAX_AGE_DEFAULT=None,
        # Whatever a proxy calls us: relative to the document.
        SERVERS=[{"url": "/"}],
    )
    # A name may have two slashes side by side: it may be a URL.
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the default provider
    app.description = "Tells you, for every picture, which other pictures show one of its faces."
    app.spec_callback = partial(_complete, app)
    problems.register(app)

    store, collections = parts.store, parts.collections
    backlog, size = settings.backlog_bytes, settings.max_bytes
    submission = Submission(
        *(store, parts.publisher, parts.batches, backlog, parts.metrics.accepted),
        basis=partial(_checked_basis, parts.privacy),
    )
    batching = Batching(submission, parts.batches, parts.guard.limits.charge, size, backlog, tenant)
    reading = Reading(store, parts.waiting)
    faces = FaceReading(store, reading)
    app.register_blueprint(course_routes.blueprint(submission, reading, size))
    for routes in (
        v1_routes.blueprint(store, submission, reading, faces, parts.ledger, size),
        search_routes.blueprint(parts.searcher, faces, size, settings.search_seconds),
        people_routes.blueprint(parts.people),
        batch_routes.blueprint(batching, parts.batches),
        event_routes.blueprint(parts.listeners, parts.guard.works),
        webhook_routes.blueprint(parts.webhooks, parts.events),
        probe_erasing.blueprint(
            *(parts.searcher, store, parts.ledger, size, settings.search_seconds)
        ),
        privacy_routes.blueprint(parts.privacy, store),
        thumbnail_routes.blueprint(store, settings.keep_thumbnails),
        status_routes.blueprint(store, parts.publisher, parts.operation),
    ):
        mount(app, routes, of_collection=collections is not None)
    if collections is not None:
        app.register_blueprint(collections_routes.blueprint(collections, parts.ledger))
        app.url_value_preprocessor(choose)
        app.after_request(partial(_touch, collections))
    app.register_blueprint(health.blueprint(store, parts.publisher, parts.ledger, parts.replayer))
    app.register_blueprint(docs_routes.blueprint())
    showing = page_routes.Showing(settings.keep_thumbnails, settings.page_origins)
    page, several = page_routes.blueprint(showing), collections is not None
    mount(app, page, of_collection=several, short=None, long=page_routes.LONG)
    app.before_request(_begin)
    app.after_request(_secure)
    app.after_request(compressed)
    if parts.audit is not None:
        parts.audit.register(app)
    if settings.allowed_origins:
        app.after_request(cross_origin.answering(settings.allowed_origins))
    # Before the guard, so that those sent away count, too.
    parts.metrics.count_requests(app)
    parts.guard.register(app)
    app.before_request(require_name)
    app.wsgi_app = Turns(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _complete(app: APIFlask, document: dict[str, Any]) -> dict[str, Any]:
    return openapi_keys.complete(openapi.complete(document), app)


def _begin() -> None:
    structlog.contextvars.clear_contextvars()
    request.environ[ROUTE] = request.url_rule.rule if request.url_rule else None


def _checked_basis(privacy: Privacy) -> str:
    basis = basis_here()
    basis.check(privacy.rules(collection_of_request()))
    return basis.pack()


def _touch(collections: Collections, response: Response) -> Response:
    """Whatever may have changed something leaves something to be done."""
    if request.method not in _READS and response.status_code < HTTPStatus.BAD_REQUEST:
        with suppress(Unavailable):  # who looks at all collections now and then finds it
            collections.touch(collection_of_request())
    return response


def _secure(response: Response) -> Response:
    headers = response.headers
    for name, value in _HEADERS.items():
        if name not in headers:
            headers.add(name, value)
    if request.endpoint != "static" and "Cache-Control" not in headers:
        headers.add("Cache-Control", "no-store")
    return response
