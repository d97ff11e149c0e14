"""The port to what a collection asks of those who use it, and for how long it keeps what it has.

The rules are of a name: they stay when the collection is erased, and hold for a later one of that
name. The real one is `facematch.redis_privacy.RedisPrivacy`, the one for tests
`facematch.memory_privacy.MemoryPrivacy`; one contract test runs against both. Every method raises
Unavailable("store_unavailable") when the store does not answer.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from facematch.errors import Rejected

#: How each word is sent beside a submission: in no URL, and so in no log of a proxy.
HEADERS = {
    "purpose": "Facematch-Purpose",
    "legal_basis": "Facematch-Legal-Basis",
    "consent_ref": "Facematch-Consent-Ref",
}
#: Characters of each of the words that a submission may come with.
MOST_WORD = 200
CONSENT = "consent"


@dataclass(frozen=True)
class Rules:
    """`keep_days`: an image is erased by itself so many days after it was submitted; None: never.
    `strict`: a submission without purpose and legal basis is refused."""

    keep_days: float | None = None
    strict: bool = False


@dataclass(frozen=True)
class Basis:
    """What a submission says of why it may be made: for what, on which legal basis, and where the
    consent is recorded. Words of whoever submits, "" for none; no data of the person."""

    purpose: str = ""
    legal_basis: str = ""
    consent_ref: str = ""

    def check(self, rules: Rules) -> None:
        """Raise Rejected("no_basis") where it is not enough for these rules."""
        if not rules.strict:
            return
        if not (self.purpose and self.legal_basis):
            raise Rejected("no_basis", "submissions here have purpose and legal_basis")
        if self.legal_basis.casefold() == CONSENT and not self.consent_ref:
            raise Rejected("no_basis", "legal_basis is consent: consent_ref says where it is")

    def headers(self) -> dict[str, bytes]:
        """Those of a request that says so: UTF-8."""
        return {HEADERS[name]: word.encode() for name, word in asdict(self).items() if word}

    def pack(self) -> str:
        """As a text, "" where nothing is said."""
        return json.dumps(asdict(self)) if self != Basis() else ""

    @classmethod
    def unpack(cls, text: str) -> "Basis":
        """The inverse."""
        told = json.loads(text) if text else {}
        return cls(*(str(told.get(name, "")) for name in HEADERS))


NO_BASIS = Basis()


class Privacy(Protocol):
    """Of one service. Safe to share between threads."""

    def rules(self, collection: str) -> Rules:
        """Those of a collection, which need not exist."""

    def ruled(self) -> dict[str, Rules]:
        """Of all collections that have any."""

    def rule(self, collection: str, rules: Rules) -> None:
        """Let these be its rules from now on."""

    def older_than(self, collection: str, days: float) -> Iterator[tuple[str, int]]:
        """The images of a collection, of whichever state but erased, whose life began with a
        submission so many days ago or earlier; and its number. None while an export is being
        imported."""

    def lease(self, holder: str, seconds: float) -> bool:
        """Whether `holder` is to destroy what is too old, for so many seconds."""


class NoRules:
    """Nothing is asked for, nothing destroyed: for who has no store for it."""

    def rules(self, collection: str) -> Rules:
        """See Privacy."""
        del collection
        return Rules()

    def ruled(self) -> dict[str, Rules]:
        """See Privacy."""
        return {}

    def rule(self, collection: str, rules: Rules) -> None:
        """See Privacy."""
        raise NotImplementedError(f"no rules can be kept: {collection}, {rules}")

    def older_than(self, collection: str, days: float) -> Iterator[tuple[str, int]]:
        """See Privacy."""
        del collection, days
        return iter(())

    def lease(self, holder: str, seconds: float) -> bool:
        """See Privacy."""
        del holder, seconds
        return False
