"""What the provider of both Routers answers: by the last thing that the user says, and by the key.

Both Routers talk to one server, and an answer depends on nothing but the request, so that the same request
has the same answer.
"""

from __future__ import annotations

import json

from upstream import HangUp, Reply, answers

CALLS = [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "ñ"}'}}]
DETAILS = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
           "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
           "completion_tokens_details": {"reasoning_tokens": 2}}
LIMITS = {"x-ratelimit-limit-requests": "1000", "x-ratelimit-remaining-requests": "999", "x-request-id": "req_1"}
# Kinds of failure that are no bare status: (status, message, fields of the error).
TOLD = {
    "context": (400, "This model's maximum context length is 4 tokens. However, you asked for more.",
                {"type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}),
    "policy": (400, "Your request was rejected as a result of our safety system.",
               {"type": "invalid_request_error", "param": None, "code": "content_policy_violation"}),
}


def answering(troubles):
    """The provider's answers, where keys fail as `troubles` says."""

    def answer(seen):
        trouble = troubles.get(seen.key)
        if trouble is not None:
            return failure(seen, trouble)
        return spoken(seen)

    return answer


def failure(seen, trouble):
    """The answer of a provider that fails."""
    if trouble == "hangup":
        raise HangUp
    status, message, fields = TOLD.get(trouble) or (int(trouble), f"no, {trouble}", {"type": "test_error"})
    error = {"message": message, **fields}
    if seen.path.endswith("/messages"):
        return Reply({"type": "error", "error": error}, status=status)
    return Reply({"error": {"param": None, "code": None, **error}}, status=status)


def last_words(body):
    """What the user says last."""
    content = body["messages"][-1]["content"] if body.get("messages") else body.get("prompt")
    if isinstance(content, list):
        content = "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    return content


def spoken(seen):
    """The answer of one that works; None for the usual one."""
    body = seen.body if isinstance(seen.body, dict) else {}
    says, streams = last_words(body), body.get("stream") is True
    told = json.dumps({"model": body.get("model"), "key": seen.key, "path": seen.path})
    if seen.path.endswith("/messages"):
        return of_messages(body, says, told, streams)
    if not seen.path.endswith("/chat/completions"):
        return None
    if streams:
        return Reply(events=events(body, says, told), headers=LIMITS if says == "limits" else {})
    return whole(body, says, told)


def whole(body, says, told):
    """A chat.completion."""
    reply, headers = answers.chat(body, told), {}
    choice = reply["choices"][0]
    if says == "tools":
        reply = answers.chat(body, None, tool_calls=CALLS)
    elif says == "long":
        choice["message"]["content"] = told + "ñ 🦊 \n" * 40
    elif says == "length":
        choice["finish_reason"] = "length"
    elif says == "two":
        reply["choices"].append({"index": 1, "message": {"role": "assistant", "content": "second"}, "finish_reason": "stop"})
    elif says == "details":
        reply |= {"usage": DETAILS, "system_fingerprint": "fp_1", "service_tier": "default"}
        choice |= {"logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}}
    elif says == "reasoning":
        choice["message"]["reasoning_content"] = "because"
    elif says == "null":
        choice["message"] |= {"refusal": None, "annotations": []}
    elif says == "limits":
        headers = LIMITS
    if body["model"].startswith("qwen-"):
        reply["service_tier"] = "auto"  # Groq always says something here, and LiteLLM relies on it
    return Reply(reply, headers=headers)


def events(body, says, told):
    """The same as a stream."""
    pieces = [told[:9], told[9:]]
    if says == "long":
        pieces += ["ñ 🦊 \n"] * 12
    made = answers.chat_events(body, pieces)
    if says == "tools":
        arguments = CALLS[0]["function"]["arguments"]
        opening = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
        deltas = [opening, *({"index": 0, "function": {"arguments": part}} for part in (arguments[:4], arguments[4:]))]
        first = answers.chat_events(body, [])[0]
        parts = [chunk(body, {"tool_calls": [delta]}) for delta in deltas]
        made = [first, *parts, chunk(body, {}, "tool_calls"), *made[len(pieces) + 2:]]
    elif says == "length":
        made[len(pieces) + 1] = chunk(body, {}, "length")
    elif says == "reasoning":
        made.insert(1, chunk(body, {"reasoning_content": "because"}))
    elif says == "details":
        made = [event.replace('"created"', '"system_fingerprint": "fp_1", "created"', 1) for event in made]
    return made


def chunk(body, delta, finish=None):
    """One event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return answers.data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                         "model": body.get("model"), "choices": [choice]})


def of_messages(body, says, told, streams):
    """Anthropic's."""
    blocks, stop = [{"type": "text", "text": told}], "end_turn"
    if says == "tools":
        blocks, stop = [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "ñ"}}], "tool_use"
    elif says == "length":
        stop = "max_tokens"
    if streams:
        return Reply(events=answers.message_events(body, blocks, stop))
    return Reply(answers.message(body, blocks, stop))
