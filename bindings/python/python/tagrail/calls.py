"""`completion` and its like without a router: the name says the provider, the environment has the keys.

Every such call goes to a router of one deployment that takes any name. Routers are kept, so that connections are;
which one a call gets depends on its `api_base` and on the variables that were looked at when the router was made, so
that a changed key is a changed router. A call's own `api_key` is in its body, and in nothing that is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, overload

from ._core import Core
from .keywords import body
from .responses import WHOLE
from .streams import AsyncStream, Stream

if TYPE_CHECKING:
    from ._core import Operation
    from .responses import EmbeddingResponse, ModelResponse, TextCompletionResponse

# How many routers are kept. Who uses more addresses than these makes connections anew.
_KEPT = 16

# What says where a call goes and how it enters: none of it goes to another provider with a fallback.
_OWN = (
    "api_key", "api_base", "base_url", "api_version", "organization", "custom_llm_provider", "headers", "extra_headers",
)  # fmt: skip


@overload
def completion(model: str, messages: Any = ..., *, stream: Literal[True], **keywords: Any) -> Stream: ...
@overload
def completion(
    model: str, messages: Any = ..., *, stream: Literal[False] | None = None, **keywords: Any
) -> ModelResponse: ...
@overload
def completion(
    model: str, messages: Any = ..., *, stream: bool | None, **keywords: Any
) -> ModelResponse | Stream: ...
def completion(model: str, messages: Any = (), **keywords: Any) -> Any:
    """A chat completion of a provider: `completion("anthropic/claude-sonnet-4-5", messages)`.

    A name without a provider is looked up in the price table. `api_key` and `api_base` stand in for the variables;
    `fallbacks` are names, or dicts with `model` and keywords of their own, and `num_retries` counts for each.
    """
    return _called("chat", {**keywords, "model": model, "messages": messages})


@overload
async def acompletion(model: str, messages: Any = ..., *, stream: Literal[True], **keywords: Any) -> AsyncStream: ...
@overload
async def acompletion(
    model: str, messages: Any = ..., *, stream: Literal[False] | None = None, **keywords: Any
) -> ModelResponse: ...
@overload
async def acompletion(
    model: str, messages: Any = ..., *, stream: bool | None, **keywords: Any
) -> ModelResponse | AsyncStream: ...
async def acompletion(model: str, messages: Any = (), **keywords: Any) -> Any:
    """The same, awaited."""
    return await _awaited("chat", {**keywords, "model": model, "messages": messages})


@overload
def text_completion(prompt: Any, model: str, *, stream: Literal[True], **keywords: Any) -> Stream: ...
@overload
def text_completion(
    prompt: Any, model: str, *, stream: Literal[False] | None = None, **keywords: Any
) -> TextCompletionResponse: ...
@overload
def text_completion(
    prompt: Any, model: str, *, stream: bool | None, **keywords: Any
) -> TextCompletionResponse | Stream: ...
def text_completion(prompt: Any, model: str, **keywords: Any) -> Any:
    """A completion of a text."""
    return _called("completions", {**keywords, "model": model, "prompt": prompt})


async def atext_completion(prompt: Any, model: str, **keywords: Any) -> Any:
    """The same, awaited."""
    return await _awaited("completions", {**keywords, "model": model, "prompt": prompt})


def embedding(model: str, input: Any = (), **keywords: Any) -> EmbeddingResponse:
    """Vectors for texts."""
    found: EmbeddingResponse = _called("embeddings", {**keywords, "model": model, "input": input})
    return found


async def aembedding(model: str, input: Any = (), **keywords: Any) -> EmbeddingResponse:
    """The same, awaited."""
    found: EmbeddingResponse = await _awaited("embeddings", {**keywords, "model": model, "input": input})
    return found


# ---- how -----------------------------------------------------------------------
def _called(operation: Operation, keywords: dict[str, Any]) -> Any:
    attempts = _attempts(keywords)
    for left, asked in zip(range(len(attempts) - 1, -1, -1), attempts, strict=True):
        try:
            reply = _core_of(asked).call(operation, body(operation, asked), None)
        except Exception:
            if left == 0:
                raise
            continue
        return Stream(operation, reply) if reply.streams else WHOLE[operation]._of(reply)


async def _awaited(operation: Operation, keywords: dict[str, Any]) -> Any:
    # Imported here: who never awaits need not have asyncio.
    from .loop import answered

    attempts = _attempts(keywords)
    for left, asked in zip(range(len(attempts) - 1, -1, -1), attempts, strict=True):
        try:
            reply = await answered(_core_of(asked), operation, body(operation, asked), None)
        except Exception:
            if left == 0:
                raise
            continue
        return AsyncStream(operation, reply) if reply.streams else WHOLE[operation]._of(reply)


def _attempts(keywords: dict[str, Any]) -> list[dict[str, Any]]:
    """What to ask one after the other, until somebody answers."""
    if "mock_response" in keywords or "mock_timeout" in keywords:
        from .mocks import refuse

        refuse(keywords)
    fallbacks = keywords.pop("fallbacks", None) or ()
    if keywords.pop("disable_fallbacks", None):
        fallbacks = ()
    if keywords.get("num_retries") is None and keywords.get("max_retries") is not None:
        keywords["num_retries"] = keywords["max_retries"]
    attempts = [keywords]
    for fallback in [fallbacks] if isinstance(fallbacks, str) else fallbacks:
        said = fallback if isinstance(fallback, Mapping) else {"model": fallback}
        shared = keywords
        if _provider(said) != _provider(keywords):
            shared = {name: value for name, value in keywords.items() if name not in _OWN}
        attempts.append({**shared, **said})
    return [_placed(attempt) for attempt in attempts]


def _provider(said: Mapping[str, Any]) -> str:
    """Whose the keywords of a call are. A bare name is its own provider: whose it is, is only guessed."""
    model = str(said.get("model"))
    return said.get("custom_llm_provider") or (model.partition("/")[0] if "/" in model else f"*/{model}")


def _placed(asked: Mapping[str, Any]) -> dict[str, Any]:
    """With the provider in the name."""
    asked = dict(asked)
    provider = asked.pop("custom_llm_provider", None)
    if provider and not str(asked["model"]).startswith(f"{provider}/"):
        asked["model"] = f"{provider}/{asked['model']}"
    return asked


# ---- routers that are kept ---------------------------------------------------
class _Looked(Mapping[str, str]):
    """The variables that a router looked at when it was made, as they were."""

    def __init__(self) -> None:
        self._found: dict[str, str | None] = {}

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self._found:
            self._found[name] = os.environ.get(name)
        found = self._found[name]
        return default if found is None else found

    def __getitem__(self, name: str) -> str:
        found: str | None = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name, found in self._found.items() if found is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def holds(self) -> bool:
        """Whether they are so still."""
        return all(os.environ.get(name) == found for name, found in list(self._found.items()))


class _Kept:
    """A router, what it was made of, and the environment in which that was last true."""

    __slots__ = ("base", "core", "environment", "looked")

    def __init__(self, base: str | None) -> None:
        # What failures are made of, openai's classes among it: the first failure should not have to wait.
        from . import exceptions as exceptions

        self.base, self.looked = base, _Looked()
        self.core = Core(_document(base), self.looked)
        self.environment = _environment()

    def fits(self, base: str | None) -> bool:
        """Whether a call to this address would make the same router now."""
        if self.base != base:
            return False
        now = _raw()
        if now is not None and now == self.environment:
            return True
        if not self.looked.holds():
            return False
        self.environment = _environment()
        return True


_kept: list[_Kept] = []
_lock = Lock()


def _core_of(asked: dict[str, Any]) -> Core:
    """The router for a call. The address leaves its keywords: it is the router's."""
    base = asked.pop("base_url", None)
    base = asked.pop("api_base", None) or base
    with _lock:
        for at in range(len(_kept) - 1, -1, -1):
            if _kept[at].fits(base):
                found = _kept[at]
                if at + 1 != len(_kept):
                    _kept.append(_kept.pop(at))
                return found.core
        made = _Kept(base)
        _kept.append(made)
        del _kept[:-_KEPT]
        return made.core


def _document(base: str | None) -> dict[str, Any]:
    params = {"model": "*"} if base is None else {"model": "*", "api_base": base}
    # What one call has met with is nothing to another: nobody's key may keep somebody else waiting.
    settings = {"num_retries": 0, "disable_cooldowns": True}
    entry = {"model_name": "*", "litellm_params": params, "model_info": {"id": "tagrail.completion"}}
    return {"model_list": [entry], "router_settings": settings}


def _raw() -> Any:
    """What `os.environ` is made of: comparing it costs a microsecond, and looking up each name a hundred."""
    return getattr(os.environ, "_data", None)


def _environment() -> Any:
    raw = _raw()
    return None if raw is None else dict(raw)


def _after_fork() -> None:
    """Another thread may have held the lock."""
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
