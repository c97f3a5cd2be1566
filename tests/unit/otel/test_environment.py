"""Where spans go: OpenTelemetry's variables as its specification has them, and one line for what cannot be used."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack

import pytest
from pydantic import ValidationError

from streams.otel.build import open_tracing
from streams.otel.environment import collector_of
from streams.settings import Settings, SettingsError
from streams.settings.tracing import TraceExport

BASE = "OTEL_EXPORTER_OTLP_"


@pytest.mark.parametrize(
    ("endpoint", "variables", "url"),
    [
        (None, {}, "http://localhost:4318/v1/traces"),
        (None, {"ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        (None, {"ENDPOINT": "http://c:4318/base"}, "http://c:4318/base/v1/traces"),
        (None, {"ENDPOINT": "http://c:1", "TRACES_ENDPOINT": "http://t:2/own"}, "http://t:2/own"),
        ("https://s", {"ENDPOINT": "http://c:1", "TRACES_ENDPOINT": "http://t:2"}, "https://s/v1/traces"),
        ("https://s/v1/traces", {}, "https://s/v1/traces"),
    ],
)
def test_the_endpoint_is_the_settings_then_that_of_traces_then_that_of_all_signals(
    endpoint: str | None, variables: dict[str, str], url: str
) -> None:
    environ = {BASE + name: value for name, value in variables.items()}
    assert collector_of(TraceExport(endpoint=endpoint), "worker", "1", environ).url == url


def test_headers_timeout_and_resource_are_read_as_the_specification_writes_them() -> None:
    environ = {
        BASE + "HEADERS": "general=1",
        BASE + "TRACES_HEADERS": "api-key = a%3Db%2Cc , x=2,broken",
        BASE + "TIMEOUT": "2500",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,service.name=fleet",
    }
    found = collector_of(TraceExport(), "worker", "1.2", environ)
    assert found.headers == {"api-key": "a=b,c", "x": "2"}
    assert found.timeout_s == 2.5
    assert found.resource["service.name"] == "fleet"
    assert found.resource["deployment.environment.name"] == "prod"
    assert found.resource["service.version"] == "1.2"
    named = collector_of(TraceExport(), "worker", "1", environ | {"OTEL_SERVICE_NAME": "other"})
    assert named.resource["service.name"] == "other"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PROTOCOL": "grpc"}, "http/protobuf"),
        ({"COMPRESSION": "zstd"}, "gzip or none"),
        ({"TIMEOUT": "soon"}, "milliseconds"),
        ({"ENDPOINT": "c:4317"}, "is no http"),
        ({"ENDPOINT": "http://user:SECRET@c:4318"}, "without a password"),
        ({"ENDPOINT": "https://c:4318", "CERTIFICATE": "/not/there.pem"}, "CERTIFICATE"),
        ({"HEADERS": "key=SECRET%0d%0ax: y"}, "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line_that_tells_no_secret(variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        collector_of(TraceExport(), "worker", "1", {BASE + name: value for name, value in variables.items()})
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("endpoint", ["c:4318", "ftp://c", "http://user:password@c:4318", "http://c?key=x"])
def test_an_endpoint_of_the_settings_is_http_and_holds_no_password(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        TraceExport(endpoint=endpoint)


def test_the_log_scrubs_what_the_headers_hold() -> None:
    environ = {BASE + "HEADERS": "authorization=Bearer%20abcdefgh,x-team=a"}
    on = Settings.model_validate({"trace": {"export": {"exporter": "otlp"}}})
    assert on.secrets(environ) == ["Bearer abcdefgh"]
    assert Settings().secrets(environ) == []


async def test_without_the_package_the_settings_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "streams.otel.wire", raising=False)
    monkeypatch.delattr("streams.otel.wire", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    settings = Settings.model_validate({"trace": {"export": {"exporter": "otlp"}}})
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=r"pip install 'headrace\[otel\]'"):
            await open_tracing(settings, "worker", stack, {})
        off = await open_tracing(settings, "worker", stack, {"OTEL_SDK_DISABLED": "true"})
        unset = await open_tracing(Settings(), "worker", stack, {})
        assert (off.teller(), unset.teller()) == (None, None)
