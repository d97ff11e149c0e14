"""The application: every route, given the parts it works with."""

from http import HTTPStatus

import structlog
from apiflask import APIFlask
from flask import Response, request

from api import (
    course_routes,
    health,
    openapi,
    page_routes,
    people_routes,
    problems,
    status_routes,
    thumbnail_routes,
    v1_routes,
)
from api.ledger import Ledger
from api.metrics import Metrics
from api.publishing import Publisher
from api.reading import Reading
from api.replaying import Replayer
from api.submission import Submission
from api.waiting import Waiting
from facematch import __version__
from facematch.people import PeopleFront
from facematch.settings import Settings
from facematch.store import Front

#: In the environment of a request: its route as a pattern. Its path may have the name of a picture.
ROUTE = "facematch.route"
_HEADERS = {
    "Content-Security-Policy": page_routes.policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(
    store: Front,
    publisher: Publisher,
    waiting: Waiting,
    ledger: Ledger,
    replayer: Replayer,
    people: PeopleFront,
    settings: Settings,
    metrics: Metrics | None = None,
    operation: status_routes.Operation | None = None,
) -> APIFlask:
    """The WSGI application. It starts nothing: who calls this starts the parts. `metrics`: where
    its requests are counted, if anywhere. `operation`: what the routes for who looks after the
    service ask; without it there are none."""
    metrics = metrics or Metrics()
    app = APIFlask("api", title="facematch", version=__version__, docs_path=None)
    app.config.update(
        VALIDATION_ERROR_STATUS_CODE=HTTPStatus.BAD_REQUEST,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        SEND_FILE_MAX_AGE_DEFAULT=None,
    )
    # A name may have two slashes side by side: it may be a URL.
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the default provider
    app.description = "Tells you, for every picture, which other pictures show one of its faces."
    app.spec_callback = openapi.complete  # type: ignore[assignment]
    problems.register(app)

    submission = Submission(store, publisher, settings.backlog_bytes, metrics.accepted)
    reading = Reading(store, waiting)
    app.register_blueprint(course_routes.blueprint(submission, reading, settings.max_bytes))
    app.register_blueprint(
        v1_routes.blueprint(store, submission, reading, ledger, settings.max_bytes)
    )
    app.register_blueprint(people_routes.blueprint(people))
    app.register_blueprint(thumbnail_routes.blueprint(store, settings.keep_thumbnails))
    showing = page_routes.Showing(settings.keep_thumbnails, settings.page_origins)
    app.register_blueprint(page_routes.blueprint(showing))
    if operation is not None:
        app.register_blueprint(status_routes.blueprint(store, publisher, operation))
    app.register_blueprint(health.blueprint(store, publisher, ledger, replayer))
    app.before_request(_begin)
    app.after_request(_secure)
    metrics.count_requests(app)
    return app


def _begin() -> None:
    structlog.contextvars.clear_contextvars()
    request.environ[ROUTE] = request.url_rule.rule if request.url_rule else None


def _secure(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
