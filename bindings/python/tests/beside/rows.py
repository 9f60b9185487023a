"""Where our Router is to differ from LiteLLM's: the rows of the decisions, as they show in the SDK.

What a call may go to is answered by the independent model of `tests/oracle`, which departs from LiteLLM row by
row: with all rows of `routing_mode: tagrail` it says what ours has to answer instead, and a row was needed where the
answer changes with it alone, or would change without it. Differences elsewhere have a predicate each.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

ORACLE = pathlib.Path(__file__).resolve().parents[4] / "tests" / "oracle" / "model.py"


def _load(path):
    spec = importlib.util.spec_from_file_location("oracle_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


oracle = _load(ORACLE)
# Rows of the model that can show in an SDK: there are no headers here.
TAGRAIL = oracle.TAGRAIL - {"D7"}
ROWS = sorted(TAGRAIL - oracle.BOTH)


class Model(oracle.Model):
    """The model of one case: with the provider in the model's name, and with default fallbacks."""

    def __init__(self, case, ids, rows):
        settings = case.settings
        entries = [{**entry, "model_info": {**entry.get("model_info", {}), "id": one}}
                   for entry, one in zip(case.model_list, ids, strict=True)]
        super().__init__({"model_list": entries, "router_settings": settings}, rows)
        self.defaults = settings.get("default_fallbacks") or []

    def upstream(self, deployment, captures, name):
        served = super().upstream(deployment, captures, name)
        if isinstance(served, oracle.Served):
            return oracle.Served(served.id, f"{deployment.model.partition('/')[0]}/{served.upstream}")
        # LiteLLM chooses a deployment whose name has no provider, and fails when it calls it.
        return oracle.Served(deployment.id, name) if captures is not None else served

    def picks(self, ask):
        """As `Side.picks` tells them, but for an error's details: [[id, model]], or a status."""
        tags, agent = ask.tags or [], ask.agent
        found = self.decide(ask.model, tags, agent)
        if found == {oracle.Refused(400)} and self.defaults and not self.known(ask.model):
            found = self.decide(self.defaults[0], tags, agent)
        refused = [one.status for one in found if isinstance(one, oracle.Refused)]
        return refused[0] if refused else sorted([one.id, one.upstream] for one in found)

    def known(self, name):
        return name in self.by_id or bool(self.look_up(self.aliases.get(name, name))[0])


def needed(case, ids, ask):
    """The rows by which ours answers otherwise, and what it has to answer: (rows, picks)."""
    said = {row: Model(case, ids, oracle.BOTH | {row}).picks(ask) for row in ROWS}
    plain, ours = Model(case, ids, oracle.BOTH).picks(ask), Model(case, ids, TAGRAIL).picks(ask)
    rows = {row for row in ROWS if said[row] != plain or Model(case, ids, TAGRAIL - {row}).picks(ask) != ours}
    return rows, ours


def status(mine):
    """`Side.picks` in the model's words: picks, or a status."""
    if "picks" in mine:
        return mine
    error = mine["error"]
    mismatch = error["class"] == "ValueError" and error["message"].startswith("Not allowed to access model")
    return {"picks": 401 if mismatch else error["status_code"]}


@dataclass(frozen=True)
class Row:
    """A row by which what comes of a call may differ."""

    id: str
    modes: tuple
    applies: Callable


ELSEWHERE: list[Row] = []


def of(difference, case, ask, this, other):
    """The row that a difference is by, if any."""
    for row in ELSEWHERE:
        if difference.mode in row.modes and row.applies(difference, case, ask, this, other):
            return row.id
    return None
