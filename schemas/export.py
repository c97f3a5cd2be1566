"""The messages as JSON Schema (draft 2020-12), one file a message: schemas/exported/<name>.v1.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from schemas.admin import ADMIN_ACTION, AdminOutcome
from schemas.budget import LEDGER, STATE
from schemas.cache_entry import CACHE_ENTRY
from schemas.cancel import Cancel
from schemas.claim import Claim
from schemas.cost_window import COST_WINDOW
from schemas.dead_letter import DeadLetter
from schemas.delta import DELTA
from schemas.front_key import FrontKey
from schemas.lease import LEASE
from schemas.metric_sample import METRIC_SAMPLE
from schemas.metric_window import MetricWindow
from schemas.request import Request
from schemas.response import Response
from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent

EXPORTED: Final = Path(__file__).parent / "exported"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MESSAGES: Final[Mapping[str, TypeAdapter[Any]]] = {
    "request": TypeAdapter(Request),
    "response": TypeAdapter(Response),
    "delta": DELTA,
    "dead_letter": TypeAdapter(DeadLetter),
    "cancel": TypeAdapter(Cancel),
    "admin_action": ADMIN_ACTION,
    "admin_outcome": TypeAdapter(AdminOutcome),
    "cache_entry": CACHE_ENTRY,
    "front_key": TypeAdapter(FrontKey),
    "claim": TypeAdapter(Claim),
    "lease": LEASE,
    "budget": LEDGER,
    "budget_state": STATE,
    "cost_window": COST_WINDOW,
    "metric_sample": METRIC_SAMPLE,
    "metric_window": TypeAdapter(MetricWindow),
    "scaling_decision": TypeAdapter(ScalingDecision),
    "scaling_event": TypeAdapter(ScalingEvent),
}
"""Every message by its name. Of a dead letter the headers are the message; its value is whatever it was."""


def schema_file(name: str) -> str:
    """The file of a message's schema."""
    return f"{name}.v1.json"


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a message. Raises KeyError for a name that is none."""
    schema = MESSAGES[name].json_schema()
    title = "".join(word.capitalize() for word in name.split("_"))
    return {"$schema": DIALECT, "$id": f"urn:headrace:{name}:v1", **schema, "title": title}


def json_schemas() -> dict[str, bytes]:
    """All schemas: file name to content."""
    return {schema_file(name): encode_document(json_schema(name)) for name in MESSAGES}


def encode_document(document: Mapping[str, Any]) -> bytes:
    """A document as it stands on disk: indented, so that a change can be read."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def write(documents: Mapping[str, bytes], directory: Path) -> None:
    """Write the documents, making the directory where it is missing. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in documents.items():
        (directory / name).write_bytes(content)


def stale(documents: Mapping[str, bytes], directory: Path) -> list[str]:
    """Names of files that are missing, differ from the documents, or should not be there."""
    on_disk = {path.name: path.read_bytes() for path in directory.glob("*.json")}
    return sorted(name for name in documents.keys() | on_disk.keys() if documents.get(name) != on_disk.get(name))
