"""What tenants, signed control records and TLS cost a worker: CPU a record and at rest, beside the same worker without them.

At 400 records a second, where several share a request to the broker. TLS costs by request, so at a trickle that gives each
record requests of its own it is more: 1.2 times at 150 a second (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import pytest

from ops.brokers import kafka_jars
from tests.support.fixtures import FULL, Measured
from tests.support.guarded_broker import PASSWORD, USER, GuardedBroker, start_guarded
from tests.support.worker_cost import Figures, measure
from topics.names import V1, TopicNames

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

TENANTS = ("red", "green", "blue", "grey")
ROUNDS = 3 if FULL else 2
MOST = 1.10
NOISE = 0.10 if FULL else 0.20
"""Two rounds of the same worker differ by up to a fifth."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    started = start_guarded(tmp_path_factory.mktemp("guarded"))
    with started.broker:
        yield started


async def test_a_locked_worker_costs_little_more_than_an_open_one(
    guarded: GuardedBroker, tmp_path: Path, measured: Measured
) -> None:
    await guarded.set_password(PASSWORD)
    for name in ("password", "secret"):
        (tmp_path / name).write_text(PASSWORD if name == "password" else "0123456789abcdef" * 4)
    locked = {
        "kafka__bootstrap_servers": guarded.servers("SAFE"),
        "kafka__security_protocol": "SASL_SSL",
        "kafka__sasl_mechanism": "SCRAM-SHA-512",
        "kafka__sasl_username": USER,
        "kafka__sasl_password_file": str(tmp_path / "password"),
        "kafka__tls_ca_file": str(guarded.ca_file),
        "fleet__secret_file": str(tmp_path / "secret"),
        **{f"tenants__{name}__weight": 1 for name in TENANTS},
    }
    tenants = TopicNames.behind("", TENANTS)

    async def of(name: str, number: int, settings: Mapping[str, object], names: TopicNames) -> Figures:
        return await measure(guarded.broker, guarded.plain_options, tmp_path / f"{name}-{number}", settings, names)

    plain, guarded_ = [], []
    for number in range(ROUNDS):  # in turns: what else the machine does is then in both
        plain.append(await of("open", number, {}, V1))
        guarded_.append(await of("locked", number, locked, tenants))
    records = median(each.us_a_record for each in guarded_) / median(each.us_a_record for each in plain)
    rest = median(each.ms_a_second for each in guarded_) - median(each.ms_a_second for each in plain)
    measured(
        f"open: {[(round(each.us_a_record), round(each.ms_a_second, 1)) for each in plain]}; with tenants, signatures, TLS: "
        f"{[(round(each.us_a_record), round(each.ms_a_second, 1)) for each in guarded_]} (us a record, ms a second at rest); "
        f"{records:.3f} times a record, {rest:+.1f} ms a second at rest"
    )
    assert records <= MOST + NOISE
