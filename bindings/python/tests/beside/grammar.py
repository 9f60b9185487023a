"""Random model lists, settings and calls. One seed is one `Case`, always the same one.

What is random is what users write: groups with and without stars, tags, default pools, orders, weights,
regular expressions, aliases, ids, fallbacks of every kind, and providers that fail by key. What would make
the *comparison* random is kept out: no cooldowns (`test_cooling.py` has those), and no waiting between
retries (a group that is asked again has a second deployment).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# The seeds of the default run.
DEFAULT = "1:200"
TAGS = ["red", "blue", "eu", "gold tier", "ü", "Red", "lab:red"]
WORDS = ["ka", "zo", "ka-zo", "v2.1", "mi(x)", "n+", "ñandú", "a::b", "q_7"]
JOINS = ["/", "-", "::", ".", ":", ""]
PREFIXES = ["", "", "", "lab:", "lab"]
AGENTS = ["wren/1.4", "otter-cli 2", "python/3 wren"]
REGEXES = ["wren", "^User-Agent: wren/", "(?i)OTTER", "heron", "otter.*2$"]
# Names that are known to price tables, to be found with and without their provider.
KNOWN = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]
# What the provider answers to, see provider.py; the first is the usual.
SAYS = ["plain"] * 6 + ["tools", "long", "length", "two", "details", "details", "reasoning", "limits", "null"]
# How a deployment's provider fails, see provider.py.
RETRIED = ["408", "429", "500", "502", "503", "529", "401", "403", "409", "hangup"]
SETTLED = ["400", "404", "422", "context", "policy"]
# What does not occur elsewhere than with OpenAI, is tried again by LiteLLM's own client, or (Anthropic's 529) is told
# there as a status that it was not.
OTHERS = {"context": "400", "policy": "400", "409": "400", "hangup": "500", "529": "503"}


@dataclass
class Ask:
    """One call: what is asked, and how."""

    operation: str  # chat, embeddings, completions
    model: str
    tags: list | None = None
    place: str = "metadata"  # where the tags are: metadata, litellm_metadata, tags
    is_async: bool = True
    streams: bool = False
    says: str = "plain"
    agent: str | None = None
    params: dict = field(default_factory=dict)

    def call(self, place=None) -> dict:
        """The keyword arguments."""
        call: dict = {"model": self.model, **self.params}
        if self.operation == "chat":
            call["messages"] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": self.says}]
        elif self.operation == "completions":
            call["prompt"] = self.says
        else:
            call["input"] = [self.says, "ñ"]
        if self.streams:
            call["stream"] = True
        call.update(self.labels(place))
        return call

    def labels(self, place=None) -> dict:
        """The tags and the client's name as keyword arguments."""
        place, labels = place or self.place, {}
        if self.tags is not None:
            labels = {"tags": list(self.tags)} if place == "tags" else {place: {"tags": list(self.tags)}}
        if self.agent is not None:
            labels.setdefault("metadata" if place == "tags" else place, {})["user_agent"] = self.agent
        return labels


class Case:
    """One configuration and what is asked of it."""

    def __init__(self, seed: int) -> None:
        self.seed, self.random = seed, random.Random(seed)
        self.prefix = self.pick(PREFIXES)
        self.fails = self.chance(0.45)
        self.with_regex = self.chance(0.25)
        self.groups = list(dict.fromkeys(self.group_name() for _ in range(self.random.randint(1, 4))))
        if self.chance(0.12):
            self.groups.append("*")
        if self.chance(0.12):
            self.groups.append(self.pick(["openai/*", "openai/gpt-4*", "anthropic/*"]))
        self.model_list = self.deployments()
        self.aliases = self.make_aliases()
        self.settings = self.make_settings()
        self.filters = self.settings["enable_tag_filtering"] or any(
            entry.get("model_info", {}).get("enable_tag_filtering") for entry in self.model_list)
        self.troubles = self.make_troubles()
        # Other operations only where OpenAI's API is spoken, and nothing fails: LiteLLM's client for embeddings
        # retries on its own, and what it raises for text completions depends on how they were made.
        self.chats = bool(self.troubles) or not all("openai/" in e["litellm_params"]["model"] for e in self.model_list)
        self.asks = [self.ask() for _ in range(6)]

    def pick(self, many):
        return self.random.choice(many)

    def chance(self, share):
        return self.random.random() < share

    def some(self, many, most):
        return self.random.sample(many, self.random.randint(0, min(most, len(many))))

    # ---- configuration -------------------------------------------------
    def group_name(self):
        """A name, of which every second has stars."""
        if self.chance(0.08):
            return self.pick(KNOWN)
        parts = [self.pick(WORDS) for _ in range(self.random.randint(1, 4))]
        if self.chance(0.5):
            for place in self.random.sample(range(len(parts)), self.random.randint(1, min(3, len(parts)))):
                parts[place] = "*"
        return self.pick(JOINS).join(parts)

    def deployments(self):
        entries = []
        for group in self.groups:
            self.weighted, self.ordered, self.tagged = self.chance(0.2), self.chance(0.3), self.chance(0.8)
            for _ in range(self.random.randint(1, 4)):
                entries.append(self.deployment(len(entries), group))
        return entries

    def deployment(self, number, group):
        params = {"model": self.upstream(number, group), "api_key": f"key-{number}"}
        info = {"id": f"id{number}"} if self.chance(0.85) else {}
        if self.tagged and self.chance(0.8):
            params["tags"] = self.some([*TAGS[:4], "default", "default"], 3)
        if self.with_regex and self.chance(0.4):
            params["tag_regex"] = self.some(REGEXES, 2)
        if self.weighted and self.chance(0.8):
            params[self.pick(["weight", "weight", "rpm", "tpm"])] = self.pick([0, 1, 1, 2])
        if self.ordered and self.chance(0.8):
            params["order"] = self.pick([1, 2])
        if self.chance(0.08):
            params.update(self.pick([{"temperature": 0.25}, {"max_tokens": 9}, {"temperature": 0.5, "top_p": 0.5}]))
        if self.chance(0.12):
            params.update(input_cost_per_token=1e-06, output_cost_per_token=2e-06)
        if self.chance(0.1):
            info["allow_fail_open"] = True
        if self.chance(0.08):
            info["enable_tag_filtering"] = self.chance(0.5)
        entry = {"model_name": group, "litellm_params": params}
        return {**entry, "model_info": info} if info or self.chance(0.5) else entry

    def upstream(self, number, group):
        stars = group.count("*")
        if self.chance(0.08) and stars < 2:
            return f"anthropic/claude-3-haiku-{number}" + ("-*" if stars else "")
        if self.chance(0.05) and stars < 2:
            return f"groq/qwen-{number}" + ("-*" if stars else "")
        holes = self.pick([stars, stars, stars, stars, 0, 1, 2, 3]) if stars else 0
        return f"openai/up{number}" + "".join(f"{self.pick(['-', '/', '::'])}*" for _ in range(holes))

    def make_aliases(self):
        aliases = {f"nick{n}": self.pick([self.pick(self.groups), self.called(self.pick(self.groups)), "nobody"])
                   for n in range(self.random.randint(0, 2))}
        return {name: target if self.chance(0.8) else {"model": target, "hidden": self.chance(0.7)}
                for name, target in aliases.items()}

    def make_settings(self):
        settings = {"num_retries": 0, "disable_cooldowns": True, "enable_tag_filtering": self.chance(0.5 if self.fails else 0.85)}
        if self.prefix:
            settings["tag_routing_prefix"] = self.prefix
        if self.chance(0.4):
            settings["tag_filtering_match_any"] = self.chance(0.4)
        if self.aliases:
            settings["model_group_alias"] = self.aliases
        if self.fails and self.chance(0.4):
            settings["num_retries"] = self.random.randint(1, 2)
        # Fallbacks without any failure are of use to refusals by tags.
        if self.chance(0.7 if self.fails else 0.15):
            keys = {self.pick([self.served(), *list(self.aliases)[:1]]), self.served()}
            settings["fallbacks"] = [{key: self.targets()} for key in sorted(keys)[:1 if self.chance(0.6) else 2]]
        for kind in ("context_window_fallbacks", "content_policy_fallbacks"):
            if self.fails and self.chance(0.25):
                settings[kind] = [{self.served(): self.targets()}]
        if self.chance(0.3 if self.fails else 0.08):
            settings["default_fallbacks"] = self.targets()
        if "fallbacks" in settings and self.chance(0.1):
            settings["max_fallbacks"] = self.random.randint(1, 2)
        if self.chance(0.1):
            settings["timeout"] = 25
        return settings

    def served(self):
        """A name that some group takes."""
        self.names = getattr(self, "names", None) or [self.called(group) for group in self.groups]
        return self.pick(self.names)

    def targets(self):
        return list(dict.fromkeys(self.served() for _ in range(self.random.randint(1, 2))))

    def make_troubles(self):
        """How the provider fails, by key."""
        troubles: dict = {}
        if not self.fails:
            return troubles
        for group in self.groups:
            members = [entry for entry in self.model_list if entry["model_name"] == group]
            if self.chance(0.35):
                continue
            # Only where another one is sure to be left does nobody wait before a retry.
            shares = any({"order", "weight", "rpm", "tpm"} & set(entry["litellm_params"]) for entry in members)
            alone = len(members) < 2 or shares or self.filters
            waits = alone and self.settings["num_retries"] > 0
            kind = self.pick(SETTLED if waits else [*SETTLED, *RETRIED])
            for entry in members:
                if self.chance(0.85):
                    other = not entry["litellm_params"]["model"].startswith("openai/")
                    troubles[entry["litellm_params"]["api_key"]] = OTHERS.get(kind, kind) if other else kind
        return troubles

    def ordered_twice(self):
        """Whether some group has deployments of two orders."""
        orders = {(entry["model_name"], entry["litellm_params"].get("order")) for entry in self.model_list}
        named = [name for name, order in orders if order is not None]
        return len(named) > len(set(named))

    def targeted(self, ask):
        """All names that a fallback of this call may lead to."""
        listed = [ask.params.get("fallbacks") or [], self.settings.get("default_fallbacks") or []]
        for kind in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
            listed += [names for table in self.settings.get(kind, ()) for names in table.values()]
        return {one["model"] if isinstance(one, dict) else one for names in listed for one in names}

    # ---- calls ---------------------------------------------------------
    def words(self, count):
        return self.pick(JOINS).join(self.pick(WORDS) for _ in range(count))

    def called(self, group):
        """A name that a group takes."""
        fills = lambda: self.pick([self.words(1), self.words(2), "", "new", "gpt-4o", "s*r"])  # noqa: E731
        return "".join(part if part != "*" else fills() for part in group.replace("*", "\0*\0").split("\0")) or "ka"

    def name(self):
        group = self.pick(self.groups)
        entry = self.pick(self.model_list)
        return self.random.choices(
            [lambda: self.called(group), self.served, lambda: self.called(group) + self.pick(["-more", "x", "/y"]),
             lambda: self.pick(["pre", "x"]) + self.called(group), lambda: self.called(group).upper(), lambda: group,
             lambda: entry.get("model_info", {}).get("id", group), lambda: entry["litellm_params"]["model"],
             lambda: self.pick(list(self.aliases) or ["nobody"]), lambda: self.words(2), lambda: self.pick(KNOWN)],
            [40, 30, 5, 3, 2, 4, 6, 4, 9, 4, 3])[0]()

    def tag(self):
        text = self.pick([*TAGS, "default", "nobody"])
        mark = self.random.choices(["", "!", "&"], [6, 2, 2])[0]
        prefix = self.prefix if self.prefix and self.chance(0.4) else ""
        return self.random.choices([prefix + mark + text, mark, "", mark + prefix + text], [40, 1, 1, 2])[0]

    def ask(self):
        tags = None
        if self.chance(0.6):
            tags = [self.tag() for _ in range(self.random.choices([0, 1, 2, 3], [1, 6, 3, 1])[0])]
        operation = self.random.choices(["chat", "embeddings", "completions"], [8, 0, 0] if self.chats else [6, 1, 1])[0]
        ask = Ask(operation, self.name(), tags, place=self.pick(["metadata"] * 4 + ["litellm_metadata", "tags"]),
                  is_async=self.chance(0.5), streams=operation == "chat" and self.chance(0.4))
        if self.with_regex and self.chance(0.6):
            ask.agent = self.pick(AGENTS)
        if operation == "chat":
            ask.says = self.pick(SAYS)
            ask.params = self.params(ask)
        elif operation == "completions" and self.chance(0.3):
            ask.params = {"max_tokens": 7}
        return ask

    def params(self, ask):
        """What is passed on, and what only the gateway reads."""
        params = {}
        for name, value in [("temperature", 0.75), ("max_tokens", 11), ("top_p", 0.9), ("stop", ["\n"]), ("user", "u-1")]:
            if self.chance(0.12):
                params[name] = value
        if ask.streams and self.chance(0.3):
            params["stream_options"] = {"include_usage": True}
        if ask.says == "tools":
            params["tools"] = [{"type": "function", "function": {"name": "look", "parameters": {
                "type": "object", "properties": {"at": {"type": "string"}}}}}]
        # Of other providers, LiteLLM makes tools of this.
        if self.chance(0.05) and all("openai/" in entry["litellm_params"]["model"] for entry in self.model_list):
            params["response_format"] = {"type": "json_object"}
        if self.fails and self.chance(0.15):
            params["fallbacks"] = self.pick([self.targets(), [{"model": self.served()}]])
        if self.fails and self.chance(0.08):
            params["disable_fallbacks"] = True
        if self.fails and self.chance(0.1):
            params["num_retries"] = 0
        if self.chance(0.05):
            params["timeout"] = 20
        return params
