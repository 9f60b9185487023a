#!/usr/bin/env python3
"""Random configurations and requests, played on the binary and held against the model.

    tests/oracle/generate.py [--binary PATH] [--seed N] [--configs N] [--requests N] [--jobs N]
    tests/oracle/generate.py --recorded [--oracle DIR]

Every configuration comes from a grammar of tags, marks, prefixes, stars, aliases, ids, orders,
weights, regular expressions and flags, in either routing mode. Every request is sent until each
outcome that `model.py` permits has come, or chance no longer explains that one is missing; an
outcome that the model does not permit is a mismatch at once. What is seen is the real thing: the
deployment's id in the reply's header, and the model and the key that reached the provider.

`--recorded` proves the model instead: it has to agree with every recorded routing decision of
LiteLLM. The same seed makes the same configurations; a mismatch prints what reproduces it.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import sys
import tempfile
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sdk")]

from gateway import Gateway  # noqa: E402
from model import BOTH, TAGRAIL, Model, Refused, Served  # noqa: E402
from upstream import Upstream  # noqa: E402

ROWS = {"litellm": BOTH, "tagrail": TAGRAIL}
TAGS = ["red", "blue", "eu", "gold tier", "ü", "Red", "lab:red"]
WORDS = ["ka", "zo", "ka-zo", "v2.1", "mi(x)", "n+", "ñandú", "a::b", "q_7"]
JOINS = ["/", "-", "::", ".", ":", ""]
AGENTS = ["wren/1.4", "otter-cli 2", "python/3 wren"]
REGEXES = ["wren", "^User-Agent: wren/", "(?i)OTTER", "heron", "otter.*2$"]
PREFIXES = ["", "", "lab:", "lab"]
# Fewer draws than this many per permitted outcome never count as proof that one is missing.
DRAWS = 22


class Grammar:
    """One random configuration and its requests."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.mode = self.pick(["litellm", "tagrail"])
        self.prefix = self.pick(PREFIXES)
        self.groups = [self.group_name() for _ in range(self.random.randint(1, 4))]
        if self.chance(0.15):
            self.groups.append("*")
        self.config = self.make_config()
        self.model = Model(self.config, ROWS[self.mode])

    def pick(self, many):
        return self.random.choice(many)

    def chance(self, share):
        return self.random.random() < share

    def some(self, many, most):
        return self.random.sample(many, self.random.randint(0, min(most, len(many))))

    # ---- configuration -------------------------------------------------
    def words(self, count):
        join = self.pick(JOINS)
        return join.join(self.pick(WORDS) for _ in range(count))

    def group_name(self):
        """A name, of which every second has stars."""
        parts = [self.pick(WORDS) for _ in range(self.random.randint(1, 4))]
        if self.chance(0.55):
            for place in self.random.sample(range(len(parts)), self.random.randint(1, min(3, len(parts)))):
                parts[place] = "*"
        return self.pick(JOINS).join(parts)

    def make_config(self):
        entries = []
        for group in self.groups:
            weighted, ordered = self.chance(0.2), self.chance(0.2)
            for _ in range(self.random.randint(1, 4)):
                entries.append(self.deployment(len(entries), group, weighted, ordered))
        settings = {"routing_mode": self.mode, "num_retries": 0, "enable_tag_filtering": self.chance(0.85)}
        if self.prefix:
            settings["tag_routing_prefix"] = self.prefix
        if self.chance(0.4):
            settings["tag_filtering_match_any"] = self.chance(0.4)
        aliases = {f"nick{n}": self.pick([self.pick(self.groups), self.called(self.pick(self.groups)), "nobody"])
                   for n in range(self.random.randint(0, 2))}
        if aliases:
            settings["model_group_alias"] = {
                k: v if self.chance(0.8) else {"model": v, "hidden": True} for k, v in aliases.items()}
        return {"model_list": entries, "router_settings": settings, "general_settings": {"master_key": "sk-1234"}}

    def deployment(self, number, group, weighted, ordered):
        stars = group.count("*")
        holes = self.pick([stars, stars, stars, 0, 1, 2, 3]) if stars else 0
        model = f"up{number}" + "".join(f"{self.pick(['-', '/', '::'])}*" for _ in range(holes))
        params = {"model": f"openai/{model}", "api_key": f"key-{number}"}
        info = {"id": f"id{number}"}
        if self.chance(0.7):
            params["tags"] = self.some([*TAGS[:4], "default", "default"], 3)
        if self.chance(0.12):
            params["tag_regex"] = self.some(REGEXES, 2)
        if weighted and self.chance(0.8):
            params["weight"] = self.pick([0, 1, 1, 2])
        if ordered and self.chance(0.8):
            params["order"] = self.pick([1, 2])
        if self.chance(0.1):
            info["allow_fail_open"] = True
        if self.chance(0.08):
            info["enable_tag_filtering"] = self.chance(0.5)
        return {"model_name": group, "litellm_params": params, "model_info": info}

    # ---- requests ------------------------------------------------------
    def called(self, group):
        """A name that a group takes, or nearly."""
        name = "".join(part if part != "*" else self.pick([self.words(1), self.words(2), "", "s*r", "new"])
                       for part in group.replace("*", "\0*\0").split("\0"))
        return name

    def name(self):
        group = self.pick(self.groups)
        entry = self.pick(self.config["model_list"])
        return self.random.choices(
            [lambda: self.called(group), lambda: self.called(group) + self.pick(["-more", "x", "/y"]),
             lambda: self.pick(["pre", "x"]) + self.called(group), lambda: self.called(group).upper(),
             lambda: group, lambda: entry["model_info"]["id"], lambda: entry["litellm_params"]["model"],
             lambda: self.pick(list(self.model.aliases) or ["nobody"]), lambda: self.words(2)],
            [60, 6, 4, 2, 4, 7, 4, 8, 5])[0]()

    def tag(self):
        text = self.pick([*TAGS, "default", "nobody"])
        mark = self.random.choices(["", "!", "&"], [6, 2, 2])[0]
        prefix = self.prefix if self.prefix and self.chance(0.4) else ""
        return self.random.choices([prefix + mark + text, mark, "", mark + prefix + text], [40, 1, 1, 2])[0]

    def tags(self):
        return [self.tag() for _ in range(self.random.choices([0, 1, 2, 3], [1, 6, 3, 1])[0])]

    def request(self):
        """(path, headers, body)"""
        path = self.pick(["/v1/chat/completions"] * 4 + ["/v1/completions", "/v1/embeddings"])
        body = {"model": self.name()}
        headers = [("user-agent", self.pick(AGENTS))] if self.chance(0.6) else []
        if self.chance(0.5):
            body["tags"] = self.tags()
        if self.chance(0.25):
            lines = [", ".join(self.tags()) for _ in range(1 if self.chance(0.85) else 2)]
            headers += [("x-litellm-tags", line) for line in lines]
        for key in ("metadata", "litellm_metadata"):
            if self.chance(0.12):
                held = self.pick([{"tags": self.tags()}, {"tags": self.tags()}, {"trace": "t"}, {"tags": None}])
                body[key] = json.dumps(held) if self.chance(0.15) else held
        if self.chance(0.03):
            body["tags"] = self.pick(["red", {"red": 1}, [["red"]], 7])
        content = {"/v1/completions": {"prompt": "hi"}, "/v1/embeddings": {"input": "hi"}}
        return path, headers, body | content.get(path, {"messages": [{"role": "user", "content": "hi"}]})

    def unsettled(self, body, headers, path):
        """Whether the contract leaves open what happens: several required tags on a wildcard group
        that fails open, in the mode that knows no tags of wildcard groups."""
        if self.mode != "litellm":
            return False
        try:
            name, tags = self.model.read(body, headers, path)
        except Exception:
            return False
        found, group, _ = self.model.look_up(self.model.aliases.get(name, name))
        return group is None and any(d.fail_open for d in found) and len(self.model.sort_tags(tags).required) > 1


# ---- playing -----------------------------------------------------------
class Player:
    """Sends requests to one gateway and reads what they say of the decision."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def draw(self, path, headers, body):
        """One outcome: `Served`, `Refused`, or text about what is wrong with the reply."""
        response, reply = self.send(path, headers, body)
        if response.status != 200:
            code = reply["error"]["code"]
            return Refused(response.status) if code == str(response.status) else f"code {code} with {response.status}"
        if path.endswith("/embeddings"):
            told = json.loads(response.headers["llm_provider-x-request-id"])
        else:
            choice = reply["choices"][0]
            told = json.loads(choice["text"] if "text" in choice else choice["message"]["content"])
        served = response.headers["x-litellm-model-id"]
        if told["key"] != f"key-{served[2:]}":
            return f"{served} was called with {told['key']}"
        if reply["model"] != body["model"]:
            return f"the reply names {reply['model']!r}"
        return Served(served, told["model"])

    def explained(self, headers, body, wanted):
        """What is wrong with the answer of /route/explain to the same question, or None."""
        response, reply = self.send("/route/explain", headers, body)
        if response.status == 400:  # what no gateway could read is refused here too
            return None if wanted == {Refused(400)} else f"/route/explain answers 400: {reply}"
        said = reply["decision"]
        if all(isinstance(o, Served) for o in wanted) and said.get("first") not in {o.id for o in wanted}:
            return f"/route/explain says {said}"
        return f"/route/explain says {said}" if wanted == {Refused(401)} and said.get("status") != 401 else None

    def send(self, path, headers, body):
        """(response, its JSON body)"""
        raw = json.dumps(body, ensure_ascii=False).encode()
        self.connection.putrequest("POST", path, skip_accept_encoding=True)
        for name, value in [("authorization", "Bearer sk-1234"), ("content-type", "application/json"),
                            ("content-length", str(len(raw))), *headers]:
            self.connection.putheader(name, value.encode())
        self.connection.endheaders(raw)
        response = self.connection.getresponse()
        return response, json.loads(response.read())


def play_config(seed, args, upstream):
    """Mismatches of one configuration."""
    grammar = Grammar(seed)
    config = json.loads(json.dumps(grammar.config))
    for entry in config["model_list"]:
        entry["litellm_params"]["api_base"] = f"{upstream.url}/v1"
    lines, draws = [], 0
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        try:
            with Gateway(args.binary, "--config", str(file)) as gateway:
                player = Player(gateway.port)
                for number in range(args.requests):
                    path, headers, body = grammar.request()
                    if grammar.unsettled(body, headers, path):
                        continue
                    wanted = grammar.model.outcomes(body, headers, path)
                    seen, count = set(), 0
                    # Past the first few draws, only missing outcomes are a reason to go on.
                    while seen <= wanted and (count < 3 or seen != wanted) and count < DRAWS * len(wanted):
                        seen.add(player.draw(path, headers, body))
                        count += 1
                    draws += count + 1
                    explained = player.explained(headers, body, wanted)
                    if explained:
                        seen.add(explained)
                    if seen != wanted:
                        lines.append(f"MISMATCH --seed {seed} --configs 1, request {number} ({grammar.mode}): {path} "
                                     f"{headers} {json.dumps(body, ensure_ascii=False)}\n"
                                     f"    permitted {sorted(map(str, wanted))}\n    seen      {sorted(map(str, seen))}")
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RuntimeError) as problem:
            lines.append(f"MISMATCH --seed {seed} --configs 1 ({grammar.mode}): could not be played: {problem!r}")
    if lines and args.verbose:
        lines.append(yaml.safe_dump(grammar.config, sort_keys=False, allow_unicode=True))
    return lines, draws


def generated(args):
    """Plays all configurations; True when nothing disagrees."""
    started, wrong, draws = time.monotonic(), 0, 0
    with Upstream() as upstream, concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        seeds = range(args.seed, args.seed + args.configs)
        for lines, count in pool.map(lambda seed: play_config(seed, args, upstream), seeds):
            wrong, draws = wrong + len(lines), draws + count
            for line in lines:
                print(line, flush=True)
    print(f"generated: {args.configs} configurations, {draws} requests, {wrong} wrong "
          f"({time.monotonic() - started:.0f} s)")
    return not wrong


# ---- proving the model -------------------------------------------------
# Requests that fail at the provider, retry or fall back: not routing decisions.
NOT_ROUTING = {"general-fallbacks", "general-retries", "tags-fallbacks"}


def recorded(args):
    """Holds the model against the recordings; True when it agrees with all of them."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, args.oracle)
    import replay

    known = replay.load_known(os.path.join(args.oracle, "known-different.yaml"))
    agree = wrong = 0
    for case in replay.load_cases(os.path.join(args.oracle, "cases")):
        recording = pathlib.Path(args.oracle, "recorded", case.id + ".json")
        if case.id in NOT_ROUTING or not recording.exists():
            continue
        outcomes = json.loads(recording.read_text())["requests"]
        model = Model(case.parsed_config())
        for request in case.requests:
            if request["id"] not in outcomes or replay.known_reason(known, case.id, request["id"]):
                continue
            _, path, headers, body = replay.request_bytes(case, request)
            said = model.outcomes(json.loads(body), headers, path)
            told = {Served(o.get("id"), o["up"][-1][0]) if o.get("up") and o["status"] < 300 else Refused(o["status"])
                    for o in outcomes[request["id"]]}
            if path == "/messages":  # not a route at all
                said = {Refused(404)}
            if not replay.ids_count(case, outcomes[request["id"]]):
                said, told = ({getattr(o, "upstream", o) for o in side} for side in (said, told))
            agree += said == told
            wrong += said != told
            if said != told:
                print(f"MISMATCH {case.id}/{request['id']}: recorded {told}, the model says {said}")
    print(f"the model agrees with {agree} of {agree + wrong} recorded decisions")
    return agree and not wrong


def main():
    parser = argparse.ArgumentParser(description="the binary against an independent model")
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "tagrail"))
    parser.add_argument("--oracle", default=os.environ.get("TAGRAIL_ORACLE", str(ROOT.parent / "shared" / "oracle")))
    parser.add_argument("--recorded", action="store_true", help="hold the model against the recordings instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--configs", type=int, default=150)
    parser.add_argument("--requests", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-v", "--verbose", action="store_true", help="print the configuration of each mismatch")
    args = parser.parse_args()
    sys.exit(0 if (recorded if args.recorded else generated)(args) else 1)


if __name__ == "__main__":
    main()
