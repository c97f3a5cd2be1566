"""Which topics an answer may go to, as the cluster knows them.

Looked up in the cluster's metadata and never tried: producing to a topic that does not exist waits for its metadata, and
on some brokers creates it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

from streams.kafka.cluster import Cluster
from streams.supervise import Jobs
from topics.names import legal_topic_name, valid_reply_to

_FRESH_S = 1.0
"""For so long a look-up answers for every unknown name: a flood of bad names costs one request a second."""
_TIMEOUT_S = 10.0


class KnownReplyTopics:
    """The topics under the reply prefixes. A name that is unknown is looked up before it is refused.

    `refuses` says of a topic that it has taken no answers lately.
    """

    def __init__(
        self, cluster: Cluster, prefixes: tuple[str, ...], refuses: Callable[[str], bool] = lambda topic: False
    ) -> None:
        self._cluster = cluster
        self._prefixes = prefixes
        self._refuses = refuses
        self._known: frozenset[str] = frozenset()
        self._known_at = -_FRESH_S
        self._refresh: asyncio.Task[None] | None = None
        self._jobs = Jobs("reply_lookups")

    def is_known(self, topic: str) -> bool | None:
        """Whether answers may go there; None if the cluster has to be asked first."""
        if self._refuses(topic):
            self._known -= {topic}  # looked up anew when it is tried again: it may have been deleted
            return False
        if self._is_valid(topic):
            return True if self._cluster.partitions(topic) else None
        if not legal_topic_name(topic) or not topic.startswith(self._prefixes):
            return False
        return False if time.monotonic() < self._known_at + _FRESH_S else None

    async def look_up(self, topic: str) -> bool:
        """Ask the cluster; while it does not answer, the topic is not known. Which partitions it has is known afterwards, too:
        its first answer goes where the later ones go.
        """
        if self._refresh is None:
            self._refresh = self._jobs.start(self._ask())
        await asyncio.wait([self._refresh], timeout=_TIMEOUT_S)
        if not self._is_valid(topic):
            return False
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._cluster.find(topic)
        except (KafkaError, TimeoutError):
            return False
        return True

    def _is_valid(self, topic: str) -> bool:
        return any(valid_reply_to(topic, self._known, prefix) for prefix in self._prefixes)

    async def _ask(self) -> None:
        try:
            topics = await self._cluster.all_partitions()
            self._known = frozenset(name for name in topics if name.startswith(self._prefixes))
            self._known_at = time.monotonic()
        except KafkaError:
            pass  # the next unknown name asks again
        finally:
            self._refresh = None
