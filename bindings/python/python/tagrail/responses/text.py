"""Text completions; a chunk of one has the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .answer import Answer, new_id, now
from .record import Document, Record, _set_data, said
from .usage import Usage


class Logprobs(Record):
    """How likely the tokens were."""

    __slots__ = ()
    text_offset: list[int] | None
    token_logprobs: list[float | None] | None
    tokens: list[str] | None
    top_logprobs: list[dict[str, float] | None] | None
    _quiet = frozenset(("text_offset", "token_logprobs", "tokens", "top_logprobs"))


class TextChoices(Record):
    """One of the texts that were asked for."""

    __slots__ = ()
    finish_reason: str | None
    index: int
    text: str | None
    logprobs: Logprobs | None
    _shape = {"finish_reason": None, "index": 0, "text": None, "logprobs": None}
    _inner = {"logprobs": Logprobs._wrap}

    def __init__(
        self,
        finish_reason: str | None = None,
        index: int = 0,
        text: str | None = None,
        logprobs: Logprobs | Document | None = None,
        **params: Any,
    ) -> None:
        fields: Document = {"finish_reason": finish_reason, "index": index, "text": text, "logprobs": logprobs}
        _set_data(self, {**fields, **params})

    def json(self, **options: Any) -> Any:
        return self.model_dump(**options)


class TextCompletionResponse(Answer):
    """A text completion."""

    __slots__ = ()
    id: str
    object: str
    created: int
    model: str | None
    choices: list[TextChoices]
    usage: Usage | None
    system_fingerprint: str | None
    _shape = {
        "id": None,
        "object": "text_completion",
        "created": None,
        "model": None,
        "choices": None,
        "usage": None,
        "system_fingerprint": None,
    }
    _inner = {"choices": TextChoices._wrap, "usage": Usage._wrap}

    def __init__(
        self,
        id: str | None = None,
        choices: Sequence[TextChoices | Document] | None = None,
        created: int | None = None,
        model: str | None = None,
        usage: Usage | Document | None = None,
        stream: bool = False,
        response_ms: float | None = None,
        object: str | None = None,
        **params: Any,
    ) -> None:
        given: Sequence[Any] = [{}] if choices is None else choices
        if not isinstance(usage, Usage):
            usage = None if usage is None and stream else Usage(**(usage or {}))
        fields: Document = {
            "id": id or new_id(),
            "object": object or "text_completion",
            "created": created or now(),
            "model": model,
            "choices": [TextChoices(**choice) if isinstance(choice, dict) else choice for choice in given],
            **said(usage=usage),
            **params,
        }
        _set_data(self, fields)
        self._response_ms = response_ms
