"""Grafana's dashboards, written as Python and committed as JSON.

`panels.py` knows Grafana's JSON, `boards/` says what is shown. `make chart` writes `dashboards/`; a test keeps
both the same, and another one holds every query to the metrics that there are.
"""

from ops.grafana.boards import BOARDS

__all__ = ["BOARDS"]
