"""What the command line prints: answers and reports as lines for people, documents for scripts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from facematch.commands.results import Result
from facematch.errors import CODES
from facematch.ingest.picture import Kind
from facematch.ingest.run import Report
from facematch.store import State
from facematch.terminal import duration, printable

_NAMES = 3

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
        "complete_through": page.complete_through if page else None,
        "exact": page.exact if page else None,
        "truncated": page.truncated if page else False,
        "matches": None if result.matches is None else [asdict(m) for m in result.matches],
        "more": result.more,
    }


def result_lines(result: Result) -> Iterator[str]:
    """For people: what became of it, its hash, and its matches, nearest first."""
    yield f"{printable(result.asked)}: {_outcome(result)}"
    if result.hash is not None and result.hash != result.asked:
        yield f"  {result.hash}"
    for match in result.matches or ():
        yield f"  {match.distance:.4f}  {match.hash}  {_names(match.names)}"
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
    faces = _count(page.faces, "face") + (" (there are more)" if page.truncated else "")
    unsure = " (approximate: some may be missing)" if page.exact is False else ""
    if not result.matches:
        return f"done, {faces}, no match{unsure}"
    count = len(result.matches)
    matches = f"the nearest {count:,} matches" if result.more else _count(count, "match", "matches")
    return f"done, {faces}, {matches} (distance at most {page.threshold:g}){unsure}"


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


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES:,} more"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
