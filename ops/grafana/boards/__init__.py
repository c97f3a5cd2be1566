"""What the dashboards show. One board a question; the first row answers it, the rest says why."""

from typing import Final

from ops.grafana.boards.cache import CACHE
from ops.grafana.boards.golden import GOLDEN
from ops.grafana.boards.kafka import KAFKA
from ops.grafana.boards.providers import PROVIDERS
from ops.grafana.boards.queues import QUEUES
from ops.grafana.boards.scaling import SCALING
from ops.grafana.boards.workers import WORKERS

BOARDS: Final = (GOLDEN, QUEUES, PROVIDERS, CACHE, KAFKA, WORKERS, SCALING)

__all__ = ["BOARDS"]
