"""Write the rules as a PrometheusRule: `python -m ops.prometheus`. (PyYAML comes with the development requirements.)"""

from pathlib import Path

import yaml

from ops.prometheus.kubernetes import RULES, prometheus_rule

if __name__ == "__main__":
    text = yaml.safe_dump(prometheus_rule(), sort_keys=False, width=1000, allow_unicode=True)
    Path(RULES).write_text(
        "# Made by `python -m ops.prometheus` from ops/prometheus/rules; a test keeps it current.\n" + text
    )
