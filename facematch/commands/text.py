"""What the command line prints: answers and reports as lines for people, documents for scripts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from facematch.client import MatchesAnswer
from facematch.commands.results import Result
from facematch.errors import CODES
from facematch.ingest.picture import Kind, Outcome
from facematch.ingest.run import Report
from facematch.store import State
from facematch.terminal import duration, printable

_NAMES = 3
#: On a terminal, by state; what is under way has another one.
_COLOURS: Mapping[str, str] = {State.DONE: "green", State.FAILED: "red", State.ERASED: "red"}
#: From this rate on, a chance is told in per cent.
_LIKELY = 0.1
_SIZES = ((1e15, "quadrillion"), (1e12, "trillion"), (1e9, "billion"), (1e6, "million"))

Document = Mapping[str, Any]


def result_document(result: Result) -> Document:
    """For a script; the names are those of the REST interface."""
    page = result.page
    return {
        "asked": result.asked,
        "hash": result.hash,
        "state": result.state,
        "code": result.code,
        "detail": result.detail,
        "faces": page.faces if page else None,
        "threshold": page.threshold if page else None,
        "max_false_matches": page.max_false_matches if page else None,
        "complete_through": page.complete_through if page else None,
        "exact": page.exact if page else None,
        "truncated": page.truncated if page else False,
        "matches_truncated": page.matches_truncated if page else None,
        "expected_false_matches": page.expected_false_matches if page else None,
        "matches": None if result.matches is None else [asdict(m) for m in result.matches],
        "more": result.more,
    }


def result_lines(result: Result) -> Iterator[str]:
    """For people: what became of it, its hash, and its matches, the most certain first."""
    colour = _COLOURS.get(result.state or State.ACCEPTED, "yellow")
    asked = click.style(printable(result.asked), bold=True)
    yield f"{asked}: {click.style(_outcome(result), fg=colour)}"
    if result.hash is not None and result.hash != result.asked:
        yield click.style(f"  {result.hash}", dim=True)
    for match in result.matches or ():
        sure = _chance_column(match.false_match_rate)
        yield f"  {match.distance:.4f}  {sure}{match.hash}  {_names(match.names)}"
    if result.more:
        yield "  …"


def _outcome(result: Result) -> str:
    page = result.page
    if result.matches is None or page is None:
        if result.state == State.FAILED:
            detail = result.detail or CODES.get(result.code or "", "")
            return f"failed: {printable(detail)} ({result.code})"
        if result.state == State.ERASED:
            return "erased"
        return f"{result.state}, not done yet"
    if not page.faces:
        return "done, no face"
    # An older service says of faces alone whether it has left some out.
    more_faces = page.truncated and not page.matches_truncated
    faces = _count(page.faces, "face") + (" (there are more)" if more_faces else "")
    unsure = " (approximate: some may be missing)" if page.exact is False else ""
    if not result.matches:
        left_out = " (some were left out for more certain ones)" if page.matches_truncated else ""
        return f"done, {faces}, no match{left_out}{unsure}"
    count = len(result.matches)
    matches = _count(count, "match", "matches")
    if result.more:
        first = "nearest" if page.expected_false_matches is None else "most certain"
        matches = f"the {first} {count:,} matches"
    left_out = " (others were left out for them)" if page.matches_truncated else ""
    return f"done, {faces}, {matches}{left_out} ({_bounds(page)}){unsure}"


def _bounds(page: MatchesAnswer) -> str:
    words = [f"distance at most {page.threshold:g}"]
    if page.expected_false_matches is not None:
        expected = page.expected_false_matches
        told = f"{_rounded(expected):,}" if expected >= 10 else f"{expected:.2g}"
        words.append(f"{told} false ones to be expected")
    return ", ".join(words)


def _chance(rate: float) -> str:
    """A false match rate: "1 in 12,000"."""
    if rate >= _LIKELY:
        return f"{rate:.0%}"
    times = 1 / rate
    for size, word in _SIZES:
        if times >= size:
            return f"1 in {float(f'{times / size:.2g}'):g} {word}"
    return f"1 in {_rounded(times):,}"


def _chance_column(rate: float | None) -> str:
    """As wide as the longest, and a space; nothing where there is none."""
    return "" if rate is None else f"{_chance(rate):<21}"


def _rounded(number: float) -> int:
    """To two digits."""
    return int(float(f"{number:.2g}"))


def report_document(report: Report, source: str, service: str) -> Document:
    """For a script."""
    tally, error = report.tally, report.error
    return {
        "source": source,
        "service": service,
        "pictures": tally.total,
        "ended": tally.ended,
        **{str(kind): tally.counts[kind] for kind in Kind},
        "failures": {code: asdict(failure) for code, failure in tally.failures.items()},
        "seconds": round(report.seconds, 3),
        "interrupted": report.interrupted,
        "error": {"code": error.code, "detail": str(error)} if error else None,
    }


def report_lines(report: Report) -> Iterator[str]:
    """For people."""
    tally = report.tally
    speed = tally.ended / max(report.seconds, 1e-3)
    took = f"{duration(report.seconds)} ({speed:.1f}/s)"
    yield f"{tally.ended:,} of {tally.total:,} pictures in {took}"
    for kind in Kind:
        yield f"  {kind.replace('_', ' '):<24}{tally.counts[kind]:>11,}"
    worst = sorted(tally.failures.items(), key=lambda item: -item[1].count)
    for code, failure in worst:
        shown = ", ".join(map(printable, failure.examples))
        more = ", …" if failure.count > len(failure.examples) else ""
        yield f"    {printable(code):<22}{failure.count:>11,}  {shown}{more}"
    if tally.ended < tally.total:
        yield "Not everything ended. The same command goes on where this one stopped."
    elif tally.failures:
        yield "The same command tries those again that failed."


def outcome_document(outcome: Outcome) -> Document:
    """For a script: what became of a picture."""
    failed = outcome.kind is Kind.FAILED
    return {
        "name": outcome.entry.name,
        "outcome": str(outcome.kind),
        "hash": outcome.done.hash if outcome.done else None,
        "code": outcome.code if failed else None,
        "detail": outcome.detail if failed else None,
    }


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """For people."""
    name, kind = printable(outcome.entry.name), outcome.kind.replace("_", " ")
    if outcome.kind is Kind.FAILED:
        said = f"failed: {printable(outcome.detail)} ({outcome.code})"
        yield f"{name}: {click.style(said, fg='red')}"
    else:
        yield f"{name}: {kind}" + (f"  {outcome.done.hash}" if outcome.done else "")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES:,} more"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
