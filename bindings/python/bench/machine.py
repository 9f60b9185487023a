"""The machine that is measured on: which processor does what, the provider, and what else is running."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int | None, int | None]:
    """One for the caller, another one for everything else; None where there is nothing to choose from."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def pinned(core: int | None) -> Any:
    """For `preexec_fn`: before there are threads, which would keep what they began with."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


def environment() -> dict[str, str]:
    """For the processes that are measured: no proxy, no credentials, nothing that is fetched."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": "1"}


class Upstream:
    """A `bench-upstream`; use it as a context manager."""

    def __init__(self, program: pathlib.Path, core: int | None, chunks: int, gap_ms: int) -> None:
        self._process = subprocess.Popen(
            [program, "--chunks", str(chunks), "--gap-ms", str(gap_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=pinned(core),
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


class Others:
    """From here to `close`: what everybody else used of the machine, in processors."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._begun = self._now()

    def _now(self) -> tuple[float, float, float]:
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return time.monotonic(), busy(), own + used(self._upstream.pid)

    def close(self) -> float:
        """Asked once the child has ended, and so counts as ours."""
        wall, all, ours = (now - then for now, then in zip(self._now(), self._begun, strict=True))
        return max(0.0, all - ours) / wall


def used(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    # The name in parentheses may hold spaces.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def busy() -> float:
    """Seconds that all processors together have worked, for whomever."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / TICKS
