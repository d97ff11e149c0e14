"""What `facematch reindex` prints: of match sets made anew, and of another encoder."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from facematch import reencode, reindex
from facematch.commands.fsck import finding_lines
from facematch.commands.text import Document
from facematch.parity import Parity, Sample
from facematch.policy import policy_told
from facematch.reencoding import Editions, Lag
from facematch.reindexing import Reindex
from facematch.terminal import printable

_SHOWN = 20


@dataclass(frozen=True)
class Reencode:
    """A reindex to another encoder as it is."""

    editions: Editions
    lag: Lag


There = Reindex | Reencode | None
Outcome = reindex.Outcome | reencode.Outcome


def document(there: There) -> Document:
    """For a script."""
    if isinstance(there, Reencode):
        return {"reindex": _editions(there.editions) | {"lag": asdict(there.lag)}}
    return {"reindex": asdict(there) if there else None}


def _editions(there: Editions) -> dict[str, Any]:
    return asdict(there) | {"phase": there.phase}


def lines(there: There) -> Iterator[str]:
    """For people."""
    if there is None:
        yield "There is no reindex."
    elif isinstance(there, Reencode):
        yield from _editions_lines(there.editions, there.lag)
    else:
        yield from _generation_lines(there)


def _editions_lines(there: Editions, lag: Lag) -> Iterator[str]:
    served, other = there.served, there.other or there.served
    yield (
        f"{there.phase}: edition {there.later.number} of {there.later.model}, with"
        f" {policy_told(there.later.threshold, there.later.bounds)};"
        f" served is edition {served.number} of {served.model}"
    )
    yield f"edition {other.number} is {lag.behind:,} images behind the one that is served"


def _generation_lines(there: Reindex) -> Iterator[str]:
    done = there.ranges - there.left
    yield (
        f"{there.phase}: generation {there.generation} with"
        f" {policy_told(there.threshold, there.bounds)}; in place of generation {there.former} with"
        f" {policy_told(there.former_threshold, there.former_bounds)}"
    )
    yield f"{done:,} of {there.ranges:,} ranges are done, of {there.span:,} positions each"
    if there.share < 1:
        yield f"workers give {there.share:.0%} of their time to it"


def outcome_document(outcome: Outcome | None, switched: bool) -> Document:
    """For a script."""
    if outcome is None:
        return {"switched": True}
    about = (
        {"reindex": asdict(outcome.reindex)}
        if isinstance(outcome, reindex.Outcome)
        else {
            "reindex": _editions(outcome.editions),
            "images": outcome.images,
            "missing": [asdict(one) for one in outcome.missing],
            "faces_changed": outcome.faces_changed,
        }
    )
    return about | {
        "parity": asdict(outcome.parity) | {"share_unexpected": outcome.parity.share_unexpected},
        "fsck": asdict(outcome.fsck) if outcome.fsck else None,
        "stopped": outcome.stopped or None,
        "switched": switched,
    }


def outcome_lines(outcome: Outcome | None, switched: bool) -> Iterator[str]:
    """For people."""
    if outcome is None:
        yield "The new match sets are served already."
        return
    if isinstance(outcome, reindex.Outcome):
        there = outcome.reindex
        yield f"{there.base:,} positions with {policy_told(there.threshold, there.bounds)}"
        yield from _parity_lines(outcome.parity)
        if outcome.parity.unexpected:
            yield f"{outcome.parity.unexpected:,} of these changes do not come from the policy"
    else:
        yield from _edition_lines(outcome)
        yield from _parity_lines(outcome.parity)
    yield from _end_lines(outcome, switched)


def _edition_lines(outcome: reencode.Outcome) -> Iterator[str]:
    there = outcome.editions.later
    yield (
        f"edition {there.number} of {there.model}: {outcome.images - len(outcome.missing):,} of"
        f" {outcome.images:,} images, {outcome.faces_changed:,} with another number of faces"
    )
    for missing in outcome.missing[:_SHOWN]:
        name = printable(missing.names[0]) if missing.names else ""
        yield f"  missing: {missing.image[:12]}… {missing.code} {name}"
    if len(outcome.missing) > _SHOWN:
        yield f"  and {len(outcome.missing) - _SHOWN:,} more; run again with --json, it lists all"


def _end_lines(outcome: Outcome, switched: bool) -> Iterator[str]:
    if outcome.fsck is not None:
        yield from finding_lines(outcome.fsck.findings)
    if outcome.stopped:
        yield f"Not served: {outcome.stopped}."
        yield "`facematch reindex switch` serves the new match sets all the same,"
        yield "`facematch reindex cancel` gives them up."
    elif switched:
        yield "The new match sets are served. `facematch reindex rollback` goes back,"
        yield "`facematch reindex drop` gives the former ones up."
    else:
        yield "`facematch reindex switch` serves them."


def _parity_lines(parity: Parity) -> Iterator[str]:
    yield (
        f"{parity.unchanged:,} pairs as before, {parity.gained:,} gained, {parity.lost:,} lost,"
        f" {parity.moved:,} with another distance"
        + (f" (by {parity.most_moved:.3g} at the most)" if parity.moved else "")
    )
    for word, samples in (("gained", parity.samples_gained), ("lost", parity.samples_lost)):
        yield from (_sample_line(word, sample) for sample in samples)


def _sample_line(word: str, sample: Sample) -> str:
    return f"  {word}: {sample.image[:12]}… {sample.other[:12]}… {sample.distance:.4f}"
