"""Reads the routing crate's `decisions/*.case`, and makes of each what a program would write.

The form is described at the head of `crates/routing/tests/decisions.rs`. A `Case` becomes the arguments of a
`Router`, its callers become `Caller`s, and a `Request` the keywords of a call.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "crates" / "routing" / "tests" / "decisions"
MODES = ("tagrail", "litellm")
# Nothing is sent; a mistake in the port would be noticed.
NOWHERE = "http://127.0.0.1:9/v1"
# A weight for which a deployment is left out.
MISTAKE = "heavy"


@dataclasses.dataclass
class Expected:
    """Who may answer, or why nobody does."""

    ids: dict[str, str | None] = dataclasses.field(default_factory=dict)
    """With the upstream model, where the case tells it."""
    status: int | None = None
    message: str = ""

    @classmethod
    def read(cls, text: str) -> Expected:
        first, _, rest = text.strip().partition(" ")
        if first.isdigit() and 400 <= int(first) < 600:
            return cls(status=int(first), message=rest.strip())
        pairs = (word.partition("=") for word in text.split())
        return cls(ids={id: model if equals else None for id, equals, model in pairs})


@dataclasses.dataclass
class Request:
    """One line with an arrow."""

    line: str
    model: str
    tags: list[str]
    expected: dict[str, Expected]
    agent: str | None = None
    cooling: list[str] = dataclasses.field(default_factory=list)
    caller: str | None = None
    forced: bool = False
    reasons: list[tuple[str | None, str]] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, line: str) -> Request:
        question, _, answer = (half.strip() for half in line.partition("=>"))
        tags: list[str] = []
        if " [" in question:
            before, _, rest = question.partition(" [")
            within, _, after = rest.rpartition("]")
            question, tags = f"{before} {after}", _list(within)
        name, *words = question.split()
        parts = answer.removeprefix("tagrail ").split("| litellm ") if answer.startswith("tagrail ") else [answer]
        expected = {mode: Expected.read(part) for mode, part in zip(MODES, parts * (3 - len(parts)), strict=True)}
        request = cls(line, name.replace("\\n", "\n"), tags, expected)
        for word in words:
            key, _, value = word.partition("=")
            match key:
                case "agent":
                    request.agent = value
                case "cooling":
                    request.cooling = _list(value)
                case "as":
                    request.caller = value
                case "forced":
                    request.forced = True
                case "chosen":
                    pass  # No call of a program is an operator's fallback; see `SAID_OTHERWISE`.
                case _:
                    raise ValueError(f"cannot read {word!r} in {line!r}")
        return request

    def reasons_in(self, mode: str) -> list[str]:
        return [reason for only, reason in self.reasons if only in (None, mode)]

    def keywords(self) -> dict[str, Any]:
        """Of a call, but for its model, messages and caller."""
        own = [tag for tag in self.tags if not tag.startswith("team:")]
        metadata: dict[str, Any] = {"tags": own} if own else {}
        if self.agent is not None:
            metadata["user_agent"] = self.agent
        keywords: dict[str, Any] = {"metadata": metadata} if metadata else {}
        if self.forced:
            keywords["enable_tag_filtering"] = True
        return keywords

    def team_tags(self) -> list[str]:
        return [tag.removeprefix("team:") for tag in self.tags if tag.startswith("team:")]


@dataclasses.dataclass
class Case:
    """One file."""

    name: str
    model_list: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    settings: dict[str, Any] = dataclasses.field(default_factory=lambda: {"tag_grants": True})
    callers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    reserved_known: bool = True
    requests: list[Request] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, path: pathlib.Path) -> Case:
        case = cls(path.stem)
        for raw in path.read_text(encoding="utf-8").splitlines():
            line = raw.partition(" #")[0].strip()
            if line and not line.startswith("# ") and line != "#":
                case._take(line)
        return case

    def _take(self, line: str) -> None:
        first, _, rest = (part.strip() for part in line.partition(" "))
        if first == "|":
            mode, _, reason = rest.partition(" ")
            self.requests[-1].reasons.append((mode, reason.strip()) if mode in MODES else (None, rest))
        elif "=>" in line:
            self.requests.append(Request.read(line))
        elif line == "filtering":
            self.settings["enable_tag_filtering"] = True
        elif line == "match all":
            self.settings["tag_filtering_match_any"] = False
        elif line == "grants off":
            self.settings["tag_grants"] = False
        elif line == "reserved unknown":
            self.reserved_known = False
        elif first == "reserved":
            self.settings["reserved_tags"] = _list(rest)
        elif first == "prefix":
            self.settings["tag_routing_prefix"] = rest
        elif first == "guess":
            pass  # The price table says it, or the request is among those that are left out.
        elif first == "alias":
            name, _, target = (half.strip() for half in rest.partition(" = "))
            self.settings.setdefault("model_group_alias", {})[name] = target
        elif first == "caller":
            name, _, held = rest.partition(" ")
            self.callers[name] = _caller(held)
        elif first == "left-out":
            self.model_list.append(_left_out(rest, len(self.model_list)))
        elif first.endswith(":"):
            self.model_list.append(_deployment(first[:-1], rest))
        else:
            raise ValueError(f"{self.name}: cannot read {line!r}")

    @property
    def prefers(self) -> bool:
        """Whether not all that are permitted are equals."""
        return any({"order", "weight", "rpm"} & it["litellm_params"].keys() for it in self.model_list)

    def arguments(self, mode: str) -> dict[str, Any]:
        """Of a `Router` in that mode."""
        return {
            "model_list": self.model_list,
            "routing_mode": mode,
            "ignore_invalid_deployments": any(it["litellm_params"].get("weight") == MISTAKE for it in self.model_list),
            **self.settings,
        }


def every() -> list[Case]:
    return [Case.read(path) for path in sorted(FOLDER.glob("*.case"))]


def _deployment(id: str, rest: str) -> dict[str, Any]:
    params: dict[str, Any] = {"model": f"openai/{id}", "api_key": "key", "api_base": NOWHERE}
    info: dict[str, Any] = {"id": id}
    made = {"model_name": "", "litellm_params": params, "model_info": info}
    for word in rest.split():
        key, _, value = word.partition("=")
        match key:
            case "group":
                made["model_name"] = value
            case "upstream":
                params["model"] = value
                # Of some providers no call can be made yet. How they are called is not what the cases are about.
                if value.partition("/")[0] not in ("*", "openai", "anthropic"):
                    params["custom_llm_provider"] = "openai"
            case "tags":
                params["tags"] = _list(value)
            case "regex":
                params.setdefault("tag_regex", []).append(value)
            case "order":
                params["order"] = int(value)
            case "weight" | "rpm":
                params[key] = float(value)
            case "filtering":
                info["enable_tag_filtering"] = value == "on"
            case "fail-open":
                info["allow_fail_open"] = True
            case "blocked":
                info["blocked"] = True
            case "access":
                info["access_groups"] = _list(value)
            case _:
                raise ValueError(f"cannot read {word!r} of {id}")
    return made


def _left_out(rest: str, place: int) -> dict[str, Any]:
    """With a mistake for which it is left out."""
    made = _deployment(f"left-out-{place}", rest)
    made["litellm_params"]["weight"] = MISTAKE
    return made


def _caller(rest: str) -> dict[str, Any]:
    """Keywords of a `Caller`."""
    held: dict[str, Any] = {}
    for word in rest.split():
        key, _, value = word.partition("=")
        if key == "alias":
            name, _, target = value.partition(":")
            # The harness of the crate lets teams' lists admit this one name, as they do their own aliases.
            whose = "team_aliases" if name == "team-alias" else "key_aliases"
            held.setdefault(whose, {})[name] = target
        else:
            field = {"tags": "team_tags", "key": "key_models", "team": "team_models"}[key]
            held[field] = held.get(field, []) + _list(value)
    return held


def _list(text: str) -> list[str]:
    text = text.strip()
    return [item.strip() for item in text.split(",")] if text else []
