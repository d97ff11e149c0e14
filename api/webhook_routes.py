"""The routes of webhooks: URLs that are told what happens."""

from http import HTTPStatus
from typing import TypeVar

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, ValidationError

from api.body import read_body
from api.openapi import problems
from api.schemas import Answer
from api.submission import checked_url
from api.webhook_schemas import NewWebhookOut, RedeliverIn, WebhookIn, WebhookOut, WebhooksOut
from facematch.errors import Rejected
from facematch.events import Events, parse_place
from facematch.job import new_job_id
from facematch.webhooks import Webhooks, new_secret

_ROOM = 64 * 1024

_Body = TypeVar("_Body", bound=BaseModel)


def blueprint(webhooks: Webhooks, events: Events) -> APIBlueprint:
    """All routes under /v1/webhooks."""
    routes = APIBlueprint("webhooks", __name__, url_prefix="/v1", tag="Events")

    @routes.post("/webhooks")
    @routes.output(NewWebhookOut, status_code=HTTPStatus.CREATED)
    @routes.doc(responses=problems(400, 409, 413, 503))
    def add() -> Answer:
        """Have a URL told of what happens from now on"""
        url = checked_url(_body(WebhookIn).url)
        made = webhooks.add(new_job_id(), url, new_secret(), events.since("", 1).place)
        answer = NewWebhookOut(webhook=made.id, url=made.url, secret=made.secret)
        return answer, HTTPStatus.CREATED, {"Location": f"/v1/webhooks/{made.id}"}

    @routes.get("/webhooks")
    @routes.output(WebhooksOut)
    @routes.doc(responses=problems(503))
    def all_of_them() -> Answer:
        """The webhooks, at most 100"""
        return WebhooksOut(webhooks=[WebhookOut.of(one) for one in webhooks.webhooks()])

    @routes.get("/webhooks/<webhook>")
    @routes.output(WebhookOut)
    @routes.doc(responses=problems(404, 503))
    def one(webhook: str) -> Answer:
        """A webhook"""
        return WebhookOut.of(webhooks.webhook(webhook))

    @routes.delete("/webhooks/<webhook>")
    @routes.doc(responses={204: "Removed", **problems(404, 503)})
    def remove(webhook: str) -> Answer:
        """Tell a URL no more"""
        webhooks.remove(webhook)
        return Response(status=HTTPStatus.NO_CONTENT)

    @routes.post("/webhooks/<webhook>/redeliver")
    @routes.output(WebhookOut)
    @routes.doc(responses=problems(400, 404, 413, 503))
    def redeliver(webhook: str) -> Answer:
        """Try a webhook at once, also a dead one; with `after`, from behind that event on"""
        after = _body(RedeliverIn).after
        if after:
            parse_place(after)
        return WebhookOut.of(webhooks.redeliver(webhook, after))

    return routes


def _body(form: type[_Body]) -> _Body:
    """What the request says, whatever its content type. Raises Rejected."""
    try:
        return form.model_validate_json(read_body(request, _ROOM) or b"{}")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Rejected("bad_request", f"{where}: {first['msg']}".removeprefix(": ")) from None
