"""[kafka]: what clients are given."""

import inspect
import ssl
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streams.settings import SettingsError, load_settings

SASL_OVER_TLS = {
    "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": "a:9092, b:9093",
    "HEADRACE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "HEADRACE_KAFKA__SASL_USERNAME": "worker",
    "HEADRACE_KAFKA__SASL_PASSWORD_ENV": "PASSWORD",
}


@pytest.mark.parametrize("client", [AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient])
def test_every_client_takes_the_options(client: type) -> None:
    options = load_settings(environ=SASL_OVER_TLS).kafka.client_options({"PASSWORD": "secret"})
    assert set(options) <= set(inspect.signature(client).parameters)


def test_options_carry_brokers_and_credentials() -> None:
    options = load_settings(environ=SASL_OVER_TLS).kafka.client_options({"PASSWORD": "secret"})
    assert options["bootstrap_servers"] == ["a:9092", "b:9093"]
    assert options["sasl_plain_password"] == "secret"
    assert options["request_timeout_ms"] == 30_000
    assert isinstance(options["ssl_context"], ssl.SSLContext)


def test_plaintext_needs_no_tls() -> None:
    assert load_settings(environ={}).kafka.client_options()["ssl_context"] is None


def test_a_certificate_file_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    for path in (wrong, tmp_path / "none.pem"):
        environ = {"HEADRACE_KAFKA__SECURITY_PROTOCOL": "SSL", "HEADRACE_KAFKA__TLS_CA_FILE": str(path)}
        with pytest.raises(SettingsError, match=r"kafka\.tls_ca_file") as raised:
            load_settings(environ=environ).kafka.client_options()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", ["broker", "http://broker:9092", "a:1,,b:2", "a:b", ":9092", "a 1:9092"])
def test_what_is_no_address_of_a_broker_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        load_settings(environ={"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": value})


@pytest.mark.parametrize("value", ["broker:9092", "10.0.0.1:9092,10.0.0.2:9092", "[::1]:9092"])
def test_an_address_of_a_broker_is_taken(value: str) -> None:
    assert load_settings(environ={"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": value}).kafka.bootstrap_servers == value
