"""What an answer has used up."""

from __future__ import annotations

from typing import Any

from .record import Document, Record, _set_data, said

_TOKENS = frozenset(("audio_tokens", "cached_tokens", "text_tokens", "image_tokens", "video_tokens"))


class PromptTokensDetailsWrapper(Record):
    """What the prompt's tokens were."""

    __slots__ = ()
    audio_tokens: int | None
    cached_tokens: int | None
    text_tokens: int | None
    image_tokens: int | None
    video_tokens: int | None
    _quiet = _TOKENS


class CompletionTokensDetailsWrapper(Record):
    """What the answer's tokens were."""

    __slots__ = ()
    accepted_prediction_tokens: int | None
    audio_tokens: int | None
    reasoning_tokens: int | None
    rejected_prediction_tokens: int | None
    text_tokens: int | None
    image_tokens: int | None
    video_tokens: int | None
    _quiet = _TOKENS - {"cached_tokens"} | {
        "accepted_prediction_tokens", "reasoning_tokens", "rejected_prediction_tokens"
    }


class ServerToolUse(Record):
    """How often the provider's own tools were used."""

    __slots__ = ()
    web_search_requests: int | None
    tool_search_requests: int | None
    _quiet = frozenset(("web_search_requests", "tool_search_requests"))


class Usage(Record):
    """Tokens."""

    __slots__ = ()
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    completion_tokens_details: CompletionTokensDetailsWrapper | None
    prompt_tokens_details: PromptTokensDetailsWrapper | None
    _shape = {
        "completion_tokens": 0,
        "prompt_tokens": 0,
        "total_tokens": 0,
        "completion_tokens_details": None,
        "prompt_tokens_details": None,
    }
    _inner = {
        "completion_tokens_details": CompletionTokensDetailsWrapper._wrap,
        "prompt_tokens_details": PromptTokensDetailsWrapper._wrap,
        "server_tool_use": ServerToolUse._wrap,
    }

    def __init__(
        self,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        prompt_tokens_details: PromptTokensDetailsWrapper | Document | None = None,
        completion_tokens_details: CompletionTokensDetailsWrapper | Document | None = None,
        server_tool_use: ServerToolUse | Document | None = None,
        cost: float | None = None,
        **params: Any,
    ) -> None:
        if reasoning_tokens and completion_tokens_details is None:
            completion_tokens_details = {"reasoning_tokens": reasoning_tokens}
        fields: Document = {
            "completion_tokens": completion_tokens or 0,
            "prompt_tokens": prompt_tokens or 0,
            "total_tokens": total_tokens or 0,
            "completion_tokens_details": completion_tokens_details,
            "prompt_tokens_details": prompt_tokens_details,
            **said(server_tool_use=server_tool_use, cost=cost),
            **params,
        }
        _set_data(self, fields)
