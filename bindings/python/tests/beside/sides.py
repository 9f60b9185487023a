"""The two Routers, played the same way: LiteLLM's, and ours."""

from __future__ import annotations

import copy
import importlib
import random

from outcome import asked, chunk, failed, hidden, joined, replied

# LiteLLM is asked for a pick until so many in a row have brought nothing new. The rarest pick of the
# grammar has one chance in seven, so that one is missed once in five million.
ENOUGH = 100
PROVIDERS = ("openai/", "anthropic/", "groq/")
HELLO = [{"role": "user", "content": "hello"}]


class Side:
    """Builds Routers of one kind and plays calls on them."""

    package = "litellm"

    def __init__(self, provider, loop):
        self.provider, self.loop = provider, loop
        self.module = importlib.import_module(self.package)

    def deployment(self, entry):
        """An entry with the provider's address."""
        entry = copy.deepcopy(entry)
        params = entry["litellm_params"]
        params["api_base"] = self.provider.url if params["model"].startswith("anthropic/") else self.provider.v1
        return entry

    def router(self, case, **settings):
        model_list = [self.deployment(entry) for entry in case.model_list]
        return self.module.Router(model_list=model_list, **copy.deepcopy(case.settings), **settings)

    def run(self, waiting):
        return self.loop.run_until_complete(waiting)

    # ---- what may be chosen --------------------------------------------
    def picks(self, router, ask):
        """What a call may go to: {"picks": [[id, upstream model], ...]}, or {"error": ...}."""
        found, since = set(), 0
        random.seed(1)
        try:
            while since < ENOUGH:
                one = self.run(self.pick(router, ask))
                since = since + 1 if one in found else 0
                found.add(one)
        except Exception as error:
            return {"error": failed(error)}
        return {"picks": sorted(map(list, found))}

    async def pick(self, router, ask):
        chosen = await router.async_get_available_deployment(
            model=ask.model, request_kwargs=ask.labels(self.place(ask)), messages=HELLO)
        return chosen["model_info"]["id"], chosen["litellm_params"]["model"]

    def place(self, ask):
        """Where this side reads the tags."""
        return ask.place

    # ---- calls ---------------------------------------------------------
    def play(self, router, ask):
        """What can be seen of one call: what the provider got, and what the caller got."""
        call = ask.call(self.place(ask))
        before, start = copy.deepcopy(call), len(self.provider.seen)
        seen: dict = {"chunks": []}
        try:
            if self.waits(ask):
                self.run(self.waited(router, ask, call, seen))
            else:
                self.at_once(router, ask, call, seen)
        except Exception as error:
            seen["error"] = failed(error)
        seen["asked"] = [asked(request) for request in self.provider.seen[start:]]
        if seen["chunks"] and seen["asked"] and seen["asked"][-1]["path"].endswith("/messages"):
            seen["chunks"] = joined(seen["chunks"])
        self.check(call, before, seen)
        return seen

    def waits(self, ask):
        """Whether the call is an asynchronous one."""
        return ask.is_async

    def check(self, call, before, seen):
        """What is to be held of this side alone."""

    async def waited(self, router, ask, call, seen):
        method = {"chat": router.acompletion, "embeddings": router.aembedding, "completions": router.atext_completion}
        reply = await method[ask.operation](**call)
        if not ask.streams:
            seen["reply"] = replied(reply)
            return
        seen["hidden"] = begun(reply)
        async for part in reply:
            seen["chunks"].append(chunk(part))

    def at_once(self, router, ask, call, seen):
        method = {"chat": router.completion, "embeddings": router.embedding, "completions": router.text_completion}
        reply = method[ask.operation](**call)
        if not ask.streams:
            seen["reply"] = replied(reply)
            return
        seen["hidden"] = begun(reply)
        for part in reply:
            seen["chunks"].append(chunk(part))


def models(seen):
    """Who was asked for what."""
    return [(request["key"], request["body"]["model"]) for request in seen["asked"]]


def begun(stream):
    """What a stream says of itself before its first chunk."""
    told = hidden(stream._hidden_params)
    return {name: told[name] for name in ("model_id", "api_base")}


class Litellm(Side):
    """LiteLLM's. It reads tags only from metadata and only on the asynchronous path (row D15), so that is
    where calls with tags are played; and it can be steered to ask who the other side asked."""

    def __init__(self, provider, loop):
        super().__init__(provider, loop)
        self.wanted = None
        routers = importlib.import_module("litellm.router")
        self.shuffle = routers.simple_shuffle
        if isinstance(getattr(self.shuffle, "__self__", None), Litellm):
            self.shuffle = self.shuffle.__self__.shuffle
        routers.simple_shuffle = self.steered
        # Its waiting between retries is not what is compared.
        routers.Router._time_to_sleep_before_retry = lambda *_, **__: 0

    def steered(self, llm_router_instance, healthy_deployments, model):
        """One of its own picks: the one that was wanted, if it can come."""
        if self.wanted is None:
            return self.shuffle(llm_router_instance, healthy_deployments, model)
        place = len(self.provider.seen) - self.start
        key = self.wanted[place] if place < len(self.wanted) else None
        unseen, self.turn = self.turn == self.unseen, self.turn + 1
        for _ in range(ENOUGH):
            chosen = self.shuffle(llm_router_instance, healthy_deployments, model)
            nameless = not chosen["litellm_params"]["model"].startswith(PROVIDERS)
            if nameless if unseen or key is None else chosen["litellm_params"]["api_key"] == key:
                break
        return chosen

    def after(self, router, ask, other):
        """A call, led by what the other side was seen to ask."""
        self.wanted = [request["key"] for request in other["asked"]]
        # A model without a provider fails on the spot, and nobody sees it asked for: at which turn?
        played = []
        for self.unseen in (None, 0, 1, 2):
            self.start, self.turn = len(self.provider.seen), 0
            seen = self.play(router, ask)
            ids = [side.get("error", {}).get("failed_deployment_id") for side in (seen, other)]
            strays = models(seen) != models(other)
            # Of those that went astray the first, which nobody has led.
            played.append((strays, strays or ids[0] != ids[1], seen))
            if not (strays or ids[0] != ids[1]):
                break
        self.wanted = None
        return min(played, key=lambda one: one[:2])[-1]

    def place(self, ask):
        return "metadata" if ask.place == "tags" else ask.place

    def waits(self, ask):
        # The other path of text completions sends the name that was asked for upstream, not the deployment's.
        return ask.is_async or self.tags_count or ask.operation == "completions"

    def router(self, case, **settings):
        self.forget()
        overrides = [entry.get("model_info", {}).get("enable_tag_filtering") for entry in case.model_list]
        self.tags_count = bool(case.settings.get("enable_tag_filtering")) or any(overrides)
        return super().router(case, **settings)

    def forget(self):
        """Its Routers put themselves into lists of the whole process."""
        self.module.logging_callback_manager._reset_all_callbacks()


class Ours(Side):
    """Tagrail's."""

    package = "tagrail"

    def picks(self, router, ask):
        """And what `explain` says of the same call: it permits further orders and shares of 0, but nobody else."""
        told = super().picks(router, ask)
        permitted = router.explain(ask.model, HELLO, **ask.labels()).permitted
        picked = {id for id, _ in told.get("picks", ())}
        later = any(router.get_deployment(id).litellm_params.get(name) is not None for id in permitted
                    for name in ("order", "weight", "rpm", "tpm"))
        if not (picked < set(permitted) if later and len(picked) < len(permitted) else picked == set(permitted)):
            told["explained"] = permitted
        return told

    def check(self, call, before, seen):
        if call != before:
            seen["changed"] = f"the caller's arguments were changed: {call}"
