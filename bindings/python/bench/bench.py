"""Tagrail's Router beside LiteLLM's, in one run; `./run` prepares what this needs. See README.md.

Every cell (a side, a way of calling, so many calls at once) is a process of its own (`cell.py`); the sides take
turns, and the medians of the rounds are what counts. The exit status is 1 where one of the cells that are judged
costs more than 1/20 of LiteLLM's CPU, or where a cell did not come to an end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import weight
from machine import Others, Upstream, cores, environment, pinned
from question import CHUNKS

HERE = pathlib.Path(__file__).resolve().parent
SIDES = ("litellm", "tagrail")
CALLING = ("sync", "async")
REPLY = ("plain", "streamed", "paced")
GOAL, LIMIT = 50, 20
# Streams that are slower than their readers, as real ones are: every chunk is waited for.
GAP_MS = 10


def several(text: str) -> list[str]:
    return text.split(",")


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bindings/python/bench/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round of few cells, for development")
    parser.add_argument("--sides", type=several, default=list(SIDES), metavar="A,B")
    parser.add_argument("--calling", type=several, default=list(CALLING), metavar="A,B")
    parser.add_argument("--reply", type=several, default=list(REPLY), metavar="A,B")
    parser.add_argument("--at-once", type=several, default=["1", "64", "512"], metavar="A,B")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="how long a cell is measured")
    parser.add_argument("--starts", type=int, help="how many processes the median of a start is of; 0: none")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parents[2] / "target" / "bench-python.json")
    parser.add_argument("--upstream", type=pathlib.Path, required=True, help="the program bench-upstream")
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path(sys.executable), help="has both sides")
    parser.add_argument("--alone", type=pathlib.Path, help="an interpreter that has Tagrail and nothing else")
    parser.add_argument("--wheel", type=pathlib.Path, help="Tagrail's")
    parser.add_argument("--wheels", type=pathlib.Path, help="folder with LiteLLM's, and of all that it requires")
    options = parser.parse_args()
    for given, known in ((options.sides, SIDES), (options.calling, CALLING), (options.reply, REPLY)):
        if unknown := set(given) - set(known):
            parser.error(f"{sorted(unknown)}: there are {', '.join(known)}")
    options.at_once = [int(text) for text in options.at_once]
    if options.quick:
        options.at_once = [number for number in options.at_once if number < 512] or options.at_once
        options.reply = [reply for reply in options.reply if reply != "paced"] or options.reply
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (0.6 if options.quick else 3.0)
    options.starts = (2 if options.quick else 7) if options.starts is None else options.starts
    return options


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def cells(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for calling in options.calling:
        for reply in options.reply:
            # How fast paced streams are says nothing; what they cost needs one number of them.
            for at_once in [64] if reply == "paced" else options.at_once:
                yield {"calling": calling, "reply": reply, "at_once": at_once}


def play(cell: dict[str, Any], options: argparse.Namespace, upstream: Upstream) -> dict[str, Any]:
    """One process, from its start to its end."""
    asked = {**cell, "port": upstream.port, "upstream": upstream.pid, "seconds": options.seconds, "core": options.core}
    others = Others(upstream)
    try:
        done = subprocess.run(
            [options.python, HERE / "cell.py", json.dumps(asked)],
            env=environment(),
            preexec_fn=pinned(options.core),
            capture_output=True,
            text=True,
            timeout=600,
        )
    except subprocess.TimeoutExpired:
        return {"failed": "took longer than ten minutes"}
    if done.returncode != 0:
        return {"failed": done.stderr.strip()[-4000:] or f"exit status {done.returncode}"}
    return {**json.loads(done.stdout.splitlines()[-1]), "other": others.close()}


def measure(options: argparse.Namespace, quick: Upstream, paced: Upstream) -> list[dict[str, Any]]:
    """Every cell with what its rounds gave, by side."""
    found = [{**cell, "rounds": []} for cell in cells(options)]
    for number in range(options.rounds):
        for place, cell in enumerate(found):
            # Neither side is always the first to run, for whatever the machine does meanwhile.
            sides = options.sides if (number + place) % 2 == 0 else options.sides[::-1]
            outcome = {}
            for side in sides:
                upstream = paced if cell["reply"] == "paced" else quick
                asked = {"side": side, **{key: cell[key] for key in ("calling", "reply", "at_once")}}
                got = outcome[side] = play(asked, options, upstream)
                text = got.get("failed") or f"{got['rate']:,.0f} calls/s, {got['cpu_us']:,.1f} µs of CPU"
                say(f"round {number + 1}/{options.rounds}, {name(cell)}, {side}: {text}")
            cell["rounds"].append(outcome)
    return found


def name(cell: dict[str, Any]) -> str:
    return f"{cell['calling']} {cell['reply']} x{cell['at_once']}"


def judged(cell: dict[str, Any]) -> bool:
    """Whether the limit holds for it: plain calls, sync and async, however many at once."""
    return bool(cell["reply"] == "plain")


def summary(cell: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds; ratios are medians of the rounds' ratios, so that both sides saw the same machine."""
    rounds = [each for each in cell["rounds"] if not any("failed" in got for got in each.values())]
    if not rounds:
        return {}
    sides = {
        side: {key: statistics.median(each[side][key] for each in rounds) for key in rounds[0][side]}
        for side in rounds[0]
    }
    made: dict[str, Any] = {"sides": sides}
    if set(sides) == set(SIDES):
        pairs = [(each["litellm"], each["tagrail"]) for each in rounds]
        made["cpu_ratio"] = statistics.median(theirs["cpu_us"] / ours["cpu_us"] for theirs, ours in pairs)
        made["rate_ratio"] = statistics.median(ours["rate"] / theirs["rate"] for theirs, ours in pairs)
    made["other"] = max(got["other"] for each in rounds for got in each.values())
    return made


def table(found: list[dict[str, Any]], sides: list[str]) -> Iterator[str]:
    heads = [
        f"{side} {unit}"
        for side in sides
        for unit in ("calls/s", "CPU µs a call", "system", "peak MB", "upstream busy")
    ]
    yield "| calls | at once | " + " | ".join([*heads, "calls/s ×", "CPU 1/×", "other load"]) + " |"
    yield "| --- " * (len(heads) + 5) + "|"
    for cell in found:
        made = summary(cell)
        parts = [f"{cell['calling']} {cell['reply']}", str(cell["at_once"])]
        for side in sides:
            got = made["sides"][side] if made else None
            parts += (
                [f"{got['rate']:,.0f}", f"{got['cpu_us']:,.1f}", f"{got['system_us']:,.1f}"]
                + [f"{got['peak_mb']:.0f}", f"{got['upstream']:.2f}"]
                if got
                else ["failed", "", "", "", ""]
            )
        for key, form in (("rate_ratio", ".1f"), ("cpu_ratio", ".1f"), ("other", ".2f")):
            parts.append(format(made[key], form) if key in made else "")
        yield "| " + " | ".join(parts) + " |"


def verdict(found: list[dict[str, Any]], sides: list[str]) -> list[str]:
    """What is wrong, if anything."""
    wrong = []
    for cell in found:
        for each in cell["rounds"]:
            wrong += [f"{name(cell)}: {side}: {got['failed']}" for side, got in each.items() if "failed" in got]
        ratio = summary(cell).get("cpu_ratio")
        if judged(cell) and ratio is not None and ratio < LIMIT:
            wrong.append(f"{name(cell)}: 1/{ratio:.1f} of LiteLLM's CPU a call, which is more than 1/{LIMIT}")
    if set(sides) == set(SIDES) and not any(judged(cell) and "cpu_ratio" in summary(cell) for cell in found):
        wrong.append("nothing was measured that could be judged")
    return wrong


def main() -> int:
    options = flags()
    options.core, other = cores()
    if other is not None:
        os.sched_setaffinity(0, {other})
    say(f"caller on core {options.core}, provider on core {other}, load {os.getloadavg()[0]:.2f}")
    with contextlib.ExitStack() as stack:
        quick, paced = (stack.enter_context(Upstream(options.upstream, other, CHUNKS, gap)) for gap in (0, GAP_MS))
        weighed = weight.weigh(options, quick.port, say) if options.starts else None
        found = measure(options, quick, paced)
    wrong = verdict(found, options.sides)
    made = [{**cell, "judged": judged(cell), **summary(cell)} for cell in found]
    about = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"about": about, "limit": LIMIT, "goal": GOAL, "weight": weighed, "cells": made, "wrong": wrong}
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(table(found, options.sides)))
    if weighed:
        print("\n" + "\n".join(weight.show(weighed)))
    ratios = [cell["cpu_ratio"] for cell in made if cell["judged"] and "cpu_ratio" in cell]
    if ratios:
        met = sum(ratio >= GOAL for ratio in ratios)
        print(
            f"\nCPU a plain call: at worst 1/{min(ratios):.1f} of LiteLLM's, 1/{GOAL} in {met} of {len(ratios)} cells"
        )
    for sentence in wrong:
        print(f"bench: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
