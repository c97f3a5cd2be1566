"""Write the dashboards: `make chart` does this, and copies them into the chart."""

import json
from pathlib import Path

from ops.grafana.boards import BOARDS

if __name__ == "__main__":
    folder = Path(__file__).parent / "dashboards"
    for board in BOARDS:
        file = folder / f"{board.uid}.json"
        file.write_text(json.dumps(board.as_json(), indent=2, ensure_ascii=False) + "\n")
