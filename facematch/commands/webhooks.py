"""`facematch webhooks`: what it prints."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from facematch.commands.events import clock
from facematch.commands.text import Document, _count
from facematch.terminal import printable
from facematch.webhooks_client import NewWebhookAnswer, WebhookAnswer


def document(webhook: WebhookAnswer | NewWebhookAnswer) -> Document:
    """For a script; the names are those of the REST interface."""
    return asdict(webhook)


def made_line(made: NewWebhookAnswer) -> str:
    """What is said of a new one, beside its secret."""
    return f"{made.webhook}  {printable(made.url)}. Its secret, shown this once:"


def lines(webhooks: Sequence[WebhookAnswer]) -> Iterator[str]:
    """For people."""
    if not webhooks:
        yield "no webhooks: facematch webhooks add URL makes one"
    for one in webhooks:
        yield f"{one.webhook}  {printable(one.url)}: {_state(one)}"


def _state(one: WebhookAnswer) -> str:
    if one.failures:
        since = f" since {clock(one.since)}" if one.since is not None else ""
        tries = _count(one.failures, "delivery", "deliveries")
        failed = f"{tries} not taken{since}, the last one because of {printable(one.error or '?')}"
        return f"dead: {failed}" if one.dead else failed
    if one.delivered is None:
        return f"made {clock(one.created)}, nothing to tell it yet"
    return f"told all up to {one.after}, last {clock(one.delivered)}"
