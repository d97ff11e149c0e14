"""How the webhooks of a collection do, for `facematch status` and `facematch doctor`: without their
URLs and secrets, which is for who made them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facematch.commands.checks import Check, ok, warning
from facematch.terminal import duration, printable
from facematch.webhooks import Webhooks

#: So many changes that one has not been told of are counted.
MOST_BEHIND = 1000
_SHOWN = 3


@dataclass(frozen=True)
class WebhookTold:
    """`behind`: how many changes it is yet to be told of, or MOST_BEHIND. `failures` in a row,
    `since` so many seconds, last because of `error`; `dead`: it is tried no more."""

    id: str
    behind: int
    failures: int
    since: float
    error: str
    dead: bool


def look(webhooks: Webhooks) -> list[WebhookTold]:
    """Of a collection. Raises Unavailable, NotFound."""
    return [
        WebhookTold(
            *(one.id, webhooks.behind(one, MOST_BEHIND), one.failures),
            *(max(0.0, time.time() - one.since) if one.since else 0.0, one.error, one.dead),
        )
        for one in webhooks.webhooks()
    ]


def line(told: Sequence[WebhookTold]) -> str:
    """All, for people."""
    words = [f"{len(told):,}"]
    refusing = [one for one in told if one.failures and not one.dead]
    dead = [one for one in told if one.dead]
    for kind, some in (("refuse what they are told", refusing), ("dead", dead)):
        if some:
            errors = ", ".join(sorted({printable(one.error) for one in some}))
            words.append(f"{len(some):,} {kind} ({errors})")
    most = max((one.behind for one in told if not one.dead), default=0)
    more = " or more" if most >= MOST_BEHIND else ""
    return ", ".join(words) + (f"; up to {most:,}{more} changes to be told of" if most else "")


def check(there: Mapping[str, Sequence[WebhookTold]]) -> Check | None:
    """Those of each collection; None where there are none."""
    all_ = [(name, one) for name, told in there.items() for one in told]
    if not all_:
        return None
    bad = sorted(
        ((name, one) for name, one in all_ if one.failures or one.dead),
        key=lambda each: (not each[1].dead, -each[1].since),
    )
    if not bad:
        return ok("webhooks", f"{len(all_):,}, and none refuses what it is told")
    told = [
        f"{one.id} of {name} {'is dead' if one.dead else 'refuses'} since {duration(one.since)}"
        f" ({printable(one.error)})"
        for name, one in bad[:_SHOWN]
    ]
    more = [f"{len(bad) - _SHOWN:,} more"] if len(bad) > _SHOWN else []
    return warning(
        "webhooks",
        "; ".join(told + more),
        "look at what their URLs answer; facematch webhooks redeliver has one tried at once, also a"
        " dead one, facematch webhooks delete ends it",
    )
