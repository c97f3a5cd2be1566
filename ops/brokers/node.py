"""One node of Apache Kafka as a process: what its settings share, and its command line."""

from collections.abc import Mapping
from pathlib import Path

from ops.brokers.kafka_jars import kafka_command
from ops.processes.child import ChildProcess

_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")

SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A broker that lives for minutes does not get back what the optimizing compiler takes. Measured on two busy cores: a start,
20 topics and 6,000 records took 9.8 s of CPU with these in place of 17.5, and it was ready in 8 s in place of 16."""

# Only what differs from Kafka's defaults, and why. Sizes stay Kafka's own, so that a topic which forgets to ask for its
# max.message.bytes fails here as it would in production.
SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    # topics come from `headrace topics apply`; a typing error must not become a topic
    "auto.create.topics.enable": "false",
    # one node: nothing can be replicated, and fewer internal partitions start sooner
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # the first member of a group does not wait 3 s for company
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # the cleaner's table is allocated at start: 128 MB by default, a quarter of the heap
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


def write_properties(path: Path, settings: Mapping[str, str]) -> None:
    """The settings as Kafka reads them."""
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))


def start_node(properties: Path, log_file: Path, *java_options: str) -> ChildProcess:
    """Start a node whose data directory is formatted (storage.py); it serves some seconds later (ready.py)."""
    logging = f"-Dlog4j2.configurationFile={_LOG_SETTINGS}"
    return ChildProcess([*kafka_command(*java_options, logging), "kafka.Kafka", str(properties)], log_file)
