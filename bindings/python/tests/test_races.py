"""Things that happen at the same time: several readers of one stream, cancelling what has just come, forks in the
middle of a loop, loops that end with calls pending, threads that wait."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import subprocess
import sys
import threading
import weakref

import pytest

from tagrail import loop as loops
from test_process import PROGRAM


@pytest.fixture
def one(router, deployment):
    return router([deployment("m")])


def texts(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


async def in_thread(function):
    return await asyncio.get_running_loop().run_in_executor(None, function)


async def test_several_tasks_that_read_one_stream_share_its_chunks(one, upstream, hello):
    whole = texts([chunk async for chunk in await one.acompletion("m", hello, stream=True)])
    stall, chunks = upstream.stall(after=1), []
    stream = await one.acompletion("m", hello, stream=True)

    async def read():
        async for chunk in stream:
            chunks.append(chunk)

    readers = [asyncio.ensure_future(read()) for _ in range(3)]
    await in_thread(stall.arrived)
    while not chunks:
        await asyncio.sleep(0)
    # One has the first chunk, all wait for the second.
    stall.release()
    await asyncio.wait_for(asyncio.gather(*readers), 30)
    assert texts(chunks) == whole


def test_several_threads_that_read_one_stream_share_its_chunks(one, upstream, hello):
    whole = texts(one.completion("m", hello, stream=True))
    stall, chunks, errors = upstream.stall(after=1), [], []
    stream = one.completion("m", hello, stream=True)
    reply = stream._reply

    def read():
        try:
            # Not the stream itself, which would end for all when one fails.
            while (chunk := reply.next()) is not None:
                chunks.append(stream._made(chunk))
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    stall.arrived()
    stall.release()
    for reader in readers:
        reader.join(30)
    assert errors == []
    assert texts(chunks) == whole


@pytest.mark.parametrize("is_told", [False, True], ids=["in the mailbox", "in the future"])
async def test_a_call_that_is_cancelled_as_its_answer_comes_ends(one, upstream, hello, is_told):
    stall = upstream.stall(after=1)
    mailbox = loops.mailbox_of(asyncio.get_running_loop())
    task = asyncio.ensure_future(one.acompletion("m", hello, stream=True))
    await asyncio.sleep(0)
    # The loop stands still until the answer has come.
    assert select.select([mailbox.fileno()], [], [], 30)[0]
    if is_told:
        mailbox.deliver()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await in_thread(stall.arrived)
    await in_thread(stall.gone)


def test_a_failure_is_gone_when_nobody_looks_at_it_any_more(one, upstream, hello):
    """Without the collector: programs turn it off, and failures hold headers and messages."""

    async def failed():
        try:
            await one.acompletion("m", hello)
        except Exception as error:
            gone = weakref.ref(error)
        # The loop holds what woke this task, until it does something else.
        await asyncio.sleep(0)
        return gone()

    upstream.fail(500)
    gc.disable()
    try:
        assert asyncio.run(failed()) is None
    finally:
        gc.enable()


def test_calls_that_a_closed_loop_left_pending_end_when_the_next_one_begins(one, upstream, hello):
    async def begun():
        call = asyncio.ensure_future(one.acompletion("m", hello))
        await in_thread(stall.arrived)
        return weakref.ref(call)

    stall = upstream.stall()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    call = loop.run_until_complete(begun())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    loop = weakref.ref(loop)
    upstream.answer = None
    assert asyncio.run(one.acompletion("m", hello)).model == "gpt-4o"
    gc.collect()
    stall.gone()
    assert call() is None and loop() is None


def test_a_failing_delivery_does_not_keep_the_others_waiting():
    """One future that refuses what it is told stands before another in the same delivery."""
    from tagrail._core import Core, Mailbox

    class Future:
        told = None

        def set_result(self, value):
            self.told = value

        def done(self):
            return self.told is not None

    class Refusing(Future):
        def set_result(self, value):
            raise RuntimeError("not now")

    come = threading.Semaphore(0)
    mailbox = Mailbox(come.release)
    params = {"model": "openai/gpt-4o", "api_key": "key", "mock_response": "hello"}
    core = Core({"model_list": [{"model_name": "m", "litellm_params": params}]}, {})
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    futures = [Refusing(), Future(), Future()]
    tickets = [mailbox.submit(core, "chat", body, None, future) for future in futures]
    # Every call comes in before anything is delivered: only the first of a delivery is told of.
    assert come.acquire(timeout=30)
    while not all(future.done() for future in futures[1:]):
        try:
            mailbox.deliver()
        except RuntimeError as error:
            assert str(error) == "not now"
    assert len(tickets) == 3 and not futures[0].done()


FORK_IN_A_LOOP = """
async def main():
    call = asyncio.ensure_future(router.acompletion('m', hello))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    mailbox = tagrail.loop.mailbox_of(asyncio.get_running_loop())
    child = os.fork()
    if child == 0:
        # As a child does that goes on with its parent's loop: the answer is there, and is not its to take.
        print('child', flush=True)
        select.select([mailbox.fileno()], [], [])
        mailbox.deliver()
        os._exit(0)
    os.waitpid(child, 0)
    print((await call).model, flush=True)
import select, tagrail.loop
asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_that_runs_its_parents_loop_on_takes_nothing_from_it(upstream):
    stall = upstream.stall()
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM + FORK_IN_A_LOOP, upstream.v1]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            stall.arrived()
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "child\n"
            stall.release()
            out, err = child.communicate(timeout=30)
            assert out == "gpt-4o\n", err
        finally:
            child.kill()


def test_threads_that_wait_leave_the_gil_alone(one, upstream, hello):
    """Those of them that no signal concerns: hundreds would look twenty times a second each."""
    looked = threading.Semaphore(0)
    real = threading.main_thread

    def counted():
        looked.release()
        return real()

    stall, answers = upstream.stall(), []
    thread = threading.Thread(target=lambda: answers.append(one.completion("m", hello)))
    threading.main_thread = counted
    try:
        thread.start()
        stall.arrived()
        # It has found out who it is, once, and does not ask again in ten times the main thread's interval.
        assert looked.acquire(timeout=30)
        assert not looked.acquire(timeout=0.5)
    finally:
        threading.main_thread = real
        stall.release()
        thread.join(30)
    assert len(answers) == 1


def test_changes_and_calls_of_many_threads_get_along(one, deployment, upstream, hello):
    errors, lists = [], [[deployment("m", id=f"{n}-{k}") for k in range(n)] for n in (1, 2, 3)]

    def guarded(function):
        def run():
            try:
                for turn in range(25):
                    function(turn)
            except BaseException as error:
                errors.append(error)
        return run

    changes = [guarded(lambda turn: one.set_model_list(lists[turn % 3])) for _ in range(3)]
    calls = [guarded(lambda turn: one.completion("m", hello)) for _ in range(3)]
    looks = [guarded(lambda turn: one.get_model_list())]
    threads = [threading.Thread(target=target) for target in (*changes, *calls, *looks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(one.model_list) == len(one._core.deployments())


def test_a_router_may_be_dropped_while_its_calls_run(router, deployment, upstream, hello):
    stall, answers = upstream.stall(), []
    held = [router([deployment("m")])]
    gone = weakref.ref(held[0])

    def call():
        core = held[0]._core
        held.clear()
        answers.append(core.call("chat", {"model": "m", "messages": hello}, None))

    thread = threading.Thread(target=call)
    thread.start()
    stall.arrived()
    gc.collect()
    assert gone() is None
    stall.release()
    thread.join(30)
    assert [answer.data()["model"] for answer in answers] == ["gpt-4o"]
