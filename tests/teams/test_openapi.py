"""The description of the API: valid, and true of what it describes."""

import re

import httpx
from openapi_spec_validator import validate


def test_the_description_is_valid_and_whole(gateway, admin):
    document = admin.get("/openapi.json")
    validate(document)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    listed = {(method, re.sub(r"\{\*", "{", route["path"]))
              for route in admin.get("/routes")["routes"] for method in route["methods"]}
    assert described == listed


def test_what_is_described_is_what_is_read(gateway, admin):
    """Every field of every body: a value of no kind that it may hold is refused, and the field is named."""
    document = admin.get("/openapi.json")
    schemas = document.get("components", {}).get("schemas", {})
    asked = 0
    for path, item in document["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = body.get("schema", {})
        schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
        if not re.match(r"/(team|key|user|tag)/", path):
            continue
        for name, field in schema.get("properties", {}).items():
            kinds = field.get("type", [])
            kinds = {kinds} if isinstance(kinds, str) else set(kinds)
            if "boolean" not in kinds or kinds - {"boolean", "null"}:
                continue
            answer = admin.client.post(re.sub(r"\{.*?\}", "sk-none", path), json={name: "no flag"})
            assert answer.status_code == 422, (path, name, answer.text)
            assert name in answer.text, (path, name, answer.text)
            asked += 1
    assert asked > 5


def test_methods_that_are_not_described_are_refused(gateway, admin):
    document = admin.get("/openapi.json")
    for path, item in document["paths"].items():
        method = "DELETE" if "delete" not in item else "PUT"
        answer = httpx.request(method, gateway.url + re.sub(r"\{.*?\}", "x", path),
                               headers=admin.client.headers, timeout=30)
        assert answer.status_code in (404, 405), (method, path, answer.status_code)
