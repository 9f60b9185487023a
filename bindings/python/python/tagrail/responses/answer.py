"""What answers have that their parts have not: who answered, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .record import Document, Record, _new, _set_data

if TYPE_CHECKING:
    from .._core import Reply

A = TypeVar("A", bound="Answer")


def hidden_params(facts: Mapping[str, Any]) -> Document:
    """`_hidden_params` in LiteLLM's words, of what `_core` knows of a reply."""
    headers: Mapping[str, str] = facts["headers"]
    additional: Document = {}
    for name, value in headers.items():
        additional[f"llm_provider-{name}"] = value
        if name.startswith("x-ratelimit-"):
            additional[name] = value
    retries = facts["retries"]
    additional["x-litellm-model-group"] = facts["model_group"]
    additional["x-litellm-attempted-retries"] = retries
    additional["x-litellm-attempted-fallbacks"] = facts["fallbacks"]
    if retries:
        additional["x-litellm-max-retries"] = facts["max_retries"]
    return {
        "custom_llm_provider": facts["provider"],
        "model_id": facts["model_id"],
        "api_base": facts["api_base"],
        "response_cost": facts["cost"],
        "litellm_model_name": facts["model"],
        "litellm_call_id": facts["call_id"],
        "_response_ms": facts["response_ms"],
        "litellm_overhead_time_ms": facts["overhead_ms"],
        "additional_headers": additional,
        "headers": dict(headers),
        "optional_params": facts.get("optional_params") or {},
    }


class Answer(Record):
    """The whole of an answer, or a chunk of one.

    Made of a reply it holds on to that: the body is parsed when a field is asked for, and what is known
    about the call becomes `_hidden_params` when somebody wants to see it.
    """

    __slots__ = ("_reply", "_hidden_params", "_response_headers", "_response_ms")

    _reply: Reply | None
    _hidden_params: Document
    # The upstream's, with names in lower case; None where this came from no upstream.
    _response_headers: dict[str, str] | None
    _response_ms: float | None

    @classmethod
    def _of(cls: type[A], reply: Reply) -> A:
        """The answer that the reply is."""
        answer = _new(cls)
        _set_reply(answer, reply)
        return answer

    @classmethod
    def _of_chunk(cls: type[A], data: Document, hidden: Document) -> A:
        """A chunk of a stream. It knows what its stream knew of itself, but does not keep that going."""
        chunk = _new(cls)
        _set_data(chunk, data)
        _set_hidden(chunk, hidden)
        return chunk

    def _private(self, name: str) -> Any:
        # Slots that are not filled end up here.
        value: Any
        if name == "_reply":
            return None
        reply = self._reply
        if name == "_data":
            value = {} if reply is None else reply.data()
        elif name == "_hidden_params":
            value = {} if reply is None else hidden_params(reply.facts())
        elif name == "_response_headers":
            value = self._hidden_params.get("headers")
        elif name == "_response_ms":
            value = self._hidden_params.get("_response_ms")
        else:
            return super()._private(name)
        object.__setattr__(self, name, value)
        return value

    def _kept(self) -> Document:
        kept = super()._kept()
        for name in ("_hidden_params", "_response_headers", "_response_ms"):
            kept[name] = getattr(self, name)
        return kept

    def json(self, **options: Any) -> Any:
        return self.model_dump(**options)


_set_reply = Answer.__dict__["_reply"].__set__
_set_hidden = Answer.__dict__["_hidden_params"].__set__


def new_id() -> str:
    """For answers that no provider gave."""
    from uuid import uuid4

    return f"chatcmpl-{uuid4()}"


def now() -> int:
    """In seconds since 1970."""
    from time import time

    return int(time())
