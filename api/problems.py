"""Every error answer: application/problem+json with a stable code, and which status it has.

Used by the application for all its routes; the codes are those of `facematch.errors`.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, request
from werkzeug.exceptions import HTTPException

from facematch.errors import CODES, Denied, FacematchError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "2"
#: Says to who has no key how one is sent.
CHALLENGE = 'Bearer realm="facematch"'

#: The status of an error that has this code. What went wrong with a picture is 422: the answer
#: of a route that must have the picture's result and cannot.
STATUS: dict[str, int] = {
    "address_not_allowed": 422,
    "answer_too_large": 413,
    "attempts_exhausted": 422,
    "backlog_full": 503,
    "bad_archive": 400,
    "bad_cursor": 400,
    "bad_export": 422,
    "bad_hash": 400,
    "bad_image": 422,
    "bad_key": 401,
    "bad_request": 400,
    "bad_url": 400,
    "batch_busy": 503,
    "broker_unavailable": 503,
    "changed": 422,
    "changing": 409,
    "collection_erasing": 503,
    "collection_exists": 409,
    "decoder_crashed": 422,
    "empty": 400,
    "erased": 410,
    "fetch_failed": 422,
    "fetch_timed_out": 422,
    "http_status": 422,
    "index_behind": 503,
    "index_diverged": 503,
    "index_full": 503,
    "index_loading": 503,
    "index_unavailable": 503,
    "internal_error": 500,
    "key_reused": 422,
    "larger_than_quota": 413,
    "ledger_unavailable": 503,
    "method_not_allowed": 405,
    "misconfigured": 500,
    "newer_data": 503,
    "no_basis": 422,
    "no_collection": 404,
    "no_face": 404,
    "no_key": 401,
    "no_key_here": 404,
    "no_person": 404,
    "no_rates": 409,
    "no_reindex": 404,
    "no_source": 422,
    "no_thumbnail": 404,
    "nobody_left": 409,
    "not_an_image": 422,
    "not_confirmed": 409,
    "not_empty": 409,
    "not_failed": 409,
    "not_found": 404,
    "not_theirs": 409,
    "old_data": 409,
    "other_collections": 409,
    "other_model": 409,
    "other_version": 503,
    "out_of_memory": 422,
    "overtaken": 409,
    "quota_exceeded": 429,
    "rate_exceeded": 429,
    "reindex_behind": 409,
    "reindex_exists": 409,
    "reindex_phase": 409,
    "same_model": 409,
    "sandbox_unavailable": 503,
    "scope_missing": 403,
    "search_busy": 503,
    "search_unavailable": 503,
    "service_unavailable": 503,
    "store_unavailable": 503,
    "timed_out": 422,
    "too_large": 413,
    "too_many_pixels": 422,
    "too_many_redirects": 422,
    "too_many_webhooks": 409,
    "truncated_image": 422,
    "unfinished": 409,
    "unknown_collection": 404,
    "unreachable": 422,
    "unreadable": 422,
}

_CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 410: "erased", 413: "too_large"}
#: Headers of werkzeug's answers that say something about the request and are kept.
_KEPT_HEADERS = ("Allow", "Retry-After")

_log = structlog.get_logger()


def problem(
    code: str,
    detail: str = "",
    *,
    status: int = 0,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """An error answer. `status` overrides the code's own; `more` are further members."""
    status = status or STATUS[code]
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail or CODES[code],
        **more,
    }
    response = Response(json.dumps(body), status, content_type=CONTENT_TYPE)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = RETRY_AFTER
    elif status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = CHALLENGE
    response.headers.update(headers or {})
    return response


def register(app: APIFlask) -> None:
    """Make every error of every route a problem."""
    app.register_error_handler(FacematchError, _of_ours)
    app.register_error_handler(HTTPError, _of_validation)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_nobody)


def _of_ours(error: FacematchError) -> Response:
    if STATUS[error.code] < HTTPStatus.INTERNAL_SERVER_ERROR:
        later = error.retry_after if isinstance(error, Denied) else 0
        return problem(
            error.code, str(error), headers={"Retry-After": str(later)} if later else None
        )
    # What a driver says may name hosts and paths of ours: that is for the log.
    _log.debug("unavailable", route=str(request.url_rule), code=error.code, detail=str(error))
    return problem(error.code)


def _of_validation(error: HTTPError) -> Response:
    """`detail` of such an error is {location: {field: [message]}}."""
    found = [
        f"{field}: {message}"
        for fields in (error.detail or {}).values()
        for field, messages in fields.items()
        for message in messages
    ]
    return problem("bad_request", "; ".join(found) or str(error.message))


def _of_http(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status < HTTPStatus.BAD_REQUEST:
        return Response(error.get_body(), status, error.get_headers())
    unknown = "bad_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal_error"
    code = _CODE_OF_STATUS.get(status, unknown)
    headers = {name: value for name, value in error.get_headers() if name in _KEPT_HEADERS}
    detail = "" if code in _CODE_OF_STATUS.values() else (error.description or "")
    return problem(code, detail, status=status, headers=headers)


def _of_nobody(error: Exception) -> Response:
    _log.error(
        "an error nobody planned for",
        route=str(request.url_rule),
        method=request.method,
        exc_info=error,
    )
    return problem("internal_error")
