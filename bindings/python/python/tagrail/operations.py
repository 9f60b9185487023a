"""What a router is asked for: every call, sync and async, plain and streamed.

The path of a call is short on purpose: its keywords are the body, the compiled part does the rest, and what comes
back is wrapped without being looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from . import arguments
from .caller import held
from .introspection import Introspection
from .keywords import body
from .responses import WHOLE
from .streams import AsyncStream, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from ._core import Operation, Reply
    from .caller import Caller
    from .responses import EmbeddingResponse, ModelResponse, TextCompletionResponse

Messages = list[dict[str, Any]]

# Keywords that are looked at before the call: see `_rare`.
_RARE = frozenset({
    "specific_deployment", "mock_response", "mock_timeout", "mock_tool_calls", "mock_delay", "mock_testing_fallbacks",
    "mock_testing_context_fallbacks", "mock_testing_content_policy_fallbacks", "mock_testing_rate_limit_error",
})  # fmt: skip


class Operations(Introspection):
    """The calls of a router."""

    # ---- chat ------------------------------------------------------------
    @overload
    def completion(
        self, model: str, messages: Any, *, stream: Literal[True], caller: Caller | None = None, **keywords: Any
    ) -> Stream: ...
    @overload
    def completion(
        self,
        model: str,
        messages: Any,
        *,
        stream: Literal[False] | None = None,
        caller: Caller | None = None,
        **keywords: Any,
    ) -> ModelResponse: ...
    @overload
    def completion(
        self, model: str, messages: Any, *, stream: bool | None, caller: Caller | None = None, **keywords: Any
    ) -> ModelResponse | Stream: ...
    def completion(self, model: str, messages: Any, *, caller: Caller | None = None, **keywords: Any) -> Any:
        """A chat completion. `stream=True` gives an iterator of chunks.

        `tags=[…]` or `metadata={"tags": […]}` choose among deployments; `fallbacks`, `context_window_fallbacks`,
        `content_policy_fallbacks`, `disable_fallbacks`, `num_retries`, `timeout`, `enable_tag_filtering`,
        `specific_deployment`, `mock_response`, `api_key`, `api_base` and `extra_headers` hold for this call. All
        other keywords are the provider's.
        """
        keywords["model"], keywords["messages"] = model, messages
        return self._asked("chat", keywords, caller)

    @overload
    async def acompletion(
        self, model: str, messages: Any, stream: Literal[True], *, caller: Caller | None = None, **keywords: Any
    ) -> AsyncStream: ...
    @overload
    async def acompletion(
        self,
        model: str,
        messages: Any,
        stream: Literal[False] = False,
        *,
        caller: Caller | None = None,
        **keywords: Any,
    ) -> ModelResponse: ...
    @overload
    async def acompletion(
        self, model: str, messages: Any, stream: bool, *, caller: Caller | None = None, **keywords: Any
    ) -> ModelResponse | AsyncStream: ...
    async def acompletion(
        self, model: str, messages: Any, stream: bool = False, *, caller: Caller | None = None, **keywords: Any
    ) -> Any:
        """The same, awaited. `stream=True` gives an async iterator."""
        keywords["model"], keywords["messages"] = model, messages
        if stream:
            keywords["stream"] = stream
        return _aanswer("chat", await self._begun("chat", keywords, caller))

    @property
    def chat(self) -> Chat:
        """`router.chat.completions.create(model=, messages=)`, as openai's client has it."""
        return Chat(self)

    # ---- text ------------------------------------------------------------
    @overload
    def text_completion(
        self, model: str, prompt: Any, *, stream: Literal[True], caller: Caller | None = None, **keywords: Any
    ) -> Stream: ...
    @overload
    def text_completion(
        self,
        model: str,
        prompt: Any,
        *,
        stream: Literal[False] | None = None,
        caller: Caller | None = None,
        **keywords: Any,
    ) -> TextCompletionResponse: ...
    @overload
    def text_completion(
        self, model: str, prompt: Any, *, stream: bool | None, caller: Caller | None = None, **keywords: Any
    ) -> TextCompletionResponse | Stream: ...
    def text_completion(self, model: str, prompt: Any, *, caller: Caller | None = None, **keywords: Any) -> Any:
        """A completion of a text."""
        keywords["model"], keywords["prompt"] = model, prompt
        return self._asked("completions", keywords, caller)

    async def atext_completion(
        self, model: str, prompt: Any, *, caller: Caller | None = None, **keywords: Any
    ) -> Any:
        """The same, awaited."""
        keywords["model"], keywords["prompt"] = model, prompt
        return _aanswer("completions", await self._begun("completions", keywords, caller))

    # ---- embeddings ------------------------------------------------------
    def embedding(
        self, model: str, input: Any, *, caller: Caller | None = None, **keywords: Any
    ) -> EmbeddingResponse:
        """Vectors for texts."""
        keywords["model"], keywords["input"] = model, input
        found: EmbeddingResponse = self._asked("embeddings", keywords, caller)
        return found

    async def aembedding(
        self, model: str, input: Any, *, caller: Caller | None = None, **keywords: Any
    ) -> EmbeddingResponse:
        """The same, awaited."""
        keywords["model"], keywords["input"] = model, input
        found: EmbeddingResponse = _aanswer("embeddings", await self._begun("embeddings", keywords, caller))
        return found

    # ---- OpenAI's responses, Anthropic's messages -------------------------
    def responses(self, model: str, input: Any, *, caller: Caller | None = None, **keywords: Any) -> Any:
        """OpenAI's Responses API. `metadata` goes to the provider, less its tags."""
        keywords["model"], keywords["input"] = model, input
        return self._asked("responses", keywords, caller)

    async def aresponses(self, model: str, input: Any, *, caller: Caller | None = None, **keywords: Any) -> Any:
        """The same, awaited."""
        keywords["model"], keywords["input"] = model, input
        return _aanswer("responses", await self._begun("responses", keywords, caller))

    def anthropic_messages(
        self, model: str, messages: Any, *, caller: Caller | None = None, **keywords: Any
    ) -> Any:
        """Anthropic's Messages API, with `max_tokens` as it needs it. The answer is a dict."""
        keywords["model"], keywords["messages"] = model, messages
        return self._asked("messages", keywords, caller)

    async def aanthropic_messages(
        self, model: str, messages: Any, *, caller: Caller | None = None, **keywords: Any
    ) -> Any:
        """The same, awaited."""
        keywords["model"], keywords["messages"] = model, messages
        return _aanswer("messages", await self._begun("messages", keywords, caller))

    # ---- several at once ---------------------------------------------------
    async def abatch_completion(self, models: Sequence[str], messages: Any, **keywords: Any) -> list[Any]:
        """Asks every model. With a list of conversations, every model for each: a list of lists. What fails
        stands in the list as its exception."""
        from asyncio import gather

        if messages and all(isinstance(message, list) for message in messages):
            rows = (self.abatch_completion(models, one, **keywords) for one in messages)
            return list(await gather(*rows))
        calls = (self.acompletion(model, messages, **keywords) for model in models)
        return await _settled(gather(*calls, return_exceptions=True))

    async def abatch_completion_one_model_multiple_requests(
        self, model: str, messages: list[Messages], **keywords: Any
    ) -> list[Any]:
        """Asks one model for every conversation. What fails stands in the list as its exception."""
        from asyncio import gather

        calls = (self.acompletion(model, one, **keywords) for one in messages)
        return await _settled(gather(*calls, return_exceptions=True))

    async def abatch_completion_fastest_response(
        self, model: str, messages: Any, stream: bool = False, **keywords: Any
    ) -> Any:
        """Asks all of `"one, another"`, and gives the first answer; the other calls are ended."""
        import asyncio

        names = [name.strip() for name in model.split(",")]
        calls = [asyncio.ensure_future(self._aasked_chat(name, messages, stream, keywords)) for name in names]
        try:
            failure: BaseException | None = None
            for done in asyncio.as_completed(calls):
                try:
                    return await done
                except Exception as error:
                    failure = failure or error
            assert failure is not None
            raise failure
        finally:
            for call in calls:
                if not call.cancel() and not call.cancelled():
                    # A failure that nobody waits for any more is looked at, so that the loop does not complain.
                    call.exception()

    # ---- how ---------------------------------------------------------------
    def _asked(self, operation: Operation, keywords: dict[str, Any], caller: Caller | None) -> Any:
        if not _RARE.isdisjoint(keywords):
            keywords = self._rare(keywords, caller)
        reply = self._core.call(operation, body(operation, keywords), held(caller))
        return Stream(operation, reply) if reply.streams else WHOLE[operation]._of(reply)

    def _begun(
        self, operation: Operation, keywords: dict[str, Any], caller: Caller | None
    ) -> Coroutine[Any, Any, Reply]:
        """The call under way. Not awaited here: every coroutine on the way costs as much as the rest of this."""
        if not _RARE.isdisjoint(keywords):
            keywords = self._rare(keywords, caller)
        answered = _answered or _found_answered()
        return answered(self._core, operation, body(operation, keywords), held(caller))

    def _rare(self, keywords: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        """The keywords of a call that says where it is to go, or that it is to fail."""
        from .mocks import redirect, refuse

        if "specific_deployment" in keywords:
            self._aim(keywords)
        refuse(keywords)

        def fallbacks(asked: dict[str, Any]) -> Any:
            return self.explain(caller=caller, **asked).fallbacks

        return redirect(keywords, arguments.value(self._settings, "num_retries"), fallbacks)

    async def _aasked_chat(self, model: str, messages: Any, stream: bool, keywords: dict[str, Any]) -> Any:
        said = {**keywords, "model": model, "messages": messages}
        if stream:
            said["stream"] = True
        return _aanswer("chat", await self._begun("chat", said, said.pop("caller", None)))


_answered: Callable[..., Coroutine[Any, Any, Reply]] | None = None


def _found_answered() -> Callable[..., Coroutine[Any, Any, Reply]]:
    """`loop.answered`, imported when it is first needed: who never awaits need not have asyncio."""
    global _answered
    from .loop import answered

    _answered = answered
    return answered


def _aanswer(operation: Operation, reply: Reply) -> Any:
    return AsyncStream(operation, reply) if reply.streams else WHOLE[operation]._of(reply)


class Chat:
    """`router.chat`."""

    __slots__ = ("completions",)

    def __init__(self, router: Operations) -> None:
        self.completions = Completions(router)


class Completions:
    """`router.chat.completions`."""

    __slots__ = ("_router",)

    def __init__(self, router: Operations) -> None:
        self._router = router

    def create(self, messages: Any, model: str, **keywords: Any) -> Any:
        """`router.completion`; `router.acompletion` with `default_litellm_params={"acompletion": True}`."""
        if arguments.value(self._router._settings, "default_litellm_params").get("acompletion"):
            return self._router.acompletion(model, messages, **keywords)
        return self._router.completion(model, messages, **keywords)

    async def acreate(self, messages: Any, model: str, **keywords: Any) -> Any:
        """`router.acompletion`."""
        return await self._router.acompletion(model, messages, **keywords)


async def _settled(calls: Awaitable[Sequence[Any]]) -> list[Any]:
    """What came of calls; what is no failure of a call, as an end of the program, goes on."""
    results = list(await calls)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
    return results
