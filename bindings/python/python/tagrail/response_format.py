"""A pydantic model as the `response_format` that asks for it, in the strict form that OpenAI's API takes.

Strict: every object has all of its properties required and no others, and a reference stands alone.
"""

from __future__ import annotations

from typing import Any

from .deployments import plain

# Where a schema holds schemas: by name, one, and in a list.
_NAMED = ("$defs", "definitions", "properties")
_ONE = ("items",)
_LISTED = ("anyOf", "allOf", "prefixItems")


def of_model(model: type) -> dict[str, Any]:
    """The `json_schema` of a model."""
    described = getattr(model, "model_json_schema", None)
    if described is None:
        raise TypeError(f"response_format is a dict or a pydantic model, not {model.__name__}")
    whole = plain(described())
    schema = _strict(whole, whole, ())
    return {"type": "json_schema", "json_schema": {"schema": schema, "name": model.__name__, "strict": True}}


def _strict(schema: Any, whole: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if reference is not None and len(schema) > 1:
        # A model that holds itself cannot be written out: there the reference stays, and loses its neighbours.
        if reference in inside:
            return {"$ref": reference}
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return _strict({**_found(reference, whole), **beside}, whole, (*inside, reference))
    strict = {name: _inner(name, value, whole, inside) for name, value in schema.items()}
    if strict.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    if isinstance(strict.get("properties"), dict):
        strict["required"] = list(strict["properties"])
    if strict.get("default", 0) is None:
        del strict["default"]
    only = strict.get("allOf")
    if isinstance(only, list) and len(only) == 1 and isinstance(only[0], dict):
        del strict["allOf"]
        return _strict({**strict, **only[0]}, whole, inside)
    return strict


def _inner(name: str, value: Any, whole: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if name in _NAMED and isinstance(value, dict):
        return {key: _strict(item, whole, inside) for key, item in value.items()}
    if name in _LISTED and isinstance(value, list):
        return [_strict(item, whole, inside) for item in value]
    return _strict(value, whole, inside) if name in _ONE else value


def _found(reference: str, whole: dict[str, Any]) -> dict[str, Any]:
    """What `#/$defs/NAME` points at."""
    at: Any = whole
    for key in reference.removeprefix("#/").split("/"):
        at = at[key.replace("~1", "/").replace("~0", "~")]
    return dict(at)
