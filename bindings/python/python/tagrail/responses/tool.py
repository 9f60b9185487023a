"""Calls of tools, and of functions as they were before there were tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .record import Document, Record, _set_data


class Function(Record):
    """Which function, and with which arguments (JSON)."""

    __slots__ = ()
    arguments: str
    name: str | None
    _shape = {"arguments": "", "name": None}

    def __init__(
        self, arguments: Mapping[str, Any] | str | None = None, name: str | None = None, **params: Any
    ) -> None:
        if isinstance(arguments, Mapping):
            import json

            arguments = json.dumps(arguments)
        _set_data(self, {"arguments": arguments or "", "name": name, **params})


class FunctionCall(Function):
    """`function_call` of a message."""

    __slots__ = ()


class ChatCompletionMessageToolCall(Record):
    """A call of a tool in a message."""

    __slots__ = ()
    function: Function
    id: str
    type: str
    _shape = {"function": None, "id": None, "type": "function"}
    _inner = {"function": Function._wrap}

    def __init__(
        self, function: Function | Document, id: str | None = None, type: str | None = None, **params: Any
    ) -> None:
        if id is None:
            from uuid import uuid4

            id = str(uuid4())
        if isinstance(function, Mapping):
            function = Function(**function)
        _set_data(self, {**params, "function": function, "id": id, "type": type or "function"})


class ChatCompletionDeltaToolCall(Record):
    """A piece of one in a stream; `index` says of which."""

    __slots__ = ()
    id: str | None
    function: Function
    type: str | None
    index: int
    _shape = {"id": None, "function": None, "type": "function", "index": 0}
    _inner = {"function": Function._wrap}


class ChatCompletionAudioResponse(Record):
    """Speech."""

    __slots__ = ()
    id: str
    data: str
    expires_at: int
    transcript: str


def calls(given: Any) -> Any:
    """Calls of tools that a program made itself: arguments may be dicts there."""
    if given is None:
        return None
    return [
        ChatCompletionMessageToolCall(**call) if isinstance(call, dict) and "function" in call else call
        for call in given
    ]


def function_call(given: Any) -> Any:
    """The same of `function_call`."""
    return FunctionCall(**given) if isinstance(given, dict) else given


