"""Whether the comparison would notice: LiteLLM's Router beside LiteLLM's, as it is and with one thing wrong.

As it is, nothing may differ, however often it runs. With one thing wrong, some seed has to show it, where it is.
"""

from __future__ import annotations

import dataclasses

import pytest

from grammar import Case
from play import Play, report
from sides import Litellm, Side

FIRST, LAST = 1001, 1060


class Second(Litellm):
    """LiteLLM's as the other side: it is not steered, and asks whom it likes."""

    def __init__(self, provider, loop):
        Side.__init__(self, provider, loop)
        self.wanted = None


class OtherAsk(Second):
    """One that is asked something else than the test says."""

    def other(self, ask):
        return ask

    def picks(self, router, ask):
        return super().picks(router, self.other(ask))

    def play(self, router, ask):
        return super().play(router, self.other(ask))


class LostTag(OtherAsk):
    def other(self, ask):
        return dataclasses.replace(ask, tags=ask.tags[1:] if ask.tags else ask.tags)


class LostField(OtherAsk):
    def other(self, ask):
        return dataclasses.replace(ask, params={name: value for name, value in ask.params.items() if name != "temperature"})


class LeakedField(OtherAsk):
    def other(self, ask):
        return dataclasses.replace(ask, params={**ask.params, "routing_hint": "x"})


class LostFallback(OtherAsk):
    def other(self, ask):
        return dataclasses.replace(ask, params={**ask.params, "disable_fallbacks": True})


class OtherCase(Second):
    """One that is built of something else than the test says."""

    def other(self, entry):
        return entry

    def deployment(self, entry):
        return self.other(super().deployment(entry))


class OtherModel(OtherCase):
    def other(self, entry):
        entry["litellm_params"]["model"] = entry["litellm_params"]["model"].replace("/up1", "/up2")
        return entry


class LostWeight(OtherCase):
    def other(self, entry):
        entry["litellm_params"].pop("weight", None)
        return entry


class LostOrder(OtherCase):
    def other(self, entry):
        entry["litellm_params"].pop("order", None)
        return entry


class OtherId(OtherCase):
    def other(self, entry):
        if entry.get("model_info", {}).get("id") == "id1":
            entry["model_info"]["id"] = "id-1"
        return entry


class OneMoreRetry(Second):
    def router(self, case, **settings):
        router = super().router(case, **settings)
        router.num_retries += 1
        return router


class OtherSight(Second):
    """One of which something else is seen than there was."""

    def play(self, router, ask):
        seen = super().play(router, ask)
        self.change(seen)
        return seen


class WrongPick(Second):
    async def pick(self, router, ask):
        id, model = await super().pick(router, ask)
        return ("id0" if id == "id1" else id), model


class MissedPick(Second):
    def picks(self, router, ask):
        told = super().picks(router, ask)
        return {"picks": told["picks"][:2]} if "picks" in told else told


class LostChunk(OtherSight):
    def change(self, seen):
        if isinstance(seen["chunks"], list):
            seen["chunks"][1:2] = []


class LostFinish(OtherSight):
    def change(self, seen):
        if isinstance(seen["chunks"], list) and seen["chunks"]:
            seen["chunks"][-1]["finish"] = None


class OtherClass(OtherSight):
    def change(self, seen):
        if seen.get("error", {}).get("class") == "NotFoundError":
            seen["error"]["class"] = "BadRequestError"


class OtherStatus(OtherSight):
    def change(self, seen):
        if seen.get("error", {}).get("status_code") == 422:
            seen["error"]["status_code"] = 400


class LostUsage(OtherSight):
    def change(self, seen):
        if "reply" in seen:
            seen["reply"]["dump"]["usage"] = None


class LostFact(OtherSight):
    def change(self, seen):
        if "reply" in seen:
            seen["reply"]["hidden"]["there"].remove("litellm_call_id")


class OtherCost(OtherSight):
    def change(self, seen):
        if "reply" in seen and seen["reply"]["hidden"]["response_cost"]:
            seen["reply"]["hidden"]["response_cost"] *= 2


# What is wrong, and where it has to show: the first parts of some difference's path.
WRONG = [
    (LostTag, ("picks",)), (LostTag, ("asked",)), (LostField, ("asked", 0, "body", "temperature")),
    (LeakedField, ("asked", 0, "body", "routing_hint")), (LostFallback, ("asked",)), (LostFallback, ("error",)),
    (OtherModel, ("asked", 0, "body", "model")), (LostWeight, ("picks",)), (LostOrder, ("picks",)), (OtherId, ("ids",)),
    (OneMoreRetry, ("asked",)), (WrongPick, ("picks",)), (MissedPick, ("picks",)), (LostChunk, ("chunks",)),
    (LostFinish, ("chunks",)), (OtherClass, ("error", "class")), (OtherStatus, ("error", "status_code")),
    (LostUsage, ("reply", "dump", "usage")), (LostFact, ("reply", "hidden", "there")),
    (OtherCost, ("reply", "hidden", "response_cost")),
]


def test_nothing_differs_from_itself(litellm, server, loop):
    play = Play(litellm, Second(server, loop))
    play.excuse = lambda difference: None
    for seed in range(FIRST, FIRST + 20):
        found = list(play.case(Case(seed), ["itself"]))
        assert not found, report(found)
    assert play.compared > 100


@pytest.mark.parametrize(("wrong", "where"), WRONG, ids=lambda one: getattr(one, "__name__", None) or ".".join(map(str, one)))
def test_notices(wrong, where, litellm, server, loop):
    play = Play(litellm, wrong(server, loop))
    for seed in range(FIRST, LAST + 1):
        for difference in play.case(Case(seed), ["itself"]):
            if difference.path[:len(where)] == where:
                assert f"seed {seed}" in str(difference) and f"--seeds {seed}" in report([difference])
                return
    pytest.fail("no seed has shown it")
