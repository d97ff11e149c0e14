"""What a reindex changes of a policy: for `facematch.reindex` and `facematch.reencode`."""

from dataclasses import dataclass

from facematch.store import DEFAULT_BOUNDS, Bounds, Generation


@dataclass(frozen=True)
class PolicyChange:
    """None: as it is in the match sets that are served. 0 for `max_false_matches` or
    `max_matches`: no such bound."""

    threshold: float | None = None
    max_false_matches: float | None = None
    max_matches: int | None = None

    def of(self, served: Generation) -> tuple[float, Bounds]:
        """The new threshold and bounds. Match sets from before there were bounds have those that
        new collections have."""
        before = served.bounds if served.scored else DEFAULT_BOUNDS
        threshold = served.threshold if self.threshold is None else self.threshold
        return threshold, self.bounds_of(before)

    def bounds_of(self, before: Bounds) -> Bounds:
        """The new bounds."""
        false, most = self.max_false_matches, self.max_matches
        return Bounds(
            before.max_false_matches if false is None else false or None,
            before.max_matches if most is None else most or None,
        )

    def fits(self, threshold: float, bounds: Bounds) -> bool:
        """Whether it would change nothing of these."""
        return self.threshold in (None, threshold) and self.bounds_of(bounds) == bounds


def policy_told(threshold: float, bounds: Bounds) -> str:
    """A policy in words: as lines for people have it."""
    words = [f"threshold {threshold:g}"]
    if bounds.max_false_matches is not None:
        words.append(f"at most {bounds.max_false_matches:g} false matches of a face")
    if bounds.max_matches is not None:
        words.append(f"at most {bounds.max_matches:,} matches of an image")
    return ", ".join(words)
