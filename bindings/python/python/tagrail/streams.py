"""Streams of chunks, for loops and for async loops.

A stream holds on to its reply and nothing else does: who drops the stream ends the call, upstream too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from .responses import CHUNK
from .responses import stream_chunk_builder as stream_chunk_builder
from .responses.answer import hidden_params

if TYPE_CHECKING:
    from types import TracebackType

    from ._core import Operation, Reply

S = TypeVar("S", bound="CustomStreamWrapper")

# An upstream that is faster than its reader never lets the reader wait, and so would keep a loop to itself.
_AT_A_TIME = 64


class CustomStreamWrapper:
    """What both kinds of streams have. LiteLLM has one class for both, of this name."""

    __slots__ = ("_reply", "_make", "_hidden", "_left", "__weakref__")

    _reply: Reply | None
    _hidden: dict[str, Any] | None

    def __init__(self, operation: Operation, reply: Reply) -> None:
        self._reply = reply
        self._make = CHUNK[operation]._of_chunk
        self._hidden = None
        self._left = _AT_A_TIME

    @property
    def _hidden_params(self) -> dict[str, Any]:
        """Who answers, and how. What the stream has cost is there when it has ended."""
        hidden = self._hidden
        if hidden is None:
            reply = self._reply
            hidden = self._hidden = {} if reply is None else hidden_params(reply.facts())
        return hidden

    @property
    def _response_headers(self) -> dict[str, str] | None:
        """The upstream's, with names in lower case."""
        return self._hidden_params.get("headers")

    @property
    def model(self) -> str | None:
        """The upstream's model, without its provider."""
        name: str | None = self._hidden_params.get("litellm_model_name")
        provider = self.custom_llm_provider
        return name.removeprefix(f"{provider}/") if name and provider else name

    @property
    def custom_llm_provider(self) -> str | None:
        """The upstream's provider."""
        return self._hidden_params.get("custom_llm_provider")

    def _made(self, data: Any) -> Any:
        """A chunk."""
        hidden = self._hidden
        return self._make(data, self._hidden_params if hidden is None else hidden)

    def _ended(self, reply: Reply) -> None:
        """Lets go of the reply at its end, when it is known what it has cost. The chunks share the dict."""
        self._reply = None
        hidden = self._hidden
        if hidden is not None:
            cost = reply.facts()["cost"]
            if cost is not None:
                hidden["response_cost"] = cost

    def close(self) -> None:
        """Ends the stream, upstream too. Nothing happens when it has ended."""
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.close()


class Stream(CustomStreamWrapper, Iterator[Any]):
    """Iterate over it; `close()` it, leave its `with`, or drop it, to end the call early."""

    __slots__ = ()

    def __iter__(self: S) -> S:
        return self

    def __next__(self) -> Any:
        reply = self._reply
        if reply is None:
            raise StopIteration
        try:
            data = reply.next()
        except BaseException:
            # The traceback holds on to this frame, and with it to the reply.
            self.close()
            raise
        if data is None:
            self._ended(reply)
            raise StopIteration
        return self._made(data)

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(CustomStreamWrapper, AsyncIterator[Any]):
    """Iterate over it with `async for`; `await aclose()` it, leave its `async with`, or drop it, to end it early."""

    __slots__ = ()

    def __aiter__(self: S) -> S:
        return self

    async def __anext__(self) -> Any:
        reply = self._reply
        if reply is None:
            raise StopAsyncIteration
        try:
            if self._left == 0:
                from .loop import breath

                await breath()
                self._left = _AT_A_TIME
            data = reply.poll()
            if data is NotImplemented:
                from .loop import arrived

                data = await arrived(reply)
                self._left = _AT_A_TIME
            else:
                self._left -= 1
        except BaseException:
            # Cancelled too: whoever stops waiting ends the call.
            self.close()
            raise
        if data is None:
            self._ended(reply)
            raise StopAsyncIteration
        return self._made(data)

    async def aclose(self) -> None:
        """Ends the stream, upstream too. Nothing happens when it has ended."""
        self.close()

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
