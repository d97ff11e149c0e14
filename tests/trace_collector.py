"""A collector of traces for tests: takes OTLP over HTTP and keeps what comes in memory."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Collected:
    """A span as it came: ids in hexadecimal digits, times in nanoseconds."""

    service: str
    name: str
    kind: str
    trace: str
    span: str
    parent: str
    begin: int
    end: int
    failed: bool
    facts: dict[str, Any]
    links: tuple[str, ...]


class Collector:
    """Listens on 127.0.0.1 while the context lasts; `status` is what it answers with."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._spans: list[Collected] = []
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.headers.append(
                    {name.lower(): value for name, value in self.headers.items()}
                )
                if collector.status == 200 and self.path == "/v1/traces":
                    collector.take(body)
                self.send_response(collector.status if self.path == "/v1/traces" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[Collected]:
        """All so far."""
        with self._lock:
            return list(self._spans)

    def take(self, body: bytes) -> None:
        """The spans of a request."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.bodies.append(body)
            for resource in request.resource_spans:
                service = _facts(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self._spans += [_collected(service, span) for span in scope.spans]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _collected(service: str, span: Any) -> Collected:
    kind = trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()
    return Collected(
        service,
        span.name,
        kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        _facts(span.attributes),
        tuple(link.trace_id.hex() for link in span.links),
    )


def _facts(attributes: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value for pair in attributes}
