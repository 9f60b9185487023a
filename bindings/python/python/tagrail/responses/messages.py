"""Anthropic's messages: whole ones, and the events of a stream. LiteLLM answers with dicts here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .answer import hidden_params
from .fields import Fields

if TYPE_CHECKING:
    from .._core import Reply

M = TypeVar("M", bound="_Told")


class _Told(Fields):
    """A dict that knows of its call, beside its items. `told["_hidden_params"]` works, as it does in LiteLLM."""

    __slots__ = ("_reply", "_hidden_params")

    _reply: Reply | None
    _hidden_params: dict[str, Any]

    @classmethod
    def _of(cls: type[M], reply: Reply) -> M:
        told = cls(reply.data())
        object.__setattr__(told, "_reply", reply)
        return told

    @classmethod
    def _of_chunk(cls: type[M], data: dict[str, Any], hidden: dict[str, Any]) -> M:
        told = cls(data)
        object.__setattr__(told, "_hidden_params", hidden)
        return told

    def __getattr__(self, name: str) -> Any:
        # Slots that are not filled end up here.
        if name == "_reply":
            return None
        if name == "_hidden_params":
            reply = self._reply
            hidden = {} if reply is None else hidden_params(reply.facts())
            object.__setattr__(self, name, hidden)
            return hidden
        if name == "_response_headers":
            return self._hidden_params.get("headers")
        return super().__getattr__(name)

    def __missing__(self, name: str) -> Any:
        if name == "_hidden_params":
            return self._hidden_params
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The item, or `default` where there is none."""
        return self._hidden_params if name == "_hidden_params" else super().get(name, default)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._of_chunk, (dict(self), self._hidden_params)


class AnthropicMessagesResponse(_Told):
    """A message."""

    __slots__ = ()
    id: str
    type: str
    role: str
    model: str
    content: list[Any]
    stop_reason: str | None
    stop_sequence: str | None
    usage: Any


class AnthropicMessagesStreamEvent(_Told):
    """An event: `type` says which, and what else it has."""

    __slots__ = ()
    type: str
