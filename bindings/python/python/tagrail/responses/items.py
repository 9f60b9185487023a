"""OpenAI's responses: whole ones, and the events of a stream."""

from __future__ import annotations

from typing import Any

from .answer import Answer
from .record import Document, Record, _set_data

# Objects that are the caller's own, or a JSON schema: their keys are no fields.
_OPAQUE = frozenset(("metadata", "parameters", "schema", "input_schema"))
# Documented for some kinds, and left out by providers.
_OPTIONAL = frozenset(("status", "logprobs", "phase", "encrypted_content"))
_HOLDING = frozenset((dict, list))


class Item(Record):
    """An object in a response. There are some dozens of kinds; their fields are what the provider sent."""

    __slots__ = ()

    def _field(self, name: str) -> Any:
        value = super()._field(name)
        return self._made(name, value, Item._wrap) if type(value) in _HOLDING and name not in _OPAQUE else value

    def _absent(self, name: str) -> Any:
        return None if name in _OPTIONAL else super()._absent(name)


class ResponseAPIUsage(Record):
    """Tokens."""

    __slots__ = ()
    input_tokens: int
    input_tokens_details: Item | None
    output_tokens: int
    output_tokens_details: Item | None
    total_tokens: int
    cost: float | None
    _shape = {
        "input_tokens": 0,
        "input_tokens_details": None,
        "output_tokens": 0,
        "output_tokens_details": None,
        "total_tokens": 0,
    }
    _quiet = frozenset(("cost",))
    _inner = {"input_tokens_details": Item._wrap, "output_tokens_details": Item._wrap}


class ResponsesAPIResponse(Answer):
    """A response."""

    __slots__ = ()
    id: str
    created_at: int
    error: Item | None
    incomplete_details: Item | None
    instructions: str | None
    metadata: Document | None
    model: str | None
    object: str | None
    output: list[Any]
    parallel_tool_calls: bool | None
    temperature: float | None
    tool_choice: Any
    tools: list[Any] | None
    top_p: float | None
    max_output_tokens: int | None
    previous_response_id: str | None
    reasoning: Item | None
    status: str | None
    text: Item | None
    truncation: str | None
    usage: ResponseAPIUsage | None
    user: str | None
    store: bool | None
    _shape = dict.fromkeys((
        "id", "created_at", "error", "incomplete_details", "instructions", "metadata", "model", "object", "output",
        "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p", "max_output_tokens",
        "previous_response_id", "reasoning", "status", "text", "truncation", "usage", "user", "store",
    ))  # fmt: skip
    _inner = {
        **dict.fromkeys(
            ("error", "incomplete_details", "output", "tool_choice", "tools", "reasoning", "text"), Item._wrap
        ),
        "usage": ResponseAPIUsage._wrap,
    }

    def __init__(
        self, id: str, created_at: int, output: list[Any], hidden_params: Document | None = None, **params: Any
    ) -> None:
        _set_data(self, {"id": id, "created_at": created_at, "output": output, **params})
        self._hidden_params = hidden_params or {}

    @property
    def output_text(self) -> str:
        """All texts of the output, one behind the other."""
        parts = (part for item in self.output or [] if item.get("type") == "message" for part in item.content)
        return "".join(part.text for part in parts if part.type == "output_text")

    def json(self, **options: Any) -> Any:
        # LiteLLM's is pydantic's own.
        return self.model_dump_json(**options)


class ResponsesAPIStreamEvent(Answer):
    """An event: `type` says which, and what else it has."""

    __slots__ = ()
    type: str
    sequence_number: int
    response: ResponsesAPIResponse
    delta: str
    _quiet = frozenset(("sequence_number",))
    _inner = {
        "response": ResponsesAPIResponse._wrap,
        "item": Item._wrap,
        "part": Item._wrap,
        "annotation": Item._wrap,
        "logprobs": Item._wrap,
    }
