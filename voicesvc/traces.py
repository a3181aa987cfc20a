"""A take as a trace: one span for each of its stages, sent once the take has ended.

Needs the optional extra `[otel]`. The spans are made afterwards, from the times that the take
noted: its chunks are computed on whichever thread is free, so no span is ever the current one. They
carry the take's id and figures, and no word of what is said.
"""

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from voicesvc.config import Settings
from voicesvc.errors import BadSetting
from voicesvc.takes import Take

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_FLUSH_MS = 5000
_ATTRIBUTES = ("take", "actor", "class", "format", "outcome", "audio_s", "compute_s")


class Traces:
    """Makes spans of takes and gives them to a processor. May be called from any thread."""

    def __init__(self, processor: "SpanProcessor") -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        about = {"service.name": "voicesvc", "service.version": version("voicesvc")}
        self._provider = TracerProvider(resource=Resource.create(about))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("voicesvc")

    def take(self, take: Take) -> None:
        """Send the spans of a take that has ended, in the caller's trace where it named one."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        if not take.stages:
            return
        zero_ns = time.time_ns() - time.perf_counter_ns()

        def at_ns(clock_s: float) -> int:
            return zero_ns + round(1e9 * clock_s)

        carrier = {"traceparent": take.traceparent} if take.traceparent else {}
        above = TraceContextTextMapPropagator().extract(carrier)
        logged = take.logged()
        attributes = {f"voicesvc.{name}": logged[name] for name in _ATTRIBUTES}
        begin_s = min(begin for begin, _ in take.stages.values())
        whole = self._tracer.start_span("take", above, start_time=at_ns(begin_s))
        whole.set_attributes(attributes)
        if take.outcome == "failed":
            whole.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(whole)
        for name, (stage_begin_s, stage_end_s) in take.stages.items():
            span = self._tracer.start_span(name, within, start_time=at_ns(stage_begin_s))
            span.end(at_ns(stage_end_s))
        whole.end(at_ns(max(end for _, end in take.stages.values())))

    def close(self) -> None:
        """Send what waits."""
        self._provider.force_flush(_FLUSH_MS)
        self._provider.shutdown()


def to_collector(settings: Settings) -> Traces | None:
    """Traces sent by OTLP over HTTP, where they are wanted.

    Where to is said by OpenTelemetry's own variables, as OTEL_EXPORTER_OTLP_ENDPOINT.

    Raises:
        BadSetting: the extra is not installed.
    """
    if settings.traces == "off":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as e:
        raise BadSetting(
            f"traces need the extra [otel]: {e}",
            where="VOICESVC_TRACES",
            valid="off, or otlp where `voicesvc[otel]` is installed",
        ) from e
    return Traces(BatchSpanProcessor(OTLPSpanExporter()))
