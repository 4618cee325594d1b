"""Spans go to a collector by OpenTelemetry's own exporter: protobuf over HTTP.

Apart from `jobs.tracing`, because it needs the extra `observe`. Compression, certificates, headers and
time-outs come from the environment (`OTEL_EXPORTER_OTLP_…`), as does `OTEL_RESOURCE_ATTRIBUTES`.
"""

from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from operators.trace import Span, Value


class Collector:
    """Where spans are sent."""

    def __init__(self, endpoint: str | None, resource: Mapping[str, Value]) -> None:
        """Prepare; nothing is sent yet.

        Args:
            endpoint: Full URL; null takes the environment's, or this machine's.
            resource: What the spans are of.
        """
        self._exporter = OTLPSpanExporter(endpoint=endpoint)
        self._resource = Resource.create(dict(resource))

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans; tell whether they have arrived."""
        readable = [self._readable(span) for span in spans]
        return self._exporter.export(readable) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Close connections."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry has no types here

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=None if span.parent_id is None else _context(span.trace_id, span.parent_id),
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(event.name, event.attributes, event.at_ns) for event in span.events],
            status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=InstrumentationScope("gloss"),
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)
