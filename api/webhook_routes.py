"""The routes of webhooks: URLs that are told what happens."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api.body import read_document
from api.collection_of import path_here
from api.openapi import problems
from api.schemas import Answer
from api.scopes import needs
from api.submission import checked_url
from api.webhook_schemas import NewWebhookOut, RedeliverIn, WebhookIn, WebhookOut, WebhooksOut
from facematch.events import Events, parse_place
from facematch.job import new_job_id
from facematch.keys import Scope
from facematch.webhooks import Webhooks, new_secret


def blueprint(webhooks: Webhooks, events: Events) -> APIBlueprint:
    """All routes of webhooks."""
    routes = APIBlueprint("webhooks", __name__, tag="Events")

    @routes.post("/webhooks")
    @routes.output(NewWebhookOut, status_code=HTTPStatus.CREATED)
    @routes.doc(responses=problems(400, 409, 413, 503))
    @needs(Scope.ADMIN)
    def add() -> Answer:
        """Have a URL told of what happens from now on"""
        url = checked_url(read_document(WebhookIn).url)
        made = webhooks.add(new_job_id(), url, new_secret(), events.since("", 1).place)
        answer = NewWebhookOut(webhook=made.id, url=made.url, secret=made.secret)
        return answer, HTTPStatus.CREATED, {"Location": path_here(f"/webhooks/{made.id}")}

    @routes.get("/webhooks")
    @routes.output(WebhooksOut)
    @routes.doc(responses=problems(503))
    @needs(Scope.ADMIN)
    def all_of_them() -> Answer:
        """The webhooks, at most 100"""
        return WebhooksOut(webhooks=[WebhookOut.of(one) for one in webhooks.webhooks()])

    @routes.get("/webhooks/<webhook>")
    @routes.output(WebhookOut)
    @routes.doc(responses=problems(404, 503))
    @needs(Scope.ADMIN)
    def one(webhook: str) -> Answer:
        """A webhook"""
        return WebhookOut.of(webhooks.webhook(webhook))

    @routes.delete("/webhooks/<webhook>")
    @routes.doc(responses={204: "Removed", **problems(404, 503)})
    @needs(Scope.ADMIN)
    def remove(webhook: str) -> Answer:
        """Tell a URL no more"""
        webhooks.remove(webhook)
        return Response(status=HTTPStatus.NO_CONTENT)

    @routes.post("/webhooks/<webhook>/redeliver")
    @routes.output(WebhookOut)
    @routes.doc(responses=problems(400, 404, 413, 503))
    @needs(Scope.ADMIN)
    def redeliver(webhook: str) -> Answer:
        """Try a webhook at once, also a dead one; with `after`, from behind that event on"""
        after = read_document(RedeliverIn, or_else=b"{}").after
        if after:
            parse_place(after)
        return WebhookOut.of(webhooks.redeliver(webhook, after))

    return routes
