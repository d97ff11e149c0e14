"""facematch.tracing: whose trace it is, what is told of it, and what is not."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from facematch import tracing
from facematch.errors import Rejected
from facematch.job import new_job_id
from facematch.tracing import Context

JOB, IMAGE = "ad8ed6fcaa7ff02cb96d4bea03befd9b", "a" * 64
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Told:
    """A span of a tracer that keeps them."""

    name: str
    kind: str
    context: Context
    above: Context | None
    caller: Context | None
    begin: int
    end_: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def tell(self, fact: tracing.Fact, value: str) -> None:
        self.facts[fact] = value

    def fail(self, code: str) -> None:
        self.error = code

    def end(self, at: int) -> None:
        assert not self.end_
        self.end_ = at


class Keeping:
    """A tracer that keeps its spans."""

    def __init__(self) -> None:
        self.spans: list[Told] = []

    def start(
        self,
        name: str,
        kind: tracing.Kind,
        trace: str,
        above: Context | None,
        caller: Context | None,
        at: int,
    ) -> Told:
        context = Context(trace, f"{len(self.spans) + 1:016x}", sampled=True)
        self.spans.append(Told(name, kind, context, above, caller, at))
        return self.spans[-1]


@pytest.fixture
def tracer() -> Iterator[Keeping]:
    keeping = Keeping()
    tracing.use(keeping)
    yield keeping
    tracing.use(None)


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


def test_a_job_of_ours_is_the_name_of_its_trace_and_any_other_has_one_of_its_own() -> None:
    job = new_job_id()
    assert tracing.trace_of(job) == job
    others = [tracing.trace_of(name) for name in ("a", "b", "0" * 32, job.upper() + "x")]
    assert len(set(others)) == 4
    assert all(Context.decode(f"00-{trace}-b7ad6b7169203331-01") for trace in others)


@given(st.from_regex(r"[0-9a-f]{32}", fullmatch=True), st.integers(1, 2**64 - 1), st.booleans())
def test_a_place_is_read_back_as_it_was_written(trace: str, span: int, sampled: bool) -> None:
    there = Context(tracing.trace_of(trace), f"{span:016x}", sampled, remote=True)
    assert Context.decode(there.encode()) == there


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    read = Context.decode(f"01{THEIRS[2:-2]}03-more")
    assert read == Context.decode(THEIRS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        THEIRS + "-more",
        THEIRS.upper(),
        f" {THEIRS}",
        f"{THEIRS}\n",
        f"ff{THEIRS[2:]}",
        THEIRS.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        THEIRS.replace("b7ad6b7169203331", "0" * 16),
        THEIRS.replace("0af", "٣af"),
    ],
)
def test_what_is_no_place_in_a_trace_is_none(text: str) -> None:
    assert Context.decode(text) is None
    assert tracing.fields(JOB, text) == {"job": JOB, "trace_id": JOB}


def test_what_comes_with_a_job_says_of_which_trace_it_is() -> None:
    assert tracing.fields(JOB, THEIRS)["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_parts_are_below_what_they_are_parts_of_and_facts_are_told_at_the_top(
    tracer: Keeping,
) -> None:
    with tracing.working("process", JOB, THEIRS, kind="consumer"):
        with tracing.part("finish"), tracing.part("query"):
            tracing.note(image=IMAGE, state="done")
        tracing.past("decode", 0.5, ago=0.25)
        after = tracing.here()
    process, finish, query, decode = tracer.spans
    assert process.above == Context.decode(THEIRS)
    assert (finish.above, query.above, decode.above) == (
        process.context,
        finish.context,
        process.context,
    )
    assert process.facts == {"job": JOB, "image": IMAGE, "state": "done"}
    assert finish.facts == query.facts == {}
    assert decode.end_ - decode.begin == 500_000_000
    assert process.end_ - decode.end_ >= 250_000_000
    assert Context.decode(after) == Context(
        process.context.trace, process.context.span, True, remote=True
    )
    assert tracing.here() == ""


def test_a_trace_begins_with_who_has_a_job_without_one(tracer: Keeping) -> None:
    with tracing.working("accept", JOB, kind="server", caller=THEIRS):
        pass
    (accept,) = tracer.spans
    assert (accept.context.trace, accept.above) == (JOB, None)
    assert accept.caller == Context.decode(THEIRS)


def test_a_failure_is_told_by_its_code_and_never_by_its_text(tracer: Keeping) -> None:
    with (
        pytest.raises(Rejected),
        tracing.working("process", JOB, kind="consumer"),
        tracing.part("fetch"),
    ):
        raise Rejected("bad_url", "http://anna.example")
    with pytest.raises(ZeroDivisionError), tracing.working("process", JOB, kind="consumer"):
        _ = 1 / 0
    assert [span.error for span in tracer.spans] == ["bad_url", "bad_url", "internal_error"]
    assert all(span.end_ for span in tracer.spans)
    assert "anna" not in repr(tracer.spans)


def test_without_a_tracer_there_is_the_log_and_what_came_is_passed_on() -> None:
    with tracing.working("process", JOB, kind="consumer"), tracing.part("fetch"):
        tracing.past("decode", 1.0)
        tracing.note(image=IMAGE)
        assert tracing.here() == ""
    assert structlog.contextvars.get_contextvars() == {"image": IMAGE}
    with tracing.working("process", JOB, THEIRS, kind="consumer"):
        assert tracing.here() == THEIRS
    assert tracing.here() == ""


def test_outside_of_any_work_nothing_is_told(tracer: Keeping) -> None:
    with tracing.part("query"):
        tracing.past("decode", 1.0)
        tracing.note(state="done")
    assert tracer.spans == []
    assert tracing.headers() == {}


def test_the_index_hears_whose_work_it_does(tracer: Keeping) -> None:
    bound = structlog.contextvars.bound_contextvars(**tracing.fields(JOB))
    with bound, tracing.working("process", JOB, kind="consumer", image=IMAGE), tracing.part("ask"):
        sent = tracing.headers()
    with tracing.answering("within", sent) as for_job:
        assert for_job
        assert structlog.contextvars.get_contextvars() == {
            "job": JOB,
            "image": IMAGE,
            "trace_id": JOB,
        }
    process, ask, within = tracer.spans
    assert within.above is not None
    assert within.above.span == ask.context.span != process.context.span
    assert (within.kind, within.facts) == ("server", {"job": JOB, "image": IMAGE})


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"baggage": ""},
        {"baggage": f"image={IMAGE}"},
        {"traceparent": THEIRS},
        {"baggage": "xjob=a"},
        {"baggage": "job=two words"},
        {"baggage": "job=" + "a" * 101},
        {"baggage": 'job="}\n{"'},
    ],
)
def test_what_names_no_job_is_nobodys_work(tracer: Keeping, told: dict[str, str]) -> None:
    structlog.contextvars.bind_contextvars(job="the one before")
    with tracing.answering("within", told) as for_job:
        assert not for_job
        assert structlog.contextvars.get_contextvars() == {}
    assert tracer.spans == []


def test_what_others_have_put_beside_it_is_passed_over() -> None:
    with tracing.answering("within", {"baggage": f"user=anna,job={JOB},image={IMAGE}"}):
        assert structlog.contextvars.get_contextvars() == {
            "job": JOB,
            "image": IMAGE,
            "trace_id": JOB,
        }
