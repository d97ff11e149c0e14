"""Spans by OpenTelemetry: the only module that imports it. Needs the extra `otel`.

Sent as OTLP over HTTP, by a thread of its own, in batches. What cannot be sent is lost, and nobody
waits for it. OpenTelemetry's own variables count: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER,
OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_SCHEDULE_DELAY and the rest.
"""

import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextvars import ContextVar

import structlog
from opentelemetry.context import Context as Surroundings
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from facematch import __version__
from facematch.tracing import Context, Fact, Kind, Span

#: For one batch, with all tries; and for what is left at the end of a process.
_SEND_SECONDS = 5.0
_CLOSE_SECONDS = 3.0
_PATH = "/v1/traces"
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}

#: The id of the trace that the thread is about to begin.
_trace: ContextVar[int] = ContextVar("trace", default=0)

_log = structlog.get_logger()


class OtelTracer:
    """See facematch.tracing.Tracer. Has a thread: to be made behind a fork."""

    def __init__(self, part: str, endpoint: str = "") -> None:
        """`part`: api, worker, index. `endpoint`: the base URL of a collector; without one,
        OpenTelemetry's variables say where it is."""
        # What these say may have the collector's URL in it, with a password, and is said again
        # and again; whether it arrives is told below.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": f"facematch-{part}"}
        resource = Resource.create(
            {
                **named,
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        )
        url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH if endpoint else None
        self._exporter = _Told(OTLPSpanExporter(url, timeout=_SEND_SECONDS))
        self._provider = TracerProvider(
            resource=resource, id_generator=_Ids(), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("facematch", __version__)

    def start(
        self,
        name: str,
        kind: Kind,
        trace: str,
        above: Context | None,
        caller: Context | None,
        at: int,
    ) -> Span:
        """See Tracer."""
        surroundings = Surroundings()
        if above is not None:
            surroundings = set_span_in_context(NonRecordingSpan(_theirs(above)), surroundings)
        links = [Link(_theirs(caller))] if caller else []
        token = _trace.set(int(trace, 16))
        try:
            span = self._tracer.start_span(
                name, surroundings, _KINDS[kind], links=links, start_time=at
            )
        finally:
            _trace.reset(token)
        return _Span(span)

    def close(self) -> None:
        """Send what is left, for up to 3 s."""
        # Its own limit is half a minute, and a collector may be away.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class _Span:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        made = span.get_span_context()
        self.context = Context(
            f"{made.trace_id:032x}", f"{made.span_id:016x}", made.trace_flags.sampled
        )

    def tell(self, fact: Fact, value: str) -> None:
        self._span.set_attribute(f"facematch.{fact}", value)

    def fail(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, at: int) -> None:
        self._span.end(at)


class _Ids(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        return _trace.get() or super().generate_trace_id()


class _Told(SpanExporter):
    """Says once when spans do not arrive, and once when they do again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._arrives = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        arrives = result is SpanExportResult.SUCCESS
        if arrives and not self._arrives:
            _log.info("traces arrive again")
        elif self._arrives and not arrives:
            _log.warning("traces do not arrive and are lost")
        self._arrives = arrives
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _theirs(context: Context) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace, 16), int(context.span, 16), context.remote, flags)
