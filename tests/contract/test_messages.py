"""Today's samples of every message against the models and the exported schemas: v1 may grow, and never break."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.export import EXPORTED, MESSAGES, encode_document, json_schemas, schema_file, stale
from streams.front import openapi
from topics.asyncapi import document
from topics.catalogue import catalogue

SAMPLES = Path(__file__).parent / "samples"
ALL_SAMPLES = sorted(SAMPLES.glob("*.json"))


def message_of(sample: Path) -> str:
    return sample.stem.partition("-")[0]


def exported(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((EXPORTED / schema_file(name)).read_bytes())
    return schema


def validates(name: str, value: object) -> bool:
    validator = Draft202012Validator(exported(name), format_checker=Draft202012Validator.FORMAT_CHECKER)
    return bool(validator.is_valid(value))


def test_every_message_has_a_sample() -> None:
    assert {message_of(sample) for sample in ALL_SAMPLES} == set(MESSAGES)


def test_the_export_on_disk_is_current() -> None:
    documents = {
        **json_schemas(),
        "asyncapi.json": encode_document(document(catalogue())),
        "openapi.json": encode_document(openapi.document()),
    }
    assert stale(documents, EXPORTED) == [], "run: headrace schemas export"


@pytest.mark.parametrize("name", MESSAGES)
def test_exported_schemas_are_valid_draft_2020_12(name: str) -> None:
    Draft202012Validator.check_schema(exported(name))


@pytest.mark.parametrize("sample", ALL_SAMPLES, ids=lambda path: path.stem)
def test_a_sample_validates_against_the_last_exported_schema(sample: Path) -> None:
    assert validates(message_of(sample), json.loads(sample.read_bytes()))


@pytest.mark.parametrize("sample", ALL_SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_accepted_by_its_model(sample: Path) -> None:
    MESSAGES[message_of(sample)].validate_json(sample.read_bytes())


@pytest.mark.parametrize("sample", ALL_SAMPLES, ids=lambda path: path.stem)
def test_what_a_model_writes_validates_against_the_last_exported_schema(sample: Path) -> None:
    adapter = MESSAGES[message_of(sample)]
    written = adapter.dump_json(adapter.validate_json(sample.read_bytes()))
    assert validates(message_of(sample), json.loads(written))


@pytest.mark.parametrize("sample", ALL_SAMPLES, ids=lambda path: path.stem)
def test_unknown_fields_are_ignored(sample: Path) -> None:
    value = json.loads(sample.read_bytes())
    for each in value if isinstance(value, list) else [value]:
        each["field_of_tomorrow"] = {"deep": [1]}
    assert validates(message_of(sample), value)
    MESSAGES[message_of(sample)].validate_json(json.dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"payload": []},
        {"payload": {"model": "m"}},
        {"payload": {"model": "m", "messages": []}},
        {"payload": {"model": 3, "messages": [{}]}},
        {"operation": "embeddings", "payload": {"model": "m", "messages": [{}]}},
        {"agent_id": 17, "payload": {"model": "m", "messages": [{}]}},
        {"agent_id": "", "payload": {"model": "m", "messages": [{}]}},
        {"timeout_s": 0, "payload": {"model": "m", "messages": [{}]}},
        {"cache": {"mode": "sometimes"}, "payload": {"model": "m", "messages": [{}]}},
    ],
    ids=json.dumps,
)
def test_schema_and_model_refuse_the_same_requests(value: object) -> None:
    assert not validates("request", value)
    with pytest.raises(ValueError, match="validation error"):
        MESSAGES["request"].validate_json(json.dumps(value))
