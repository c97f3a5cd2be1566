"""Who a process is: an id that no other process has or will have, in whatever it publishes and leases."""

from __future__ import annotations

import os
import platform
import re
import uuid
from functools import cache


@cache
def process_id() -> str:
    """The same for as long as the process lives: host (in Kubernetes the pod), pid and eight random digits.

    The random part tells a container's process 1 from the one before it, on the same host.
    """
    host = re.sub(r"[^A-Za-z0-9.-]", "-", platform.node())[:200] or "host"
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
