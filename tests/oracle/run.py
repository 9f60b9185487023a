#!/usr/bin/env python3
"""Holds the binary against the recorded cases of the oracle, in both routing modes.

    tests/oracle/run.py [--binary PATH] [--oracle DIR] [--mode litellm|tagrail] [--only GLOB] [--jobs N]
    tests/oracle/run.py --draft > tests/oracle/exceptions.yaml

A request agrees when it comes out as recorded. The exceptions are in `exceptions.yaml`: each names
the row of the decisions behind it and the outcomes expected instead, and fails when these do not
come. An exception whose outcomes are the recorded ones is stale and fails too. `--draft` writes
that file anew from the model; what it says has to be read before it is believed.

The cases and the player are the oracle's own (`replay.py`); this adds the exceptions.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import sys
import threading
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODES = {"litellm": "BOTH", "tagrail": "TAGRAIL"}
EXCEPTIONS = HERE / "exceptions.yaml"
# Anthropic Messages on an OpenAI deployment: 501 until the two are translated.
UNTRANSLATED = ("tags-endpoints/messages-on-openai", "wildcard-endpoints/messages-oa")


def oracle(folder):
    """The oracle's replay module."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    import replay

    return replay


# ---- exceptions --------------------------------------------------------
def load_exceptions(path):
    """{(mode, case, request): entry}"""
    found = {}
    for entry in yaml.safe_load(path.read_text()) or []:
        case, _, request = entry["id"].partition("/")
        for mode in entry["modes"]:
            if (mode, case, request) in found:
                raise SystemExit(f"{path}: {entry['id']} is listed twice for {mode}")
            found[mode, case, request] = entry
    return found


def as_recorded(expected, case, request):
    """Expected outcomes in the form of a recording."""
    keys = {}
    for place, entry in enumerate((case.parsed_config() or {}).get("model_list") or []):
        name = str((entry.get("model_info") or {}).get("id", f"#{place}"))
        keys[name] = entry["litellm_params"].get("api_key", "")
    streamed = isinstance(request.get("body"), dict) and request["body"].get("stream") is True
    anthropic = request.get("path", "").endswith("/messages")
    outcomes = []
    for item in expected:
        if "id" in item:
            outcome = {"status": 200, "id": item["id"], "up": [[item["upstream"], "", keys[item["id"]]]]}
            if streamed:
                outcome["stream"] = "done"
        else:
            outcome = {"status": item["status"], "error": {} if anthropic else {"code": str(item["status"])}}
        outcomes.append({**outcome, "n": 1})
    return outcomes


# ---- playing -----------------------------------------------------------
class Run:
    """All cases in one mode."""

    def __init__(self, replay, args, mode, exceptions):
        self.replay, self.args, self.mode, self.exceptions = replay, args, mode, exceptions
        self.count = collections.Counter()
        self.lock = threading.Lock()
        self.met = set()

    def say(self, line):
        with self.lock:
            print(line, flush=True)

    def case(self, case, recording):
        """Plays one case on a fresh gateway."""
        replay = self.replay
        upstream = replay.Upstream().start()
        gateway = None
        try:
            config = case.config_file(upstream.url, [("router_settings.routing_mode", self.mode)])
            command = f"{self.args.binary} --config {{config}} --port {{port}}"
            gateway = replay.Gateway(command, config, case.env, upstream.url)
            if not gateway.ready():
                self.count["differ"] += len(case.requests)
                self.say(f"MISMATCH {self.mode} {case.id}: did not start\n{gateway.log_tail()}")
                return
            player = replay.Player(case, gateway.port, upstream)
            for request in case.requests:
                if request["id"] in recording["requests"]:
                    self.request(player, case, request, recording["requests"][request["id"]])
            player.client.close()
        except Exception as problem:  # one broken case must not hide the others
            self.count["differ"] += 1
            self.say(f"MISMATCH {self.mode} {case.id}: could not be played: {problem!r}")
        finally:
            if gateway is not None:
                gateway.stop()
            upstream.stop()

    def request(self, player, case, request, recorded):
        """Plays one request often enough, and counts how it went."""
        replay, name = self.replay, f"{case.id}/{request['id']}"
        exception = self.exceptions.get((self.mode, case.id, request["id"]))
        ids = replay.ids_count(case, recorded)
        wanted = recorded
        if exception:
            self.met.add((self.mode, case.id, request["id"]))
            wanted = as_recorded(exception["expect"], case, request)
            if {replay.member(o, ids) for o in wanted} == {replay.member(o, ids) for o in recorded}:
                self.count["differ"] += 1
                self.say(f"STALE {self.mode} {name}: {exception['row']} expects what was recorded")
                return
        got = player.play(request, replay.wanted_draws(request, wanted, 0, ids)).as_list()
        if exception and exception["row"] == "dialect":
            # The case is about what is not translated yet: only the status is expected.
            hard = [] if {o["status"] for o in got} == {o["status"] for o in wanted} else ["another status"]
        else:
            hard, _ = replay.compare(request, wanted, got, ids)
        if not hard:
            self.count["exception" if exception else "agree"] += 1
            return
        self.count["differ"] += 1
        row = f" (instead of the recording, by {exception['row']})" if exception else ""
        lines = [f"MISMATCH {self.mode} {name}{row}: " + "; ".join(hard)]
        if self.args.verbose:
            lines += [f"    wanted {replay.short(o)}" for o in wanted]
            lines += [f"    got    {replay.short(o)} x{o['n']}" for o in got]
        self.say("\n".join(lines))


def play(replay, args, mode, exceptions, pairs):
    """True when everything in this mode came out as it should."""
    started = time.monotonic()
    run = Run(replay, args, mode, exceptions)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda pair: run.case(*pair), pairs))
    if not args.only:
        for _, case, request in sorted(k for k in exceptions if k[0] == mode and k not in run.met):
            run.count["differ"] += 1
            print(f"STALE {mode} {case}/{request}: no such recorded request")
    count = run.count
    print(f"oracle, {mode} mode: {count['agree']} agree with the recording, {count['exception']} are listed "
          f"exceptions and came out as listed, {count['differ']} wrong ({time.monotonic() - started:.0f} s)")
    return not count["differ"] and bool(count["agree"])


# ---- drafting ----------------------------------------------------------
def draft(replay, pairs):
    """Writes the exceptions that the model derives from the rows."""
    import model

    known = replay.load_known(os.path.join(replay.HERE, "known-different.yaml"))
    entries = []
    for case, recording in pairs:
        config = case.parsed_config()
        if not isinstance(config, dict):
            continue
        for request in case.requests:
            if request["id"] not in recording["requests"]:
                continue
            _, path, headers, body = replay.request_bytes(case, request)
            body = json.loads(body) if body else None
            listed = replay.known_reason(known, case.id, request["id"]) is not None

            def ask(rows, config=config, body=body, headers=headers, path=path):
                return model.Model(config, rows).outcomes(body, headers, path)

            name = f"{case.id}/{request['id']}"
            if name in UNTRANSLATED:
                entries += [(name, mode, "dialect", [{"status": 501}]) for mode in MODES]
                continue
            for mode, rows in MODES.items():
                rows = getattr(model, rows)
                full, plain = ask(rows), ask(frozenset())
                if full == plain and not listed:
                    continue
                cause = sorted((r for r in rows if ask({r}) != plain or ask(rows - {r}) != full), key=lambda r: int(r[1:]))
                if listed:
                    cause = ["D10" if case.id == "wildcard-no-match" else "D33"]
                entries.append((name, mode, "+".join(cause), shown(full)))
    print("# Recorded cases that come out otherwise, with the row of the decisions that says so and the")
    print("# outcomes expected instead. Drafted by `run.py --draft`, then read against the rows.")
    merged = {}
    for name, mode, row, expect in entries:
        merged.setdefault((name, row, json.dumps(expect)), []).append(mode)
    for (name, row, expect), modes in merged.items():
        print(f"- {{id: {name}, row: {row}, modes: [{', '.join(modes)}], expect: {expect}}}")


def shown(outcomes):
    """Outcomes as the file has them."""
    served = sorted((vars(o) for o in outcomes if hasattr(o, "id")), key=lambda o: o["id"])
    return served + sorted(({"status": o.status} for o in outcomes if not hasattr(o, "id")), key=lambda o: o["status"])


def main():
    parser = argparse.ArgumentParser(description="the recorded cases, in both modes")
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "tagrail"))
    parser.add_argument("--oracle", default=os.environ.get("TAGRAIL_ORACLE", str(ROOT.parent / "shared" / "oracle")))
    parser.add_argument("--mode", action="append", choices=sorted(MODES))
    parser.add_argument("--only", action="append", help="play only case ids that match this pattern")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--draft", action="store_true", help="print the exceptions that the model derives")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()

    replay = oracle(args.oracle)
    pairs = []
    for case in replay.load_cases(os.path.join(args.oracle, "cases"), args.only):
        recorded = os.path.join(args.oracle, "recorded", case.id + ".json")
        if os.path.exists(recorded):
            pairs.append((case, json.loads(pathlib.Path(recorded).read_text())))
    if args.draft:
        return draft(replay, pairs)
    exceptions = load_exceptions(EXCEPTIONS)
    results = [play(replay, args, mode, exceptions, pairs) for mode in args.mode or ["litellm", "tagrail"]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
