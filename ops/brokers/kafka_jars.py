"""Apache Kafka's jars: copied once by Maven into a cache, shared by all who start a broker, complete or not there.

The cache is `$XDG_CACHE_HOME/headrace/kafka-4.1.0`, else `~/.cache/headrace/kafka-4.1.0`; about 54 MB. Maven writes to a folder
beside it that is renamed when complete, under a file lock: of several processes one copies, the others wait for it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from ops.brokers.base import BrokerError, Progress

KAFKA_VERSION = "4.1.0"
POM = Path(__file__).with_name("pom.xml")
_NEEDED_JAVA = 17
_COPY_DEADLINE_S = 600


def java() -> str:
    """Path of a Java that can run Kafka 4.

    Raises:
        BrokerError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise BrokerError(
            f"the apache broker needs Java {_NEEDED_JAVA} or newer and there is none: "
            "install a JRE (Debian: openjdk-17-jre-headless) or choose the embedded broker"
        )
    version = _version(found)
    if version is None or int(re.split(r"\D", version)[0]) < _NEEDED_JAVA:
        known = version or "of unknown version"
        raise BrokerError(f"the apache broker needs Java {_NEEDED_JAVA} or newer; {found} is {known}")
    return found


def java_version() -> str:
    """Of `java()`, as it says it: 17.0.12."""
    return _version(java()) or "unknown"


@cache
def _version(program: str) -> str | None:
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d[\w.+-]*)', said)
    return version[1] if version else None


def kafka_command(*options: str) -> list[str]:
    """The command line of Java with Kafka's jars, which must be there (`jars`), before the name of a class."""
    return [java(), *options, "-cp", f"{cache_folder()}/*"]


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "headrace" / f"kafka-{KAFKA_VERSION}"


def missing() -> str | None:
    """Why the apache broker cannot run on this machine, or None when it can."""
    try:
        java()
        if not cache_folder().is_dir():
            _maven()
    except BrokerError as error:
        return str(error)
    return None


def jars(progress: Progress) -> Path:
    """The folder with Kafka's jars; fetches them the first time, which takes some seconds to a minute.

    Raises:
        BrokerError: Maven is missing, or could not copy them.
    """
    folder = cache_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            progress(f"fetching Apache Kafka {KAFKA_VERSION} with Maven (once, 54 MB) …")
            _copy_to(folder)
    return folder


def _maven() -> str:
    found = shutil.which("mvn")
    if found is None:
        raise BrokerError(
            "the apache broker is fetched by Maven and there is no mvn: "
            "install Maven (Debian: maven) or choose the embedded broker"
        )
    return found


def _copy_to(folder: Path) -> None:
    maven = _maven()
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
        # A folder of its own for the pom as well: Maven may write beside it, and ours may lie where nobody may write.
        pom = shutil.copy(POM, work)
        out = Path(work) / "jars"
        command = [maven, "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={out}"]
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=_COPY_DEADLINE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"Maven did not fetch Apache Kafka within {_COPY_DEADLINE_S} s") from error
        if done.returncode != 0:
            reasons = [line for line in (done.stdout + done.stderr).splitlines() if "[ERROR]" in line]
            raise BrokerError(f"Maven could not fetch Apache Kafka: {reasons[0] if reasons else 'no reason given'}")
        out.rename(folder)
