"""The shapes of webhooks in the REST interface."""

from pydantic import BaseModel, Field

from api.schemas import URL_SHAPE
from facematch.events import PLACE_PATTERN
from facematch.webhooks import Webhook


class WebhookIn(BaseModel):
    """A URL to be told of events."""

    url: str = Field(
        description="an http or https URL",
        examples=["https://example.com/hook"],
        json_schema_extra=URL_SHAPE,
    )


class RedeliverIn(BaseModel):
    """From where on events are to be delivered again."""

    after: str = Field(
        "",
        description="the id of an event; without, what it has not taken yet",
        json_schema_extra={"pattern": f"^({PLACE_PATTERN})?$"},
    )


class WebhookOut(BaseModel):
    """A webhook and how it does. Times are seconds since 1970."""

    webhook: str
    url: str
    created: float
    after: str = Field(description="the event up to which all were taken")
    delivered: float | None = Field(description="when some were taken last")
    failures: int = Field(description="deliveries in a row that were not taken")
    since: float | None = Field(description="when these began")
    error: str | None = Field(description="why the last one was not: a code, or the status")
    dead: bool = Field(description="it is tried no more, until it is redelivered")

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookOut":
        """Show a webhook, without its secret."""
        return cls(
            webhook=webhook.id,
            url=webhook.url,
            created=webhook.created,
            after=webhook.place,
            delivered=webhook.delivered,
            failures=webhook.failures,
            since=webhook.since,
            error=webhook.error or None,
            dead=webhook.dead,
        )


class NewWebhookOut(BaseModel):
    """A webhook that was just made."""

    webhook: str
    url: str
    secret: str = Field(description="what deliveries are signed with; told this once")


class WebhooksOut(BaseModel):
    """All webhooks, the oldest first."""

    webhooks: list[WebhookOut]
