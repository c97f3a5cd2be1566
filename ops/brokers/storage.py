"""A new data directory for a node of Kafka: whose it is, and which features the cluster begins with.

Kafka's own tool writes it, in a Java of its own: 1.1 s of CPU for two small files. One of them, `bootstrap.checkpoint`, is the
same for every node of a version of Kafka, so what the tool wrote is kept beside the jars and copied from then on; the other,
`meta.properties`, names the cluster and the node.
"""

import base64
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from ops.brokers.base import BrokerError
from ops.brokers.kafka_jars import cache_folder, kafka_command

_CHECKPOINT = "bootstrap.checkpoint"
_META = "meta.properties"


def format_storage(data_dir: Path, properties: Path, node: int, cluster: str) -> None:
    """Give a new data directory its identity; one that has one keeps it.

    Args:
        properties: of the node, with the same directory as `log.dirs`; Kafka's tool reads them the first time.

    Raises:
        BrokerError: Kafka's tool refused; the message has its last line that is not a stack trace's.
    """
    if (data_dir / _META).exists():
        return
    kept = cache_folder().with_name(f"{cache_folder().name}.{_CHECKPOINT}")
    if not kept.is_file():
        _run_tool(data_dir, properties, cluster)
        _keep(data_dir / _CHECKPOINT, kept)
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, data_dir / _CHECKPOINT)
    meta = {"version": "1", "node.id": str(node), "cluster.id": cluster, "directory.id": new_id()}
    (data_dir / _META).write_text("".join(f"{key}={value}\n" for key, value in meta.items()))


def new_id() -> str:
    """A random id as Kafka writes them: 16 bytes, URL-safe base64, no padding; never with a leading dash, as Kafka's own."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


def _run_tool(data_dir: Path, properties: Path, cluster: str) -> None:
    tool = [*kafka_command("-Xmx128m", "-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format"]
    done = subprocess.run(  # noqa: S603
        [*tool, f"--cluster-id={cluster}", f"--config={properties}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and not line[0].isspace()]
        raise BrokerError(f"{data_dir} could not be formatted for Kafka: {said[-1] if said else ''}")


def _keep(checkpoint: Path, kept: Path) -> None:
    """Whole or not there, also where several nodes are the first at one time."""
    with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as copy:
        copy.write(checkpoint.read_bytes())
    Path(copy.name).replace(kept)
