"""What either side weighs: wheels, what is installed, the time to import it and the memory that it takes.

Every figure is of a fresh process (the median of several, in turns), told apart by step: after the import,
with the first Router built, after its first answer. Tagrail is measured twice: beside `openai`, of which it
then derives its exceptions, and in an environment that holds nothing else.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
from collections.abc import Iterator
from typing import Any

from machine import environment, pinned

# For a bare interpreter: whatever these lines import themselves is not seen in what is measured.
BARE = """
import os, sys, time
sys.path.insert(0, {here!r})
def rss():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
def step(name):
    print(name, (time.perf_counter() - begun) * 1e3, rss(), flush=True)
begun = time.perf_counter()
step("bare")
"""
SIDE = """
import {side}
step("imported")
from {side} import Router
step("Router")
paused = time.perf_counter()
from question import arguments, configuration
given = configuration({port})
begun += time.perf_counter() - paused
router = Router(**given)
step("built")
assert router.completion(**arguments(0)).choices[0].message.content
step("answered")
"""


def steps(python: pathlib.Path, side: str, port: int, core: int | None) -> dict[str, dict[str, float]]:
    """Milliseconds and megabytes after every step of one process."""
    program = BARE.format(here=str(pathlib.Path(__file__).parent))
    program += SIDE.format(side=side, port=port) if side else ""
    program += "os._exit(0)"
    done = subprocess.run(
        [python, "-c", program], env=environment(), preexec_fn=pinned(core), capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise SystemExit(f"bench: {side or python} does not even begin\n{done.stderr[-4000:]}")
    lines = (line.split() for line in done.stdout.splitlines() if line)
    return {line[0]: {"ms": float(line[1]), "mb": float(line[2])} for line in lines if len(line) == 3}


def medians(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    names = rounds[0]
    return {
        name: {unit: statistics.median(each[name][unit] for each in rounds) for unit in ("ms", "mb")} for name in names
    }


def installed(python: pathlib.Path, package: str | None) -> tuple[int, int]:
    """How many packages, and the bytes of their files: of one, or of all but what every environment has."""
    program = """
import importlib.metadata, json, os, sys
wanted = json.loads(sys.argv[1])
sizes = {}
for found in importlib.metadata.distributions():
    name = found.metadata["Name"].lower()
    if name == wanted or (wanted is None and name not in ("pip", "setuptools", "wheel", "tagrail")):
        paths = (found.locate_file(file) for file in found.files or [])
        sizes[name] = sum(os.path.getsize(path) for path in paths if os.path.isfile(path) and path.suffix != ".pyc")
print(json.dumps([len(sizes), sum(sizes.values())]))
"""
    done = subprocess.run([python, "-c", program, json.dumps(package)], capture_output=True, text=True, check=True)
    count, size = json.loads(done.stdout)
    return count, size


def wheels(folder: pathlib.Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path.name.partition("-")[0].lower(), path.stat().st_size


def weigh(options: Any, port: int, say: Any) -> dict[str, Any]:
    """Everything above, of all that is there."""
    kinds = {"python alone": (options.python, "")}
    if options.alone:
        kinds["tagrail alone"] = (options.alone, "tagrail")
    kinds.update({side: (options.python, side) for side in options.sides})
    rounds: dict[str, list[Any]] = {name: [] for name in kinds}
    for number in range(options.starts):
        for name, (python, side) in kinds.items():
            say(f"start {number + 1}/{options.starts}: {name}")
            rounds[name].append(steps(python, side, port, options.core))
    found: dict[str, Any] = {"starts": {name: medians(each) for name, each in rounds.items()}, "sizes": {}}
    sizes = found["sizes"]
    if options.wheels and "litellm" in options.sides:
        files, (count, size) = dict(wheels(options.wheels)), installed(options.python, None)
        alone = installed(options.python, "litellm")[1]
        sizes["litellm"] = {"wheels": 1, "wheel": files["litellm"], "installed": alone}
        sizes["litellm and what it requires"] = {"wheels": count, "wheel": sum(files.values()), "installed": size}
    if options.wheel and "tagrail" in options.sides:
        size = installed(options.python, "tagrail")[1]
        sizes["tagrail"] = {"wheels": 1, "wheel": options.wheel.stat().st_size, "installed": size}
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    if found["sizes"]:
        yield "| | packages | wheels, MB | installed, MB |"
        yield "| --- | --- | --- | --- |"
        for name, size in found["sizes"].items():
            yield f"| {name} | {size['wheels']} | {size['wheel'] / 1e6:.1f} | {size['installed'] / 1e6:.1f} |"
        yield ""
    yield "| in a fresh process | imported, ms | MB | Router built, ms | MB | first answer, ms | MB |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, after in found["starts"].items():
        if "Router" not in after:
            yield f"| {name} | | {after['bare']['mb']:.1f} | | | | |"
            continue
        parts = [f"{after[part]['ms']:.1f} | {after[part]['mb']:.1f}" for part in ("Router", "built", "answered")]
        yield f"| {name} | {' | '.join(parts)} |"
