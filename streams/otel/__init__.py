"""Spans of requests, for a collector of OpenTelemetry (docs/opentelemetry.md).

Nothing of a span is made while a request is served: when it ends, it is decided whether it is told, and the marks of its trace
are put by (`teller.py`). `context.py`: trace context in and out, and what is sampled. `facts.py`: what is put by. `spans.py`
and `front_spans.py` make spans of that, `names.py` is what everything is called; all of these are pure. `wire.py`: the bytes of
OTLP, the only module that needs the extra `headrace[otel]`. `exporter.py` sends them through `sender.py`; `environment.py` reads
OTEL_EXPORTER_OTLP_*; `build.py` puts it together. `labels.py` is apart: metrics under the
names of `metrics.semconv`.
"""
