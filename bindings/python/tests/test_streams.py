"""Streams over a reply that keeps to what `_core.pyi` says: what they yield, and when the call is ended."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from tagrail import streams
from tagrail.responses import AnthropicMessagesStreamEvent, ModelResponseStream, TextCompletionResponse
from tagrail.streams import AsyncStream, CustomStreamWrapper, Stream

FACTS = {
    "model_id": "dep", "model_group": "g", "model": "openai/up", "provider": "openai", "api_base": "http://u/v1",
    "call_id": "call", "cost": None, "cost_parts": None, "usage": None, "retries": 0, "max_retries": 2, "fallbacks": 0,
    "headers": {"x-request-id": "r"}, "response_ms": 12.5, "overhead_ms": 0.5,
}  # fmt: skip


class Broken(Exception):
    """What an upstream does."""


class Reply:
    """A stream of the given chunks; `...` stands for a wait, an exception for itself."""

    streams = True

    def __init__(self, *steps):
        self.steps, self.closed, self.cost = list(steps), 0, None

    def step(self):
        if not self.steps:
            return None
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    def next(self):
        return self.step()

    def poll(self):
        if self.steps and self.steps[0] is ...:
            return NotImplemented
        return self.step()

    def facts(self):
        return {**FACTS, "cost": self.cost}

    def close(self):
        self.closed += 1


class Ticket:
    def __init__(self):
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Mailbox:
    """Hands out the next chunk when `deliver` says so."""

    def __init__(self):
        self.asked = []

    def next(self, reply, future):
        ticket = Ticket()
        self.asked.append((reply, future, ticket))
        return ticket

    def deliver(self):
        reply, future, _ = self.asked[-1]
        assert reply.steps.pop(0) is ...
        try:
            future.set_result(reply.step())
        except Exception as error:
            future.set_exception(error)


@pytest.fixture
def mailbox(monkeypatch):
    pytest.importorskip("tagrail._core")
    from tagrail import loop

    made = Mailbox()
    monkeypatch.setattr(loop, "mailbox_of", lambda _: made)
    return made


def chunk(text, finish=None):
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


def texts(chunks):
    return [chunk.choices[0].delta.content for chunk in chunks]


# ---- for loops -----------------------------------------------------------
def test_chunks_in_order_and_then_the_end():
    stream = Stream("chat", Reply(chunk("a"), chunk("b", "stop")))
    chunks = list(stream)
    assert texts(chunks) == ["a", "b"] and chunks[-1].choices[0].finish_reason == "stop"
    assert all(isinstance(chunk, ModelResponseStream) for chunk in chunks) and isinstance(stream, CustomStreamWrapper)
    assert next(stream, "over") == "over"


def test_kinds_of_chunks():
    (text,) = Stream("completions", Reply({"choices": [{"text": "x"}]}))
    assert isinstance(text, TextCompletionResponse) and text.choices[0].text == "x"
    (event,) = Stream("responses", Reply({"type": "response.output_text.delta", "delta": "x"}))
    assert (event.type, event.delta) == ("response.output_text.delta", "x")
    (event,) = Stream("messages", Reply({"type": "ping"}))
    assert isinstance(event, AnthropicMessagesStreamEvent) and event["type"] == "ping"


def test_who_answers_is_known_at_once():
    stream = Stream("chat", Reply(chunk("a")))
    assert stream._hidden_params["model_id"] == "dep" and stream._response_headers == {"x-request-id": "r"}
    assert (stream.model, stream.custom_llm_provider) == ("up", "openai")
    (first,) = stream
    assert first._hidden_params["model_id"] == "dep"


def test_what_it_has_cost_is_known_at_its_end():
    reply = Reply(chunk("a"))
    stream = Stream("chat", reply)
    first = next(stream)
    assert stream._hidden_params["response_cost"] is None
    reply.cost = 0.5
    assert list(stream) == []
    assert stream._hidden_params["response_cost"] == first._hidden_params["response_cost"] == 0.5


def test_close_ends_the_call_once():
    reply = Reply(chunk("a"), chunk("b"))
    stream = Stream("chat", reply)
    next(stream)
    stream.close()
    stream.close()
    assert reply.closed == 1 and list(stream) == []
    with Stream("chat", Reply(chunk("a"), chunk("b"))) as stream:
        reply = stream._reply
        next(stream)
    assert reply.closed == 1


@pytest.mark.parametrize("error", [Broken(), KeyboardInterrupt()])
def test_a_failure_ends_the_stream(error):
    reply = Reply(chunk("a"), error, chunk("b"))
    stream = Stream("chat", reply)
    assert texts([next(stream)]) == ["a"]
    with pytest.raises(type(error)):
        next(stream)
    assert reply.closed == 1 and list(stream) == []


@pytest.mark.parametrize("kind", [Stream, AsyncStream])
def test_nothing_but_the_stream_keeps_the_call(kind):
    reply = Reply(chunk("a"), chunk("b"))
    gone = weakref.ref(reply)
    stream = kind("chat", reply)
    if kind is Stream:
        kept = next(stream)
    else:
        kept = asyncio.run(anext(stream))
    hidden = stream._hidden_params
    del reply, stream
    gc.collect()
    assert gone() is None and kept._hidden_params is hidden


def test_an_ended_stream_lets_go_of_its_reply():
    reply = Reply(chunk("a"))
    gone = weakref.ref(reply)
    stream = Stream("chat", reply)
    del reply
    assert texts(stream) == ["a"] and gone() is None


# ---- async loops ---------------------------------------------------------
async def test_what_is_there_is_not_waited_for():
    stream = AsyncStream("chat", Reply(chunk("a"), chunk("b")))
    assert texts([chunk async for chunk in stream]) == ["a", "b"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_what_is_not_there_is_waited_for(mailbox):
    stream = AsyncStream("chat", Reply(chunk("a"), ..., chunk("b"), ...))
    assert texts([await anext(stream)]) == ["a"]
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    mailbox.deliver()
    assert texts([await waiting]) == ["b"]
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    mailbox.deliver()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_cancelling_ends_the_call(mailbox):
    reply = Reply(...)
    stream = AsyncStream("chat", reply)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ((_, _, ticket),) = mailbox.asked
    assert ticket.cancelled and reply.closed == 1


async def test_a_failure_that_was_waited_for(mailbox):
    reply = Reply(..., Broken())
    stream = AsyncStream("chat", reply)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    mailbox.deliver()
    with pytest.raises(Broken):
        await waiting
    assert reply.closed == 1 and [chunk async for chunk in stream] == []


async def test_leaving_early_ends_the_call():
    reply = Reply(chunk("a"), chunk("b"))
    async with AsyncStream("chat", reply) as stream:
        async for _ in stream:
            break
    assert reply.closed == 1
    reply = Reply(chunk("a"))
    await AsyncStream("chat", reply).aclose()
    assert reply.closed == 1


async def test_a_fast_upstream_leaves_the_loop_to_others():
    pytest.importorskip("tagrail._core")
    seen = []
    asyncio.get_running_loop().call_soon(seen.append, "another's turn")
    async for _ in AsyncStream("chat", Reply(*[chunk("a")] * (2 * streams._AT_A_TIME))):
        if seen:
            return
    pytest.fail("nobody else had a turn")
