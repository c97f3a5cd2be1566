"""The OpenAPI document is the front's own: every route is in it, and every reference resolves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from jsonschema import Draft202012Validator

from schemas.export import EXPORTED
from streams.front.openapi import ENDPOINTS, document
from streams.front.server import front_app
from tests.support.json_references import references

DOCUMENT: dict[str, Any] = json.loads((EXPORTED / "openapi.json").read_bytes())


class Nobody:
    """Stands where a front would: the routes alone are looked at."""

    @property
    def cancelling(self) -> Nobody:
        return self

    def middleware(self) -> Middleware:
        @web.middleware
        async def passes_on(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await handler(request)

        return passes_on


def test_the_document_on_disk_is_what_a_front_serves() -> None:
    assert json.loads(json.dumps(document())) == DOCUMENT


def test_every_route_of_the_front_is_in_it_and_nothing_else() -> None:
    nobody: Any = Nobody()
    app = front_app(nobody, [], most_wait_s=1, max_body_bytes=1, estimator=nobody)
    resources = [(route.method.lower(), route.resource) for route in app.router.routes() if route.method != "HEAD"]
    routes = {(method, resource.canonical) for method, resource in resources if resource is not None}
    assert {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS} == routes


def test_every_reference_resolves() -> None:
    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_its_schemas_are_valid(endpoint: Any) -> None:
    Draft202012Validator.check_schema(endpoint.answer)
    Draft202012Validator.check_schema(endpoint.body or {})
