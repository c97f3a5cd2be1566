"""The work alone: records in a list, no Kafka. What one core could do if carrying records cost nothing."""

import time
from itertools import islice

from ops.bench.meter import Meter
from ops.bench.peers.arguments import Arguments
from ops.bench.work import Load, handle


def main() -> None:
    given = Arguments.read()
    records = list(islice(Load(given.records).requests(), given.records))
    timestamp_ms = round(time.time() * 1000)
    meter = Meter()
    meter.begin()
    for offset, (topic, _, value) in enumerate(records):
        handle(topic, 0, offset, timestamp_ms, value)
    meter.end(len(records))


main()
