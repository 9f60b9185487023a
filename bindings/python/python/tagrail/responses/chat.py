"""Chat completions, whole and in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .answer import Answer, new_id, now
from .record import Document, Record, _set_data, said
from .tool import (
    ChatCompletionAudioResponse,
    ChatCompletionDeltaToolCall,
    ChatCompletionMessageToolCall,
    FunctionCall,
    calls,
    function_call as called,
)
from .usage import Usage

# What LiteLLM knows of a message; the rest is the provider's own.
_MESSAGE = frozenset((
    "content", "role", "tool_calls", "function_call", "audio", "images", "reasoning_content", "thinking_blocks",
    "reasoning_items", "annotations", "provider_specific_fields",
))  # fmt: skip
_CHOICE = frozenset(("finish_reason", "index", "message", "logprobs", "provider_specific_fields"))


class TopLogprob(Record):
    """A token that could have been."""

    __slots__ = ()
    token: str
    bytes: list[int] | None
    logprob: float
    _quiet = frozenset(("bytes",))


class ChatCompletionTokenLogprob(Record):
    """A token, and how likely it was."""

    __slots__ = ()
    token: str
    bytes: list[int] | None
    logprob: float
    top_logprobs: list[TopLogprob]
    _quiet = frozenset(("bytes", "top_logprobs"))
    _inner = {"top_logprobs": TopLogprob._wrap}


class ChoiceLogprobs(Record):
    """How likely the tokens were."""

    __slots__ = ()
    content: list[ChatCompletionTokenLogprob] | None
    refusal: list[ChatCompletionTokenLogprob] | None
    _quiet = frozenset(("content", "refusal"))
    _inner = {"content": ChatCompletionTokenLogprob._wrap, "refusal": ChatCompletionTokenLogprob._wrap}


def _own(data: Document, known: frozenset[str]) -> Document | None:
    """The fields of a provider's own; None where there are none."""
    return {name: value for name, value in data.items() if name not in known} or None


class Message(Record):
    """What was said. `provider_specific_fields` are those that only this provider has, once more."""

    __slots__ = ()
    content: str | None
    role: str
    tool_calls: list[ChatCompletionMessageToolCall] | None
    function_call: FunctionCall | None
    audio: ChatCompletionAudioResponse | None
    refusal: str | None
    annotations: list[Document] | None
    provider_specific_fields: Document | None
    _shape = {"content": None, "role": "assistant", "tool_calls": None, "function_call": None}
    _quiet = frozenset(("audio", "refusal", "annotations", "provider_specific_fields"))
    _inner = {
        "tool_calls": ChatCompletionMessageToolCall._wrap,
        "function_call": FunctionCall._wrap,
        "audio": ChatCompletionAudioResponse._wrap,
    }

    def __init__(
        self,
        content: str | None = None,
        role: str = "assistant",
        function_call: FunctionCall | Document | None = None,
        tool_calls: Sequence[ChatCompletionMessageToolCall | Document] | None = None,
        **params: Any,
    ) -> None:
        fields: Document = {
            "content": content,
            "role": role,
            "tool_calls": calls(tool_calls) or None,
            "function_call": called(function_call),
            **said(**params),
        }
        _set_data(self, fields)

    def _absent(self, name: str) -> Any:
        if name == "provider_specific_fields":
            return _own(self._data, _MESSAGE)
        return super()._absent(name)

    def json(self, **options: Any) -> Any:
        return self.model_dump(**options)


class Choices(Record):
    """One of the answers that were asked for."""

    __slots__ = ()
    finish_reason: str | None
    index: int
    message: Message
    logprobs: ChoiceLogprobs | None
    provider_specific_fields: Document | None
    _shape = {"finish_reason": None, "index": 0, "message": None}
    _quiet = frozenset(("logprobs", "provider_specific_fields"))
    _inner = {"message": Message._wrap, "logprobs": ChoiceLogprobs._wrap}
    _always = frozenset(("message",))

    def __init__(
        self,
        finish_reason: str | None = None,
        index: int = 0,
        message: Message | Document | None = None,
        logprobs: ChoiceLogprobs | Document | None = None,
        **params: Any,
    ) -> None:
        if message is None or isinstance(message, dict):
            message = Message(**(message or {}))
        fields: Document = {"finish_reason": finish_reason or "stop", "index": index, "message": message}
        _set_data(self, {**fields, **said(logprobs=logprobs, **params)})

    def _absent(self, name: str) -> Any:
        if name == "provider_specific_fields":
            return _own(self._data, _CHOICE)
        return super()._absent(name)


class Delta(Record):
    """What a chunk adds to a message."""

    __slots__ = ()
    content: str | None
    role: str | None
    function_call: FunctionCall | None
    tool_calls: list[ChatCompletionDeltaToolCall] | None
    audio: ChatCompletionAudioResponse | None
    refusal: str | None
    provider_specific_fields: Document | None
    _shape = {"content": None, "role": None, "function_call": None, "tool_calls": None, "audio": None}
    _quiet = frozenset(("refusal", "provider_specific_fields"))
    _inner = {
        "tool_calls": ChatCompletionDeltaToolCall._wrap,
        "function_call": FunctionCall._wrap,
        "audio": ChatCompletionAudioResponse._wrap,
    }

    def __init__(
        self,
        content: str | None = None,
        role: str | None = None,
        function_call: FunctionCall | Document | None = None,
        tool_calls: Sequence[ChatCompletionDeltaToolCall | Document] | None = None,
        **params: Any,
    ) -> None:
        fields: Document = {"content": content, "role": role, "function_call": function_call}
        _set_data(self, {**fields, "tool_calls": list(tool_calls) if tool_calls else None, **said(**params)})


class StreamingChoices(Record):
    """What a chunk adds to one of the answers."""

    __slots__ = ()
    finish_reason: str | None
    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
    _shape = {"finish_reason": None, "index": 0, "delta": None, "logprobs": None}
    _inner = {"delta": Delta._wrap, "logprobs": ChoiceLogprobs._wrap}
    _always = frozenset(("delta",))

    def __init__(
        self,
        finish_reason: str | None = None,
        index: int = 0,
        delta: Delta | Document | None = None,
        logprobs: ChoiceLogprobs | Document | None = None,
        **params: Any,
    ) -> None:
        if delta is None or isinstance(delta, dict):
            delta = Delta(**(delta or {}))
        fields: Document = {"finish_reason": finish_reason, "index": index, "delta": delta, "logprobs": logprobs}
        _set_data(self, {**fields, **said(**params)})


class ModelResponse(Answer):
    """A chat completion."""

    __slots__ = ()
    id: str
    created: int
    model: str | None
    object: str
    system_fingerprint: str | None
    choices: list[Choices]
    usage: Usage | None
    service_tier: str | None
    moderation: Any
    _shape = {
        "id": None,
        "created": None,
        "model": None,
        "object": "chat.completion",
        "system_fingerprint": None,
        "choices": None,
        "moderation": None,
        "service_tier": None,
    }
    _quiet = frozenset(("usage",))
    _inner = {"choices": Choices._wrap, "usage": Usage._wrap}

    def __init__(
        self,
        id: str | None = None,
        choices: Sequence[Choices | StreamingChoices | Document] | None = None,
        created: int | None = None,
        model: str | None = None,
        object: str | None = None,
        system_fingerprint: str | None = None,
        usage: Usage | Document | None = None,
        stream: bool | None = None,
        stream_options: Any = None,
        response_ms: float | None = None,
        hidden_params: Document | None = None,
        _response_headers: dict[str, str] | None = None,
        **params: Any,
    ) -> None:
        kind = StreamingChoices if stream else Choices
        given: Sequence[Any] = [{}] if choices is None else choices
        fields: Document = {
            "id": id or new_id(),
            "created": created or now(),
            "model": model,
            "object": object or ("chat.completion.chunk" if stream else "chat.completion"),
            "system_fingerprint": system_fingerprint,
            "choices": [kind(**choice) if isinstance(choice, dict) else choice for choice in given],
            **said(usage=Usage(**usage) if isinstance(usage, dict) else usage),
            **params,
        }
        _set_data(self, fields)
        self._hidden_params = hidden_params or {}
        self._response_headers = _response_headers
        self._response_ms = response_ms


class ModelResponseStream(Answer):
    """A chunk of a chat completion."""

    __slots__ = ()
    id: str
    created: int
    model: str | None
    object: str
    system_fingerprint: str | None
    choices: list[StreamingChoices]
    provider_specific_fields: Document | None
    usage: Usage | None
    citations: list[Any] | None
    service_tier: str | None
    _shape = {
        "id": None,
        "created": None,
        "model": None,
        "object": "chat.completion.chunk",
        "system_fingerprint": None,
        "choices": None,
        "provider_specific_fields": None,
    }
    _quiet = frozenset(("usage", "citations", "service_tier", "moderation"))
    _inner = {"choices": StreamingChoices._wrap, "usage": Usage._wrap}

    def __init__(
        self,
        choices: Sequence[StreamingChoices | Document] | StreamingChoices | Document | None = None,
        id: str | None = None,
        created: int | None = None,
        model: str | None = None,
        usage: Usage | Document | None = None,
        **params: Any,
    ) -> None:
        given: Any = [{}] if choices is None else choices
        if isinstance(given, (dict, StreamingChoices)):
            given = [given]
        fields: Document = {
            "id": id or new_id(),
            "created": created or now(),
            "model": model,
            "object": "chat.completion.chunk",
            "choices": [StreamingChoices(**choice) if isinstance(choice, dict) else choice for choice in given],
            **said(usage=Usage(**usage) if isinstance(usage, dict) else usage),
            **params,
        }
        _set_data(self, fields)
