"""Mailboxes of event loops: one each, watched or called, and gone with the loop."""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import sys

import pytest

pytest.importorskip("tagrail._core")

from tagrail import loop as loops  # noqa: E402


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def plain(router, deployment):
    return router([deployment("g", id="one")])


class Unwatching(asyncio.SelectorEventLoop):
    """As Windows' own loop is: it watches no descriptors."""

    def add_reader(self, *_):
        raise NotImplementedError


async def test_a_loop_has_one_mailbox():
    loop = asyncio.get_running_loop()
    assert loops.mailbox_of(loop) is loops.mailbox_of(loop)
    other = asyncio.new_event_loop()
    try:
        assert loops.mailbox_of(other) is not loops.mailbox_of(loop)
    finally:
        other.close()


def test_one_loop_after_the_other(plain, upstream, hello, told):
    for _ in range(3):
        assert told(asyncio.run(plain.acompletion("g", hello)))["key"] == "one"


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="counts descriptors where Linux shows them")
def test_loops_that_are_gone_leave_no_descriptors(plain, upstream, hello):
    asyncio.run(plain.acompletion("g", hello))
    gc.collect()
    before = descriptors()
    for _ in range(20):
        asyncio.run(plain.acompletion("g", hello))
    # Without the collector's help: what is closed is swept by the next loop, so one may be left.
    assert descriptors() <= before + 2
    assert len(loops._MAILBOXES) <= 1


def test_a_collected_loop_is_forgotten():
    loop = asyncio.new_event_loop()
    loops.mailbox_of(loop)
    place = id(loop)
    assert place in loops._MAILBOXES
    loop.close()
    del loop
    gc.collect()
    assert place not in loops._MAILBOXES


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner")
def test_loops_that_watch_nothing_are_called(plain, upstream, hello, told):
    async def both():
        first, second = await asyncio.gather(plain.acompletion("g", hello), plain.acompletion("g", hello))
        stream = await plain.acompletion("g", hello, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        return told(first), told(second), told(text)

    with asyncio.Runner(loop_factory=Unwatching) as runner:
        assert all(said["key"] == "one" for said in runner.run(both()))


async def test_whoever_stops_waiting_ends_the_call(plain, upstream, hello):
    stall = upstream.stall()
    call = asyncio.ensure_future(plain.acompletion("g", hello))
    await asyncio.to_thread(stall.arrived)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(stall.gone)


async def test_a_dropped_stream_ends_the_call(plain, upstream, hello):
    stall = upstream.stall(after=1)
    stream = await plain.acompletion("g", hello, stream=True)
    await anext(stream)
    await asyncio.to_thread(stall.arrived)
    del stream
    await asyncio.to_thread(stall.gone)


async def test_a_stream_that_is_waited_for_ends_when_cancelled(plain, upstream, hello):
    stall = upstream.stall(after=1)
    stream = await plain.acompletion("g", hello, stream=True)
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.to_thread(stall.arrived)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(stall.gone)
    assert [chunk async for chunk in stream] == []
