"""Reading settings: precedence, places, and the one line that says what is wrong."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings import SettingsError, load_effective, load_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "headrace.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(path: Path | None = None, /, **environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(path, environ)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\nsession_timeout = "8s"\ngroup_id = "file"\n')
    effective = load_effective(path, {"HEADRACE_KAFKA__GROUP_ID": "variable"})
    kafka = effective.settings.kafka
    assert (kafka.session_timeout, kafka.group_id, kafka.client_id) == (8.0, "variable", "headrace")
    assert effective.origin(("kafka", "session_timeout")) == str(path)
    assert effective.origin(("kafka", "group_id")) == "HEADRACE_KAFKA__GROUP_ID"
    assert effective.origin(("kafka", "client_id")) == "default"


def test_without_a_file_everything_is_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).kafka.bootstrap_servers == "127.0.0.1:9092"


def test_the_file_in_the_working_folder_is_read_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "topics.partitions = 20")
    other = tmp_path / "other.toml"
    other.write_text("topics.partitions = 30")
    assert load_settings(environ={}).topics.partitions == 20
    assert load_settings(environ={"HEADRACE_SETTINGS": str(other)}).topics.partitions == 30
    assert load_settings(Path("headrace.toml"), {"HEADRACE_SETTINGS": str(other)}).topics.partitions == 20


def test_a_variable_reaches_into_a_list_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[[providers]]\nname = "a"\nendpoints = [{ url = "http://h/v1", weight = 2 }]\n')
    settings = load_settings(path, {"HEADRACE_PROVIDERS__0__ENDPOINTS__0__URL": "http://other/v1/"})
    assert settings.providers[0].endpoints[0].url == "http://other/v1"
    assert settings.providers[0].endpoints[0].weight == 2


def test_whole_lists_and_tables_are_json_in_the_environment() -> None:
    text = '[{"name": "a", "endpoints": [{"url": "http://h/v1"}], "rate_limit": {"tokens": "unlimited"}}]'
    settings = load_settings(environ={"HEADRACE_PROVIDERS": text, "HEADRACE_PROVIDERS__0__TIMEOUT": "5s"})
    assert settings.providers[0].rate_limit.tokens is None
    assert settings.providers[0].timeout == 5.0


def test_an_address_in_brackets_is_no_json() -> None:
    assert load_settings(environ={"HEADRACE_HTTP__LISTEN": "[::1]:9000"}).http.host == "::1"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings(environ={"HEADRACE_KAFKA__GROUP_ID": ""}).kafka.group_id == "headrace-workers"


def test_what_kubernetes_adds_for_a_service_of_our_name_is_not_ours() -> None:
    links = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR")
    load_settings(environ={f"HEADRACE_{link}": "tcp://10.0.0.1:80" for link in links})
    load_settings(environ={f"HEADRACE_WORKERS_{link}": "tcp://10.0.0.1:80" for link in links})


def test_an_unknown_key_names_file_key_and_what_was_meant(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\nsesion_timeout = "6s"\n')
    assert problem(path) == f"{path}: kafka.sesion_timeout is not a setting; did you mean kafka.session_timeout?"


def test_a_key_in_the_wrong_section_is_found_in_the_right_one(tmp_path: Path) -> None:
    path = written(tmp_path, "[kafka]\nreplication_factor = 3\n")
    assert "did you mean topics.replication_factor?" in problem(path)


def test_a_key_that_is_near_nothing_points_to_the_reference() -> None:
    assert problem(HEADRACE_XYZZY="1") == (
        "HEADRACE_XYZZY: xyzzy is not a setting; `headrace config reference` lists the keys"
    )


def test_a_value_without_unit_names_variable_key_value_and_form() -> None:
    assert problem(HEADRACE_KAFKA__SESSION_TIMEOUT="6") == (
        'HEADRACE_KAFKA__SESSION_TIMEOUT: kafka.session_timeout = "6" must be '
        'a duration such as "500ms", "30s", "5m" or "24h"'
    )


def test_a_value_out_of_range_names_the_bound_in_its_unit(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\ndrain_deadline = "2h"\n')
    assert problem(path) == f'{path}: kafka.drain_deadline = "2h" must be at most 1h'


def test_a_wrong_choice_names_the_choices_and_the_nearest() -> None:
    assert "'affinity'; did you mean 'round_robin'?" in problem(HEADRACE_ROUTING__ALGORITHM="Round-Robin")
    assert "did you mean 'high'?" in problem(HEADRACE_QUEUEING__PRIORITY='["hi", "normal", "low"]')


@pytest.mark.parametrize("value", ["3", "[{", '{"0": {}}', "[1]"])
def test_a_list_that_is_none_is_refused(value: str) -> None:
    assert problem(HEADRACE_PROVIDERS=value).startswith("HEADRACE_PROVIDERS: providers")


def test_an_index_beyond_the_list_says_what_the_next_one_is() -> None:
    line = problem(HEADRACE_PROVIDERS__1__NAME="b")
    assert line == "HEADRACE_PROVIDERS__1__NAME: providers has 0 entries; the next index is 0"


@pytest.mark.parametrize("name", ["HEADRACE_PROVIDERS__NAME", "HEADRACE_KAFKA__0", "HEADRACE_KAFKA__GROUP_ID__X"])
def test_a_variable_that_names_no_place_is_refused(name: str) -> None:
    assert problem(**{name: "1"}).startswith(f"{name}: ")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[[providers]]\nname = "a"\n')
    assert problem(path) == f"{path}: providers[0].endpoints is missing"


@pytest.mark.parametrize(
    ("content", "says"), [(b"\xff", "UTF-8"), (b"a = ", "no TOML"), (b"[kafka]\n[kafka]", "no TOML")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "headrace.toml"
    path.write_bytes(content)
    assert problem(path).startswith(f"{path}: ")
    assert says in problem(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path / "none.toml") == f"{tmp_path}/none.toml: cannot be read: No such file or directory"


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\nlinger = 2\n[gc]\nthreshold = "7"\n')
    with pytest.raises(SettingsError) as raised:
        load_settings(path, {"HEADRACE_NO": "1"})
    assert len(raised.value.problems) == 3
    assert str(raised.value).endswith("(and 2 more: see `headrace config check`)")


def problems_of(environ: dict[str, str]) -> Sequence[str]:
    try:
        load_settings(environ=environ)
    except SettingsError as error:
        return error.problems
    return ()


CONFLICTS = {
    "heartbeat_interval must be at most half of session_timeout": {"KAFKA__HEARTBEAT_INTERVAL": "4s"},
    "partition_fetch_bytes must be at most fetch_max_bytes": {"KAFKA__PARTITION_FETCH_BYTES": "9MB"},
    "max_batch_bytes must be at most max_request_bytes": {"KAFKA__MAX_BATCH_BYTES": "3MB"},
    "needs sasl_username and one of": {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
    "sasl_password_env and sasl_password_file exclude": {
        "KAFKA__SASL_PASSWORD_ENV": "P",
        "KAFKA__SASL_PASSWORD_FILE": "/p",
    },
    "tls_cert_file and tls_key_file go together": {"KAFKA__TLS_CERT_FILE": "/c"},
    "must add up to 100%, not 110%": {"CACHE__MEMORY__SEGMENTS__ROUTING": "20%"},
    "memory.ttl must be at most disk.ttl": {"CACHE__DISK__TTL": "1m"},
    "min must be at most max": {"POOL__WORKERS__MIN": "17"},
    "per_agent must be at most total": {"CONCURRENCY__PER_AGENT": "2000"},
    "the order is baseline, warning, critical, peak": {"AGENTS__MEMORY__WARNING": "145MB"},
    "the order is baseline, throttle_threshold, peak": {"AGENTS__CPU__PEAK": "10%"},
    "timeout must be at most interval": {"ROUTING__HEALTH_CHECK__TIMEOUT": "31s"},
    "aggregation must be a whole multiple of interval": {"METRICS__INTERVAL": "7s"},
    "the order is p95, p99, max": {"TARGETS__LATENCY__P95": "2s"},
    "threshold must be at most aggressive": {"GC__THRESHOLD": "90%"},
    "requests.max_answer_bytes must stay": {"KAFKA__MAX_REQUEST_BYTES": "1500KB"},
    "topics.partitions must be at least scaling.limits.max": {"TOPICS__PARTITIONS": "4"},
}


@pytest.mark.parametrize("says", CONFLICTS)
def test_settings_that_exclude_each_other_name_the_place_that_was_set(says: str) -> None:
    variables = {f"HEADRACE_{name}": value for name, value in CONFLICTS[says].items()}
    line = problem(**variables)
    assert says in line
    assert line.startswith(tuple(variables))


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "a", "endpoints": [{"url": "http://h"}]}, {"name": "a", "endpoints": [{"url": "http://h"}]}]',
        '[{"name": "a", "endpoints": [{"url": "http://h"}], "retry": {"base_delay": "9s"}}]',
        '[{"name": "a", "endpoints": [{"url": "http://h"}], "connections": {"per_host": 51}}]',
        '[{"name": "a", "endpoints": [{"url": "http://h"}], "memory": {"baseline": "301MB"}}]',
        '[{"name": "a b", "endpoints": [{"url": "http://h"}]}]',
        '[{"name": "a", "endpoints": []}]',
        '[{"name": "a", "models": [], "endpoints": [{"url": "http://h"}]}]',
        '[{"name": "a", "endpoints": [{"url": "ftp://h"}]}]',
        '[{"name": "a", "endpoints": [{"url": "http://h:99999"}]}]',
        '[{"name": "a", "endpoints": [{"url": "http://h", "headers": {"x y": "1"}}]}]',
        '[{"name": "a", "endpoints": [{"url": "http://h", "headers": {"x": "a\\r\\nb: c"}}]}]',
    ],
)
def test_a_provider_that_cannot_work_is_refused(text: str) -> None:
    assert problem(HEADRACE_PROVIDERS=text).startswith("HEADRACE_PROVIDERS: ")


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), st.text(max_size=20))
)
def test_whatever_the_environment_holds_it_is_read_or_refused_in_one_line(variables: dict[str, str]) -> None:
    environ = {f"HEADRACE_{name}": value for name, value in variables.items() if name != "SETTINGS"}
    for problem in problems_of(environ):
        assert len(problem.splitlines()) == 1


def test_a_memory_budget_is_a_size_or_left_to_the_machine_and_no_less_than_a_worker_needs() -> None:
    assert load_settings(environ={}).memory.budget is None
    assert load_settings(environ={"HEADRACE_MEMORY__BUDGET": "2GB"}).memory.budget == 2_000_000_000
    assert 'or "auto"' in problem(HEADRACE_MEMORY__BUDGET="much")
    assert "at least 150MB" in problem(HEADRACE_MEMORY__BUDGET="50MB")
    assert "gc.aggressive must be at most memory.hold" in problem(HEADRACE_MEMORY__HOLD="80%")


def test_what_cannot_be_turned_off_is_refused_not_ignored() -> None:
    assert "cannot be false" in problem(HEADRACE_POOLING__OBJECTS="false")
