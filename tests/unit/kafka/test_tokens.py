"""OAUTHBEARER: where tokens come from, when they are asked for again, and what happens where there is none."""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka.sealed import unsealed
from streams.kafka.tokens import TokenProvider
from streams.settings import SettingsError, load_settings
from streams.settings.tokens import TokenSource, ends_at, use_until
from tests.support.stopwatch import Stopwatch

SASL = {"HEADRACE_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT", "HEADRACE_KAFKA__SASL_MECHANISM": "OAUTHBEARER"}


def jwt(ends: float, name: str = "a") -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": ends, "sub": name}).encode()).rstrip(b"=").decode()
    return f"e30.{claims}.x"


def command(code: str) -> TokenSource:
    return TokenSource(command=(sys.executable, "-c", code))


def test_a_token_says_when_it_ends_or_is_asked_for_again_soon() -> None:
    assert ends_at(jwt(2_000)) == 2_000
    assert use_until(jwt(2_000), 1_000) == 1_800
    assert use_until("opaque", 1_000) == 1_030
    assert [ends_at(each) for each in ("", "a.b.c", "a.!!.c", jwt(-1), "e30.W10.x")] == [None] * 5


async def test_a_file_is_read_again_for_each_sign_in(tmp_path: Path) -> None:
    """dpkp/kafka-python#2205, aio-libs/aiokafka#1015: a token that was read once ends, and nothing is sent any more."""
    file = tmp_path / "token"
    file.write_text("one\n")
    settings = load_settings(environ={**SASL, "HEADRACE_KAFKA__SASL_TOKEN_FILE": str(file)})
    provider = unsealed(settings.kafka.client_options())["sasl_oauth_token_provider"]
    assert await provider.token() == "one"
    file.write_text("two\n")
    assert await provider.token() == "two"
    file.write_text("")
    assert await provider.token() == "two"


async def test_a_command_is_run_once_while_its_token_holds_and_again_then(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    code = f"open({str(runs)!r}, 'a').write('x'); print({jwt(time.time() + 3600)!r})"
    provider = TokenProvider(command(code))
    assert await provider.token() == await provider.token()
    assert runs.read_text() == "x"
    provider._until = 0
    await provider.token()
    assert runs.read_text() == "xx"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import time; time.sleep(60)", "took too long"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("pass", "is empty"),
        ("print('a b')", "holds a space"),
        ("print('x' * 100_000)", "more than 65536 bytes"),
    ],
)
async def test_a_command_that_gives_no_token_is_said_in_a_line_and_ends_in_time(code: str, says: str) -> None:
    provider = TokenProvider(command(code), within_s=3.0)
    watch = Stopwatch()
    with pytest.raises(KafkaConnectionError, match=says):
        await provider.token()
    assert watch.running_s < 10


async def test_a_token_that_holds_still_is_used_on_while_the_command_fails() -> None:
    """thingsboard/thingsboard#15670: a hiccup of who gives tokens took away one that was good."""
    good = jwt(time.time() + 3600)
    provider = TokenProvider(command("import sys; sys.exit(1)"))
    provider._token, provider._until = good, 0
    assert await provider.token() == good
    provider._token = jwt(time.time() - 1)
    with pytest.raises(KafkaConnectionError):
        await provider.token()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (SASL, "needs one of sasl_token_file, sasl_token_command"),
        ({**SASL, "HEADRACE_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT"}, "needs security_protocol SASL_SSL"),
        ({"HEADRACE_KAFKA__SASL_TOKEN_FILE": "/t"}, "OAUTHBEARER alone"),
        (
            {**SASL, "HEADRACE_KAFKA__SASL_TOKEN_FILE": "/t", "HEADRACE_KAFKA__SASL_TOKEN_COMMAND": '["t"]'},
            "exclude each other",
        ),
        ({**SASL, "HEADRACE_KAFKA__SASL_TOKEN_FILE": "/t", "HEADRACE_KAFKA__SASL_USERNAME": "u"}, "no sasl_username"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(variables: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as found:
        load_settings(environ=variables)
    assert len(found.value.problems) == 1
