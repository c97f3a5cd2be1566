"""The AsyncAPI document hangs together: references resolve, channels are the catalogue, requests have replies."""

import json
from typing import Any

import pytest

from schemas.export import EXPORTED, MESSAGES
from tests.support.json_references import references
from topics import REQUEST_TOPICS, catalogue


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXPORTED / "asyncapi.json").read_bytes())
    return document


def resolve(document: dict[str, Any], pointer: str) -> Any:
    node: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_it_is_an_asyncapi_3_1_document(asyncapi: dict[str, Any]) -> None:
    assert asyncapi["asyncapi"] == "3.1.0"
    assert asyncapi["info"].keys() >= {"title", "version"}
    assert asyncapi.keys() >= {"channels", "operations", "components"}


def test_every_reference_resolves(asyncapi: dict[str, Any]) -> None:
    for reference in references(asyncapi):
        if reference.startswith("./"):
            assert (EXPORTED / reference).is_file(), reference
        else:
            assert resolve(asyncapi, reference), reference


def test_channels_are_the_catalogue(asyncapi: dict[str, Any]) -> None:
    channels = {name: channel for name, channel in asyncapi["channels"].items() if channel["address"] is not None}
    assert channels.keys() == {spec.name for spec in catalogue()}
    for spec in catalogue():
        binding = channels[spec.name]["bindings"]["kafka"]
        assert binding["bindingVersion"] == "0.5.0"
        assert (binding["topic"], binding["partitions"]) == (spec.name, spec.partitions)
        assert binding["topicConfiguration"].keys() == spec.config.keys()
        assert isinstance(binding["topicConfiguration"]["cleanup.policy"], list)
        assert isinstance(binding["topicConfiguration"]["retention.ms"], int)


def test_every_channel_has_an_operation_and_every_message_a_channel(asyncapi: dict[str, Any]) -> None:
    used = {operation["channel"]["$ref"].removeprefix("#/channels/") for operation in asyncapi["operations"].values()}
    assert used == {spec.name for spec in catalogue()}
    carried = {name for channel in asyncapi["channels"].values() for name in channel["messages"]}
    assert carried == set(MESSAGES) == asyncapi["components"]["messages"].keys()


@pytest.mark.parametrize("topic", REQUEST_TOPICS)
def test_a_request_is_answered_where_its_reply_to_header_says(asyncapi: dict[str, Any], topic: str) -> None:
    operation = asyncapi["operations"][f"receive.{topic}"]
    assert operation["action"] == "receive"
    assert operation["reply"]["address"]["location"] == "$message.header#/reply_to"
    replies = resolve(asyncapi, operation["reply"]["channel"]["$ref"])
    assert replies["address"] is None, "with a reply address the channel may not have one of its own"
    assert "reply_to" in resolve(asyncapi, "#/components/messages/request")["headers"]["properties"]


def test_messages_carry_cloudevents_headers(asyncapi: dict[str, Any]) -> None:
    for name, message in asyncapi["components"]["messages"].items():
        if name == "dead_letter":
            continue
        properties = message["headers"]["properties"]
        if name == "delta":  # several belong to one event, so that none is one
            assert set(message["headers"]["required"]) == {"content-type", "request_id", "ce_id", "epoch", "seq"}
            continue
        assert properties["ce_type"]["const"] == f"headrace.{name}.v1" == message["name"]
        assert properties["ce_specversion"]["const"] == "1.0"
