"""What can be seen of a call, in a form that two Routers can be compared in.

An outcome is nested dicts and lists of plain values. Left out is what must differ from call to call: ids
made up on the spot, clocks, durations; of error texts, what LiteLLM appends to them (the group, retries and
the table of fallbacks), since row D13 leaves it out.
"""

from __future__ import annotations

import ast
import json
import re

# What LiteLLM appends to the text of an error.
APPENDED = re.compile(
    r"(\.? ?Received Model Group=| ?LiteLLM Retried:|\nDeployment Info|\. ?Handle with `|\nModel: |\nmodel="
    r"|\n Pass model as |No fallback model group found for ).*", re.DOTALL)
# What it puts before what a provider said: classes, once or twice, and whose exception it is.
LABELS = re.compile(r"^litellm\.\w+: .*?(\w+Exception)\b[^-]* - ", re.DOTALL)
# Of the facts about a reply: these must be equal, the others only present.
EQUAL = ("model_id", "api_base", "litellm_model_name", "custom_llm_provider", "response_cost")
PRESENT = ("litellm_call_id", "_response_ms", "litellm_overhead_time_ms", "headers", "additional_headers",
           "optional_params")
COUNTED = ("x-litellm-model-group", "x-litellm-attempted-retries", "x-litellm-attempted-fallbacks", "x-litellm-max-retries")
ATTRIBUTES = ("status_code", "model", "llm_provider", "num_retries", "max_retries", "code", "param", "type",
              "failed_deployment_id", "timeout")


def asked(seen):
    """One request, as the provider got it."""
    headers = {name: seen.headers.get(name) for name in ("authorization", "x-api-key", "anthropic-version", "content-type")}
    body = of_messages(seen.body) if seen.path.endswith("/messages") else dict(seen.body)
    if body.get("stream") is False:
        del body["stream"]
    return {"key": seen.key, "path": seen.path, "body": body, "headers": headers}


def of_messages(body):
    """Anthropic's request, of which some things may be written in two ways."""
    texts = lambda content: [{"type": "text", "text": content}] if isinstance(content, str) else content  # noqa: E731
    body = {**body, "messages": [{**one, "content": texts(one["content"])} for one in body["messages"]]}
    if "system" in body:
        body["system"] = texts(body["system"])
    if "tools" in body:
        body["tools"] = [{"type": "custom", **tool} for tool in body["tools"]]
    return body


def failed(error):
    """An exception."""
    bases = [base.__name__ for base in type(error).__mro__
             if base.__module__.startswith("openai") or base.__module__ == "builtins"]
    told = {"class": type(error).__name__, "_classes": [base.__name__ for base in type(error).__mro__], "bases": bases,
            "message": gist(str(error))}
    for name in ATTRIBUTES:
        value = getattr(error, name, None)
        told[name] = value if value is None or isinstance(value, (str, int, float)) else str(value)
    # It is told now with its provider, now without.
    told["model"] = told["model"] and told["model"].removeprefix(f"{told['llm_provider']}/")
    headers = getattr(error, "litellm_response_headers", None)
    told["headers"] = None if headers is None else sorted(headers)
    return told


def gist(text):
    """What an error says: whose exception it is and the provider's sentence, or the router's own."""
    text = APPENDED.sub("", text)
    label = LABELS.match(text)
    if label is not None:
        text = f"{label[1]}: {sentence(text[label.end():])}"
    return text.strip().rstrip(".")


def sentence(said):
    """The message of an error that is quoted as JSON, or as a client prints it."""
    quoted = said[said.find("{"):said.rfind("}") + 1]
    for read in (json.loads, ast.literal_eval):
        try:
            return read(quoted)["error"]["message"]
        except (ValueError, SyntaxError, KeyError, TypeError):
            pass
    return said


def replied(reply):
    """A whole reply."""
    dumped = dated(reply.model_dump())
    told = {"type": type(reply).__name__, "dump": dumped, "hidden": hidden(reply._hidden_params),
            "headers": getattr(reply, "_response_headers", None), "ms": number(getattr(reply, "_response_ms", None))}
    first = dumped.get("choices") or dumped.get("data")
    # Both ways to get at it, whatever the dump says.
    told["attribute"] = plain(getattr(reply, "choices", None) or getattr(reply, "data", None))
    told["item"] = plain((reply["choices"] if "choices" in dumped else reply["data"])[0]) if first else None
    told["get"] = [reply.get("object"), reply.get("nothing", "else"), "model" in reply, "nothing" in reply]
    told["usage"] = plain(reply.usage.total_tokens)
    return told


def chunk(part):
    """A part of a stream."""
    choices = part.choices
    delta = choices[0].delta if choices else None
    return {"type": type(part).__name__, "dump": dated(part.model_dump()),
            "content": delta.content if delta is not None else None,
            "item": part["choices"][0]["delta"].get("content") if choices else None,
            "finish": choices[0].finish_reason if choices else None}


def joined(chunks):
    """A stream as a whole. One that is translated from another dialect may be cut in other places."""
    told: dict = {"text": "".join(one["content"] or "" for one in chunks), "finish": None, "arguments": {}, "named": {}}
    for one in chunks:
        told["finish"] = one["finish"] or told["finish"]
        for choice in one["dump"]["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                place, function = call["index"], call["function"]
                told["named"].setdefault(place, function.get("name"))
                told["arguments"][place] = told["arguments"].get(place, "") + (function.get("arguments") or "")
    return told


def hidden(params):
    """`_hidden_params`, or what of it stays the same."""
    more = params.get("additional_headers") or {}
    told = {name: plain(params.get(name)) for name in EQUAL}
    told["there"] = [name for name in PRESENT if params.get(name) is not None]
    told["counted"] = {name: more.get(name) for name in COUNTED}
    told["passed on"] = {name: more[name] for name in sorted(more) if steady(name, more)}
    return told


def steady(name, headers):
    """Whether a header is the same for the same answer. A deployment's limits are counted down by every
    call, unless they are the provider's own."""
    counts = name.startswith("x-ratelimit-") and f"llm_provider-{name}" not in headers
    return name not in COUNTED and not counts and not name.endswith(("date", "content-length"))


def number(value):
    return "a number" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def dated(dump):
    """Without clocks and made-up ids."""
    if "created" in dump:
        dump["created"] = number(dump["created"])
    if isinstance(dump.get("id"), str) and not dump["id"].endswith("-1"):
        dump["id"] = "made up"
    return plain(dump)


def plain(value):
    """Plain values all the way down."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def differences(left, right, path=()):
    """Where two outcomes differ: (path, left, right)."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in [*left, *(name for name in right if name not in left)]:
            if name != "_classes":
                yield from differences(left.get(name, ABSENT), right.get(name, ABSENT), (*path, name))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for position, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(one, other, (*path, position))
    elif left != right or isinstance(left, bool) != isinstance(right, bool):
        yield (path, left, right)


class Absent:
    """Stands for a key that is not there."""

    def __repr__(self):
        return "(absent)"


ABSENT = Absent()
