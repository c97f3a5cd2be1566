"""An open-loop load and the reader of its answers, by librdkafka: `python -m ops.bench.open_loop`, in the peers' environment.

A load that takes more CPU than what it measures measures itself: by aiokafka, 1,000 requests/s and their answers took 0.4 of a
core on two.

Prints WARM when the warm-up is over and SENT after the last request, for who reads the worker's CPU then.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition  # type: ignore[import-not-found]

from ops.bench.figures import quantiles
from ops.bench.meter import SENT, WARM, say_mark, say_result
from ops.bench.work import Load
from topics.headers import REQUEST_ID
from topics.names import RESPONSES
from topics.partitioner import partition_for

_REST_WITHIN_S: Final = 20.0
_METADATA_WITHIN_S: Final = 10.0


class OpenLoop:
    """One rate. The calling thread sends, another reads."""

    def __init__(self, servers: str, load: Load, rate: int, warm: int) -> None:
        self._servers = servers
        self._load = load
        self._rate = rate
        self._warm = warm
        self._written_ms = [0] * load.records
        self._answered_ms = [0] * load.records
        self._seen_at = [0.0] * load.records
        self._open = load.records
        self._reading = threading.Event()
        self._all_seen = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> dict[str, Any]:
        reader = threading.Thread(target=self._read)
        reader.start()
        try:
            assert self._reading.wait(_METADATA_WITHIN_S)
            began = self._send()
            self._all_seen.wait(_REST_WITHIN_S)
        finally:
            self._stopped.set()
            reader.join()
        return self._figures(began)

    def _send(self) -> float:
        """When the first request was due (Unix time)."""
        producer = Producer({"bootstrap.servers": self._servers, "acks": "all", "linger.ms": 0})
        known = producer.list_topics(timeout=_METADATA_WITHIN_S).topics
        requests = []
        for number in range(self._load.records):
            topic, key, value = self._load.request(number)
            requests.append((topic, key, value, partition_for(key, len(known[topic].partitions))))
        gc.collect()
        gc.freeze()  # a collection of ours must not count as theirs
        began = time.time() + 0.1
        for number, (topic, key, value, partition) in enumerate(requests):
            wait_s = began + number / self._rate - time.time()
            if wait_s > 0:
                time.sleep(wait_s)
            if number == self._warm:
                say_mark(WARM)
            producer.produce(topic, value, key, partition, on_delivery=self._noting(number))
            producer.poll(0)
        say_mark(SENT)
        producer.flush(_REST_WITHIN_S)
        return began

    def _noting(self, number: int) -> Any:
        def note(error: object, message: Message) -> None:
            if error is None:
                self._written_ms[number] = message.timestamp()[1]

        return note

    def _read(self) -> None:
        consumer = Consumer(
            {"bootstrap.servers": self._servers, "group.id": "open-loop", "enable.auto.commit": False,
             "isolation.level": "read_committed", "check.crcs": True}
        )  # fmt: skip
        partitions = consumer.list_topics(RESPONSES, timeout=_METADATA_WITHIN_S).topics[RESPONSES].partitions
        ends = {number: consumer.get_watermark_offsets(TopicPartition(RESPONSES, number))[1] for number in partitions}
        consumer.assign([TopicPartition(RESPONSES, number, end) for number, end in ends.items()])
        self._reading.set()
        prefix = f"{self._load.run}-".encode()
        while not self._stopped.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            request_id = dict(message.headers() or ()).get(REQUEST_ID, b"")
            if request_id.startswith(prefix):
                self._note_answer(int(request_id[len(prefix) :]), message.timestamp()[1], time.time())
        consumer.close()

    def _note_answer(self, number: int, answered_ms: int, now: float) -> None:
        if not self._seen_at[number]:
            self._answered_ms[number], self._seen_at[number] = answered_ms, now
            self._open -= 1
            if not self._open:
                self._all_seen.set()

    def _figures(self, began: float) -> dict[str, Any]:
        seen = [number for number in range(self._warm, self._load.records) if self._seen_at[number]]
        return {
            "answer_ms": quantiles([float(self._answered_ms[n] - self._written_ms[n]) for n in seen]),
            "reader_ms": quantiles([(self._seen_at[n] - began - n / self._rate) * 1000 for n in seen]),
            "measured": len(seen),
            "unanswered": self._open,
        }


def main() -> None:
    servers, rate, warm, *load = sys.argv[1:]
    given = Load(**orjson.loads(load[0]))
    say_result(OpenLoop(servers, given, int(rate), int(warm)).run())


if __name__ == "__main__":
    main()
