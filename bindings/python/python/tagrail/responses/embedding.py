"""Embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .answer import Answer
from .fields import Fields
from .record import Document, _set_data
from .usage import Usage


class Embedding(Fields):
    """One vector. LiteLLM has dicts here, so this is one."""

    __slots__ = ()
    embedding: list[float] | str
    index: int
    object: str


class EmbeddingResponse(Answer):
    """A vector for every input."""

    __slots__ = ()
    model: str | None
    data: list[Embedding]
    object: str
    usage: Usage | None
    _shape = {"model": None, "data": None, "object": "list", "usage": None}
    _inner = {"data": Embedding._wrap, "usage": Usage._wrap}

    def __init__(
        self,
        model: str | None = None,
        usage: Usage | Document | None = None,
        response_ms: float | None = None,
        data: Sequence[Embedding | Document] | None = None,
        hidden_params: Document | None = None,
        _response_headers: dict[str, str] | None = None,
        **params: Any,
    ) -> None:
        if not isinstance(usage, Usage):
            usage = Usage(**(usage or {}))
        fields: Document = {"model": model, "data": list(data or []), "object": "list", "usage": usage, **params}
        _set_data(self, fields)
        self._hidden_params = hidden_params or {}
        self._response_headers = _response_headers
        self._response_ms = response_ms
