"""Apache Kafka in a container, for machines with a docker engine."""

from ops.brokers import Broker, BrokerError
from ops.brokers.ready import free_ports, wait_until_ready

IMAGE = "apache/kafka:4.1.0"
READY_DEADLINE_S = 60.0
_ENGINE_TIMEOUT_S = 5


def docker_missing() -> str | None:
    """Why no container can run, or None. A docker command without an engine behind it does not count."""
    import docker  # type: ignore[import-untyped,unused-ignore]

    try:
        client = docker.from_env(timeout=_ENGINE_TIMEOUT_S)
        client.ping()
    except Exception:  # its errors share no base class: no socket, no right to it, no answer
        return "no docker engine answers"
    return None


class DockerBroker(Broker):
    """One KRaft node with the settings of the apache broker that matter to tests.

    Raises:
        BrokerError: the container did not start or Kafka in it does not answer.
    """

    kind = "docker"

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        (port,) = free_ports(1)
        settings = {
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "AUTO_CREATE_TOPICS_ENABLE": "false",
        }
        self._container = DockerContainer(IMAGE).with_bind_ports(9092, ("127.0.0.1", port))
        for name, value in settings.items():
            self._container.with_env(f"KAFKA_{name}", value)
        self.bootstrap_servers = f"127.0.0.1:{port}"
        try:
            self._container.start()
            wait_until_ready("127.0.0.1", port, lambda: True, READY_DEADLINE_S)
        except Exception as error:
            self.stop()
            raise BrokerError(f"{IMAGE} did not start in docker: {error}") from error

    def stop(self) -> None:
        self._container.stop()
