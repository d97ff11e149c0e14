"""Traces by OpenTelemetry: when they are made, where they go, and that nobody waits for them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs
from trace_collector import Collector
from waiting import eventually

from facematch import startup, tracing
from facematch.errors import Misconfigured
from facematch.settings import Settings, load
from facematch.startup import Tracing

JOB = "ad8ed6fcaa7ff02cb96d4bea03befd9b"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def settings(endpoint: str = "") -> Settings:
    return Settings(otlp_endpoint=endpoint)


def work(job: str = JOB, traceparent: str = "") -> None:
    with tracing.working("process", job, traceparent, kind="consumer"), tracing.part("query"):
        pass


def test_without_an_endpoint_nothing_of_it_is_even_imported() -> None:
    code = (
        "import sys; from facematch import startup, settings, tracing\n"
        "with startup.Tracing(settings.load(), 'worker'):\n"
        "    with tracing.working('process', 'a', kind='consumer'): pass\n"
        "print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_spans_go_to_the_endpoint_that_is_set(collector: Collector, path: str) -> None:
    with Tracing(settings(collector.url + path), "worker"):
        work()
    eventually(lambda: len(collector.spans) == 2)
    query, process = collector.spans
    assert (process.service, process.name, process.trace) == ("facematch-worker", "process", JOB)
    assert (query.trace, query.parent) == (JOB, process.span)
    assert process.facts == {"facematch.job": JOB}
    assert process.begin <= query.begin <= query.end <= process.end


def test_opentelemetrys_own_variables_count(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "faces-of-the-archive")
    with Tracing(settings(), "worker"):
        work()
    eventually(lambda: len(collector.spans) == 2)
    assert {span.service for span in collector.spans} == {"faces-of-the-archive"}
    assert collector.headers[0]["api-key"] == "secret"
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with Tracing(settings(), "worker"):
        work()
    assert len(collector.spans) == 2


def test_of_a_share_of_the_traces_all_spans_of_all_processes_are_kept(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    sent = {}
    with Tracing(settings(collector.url), "api"):
        for number in range(64):
            job = f"{number:08x}{'5' * 8}{(number * 2**58 + 1) % 2**64:016x}"
            with tracing.working("accept", job, kind="server"):
                sent[job] = tracing.here()
    with Tracing(settings(collector.url), "worker"):
        for job, traceparent in sent.items():
            work(job, traceparent)
        # And of one that the sweeper publishes, who knows no more than the job.
        for job in sent:
            work(job)
    eventually(lambda: len(collector.spans) == 5 * len({one.trace for one in collector.spans}) > 0)
    names: dict[str, list[str]] = {}
    for span in collector.spans:
        names.setdefault(span.trace, []).append(span.name)
    assert 0 < len(names) < len(sent)
    whole = ["accept", "process", "process", "query", "query"]
    assert all(sorted(kept) == whole for kept in names.values())


def test_a_collector_that_is_away_is_told_once_and_keeps_nobody_waiting(
    collector: Collector,
) -> None:
    collector.status = 400
    with capture_logs() as logged:
        tracing_to = Tracing(settings(collector.url), "worker")
        tracing_to.start()
        for _ in range(3):
            seen = len(collector.headers)
            work()
            eventually(lambda seen=seen: len(collector.headers) > seen)
        collector.status = 200

        def arrives() -> bool:
            work()
            return any(line["event"] == "traces arrive again" for line in logged)

        eventually(arrives)
        tracing_to.close()
    told = [line["event"] for line in logged]
    assert told == ["traces are sent", "traces do not arrive and are lost", "traces arrive again"]


def test_a_process_ends_soon_though_nobody_takes_its_traces() -> None:
    tracing_to = Tracing(settings("http://127.0.0.1:9"), "worker")
    tracing_to.start()
    start = time.monotonic()
    for _ in range(1000):
        work()
    assert time.monotonic() - start < 10
    tracing_to.close()
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ],
)
def test_a_variable_that_opentelemetry_refuses_costs_the_traces_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with capture_logs() as logged, Tracing(settings(collector.url), "worker"):
        work()
    assert [line["event"] for line in logged] == ["no traces"]
    assert not collector.headers


def test_without_the_extra_a_setting_is_refused_and_the_common_variable_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(startup, "_has_opentelemetry", lambda: False)
    with pytest.raises(Misconfigured, match=r"pip install 'facematch\[otel\]'"):
        Tracing(settings("http://collector:4318"), "worker")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    with capture_logs() as logged, Tracing(settings(), "worker"):
        work()
    (line,) = logged
    assert line["log_level"] == "warning"
    assert "pip install 'facematch[otel]'" in line["event"]


def test_whether_the_extra_is_there_is_found_out() -> None:
    assert startup._has_opentelemetry()
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from facematch import startup; print(startup._has_opentelemetry())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_endpoint_is_of_http_and_its_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACEMATCH_OTLP_ENDPOINT", "collector:4317")
    with pytest.raises(Misconfigured, match="FACEMATCH_OTLP_ENDPOINT"):
        load()
    monkeypatch.setenv("FACEMATCH_OTLP_ENDPOINT", "https://ann:secret@collector:4318")
    assert load().shown()["otlp_endpoint"] == "https://ann:***@collector:4318"


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    yield
    structlog.contextvars.clear_contextvars()
