"""What processes of the product wrote to their logs."""

import orjson


def troubles(log: str) -> list[str]:
    """The lines at warning and above; a machine that stood still is nothing of these."""
    lines = [orjson.loads(line) for line in log.splitlines()]
    loud = [line for line in lines if line["level"] not in ("debug", "info")]
    return [str(line) for line in loud if "stood still" not in line["event"]]
