"""One deployment of a group fails once: who may be picked after that, on both sides.

429, 401 and 404 cool a deployment that has others beside it at once; the other failures do not, and a group with
stars is never cooled by LiteLLM.
"""

from __future__ import annotations

import dataclasses
import random

import pytest

import provider
from grammar import TAGS, Ask
from outcome import differences
from sides import Litellm, Ours, Side

COOLS = ("429", "401", "404")
KEEPS = ("400", "403", "422", "500", "503")
FIRST, LAST = 1, 60
# How often a call is made until it meets the deployment that fails: one of at most four, evenly.
PATIENCE = 200


class Scene:
    """One group, one of which fails in one way."""

    def __init__(self, seed):
        chance = random.Random(seed)
        self.seed, self.stars = seed, chance.random() < 0.2
        name = "g-*" if self.stars else "g"
        self.model_list = []
        for number in range(chance.randint(2, 4)):
            params = {"model": f"openai/up{number}", "api_key": f"key-{number}"}
            if chance.random() < 0.7:
                params["tags"] = chance.sample([*TAGS[:2], "default"], chance.randint(0, 2))
            self.model_list.append({"model_name": name, "litellm_params": params, "model_info": {"id": f"id{number}"}})
        # A group without any tag is not subject to tags with us (row D5), which is compared elsewhere.
        self.model_list[-1]["litellm_params"]["tags"] = ["red"]
        self.settings = {"num_retries": 0, "cooldown_time": 60, "enable_tag_filtering": chance.random() < 0.8}
        self.kind = chance.choice([*COOLS, *COOLS, *KEEPS])
        self.victim = chance.choice(self.model_list)
        tags = self.victim["litellm_params"].get("tags") or [None]
        self.first = ask(self.called(), tags[0])
        self.asks = [ask(self.called(), tag) for tag in (None, "default", *TAGS[:2], "!default", "nobody")]

    def called(self):
        return "g-x" if self.stars else "g"


def ask(model, tag):
    return Ask("chat", model, None if tag is None else [tag])


def met(side, router, scene, steer=None):
    """Calls until the victim was asked; whether it was."""
    key = scene.victim["litellm_params"]["api_key"]
    for _ in range(PATIENCE):
        seen = side.play(router, scene.first) if steer is None else steer(router, scene.first, {"asked": [
            {"key": key, "body": {"model": scene.victim["litellm_params"]["model"].partition("/")[2]}}]})
        if any(one["key"] == key for one in seen["asked"]):
            return True
        if not seen["asked"]:
            return False
    return False


def row(scene, mode, victim, one, mine, others):
    """The row by which ours has to answer otherwise, and whether it does."""
    if mode != "tagrail":
        return None
    cooling = "error" in others and not by_tags(others["error"])
    kept = [pick for pick in mine.get("picks", ()) if pick[0] != victim]
    if scene.stars:  # LiteLLM goes on asking
        return "D8" if others.get("picks") == kept or not kept and cooling else None
    if "error" in mine and cooling:
        return "D3"
    pooled = one.tags in (None, ["!default"]) and "default" in scene.victim["litellm_params"].get("tags", ())
    return "D4" if pooled and "picks" in mine and "error" in others else None


USED = set()


@pytest.mark.parametrize("mode", ["litellm", "tagrail"])
def test_after_a_failure(mode, litellm, server, loop):
    ours, told = Ours(server, loop), []
    for seed in range(FIRST, LAST + 1):
        scene = Scene(seed)
        server.forget()
        victim = scene.victim["model_info"]["id"]
        server.answer = provider.answering({scene.victim["litellm_params"]["api_key"]: scene.kind})
        left, right = litellm.router(scene), ours.router(scene, routing_mode=mode)
        before = litellm.picks(left, scene.first), Side.picks(ours, right, scene.first)
        if before[0] != before[1] or not met(ours, right, scene):
            continue
        assert met(litellm, left, scene, litellm.after)
        for one in scene.asks:
            mine, others = litellm.picks(left, one), Side.picks(ours, right, one)
            if not scene.stars and scene.kind in COOLS and "picks" in mine:
                assert victim not in [id for id, _ in mine["picks"]], "LiteLLM has not cooled it"
            why = row(scene, mode, victim, one, mine, others) if list(shown(mine, others)) else None
            USED.add(why)
            if why is None:
                told += [f"seed {seed} ({mode}), {scene.kind} of {victim}, then {one.tags}: {difference}\n{scene.model_list}"
                         f" {scene.settings}" for difference in shown(mine, others)]
    assert not told, "\n".join(told)


def shown(mine, others):
    """Where picks differ: whom, or in which way there are none."""
    if "error" in mine and "error" in others:
        told = [by_tags(side["error"]) for side in (mine, others)]
        return [] if told[0] == told[1] else [(side["error"]["message"] for side in (mine, others))]
    return differences(mine, others)


def by_tags(error):
    """Whether an error is a refusal by tags; the other one is that all are cooling."""
    refused, cooling = (error["message"].startswith(start) for start in ("Not allowed", "No deployments available"))
    assert refused != cooling, error
    return refused


def test_every_row_is_needed():
    assert {"D3", "D4", "D8"} <= USED
