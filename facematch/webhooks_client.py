"""What the REST client asks about webhooks: `facematch.client.Client.webhooks`."""

from dataclasses import dataclass
from urllib.parse import quote

from pydantic import TypeAdapter

from facematch.people_client import Read
from facematch.rest import Rest

_WEBHOOKS_PATH = "/v1/webhooks"


@dataclass(frozen=True)
class WebhookAnswer:
    """A webhook and how it does. `after`: the event up to which its `url` has taken all.

    `delivered`: when it took some last. `failures`: deliveries in a row that it did not take, since
    `since`; `error` says why of the last one: a code, or the status of its answer. `dead`: it is
    tried no more until it is redelivered. Times are seconds since 1970.
    """

    webhook: str
    url: str
    created: float
    after: str
    delivered: float | None
    failures: int
    since: float | None
    error: str | None
    dead: bool


@dataclass(frozen=True)
class NewWebhookAnswer:
    """A webhook that was just made. `secret`: what deliveries are signed with, told this once."""

    webhook: str
    url: str
    secret: str


@dataclass(frozen=True)
class _WebhooksAnswer:
    webhooks: tuple[WebhookAnswer, ...]


_WEBHOOK = TypeAdapter(WebhookAnswer)
_NEW = TypeAdapter(NewWebhookAnswer)
_WEBHOOKS = TypeAdapter(_WebhooksAnswer)


class WebhooksClient:
    """URLs that are told what happens in the collection. Raises what `facematch.client.Client`
    raises; NotFound for a webhook that is not there."""

    def __init__(self, rest: Rest, read: Read) -> None:
        self._rest, self._got = rest, read

    def add(self, url: str) -> NewWebhookAnswer:
        """Have a URL told of what happens from now on.

        Asks once: sent again, it would be a second webhook. Raises Rejected("bad_url"),
        Rejected("too_many_webhooks").
        """
        answer = self._rest.ask_once("POST", _WEBHOOKS_PATH, {"url": url})
        return self._got(_NEW, answer)

    def all(self) -> tuple[WebhookAnswer, ...]:
        """All of them, at most 100, the oldest first."""
        return self._got(_WEBHOOKS, self._rest.ask("GET", _WEBHOOKS_PATH)).webhooks

    def get(self, webhook: str) -> WebhookAnswer:
        """The one with this id."""
        return self._got(_WEBHOOK, self._rest.ask("GET", _path(webhook)))

    def delete(self, webhook: str) -> None:
        """Tell it no more."""
        self._rest.ask("DELETE", _path(webhook))

    def redeliver(self, webhook: str, after: str = "") -> WebhookAnswer:
        """Try it at once, also a dead one. `after`: the id of an event, to begin behind it."""
        body = {"after": after} if after else {}
        answer = self._rest.ask("POST", f"{_path(webhook)}/redeliver", body=body)
        return self._got(_WEBHOOK, answer)


def _path(webhook: str) -> str:
    return f"{_WEBHOOKS_PATH}/{quote(webhook, safe='')}"
