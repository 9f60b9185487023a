"""What a call may not do to the process it runs in: block its loop, hold its GIL, outlive its Ctrl-C, or mistake
a forked child for its parent."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

import tagrail

# A program of its own, told where the provider is.
PROGRAM = """
import asyncio, os, sys, threading
import tagrail
router = tagrail.Router(model_list=[{"model_name": "m", "litellm_params": {
    "model": "openai/gpt-4o", "api_key": "key", "api_base": sys.argv[1]}}], num_retries=0)
hello = [{"role": "user", "content": "hello"}]
"""


@pytest.fixture
def program(upstream):
    """Starts a program that begins with `PROGRAM`; ends what a test leaves behind."""
    started = []

    def start(text):
        command = [sys.executable, "-c", PROGRAM + text, upstream.v1]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def ended(child, timeout=30):
    out, err = child.communicate(timeout=timeout)
    return child.returncode, out, err


@pytest.fixture
def one(router, deployment):
    return router([deployment("m")])


async def in_thread(function):
    return await asyncio.get_running_loop().run_in_executor(None, function)


@pytest.mark.parametrize("call", [
    "router.completion('m', hello)",
    "list(router.completion('m', hello, stream=True))",
    "asyncio.run(router.acompletion('m', hello))",
])
def test_ctrl_c_ends_the_call_and_the_upstreams_too(program, upstream, call):
    stall = upstream.stall()
    child = program(call)
    stall.arrived()
    child.send_signal(signal.SIGINT)
    stall.gone()
    code, _, err = ended(child)
    assert code != 0 and "KeyboardInterrupt" in err, err


def test_ctrl_c_ends_a_stream_that_waits(program, upstream):
    stall = upstream.stall(after=2)
    child = program("for chunk in router.completion('m', hello, stream=True): print('chunk', flush=True)")
    stall.arrived()
    assert child.stdout.readline() == "chunk\n"
    child.send_signal(signal.SIGINT)
    stall.gone()
    code, _, err = ended(child)
    assert code != 0 and "KeyboardInterrupt" in err, err


def test_a_program_ends_although_a_call_is_waiting(program, upstream):
    stall = upstream.stall()
    child = program(
        "threading.Thread(target=router.completion, args=('m', hello), daemon=True).start()\n"
        "sys.stdin.read(); print('over', flush=True)"
    )
    stall.arrived()
    code, out, err = ended(child)
    assert (code, out) == (0, "over\n"), err
    stall.gone()


async def test_a_cancelled_task_ends_the_upstreams_call(one, upstream, hello):
    stall = upstream.stall()
    task = asyncio.create_task(one.acompletion("m", hello))
    await in_thread(stall.arrived)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await in_thread(stall.gone)


async def test_a_time_limit_of_asyncios_ends_the_upstreams_call(one, upstream, hello):
    stall = upstream.stall()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(one.acompletion("m", hello), 0.05)
    await in_thread(stall.gone)


async def test_a_stream_that_is_left_ends_the_upstreams(one, upstream, hello):
    stall = upstream.stall(after=2)
    stream = await one.acompletion("m", hello, stream=True)
    await stream.__anext__()
    await stream.aclose()
    await in_thread(stall.gone)
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()


async def test_a_task_that_stops_waiting_for_a_chunk_ends_the_stream(one, upstream, hello):
    stall = upstream.stall(after=1)
    stream = await one.acompletion("m", hello, stream=True)
    await stream.__anext__()
    waiting = asyncio.create_task(stream.__anext__())
    await in_thread(stall.arrived)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await in_thread(stall.gone)
    assert [chunk async for chunk in stream] == []


def test_a_stream_that_nobody_holds_ends_the_upstreams(one, upstream, hello):
    stall = upstream.stall(after=2)
    stream = one.completion("m", hello, stream=True)
    next(stream)
    del stream
    gc.collect()
    stall.gone()


def test_others_run_while_a_thread_waits(one, upstream, hello):
    """The provider runs in this very process: were the GIL held, nobody would answer."""
    stall, answers = upstream.stall(), []
    threads = [threading.Thread(target=lambda: answers.append(one.completion("m", hello))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        stall.arrived()
    stall.release()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 8


async def test_the_loop_runs_while_calls_wait(one, upstream, hello):
    stall = upstream.stall()
    calls = [asyncio.create_task(one.acompletion("m", hello)) for _ in range(8)]
    for _ in calls:
        await in_thread(stall.arrived)
    # Set by the loop that would be blocked.
    asyncio.get_running_loop().call_soon(stall.release)
    answers = await asyncio.gather(*calls)
    assert {answer.model for answer in answers} == {"gpt-4o"}


def test_one_router_serves_many_loops_and_leaves_no_descriptors(one, upstream, hello):
    async def some():
        await asyncio.gather(*(one.acompletion("m", hello) for _ in range(3)))

    asyncio.run(some())
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        asyncio.run(some())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_loops_of_several_threads_do_not_get_in_each_others_way(one, upstream, hello):
    answers = []

    async def some():
        answers.extend(await asyncio.gather(*(one.acompletion("m", hello) for _ in range(5))))

    threads = [threading.Thread(target=lambda: asyncio.run(some())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 20


class Unwatching(asyncio.SelectorEventLoop):
    """As Windows' own loop is: it watches no descriptors for others."""

    def add_reader(self, fd, callback, *args):
        if getattr(callback, "__name__", "") != "_read_from_self":
            raise NotImplementedError
        return super().add_reader(fd, callback, *args)


def test_a_loop_that_watches_no_descriptors_is_called_instead(one, upstream, hello):
    loop = Unwatching()
    try:
        answer = loop.run_until_complete(one.acompletion("m", hello))
        assert answer.model == "gpt-4o"

        async def read():
            return [chunk async for chunk in await one.acompletion("m", hello, stream=True)]

        assert loop.run_until_complete(read())
    finally:
        loop.close()


FORK = """
before = router.completion('m', hello)
stream = router.completion('m', hello, stream=True)
first = next(stream)
child = os.fork()
if child == 0:
    try:
        next(stream)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    answers = [router.completion('m', hello)]
    async def some():
        return await asyncio.gather(*(router.acompletion('m', hello) for _ in range(3)))
    answers += asyncio.run(some())
    print('child', len(answers), flush=True)
    del stream
    os._exit(0)
_, status = os.waitpid(child, 0)
rest = list(stream)
after = router.completion('m', hello)
print('parent', status, len(rest) > 0, after.model, flush=True)
"""


def test_a_forked_child_calls_on_its_own(program, upstream):
    code, out, err = ended(program(FORK))
    assert code == 0, err
    refused, child, parent = out.splitlines()
    assert "fork" in refused and "parent" in refused
    assert child == "child 4"
    assert parent == "parent 0 True gpt-4o"


def test_a_forked_child_draws_numbers_of_its_own(program, deployment, upstream):
    """Workers that are forked would otherwise all send their calls in the same order to the same deployments."""
    child = program("""
router.set_model_list([{"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "api_key": f"k{n}",
    "api_base": sys.argv[1]}, "model_info": {"id": f"k{n}"}} for n in range(20)])
router.completion('m', hello)
for _ in range(3):
    if os.fork() == 0:
        picks = [router.get_available_deployment('m', hello)['model_info']['id'] for _ in range(20)]
        os.write(1, (' '.join(picks) + '\\n').encode())
        os._exit(0)
for _ in range(3):
    os.wait()
""")
    code, out, err = ended(child)
    assert code == 0, err
    assert len(set(out.splitlines())) == 3


def test_worker_processes_of_multiprocessing_work(program, upstream):
    child = program("""
import multiprocessing
def ask(_):
    return router.completion('m', hello).model
router.completion('m', hello)
with multiprocessing.get_context('fork').Pool(3) as pool:
    print(pool.map(ask, range(9)))
""")
    code, out, err = ended(child)
    assert code == 0, err
    assert out == f"{['gpt-4o'] * 9}\n"


def test_errors_of_a_child_are_its_own(program, upstream):
    """Exceptions can be sent from one process to another."""
    upstream.fail(429, "slow down")
    child = program("""
import multiprocessing
def ask(_):
    try:
        router.completion('m', hello)
    except Exception as error:
        return error
with multiprocessing.get_context('fork').Pool(1) as pool:
    error = pool.map(ask, [0])[0]
    print(type(error).__name__, error.status_code)
""")
    code, out, err = ended(child)
    assert code == 0, err
    assert out == "RateLimitError 429\n"


def test_the_module_is_quick_to_import_and_brings_nothing_along():
    script = (
        "import sys; before = set(sys.modules); import tagrail; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "tagrail" in out
    for heavy in ("openai", "pydantic", "httpx", "asyncio", "json"):
        assert f"'{heavy}'" not in out
    assert tagrail.__version__
