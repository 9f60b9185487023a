"""One cell of the benchmark, in a process of its own: one side, one way of calling it, so many calls at a time.

    python cell.py '{"side": "litellm", "calling": "sync", "reply": "plain", "at_once": 64, "port": 4010,
                     "upstream": 4711, "seconds": 3, "core": 0}'

A closed loop: whoever has its answer asks the next question. What is measured comes after answers that are
looked at closely and a warm-up, from which the number of calls is taken. CPU is user and system time of this
process (all its threads), and counts on until it rests: what a router does after its answer costs the same
processor. The last line of standard output is JSON.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import itertools
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import machine
from question import QUESTIONS, Answers, arguments, configuration

REST_TURN = 0.05
REST_LIMIT = 10.0


def cpu() -> float:
    return sum(shares())


def shares() -> tuple[float, float]:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def build(side: str, port: int) -> Any:
    return importlib.import_module(side).Router(**configuration(port))


class Threads:
    """`at_once` threads that ask; they live as long as the cell, so that none is begun while it is measured."""

    def __init__(self, router: Any, cell: dict[str, Any], answers: Answers) -> None:
        self._router, self._answers = router, answers
        self._ask = self._streamed if cell["reply"] != "plain" else self._plain
        self._go = threading.Barrier(cell["at_once"] + 1)
        self._done = threading.Barrier(cell["at_once"] + 1)
        self._numbers, self._calls = itertools.count(), 0
        self._failure: BaseException | None = None
        for _ in range(cell["at_once"]):
            threading.Thread(target=self._work, daemon=True).start()

    def _plain(self, number: int) -> Any:
        reply = self._router.completion(**arguments(number))
        self._answers.check(number, reply.choices[0].message.content)
        return reply

    def _streamed(self, number: int) -> Any:
        stream = self._router.completion(stream=True, **arguments(number))
        self._answers.check(number, "".join(chunk.choices[0].delta.content or "" for chunk in stream))
        return stream

    def look(self) -> None:
        for number in range(len(QUESTIONS) * 2):
            self._answers.check_source(number, self._ask(number)._hidden_params)

    def _work(self) -> None:
        while True:
            self._go.wait()
            try:
                while self._failure is None and (number := next(self._numbers)) < self._calls:
                    self._ask(number)
            except BaseException as failure:
                self._failure = failure
            self._done.wait()

    def run(self, calls: int) -> tuple[float, float]:
        """Wall-clock and CPU seconds."""
        self._numbers, self._calls = itertools.count(), calls
        used, began = cpu(), time.perf_counter()
        self._go.wait()
        self._done.wait()
        wall, used = time.perf_counter() - began, cpu() - used
        if self._failure is not None:
            raise self._failure
        return wall, used

    def rest(self) -> float:
        """CPU seconds until nothing is left to do."""
        before = last = cpu()
        end = time.perf_counter() + REST_LIMIT
        while time.perf_counter() < end:
            time.sleep(REST_TURN)
            last, since = cpu(), last
            if last - since < REST_TURN / 50:
                break
        return last - before


class Tasks:
    """The same on an event loop."""

    def __init__(self, router: Any, cell: dict[str, Any], answers: Answers) -> None:
        self._router, self._answers, self._at_once = router, answers, cell["at_once"]
        self._ask = self._streamed if cell["reply"] != "plain" else self._plain
        self._loop = asyncio.new_event_loop()

    async def _plain(self, number: int) -> Any:
        reply = await self._router.acompletion(**arguments(number))
        self._answers.check(number, reply.choices[0].message.content)
        return reply

    async def _streamed(self, number: int) -> Any:
        stream = await self._router.acompletion(stream=True, **arguments(number))
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        self._answers.check(number, "".join(pieces))
        return stream

    def look(self) -> None:
        async def all() -> None:
            for number in range(len(QUESTIONS) * 2):
                self._answers.check_source(number, (await self._ask(number))._hidden_params)

        self._loop.run_until_complete(all())

    def run(self, calls: int) -> tuple[float, float]:
        return self._loop.run_until_complete(self._run(calls))

    async def _run(self, calls: int) -> tuple[float, float]:
        numbers = iter(range(calls))

        async def work() -> None:
            for number in numbers:
                await self._ask(number)

        used, began = cpu(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(self._at_once)))
        return time.perf_counter() - began, cpu() - used

    def rest(self) -> float:
        return self._loop.run_until_complete(self._rest())

    async def _rest(self) -> float:
        before = last = cpu()
        end = time.perf_counter() + REST_LIMIT
        while time.perf_counter() < end:
            await asyncio.sleep(REST_TURN)
            last, since = cpu(), last
            if last - since < REST_TURN / 50:
                break
        return last - before


def warm_up(run: Callable[[int], tuple[float, float]], at_once: int, seconds: float) -> float:
    """Calls until that time is over; the rate of the last turn."""
    calls, rate, left = max(2 * at_once, len(QUESTIONS) * 4), 1.0, seconds
    while left > 0:
        wall, _ = run(calls)
        rate, left = calls / wall, left - wall
        calls = max(calls, int(rate * seconds / 2))
    return rate


def measure(cell: dict[str, Any]) -> dict[str, Any]:
    # LiteLLM's synchronous calls do not look at tags.
    answers = Answers(tagged=not (cell["side"] == "litellm" and cell["calling"] == "sync"))
    callers = (Threads if cell["calling"] == "sync" else Tasks)(build(cell["side"], cell["port"]), cell, answers)
    callers.look()
    rate = warm_up(callers.run, cell["at_once"], cell["seconds"] / 3)
    callers.rest()
    calls = max(int(rate * cell["seconds"]), 2 * cell["at_once"], len(QUESTIONS) * 4)
    calls -= calls % len(QUESTIONS)
    gc.collect()
    provider, begun = machine.used(cell["upstream"]), shares()
    wall, used = callers.run(calls)
    provider = machine.used(cell["upstream"]) - provider
    after = callers.rest()
    user, system = (now - then for now, then in zip(shares(), begun, strict=True))
    return {
        "calls": calls,
        "wall": wall,
        "rate": calls / wall,
        "cpu_us": (used + after) / calls * 1e6,
        "user_us": user / calls * 1e6,
        "system_us": system / calls * 1e6,
        "after_us": after / calls * 1e6,
        "upstream": provider / wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    cell = json.loads(sys.argv[1])
    if cell.get("core") is not None:
        os.sched_setaffinity(0, {cell["core"]})
    print("\n" + json.dumps(measure(cell)), flush=True)
    # Neither side's way of ending is measured, and threads that still wait would hold it up.
    os._exit(0)


if __name__ == "__main__":
    main()
