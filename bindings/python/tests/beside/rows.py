"""Where our Router is to differ from LiteLLM's: the rows of the decisions, as they show in the SDK.

What a call may go to is answered by the independent model of `tests/oracle`, which departs from LiteLLM row by
row: with all rows of `routing_mode: tagrail` it says what ours has to answer instead, and a row was needed where the
answer changes with it alone, or would change without it. Differences elsewhere have a predicate each.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import pathlib
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from outcome import ABSENT

ORACLE = pathlib.Path(__file__).resolve().parents[4] / "tests" / "oracle" / "model.py"


def _load(path):
    spec = importlib.util.spec_from_file_location("oracle_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


oracle = _load(ORACLE)
# The rows of the model that can show in an SDK: there are neither headers nor bodies of other shapes here.
# `itself` is LiteLLM beside LiteLLM.
ROWS = {"itself": frozenset(), "litellm": frozenset({"D28"}),
        "tagrail": frozenset({"D28", "D2", "D5", "D6", "D21", "D22", "D23", "D24"})}


class Model(oracle.Model):
    """The model of one case: with the provider in the model's name, and with default fallbacks."""

    def __init__(self, case, ids, rows, level=True):
        settings = case.settings
        entries = [{**entry, "model_info": {**entry.get("model_info", {}), "id": one}}
                   for entry, one in zip(case.model_list, ids, strict=True)]
        super().__init__({"model_list": entries, "router_settings": settings}, rows)
        for deployment in [] if level else self.deployments:
            deployment.order, deployment.shares = None, {}

    def upstream(self, deployment, captures, name):
        served = super().upstream(deployment, captures, name)
        if isinstance(served, oracle.Served):
            return oracle.Served(served.id, f"{deployment.model.partition('/')[0]}/{served.upstream}")
        # LiteLLM chooses a deployment whose name has no provider, and fails when it calls it.
        return oracle.Served(deployment.id, name) if captures is not None else served

    def picks(self, ask):
        """As `Side.picks` tells them, but for an error's details: [[id, model]], or a status."""
        tags = ask.tags or []
        found = self.decide(ask.model, tags, ask.agent)
        refused = [one.status for one in found if isinstance(one, oracle.Refused)]
        return refused[0] if refused else sorted([one.id, one.upstream] for one in found)

    def known(self, name):
        return name in self.by_id or bool(self.look_up(self.aliases.get(name, name))[0])


def unknown(case, ids, ask):
    """Whether a name leads nowhere but to the default fallbacks."""
    return bool(case.settings.get("default_fallbacks")) and not Model(case, ids, frozenset()).known(ask.model)


def by_none(case, ids, ask):
    """Whether a pattern takes `None` for the provider of an unknown name."""
    return tried(case, ids, ask, "None") and not Model(case, ids, frozenset()).known(ask.model)


def by_provider(case, ids, ask):
    """Whether a pattern takes the provider of a name that has it already."""
    provider, slash, _ = ask.model.partition("/")
    return bool(slash) and provider in oracle.PROVIDERS and tried(case, ids, ask, provider)


def tried(case, ids, ask, provider):
    """Whether a pattern, and not a name, takes a provider before the name."""
    model = Model(case, ids, frozenset())
    name = model.aliases.get(ask.model, ask.model)
    taken = any(model.captures(pattern, name) is not None for pattern in model.patterns)
    return not taken and name not in model.groups and bool(model.look_up(f"{provider}/{name}")[0])


def asked_again(it):
    """Whether LiteLLM asked somebody again who had failed, and ours did not."""
    if "asked" not in it.mine:
        return False
    mine, others = (Counter(one["key"] for one in side["asked"]) for side in (it.mine, it.others))
    return any(count > max(1, others[key]) for key, count in mine.items())


def last_one(it):
    """Whether an error is told with the deployment that failed last."""
    return (it.path[0] == "error" and it.path[-1] in ("failed_deployment_id", "model", "llm_provider", "timeout")
            and bool(it.others.get("asked")) and (it.case.targeted(it.ask) or len(it.others["asked"]) > 1))


def again(it):
    """Whether ours asks somebody more often than LiteLLM, or a client names the model as its own fallback."""
    by_id = it.ask.model in {entry.get("model_info", {}).get("id") for entry in it.case.model_list}
    if it.mode == "tagrail" or "asked" not in it.others or not (it.case.targeted(it.ask) or by_id):
        return False
    groups = groups_of(it.case)
    mine, others = (Counter(groups[one["key"]] for one in side["asked"]) for side in (it.mine, it.others))
    own = it.ask.model in it.ask.params.get("fallbacks", ())
    return own or any(count > 1 and count > mine[one] for one, count in others.items())


def own_forgotten(it):
    """Whether a call has fallbacks of its own, and the configuration others, which were asked."""
    configured = it.case.settings.get("fallbacks") or it.case.settings.get("default_fallbacks")
    return bool(it.ask.params.get("fallbacks") and configured) and (
        "asked" in it.mine and [one["key"] for one in it.mine["asked"]] != [one["key"] for one in it.others["asked"]])


def goes_on(it):
    """Ours asks whom LiteLLM asked, and then other names."""
    if "asked" not in it.others or "error" not in it.mine:
        return False
    mine, others = ([(one["key"], one["body"]["model"]) for one in side["asked"]] for side in (it.mine, it.others))
    # Without fallbacks: a further order, which LiteLLM does not ask when a prompt is too long or not wanted, or where
    # a call does without fallbacks.
    unasked = it.ask.params.get("disable_fallbacks") or {"context", "policy"} & set(it.case.troubles.values())
    ordered = it.case.ordered_twice() and unasked
    return others[:len(mine)] == mine and len(others) > len(mine) and bool(it.case.targeted(it.ask) or ordered)


def groups_of(case):
    """The group of each key."""
    return {entry["litellm_params"]["api_key"]: entry["model_name"] for entry in case.model_list}


def nameless(case, ids, ask):
    """Whether what may be picked has no provider, and fails without being asked, or another than it was given."""
    model = Model(case, ids, frozenset())
    picks, provider = model.picks(ask), lambda name: name.partition("/")[0]
    return isinstance(picks, list) and any(provider(asked) != provider(model.by_id[id].model) for id, asked in picks)


def touched(case, ids, ask, mode):
    """Whether any row tells in whoever of a name's deployments is asked, be it as one of a further order."""
    return bool(needed(case, ids, ask, mode, level=False)[0])


def needed(case, ids, ask, mode, level=True):
    """The rows by which ours answers otherwise, and what it has to answer: (rows, picks)."""
    rows = ROWS[mode]
    answer = lambda some: Model(case, ids, some, level).picks(ask)  # noqa: E731
    plain, ours = answer(frozenset()), answer(rows)
    return {row for row in rows if answer(frozenset({row})) != plain or answer(rows - {row}) != ours}, ours


def status(mine):
    """`Side.picks` in the model's words: picks, or a status."""
    if "picks" in mine:
        return mine
    error = mine["error"]
    mismatch = "ValueError" in error["_classes"] and error["message"].startswith("Not allowed to access model")
    return {"picks": 401 if mismatch else error["status_code"]}


@dataclass(frozen=True)
class Row:
    """What may be otherwise in what comes of a call, and by which row of the decisions."""

    id: str
    why: str
    applies: Callable


def under(path, *parts):
    """Whether the path leads there; `#` is any position, and what comes after does not matter."""
    names = ["#" if isinstance(part, int) else part for part in path]
    return names[:len(parts)] == list(parts)


def dumped(path):
    """Whether the path is within the fields of a reply or chunk."""
    return any(under(path, *start) for start in (
        ("reply", "dump"), ("reply", "attribute"), ("reply", "item"), ("chunks", "#", "dump"), ("chunks", "#", "item")))


def added(it):
    """A field that LiteLLM adds to what the provider said: null, empty, its own, or counted by itself."""
    null = it.litellm in (None, {}) or it.litellm is ABSENT and (it.other is None or it.path[-1] == "system_fingerprint")
    own = it.path[-1] in ("provider_specific_fields", "index", "cost") and it.other is ABSENT
    counted = "usage" in it.path and it.other in (None, ABSENT) and "_tokens" in str(it.path[-1])
    return dumped(it.path) and (null or own or counted)


def usage_chunk(it):
    """Whether this is of the chunk with the usage, which has a choice only in LiteLLM's."""
    if not under(it.path, "chunks", "#") or it.path[2:] not in (("dump", "choices"), ("finish",), ("content",), ("item",)):
        return False
    return it.mine["chunks"][it.path[1]]["dump"].get("usage") is not None


def more(*names):
    """Where LiteLLM says nothing, something."""
    return lambda it: it.path[-1] in names and it.litellm in (None, "", ABSENT) and it.other is not ABSENT


def within(part, applies):
    """What applies in a part of the outcome."""
    return lambda it: it.path[0] == part and applies(it)


def refused_by_tags(it):
    """A refusal by tags, on both sides."""
    return all("ValueError" in side.get("error", {}).get("_classes", ()) for side in (it.mine, it.others))


def refusal(text):
    """The tags of a refusal by tags, each once: LiteLLM says what an alias stands for, and tags twice."""
    found = re.search(r"Passed model=.* and tags=(\[.*?\])(?:$|\. )", text)
    return None if found is None else list(dict.fromkeys(ast.literal_eval(found[1])))


def spelt(it):
    """Arguments of a tool that are the same JSON."""
    try:
        return it.path[-1] == "arguments" and json.loads(it.litellm) == json.loads(it.other)
    except (TypeError, ValueError):
        return False


FURTHER = "LiteLLM gives up where a list names nobody new, ours goes on: to the general and default lists, a further order"

ELSEWHERE = [
    Row("D26", "default fallbacks of an unknown name are fallbacks like others", lambda it: it.unknown),
    # Known to be wrong, and to be repaired.
    Row("open", "a call's own fallbacks are forgotten by the fallbacks that they lead to", lambda it: own_forgotten(it)),
    Row("open", "in litellm mode, ids are asked again that have failed", again),
    Row("D11", "LiteLLM asks a deployment again that has failed", asked_again),
    Row("D37", FURTHER,
        lambda it: it.path[-1] == "x-litellm-attempted-fallbacks" and it.case.targeted(it.ask)),
    Row("more", "of several orders, the first failure is told, as elsewhere, and not the last",
        within("error", lambda it: it.mine.get("asked") and it.case.ordered_twice())),
    Row("more", "a connection that breaks is told as it broke",
        within("error", lambda it: it.path[-1] == "message" and it.litellm.endswith("Connection error"))),
    Row("open", "LiteLLM tries a name with its provider under that provider too", lambda it: it.twice),
    Row("D33", "LiteLLM tries an unknown name as None/NAME", lambda it: it.none),
    Row("D37", FURTHER, goes_on),
    Row("D32", "LiteLLM adds fields to what the provider said", added),
    Row("D32", "LiteLLM's chunk with the usage has a choice", lambda it: usage_chunk(it) and it.other in ([], None)),
    Row("D32", "ours asks for the usage of every stream, for the books",
        lambda it: under(it.path, "asked", "#", "body", "stream_options") and it.litellm is ABSENT
        and it.other == {"include_usage": True}),
    Row("D20", "the provider's code and type are passed on",
        within("error", lambda it: it.path[-1] in ("code", "param", "type") and it.litellm in (None, "429", "throttling_error"))),
    # No row of the decisions: what ours says where LiteLLM says nothing, and what nobody reads.
    Row("more", "a refusal by tags is a ValueError with a status",
        within("error", lambda it: it.path[-1] in ("class", "bases", "status_code") and refused_by_tags(it))),
    Row("more", "what was never sent has no time limit",
        within("error", lambda it: it.path[-1] == "timeout" and not it.others["asked"] and it.other is None)),
    Row("more", "a refusal by tags says what tags there are",
        within("error", lambda it: it.path[-1] == "message" and refused_by_tags(it) and refusal(it.litellm) == refusal(it.other) is not None)),
    Row("more", "errors know their model and provider",
        within("error", more("model", "llm_provider", "timeout", "failed_deployment_id"))),
    Row("more", "text completions know their provider and headers",
        within("reply", lambda it: more("custom_llm_provider", "headers", "ms", "x-litellm-attempted-fallbacks")(it) or "passed on" in it.path and it.litellm is ABSENT)),
    Row("more", "embeddings have headers", lambda it: under(it.path, "reply", "hidden", "there") and set(it.litellm) < set(it.other)),
    Row("more", "no price is known", lambda it: it.path[-1] == "response_cost" and it.other is None
        and (it.litellm == 0.0 or it.ask.operation == "embeddings" or "/" in it.mine["reply"]["dump"]["model"])),
    Row("more", "what is read from a cache without a price of its own costs what other input costs",
        lambda it: it.path[-1] == "response_cost" and it.ask.says == "details" and it.other and it.litellm < it.other),
    Row("spelt", "arguments of tools are written without escapes", lambda it: dumped(it.path) and spelt(it)),
    Row("spelt", "a deployment's tag_regex is no field of the provider's",
        lambda it: under(it.path, "asked", "#", "body", "tag_regex") and it.other is ABSENT),
]


def of(it):
    """The row that a difference is by, if any. `it` has both outcomes as `mine` and `others`."""
    for row in ELSEWHERE:
        if row.applies(it):
            return row
    return None
