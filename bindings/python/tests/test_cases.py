"""Plays every case of the routing crate through a `Router`, in both modes: what `explain` says of it, and what many
picks of `get_available_deployment` come to.

What a program cannot say is in `SAID_OTHERWISE`, with the reason; an entry that is not needed fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from cases import MODES, Case, Expected, Request, every

import tagrail

CASES = every()
# Picks go on until everything expected was seen, and stop somewhere: what comes up less often than that is wrong.
FEWEST, MOST = 16, 1_500
COOLING_SECONDS = 7.0

# Words that the gateway has and a Router has not: a program is told what LiteLLM's Router tells.
IN_PROCESS = {"Invalid model name passed in model=": "You passed in model="}

# By reason. The lines are those of the cases.
SAID_OTHERWISE: dict[str, dict[str, list[str]]] = {
    "only an operator's fallback is asked for by the operator on a caller's behalf": {
        "access": ["plain as=one chosen => p", "g as=alias chosen => g"],
    },
    "the name is made up: the table of prices, which guesses providers, does not know it": {
        "access": ["claude-x as=wild => ant"],
        "resolution": ["claude-x => an=anthropic/claude-x"],
    },
    "an operator has no team; with one, the call is confined by it": {
        "ids": ["fo-a [team:!red] => tagrail 401 | litellm fo-a"],
    },
    "a call's own tags are written before those of its team, and here behind them": {
        "reserved": [
            "g [&teamB] as=A => 401 Not allowed to access model due to tags configuration. "
            "Passed model=g and tags=['teamA', '&teamB']",
            "plain [nope] as=B => plain-b",
        ],
    },
}
LEFT_OUT = {(case, line) for cases in SAID_OTHERWISE.values() for case, lines in cases.items() for line in lines}


def played(case: Case) -> list[Request]:
    return [request for request in case.requests if (case.name, request.line) not in LEFT_OUT]


def build(case: Case, mode: str) -> tagrail.Router:
    router = tagrail.Router(**case.arguments(mode))
    if not case.reserved_known:
        router.reserve(None)
    return router


def asked(case: Case, request: Request) -> dict[str, Any]:
    """The keywords of a call, with the caller that it is made for."""
    held = dict(case.callers[request.caller]) if request.caller else {}
    if team := request.team_tags():
        held["team_tags"] = [*held.get("team_tags", ()), *team]
    caller = tagrail.Caller(**held) if request.caller or held else None
    return {**request.keywords(), "caller": caller}


def differs(expected: Expected, ids: set[str], status: int | None, message: str) -> bool:
    if expected.status is None:
        return status is not None or ids != set(expected.ids)
    words = expected.message
    for gateways, routers in IN_PROCESS.items():
        words = words.partition(". ")[0].replace(gateways, routers) if gateways in words else words
    return status != expected.status or words not in message


def explained(router: tagrail.Router, case: Case, request: Request, mode: str) -> list[str]:
    """What the explanation says otherwise than the case."""
    keywords = asked(case, request)
    if request.cooling:
        keywords["cooling"] = dict.fromkeys(request.cooling, COOLING_SECONDS)
    expected, wrong = request.expected[mode], []
    whole = router.explain(request.model, **keywords)
    # Which of those that are permitted come first is said by the picks.
    permitted = set(whole.permitted) & set(expected.ids) if case.prefers else set(whole.permitted)
    if differs(expected, permitted, whole.decision.get("status"), whole.decision.get("error", "")):
        wrong.append(f"explained as {whole.decision}")
    told = router.explain(request.model, told=True, **keywords)
    for reason in request.reasons_in(mode):
        if reason == "nothing":
            holds = not lines(told) and told.group is None
        elif reason.startswith("hidden "):
            id = reason.removeprefix("hidden ")
            holds = bool(lines(told)) and id not in str(told).replace(",", " ").split()
        else:
            holds = reason in lines(whole)
        if not holds:
            wrong.append(f"not `{reason}`: {lines(whole)}, told {lines(told)}")
    return wrong


def lines(explanation: tagrail.Explanation) -> list[str]:
    """The verdicts and notes, in the words of the cases."""
    found = []
    for one in explanation.deployments:
        fate = "kept" if one["kept"] else f"removed by {one['stage']}"
        found.append(f"{one['id']} {fate}" + (f": {one['text']}" if one["text"] else ""))
    return found + [f"note: {note}" for note in explanation.notes]


def pick(router: tagrail.Router, case: Case, request: Request) -> tuple[str | None, str | None]:
    """One draw: a deployment's id, and its upstream model where that is told."""
    keywords = asked(case, request)
    if request.cooling:
        # It is assumed, and only explanations take assumptions.
        cooling = dict.fromkeys(request.cooling, COOLING_SECONDS)
        return router.explain(request.model, cooling=cooling, **keywords).chosen, None
    caller = keywords.pop("caller")
    one = router.get_available_deployment(request.model, request_kwargs=keywords, caller=caller)
    return one["model_info"]["id"], one["litellm_params"]["model"]


def picked(router: tagrail.Router, case: Case, request: Request, mode: str) -> list[str]:
    """What many picks come to otherwise than the case says."""
    expected = request.expected[mode]
    seen: dict[str | None, str | None] = {}
    try:
        for number in range(MOST):
            id, model = pick(router, case, request)
            seen[id] = model
            if number >= FEWEST and seen.keys() >= expected.ids.keys():
                break
    except Exception as error:
        if differs(expected, set(), status_of(error), str(error)):
            return [f"picking raised {error!r} of status {status_of(error)}"]
        return []
    if request.cooling and expected.status is not None:
        return [] if seen.keys() == {None} else [f"picked {seen}"]
    models = {id: model for id, model in expected.ids.items() if model is not None}
    if seen.keys() != expected.ids.keys() or any(seen[id] != model for id, model in models.items()):
        return [f"picked {seen}"]
    return []


def status_of(error: BaseException) -> int | None:
    return getattr(error, "status_code", None)


def play(router: tagrail.Router, case: Case, request: Request, mode: str) -> list[str]:
    wrong = explained(router, case, request, mode) + picked(router, case, request, mode)
    return [f"{case.name} in {mode} mode, `{request.line}`: {one}" for one in wrong]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore::tagrail.TagrailWarning")
def test_every_request_is_decided_as_the_case_says(case: Case, mode: str) -> None:
    router = build(case, mode)
    wrong = [one for request in played(case) for one in play(router, case, request, mode)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore::tagrail.TagrailWarning")
def test_what_is_left_out_is_really_said_otherwise() -> None:
    known = {(case.name, request.line): (case, request) for case in CASES for request in case.requests}
    for entry in LEFT_OUT:
        assert entry in known, f"there is no such request any more: {entry}"
        case, request = known[entry]
        assert any(play(build(case, mode), case, request, mode) for mode in MODES), f"{entry} can be played"


def test_all_the_others_are_played() -> None:
    everything = sum(len(case.requests) for case in CASES)
    assert sum(len(played(case)) for case in CASES) == everything - len(LEFT_OUT) > 400
    assert sum(len(request.reasons) for case in CASES for request in played(case)) > 45
