"""Local Kafka brokers: one call gives a running broker, whichever this machine can run.

`start_broker("apache")` runs Apache Kafka as published (Java 17, jars copied once by Maven), `start_broker("embedded")`
the single binary of the `noida-db` wheel, `start_broker("HOST:PORT")` hands on a broker that runs elsewhere. What comes
back is a `Broker`: ready to serve, on loopback, ended at the end of its `with` block or of this process, even when this
process is killed. What the embedded broker lacks is listed in docs/brokers.md.

    choose      from a word to a running broker; base: what each offers. Read these first
    apache      one broker of Apache Kafka; cluster: three nodes that tests may kill, stop and move
    node        a node's settings and process; kafka_jars: where its jars come from; storage: its data directory; class_archive:
                what makes its start shorter
    embedded    the binary; ready: free ports, and whether a broker serves yet
"""

from ops.brokers.base import Broker, BrokerError, Progress
from ops.brokers.choose import start_broker, start_broker_async

__all__ = ["Broker", "BrokerError", "Progress", "start_broker", "start_broker_async"]
