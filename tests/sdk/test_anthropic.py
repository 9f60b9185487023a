"""Anthropic deployments, called in OpenAI's dialect and in their own.

The provider checks every body that reaches it against the `anthropic` package's request types; the
`upstream` fixture fails the test when one does not fit.
"""

import json

import pytest

import anthropic
import openai
from upstream import Reply, message, message_events

SAY = [{"role": "user", "content": "Hello"}]
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "The weather of a place", "strict": True,
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"],
                   "additionalProperties": False}}}
CALLS = [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Łódź \"Ł\""}},
         {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"place": "Rome"}}]


def uses_tools(seen):
    """The provider calls two tools at once, after a word of text."""
    blocks = [{"type": "text", "text": "I will look."}, *CALLS]
    if seen.body.get("stream"):
        return Reply(events=message_events(seen.body, blocks, stop="tool_use"))
    return Reply(message(seen.body, blocks, stop="tool_use"))


def test_plain(client, upstream, told):
    raw = client.chat.completions.with_raw_response.create(
        model="anthropic/claude-3-5-haiku-20241022", max_tokens=20, temperature=0.5, stop=["END"],
        messages=[{"role": "system", "content": "Be brief."}, *SAY])
    reply = raw.parse()
    assert told(reply.choices[0].message.content) == {
        "model": "claude-3-5-haiku-20241022", "key": "wild-claude", "path": "/v1/messages"}
    assert (reply.object, reply.choices[0].finish_reason) == ("chat.completion", "stop")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (7, 5, 12)
    assert reply.model == "anthropic/claude-3-5-haiku-20241022"
    assert raw.headers["x-litellm-model-id"] == "wild-claude"
    sent = upstream.seen[-1]
    assert sent.headers["x-api-key"] == "wild-claude" and "authorization" not in sent.headers
    assert sent.headers["anthropic-version"]
    assert sent.body["max_tokens"] == 20 and sent.body["stop_sequences"] == ["END"]
    assert sent.body["temperature"] == 0.5
    system = sent.body["system"]
    assert "Be brief." in (system if isinstance(system, str) else system[0]["text"])
    assert [m["role"] for m in sent.body["messages"]] == ["user"]


def test_max_tokens_is_never_missing(client, upstream):
    client.chat.completions.create(model="claude", messages=SAY)
    assert upstream.seen[-1].body["max_tokens"] > 0
    client.chat.completions.create(model="claude", messages=SAY, max_completion_tokens=33)
    assert upstream.seen[-1].body["max_tokens"] == 33


def test_streamed(client, upstream, told):
    chunks = list(client.chat.completions.create(model="claude", messages=SAY, stream=True))
    assert told("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))["model"] == "claude-sonnet-4-5"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert {c.model for c in chunks} == {"claude"} and len({c.id for c in chunks}) == 1


def test_streamed_with_usage(client, upstream):
    chunks = list(client.chat.completions.create(
        model="claude", messages=SAY, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens == 12


async def test_async_streamed(aclient, upstream, told):
    stream = await aclient.chat.completions.create(model="claude", messages=SAY, stream=True)
    assert told("".join([c.choices[0].delta.content or "" async for c in stream if c.choices]))["key"] == "claude"


def test_images(client, upstream):
    picture = "data:image/png;base64,iVBORw0KGgo="
    client.chat.completions.create(model="claude", messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]}])
    blocks = upstream.seen[-1].body["messages"][0]["content"]
    assert [b["type"] for b in blocks] == ["text", "image", "image"]
    assert blocks[1]["source"] == {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert blocks[2]["source"] == {"type": "url", "url": "https://example.com/cat.png"}


def test_tools(client, upstream):
    upstream.answer = uses_tools
    reply = client.chat.completions.create(model="claude", messages=SAY, tools=[WEATHER], tool_choice="required")
    choice = reply.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I will look."
    assert [(c.id, c.type, c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls] == [
        (c["id"], "function", c["name"], c["input"]) for c in CALLS]
    sent = upstream.seen[-1].body
    assert sent["tool_choice"]["type"] == "any"
    assert sent["tools"][0]["name"] == "weather"
    assert sent["tools"][0]["input_schema"]["properties"] == {"place": {"type": "string"}}


@pytest.mark.parametrize("choice, wanted", [
    ("auto", {"type": "auto"}),
    ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
])
def test_tool_choice(client, upstream, choice, wanted):
    client.chat.completions.create(model="claude", messages=SAY, tools=[WEATHER], tool_choice=choice)
    sent = upstream.seen[-1].body["tool_choice"]
    assert {key: sent[key] for key in wanted} == wanted


def test_one_tool_at_a_time(client, upstream):
    client.chat.completions.create(model="claude", messages=SAY, tools=[WEATHER], parallel_tool_calls=False)
    assert upstream.seen[-1].body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_tool_results(client, upstream):
    calls = [{"id": c["id"], "type": "function",
              "function": {"name": c["name"], "arguments": json.dumps(c["input"])}} for c in CALLS]
    client.chat.completions.create(model="claude", tools=[WEATHER], messages=[
        *SAY,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": [{"type": "text", "text": "sun"}]},
        {"role": "user", "content": "And now?"}])
    messages = upstream.seen[-1].body["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == CALLS
    results = [b for b in messages[2]["content"] if b["type"] == "tool_result"]
    assert [b["tool_use_id"] for b in results] == ["toolu_1", "toolu_2"]
    assert "rain" in json.dumps(results[0]) and "sun" in json.dumps(results[1])
    assert messages[2]["content"][-1]["text"] == "And now?"


def test_streamed_tools(client, upstream):
    upstream.answer = uses_tools
    calls, finish = {}, None
    for chunk in client.chat.completions.create(model="claude", messages=SAY, tools=[WEATHER], stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": None, "name": None, "arguments": ""})
                call["id"] = part.id or call["id"]
                call["name"] = part.function.name or call["name"]
                call["arguments"] += part.function.arguments or ""
    assert finish == "tool_calls"
    assert [(c["id"], c["name"], json.loads(c["arguments"])) for _, c in sorted(calls.items())] == [
        (c["id"], c["name"], c["input"]) for c in CALLS]


def test_the_sdk_gathers_streamed_tools(client, upstream):
    upstream.answer = uses_tools
    with client.chat.completions.stream(model="claude", messages=SAY, tools=[WEATHER]) as stream:
        whole = stream.get_final_completion()
    assert [json.loads(c.function.arguments) for c in whole.choices[0].message.tool_calls] == [
        c["input"] for c in CALLS]


@pytest.mark.parametrize("stop, finish", [
    ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "content_filter")])
def test_stop_reasons(client, upstream, stop, finish):
    upstream.answer = lambda seen: Reply(message(seen.body, [{"type": "text", "text": "so"}], stop=stop))
    assert client.chat.completions.create(model="claude", messages=SAY).choices[0].finish_reason == finish


@pytest.mark.parametrize("status, kind, error", [
    (400, "invalid_request_error", openai.BadRequestError),
    (401, "authentication_error", openai.AuthenticationError),
    (429, "rate_limit_error", openai.RateLimitError),
    (529, "overloaded_error", openai.InternalServerError),
])
def test_errors_become_openai_errors(client, upstream, status, kind, error):
    body = {"type": "error", "error": {"type": kind, "message": "the provider says no"}}
    upstream.answer = lambda _: Reply(body, status=status)
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="claude", messages=SAY)
    assert caught.value.status_code == status and "the provider says no" in caught.value.message


# ---- in their own dialect ----------------------------------------------
def test_messages(claude, upstream, told):
    raw = claude.messages.with_raw_response.create(
        model="claude", max_tokens=16, messages=SAY, metadata={"user_id": "u-1"},
        extra_headers={"x-litellm-tags": "anything", "anthropic-beta": "some-beta-2025"})
    reply = raw.parse()
    assert told(reply.content[0].text)["model"] == "claude-sonnet-4-5"
    assert reply.model == "claude" and reply.stop_reason == "end_turn" and reply.usage.output_tokens == 5
    assert raw.headers["x-litellm-model-id"] == "claude"
    sent = upstream.seen[-1]
    assert sent.key == "claude" and sent.headers["anthropic-beta"] == "some-beta-2025"
    assert sent.body["metadata"] == {"user_id": "u-1"}


def test_messages_streamed(claude, upstream, told):
    with claude.messages.stream(model="anthropic/claude-opus-4-1", max_tokens=16, messages=SAY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert told(text)["model"] == "claude-opus-4-1"
    assert final.model == "anthropic/claude-opus-4-1" and final.usage.output_tokens == 5


def test_messages_with_tools(claude, upstream):
    upstream.answer = uses_tools
    tool = {"name": "weather", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}
    with claude.messages.stream(model="claude", max_tokens=16, messages=SAY, tools=[tool]) as stream:
        final = stream.get_final_message()
    assert [b.input for b in final.content if b.type == "tool_use"] == [c["input"] for c in CALLS]


def test_messages_errors_keep_their_shape(claude, upstream):
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "the provider says no"}}
    upstream.answer = lambda _: Reply(body, status=429, headers={"retry-after": "3"})
    with pytest.raises(anthropic.RateLimitError) as caught:
        claude.messages.create(model="claude", max_tokens=16, messages=SAY)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert caught.value.response.headers["retry-after"] == "3"
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(model="nobody", max_tokens=16, messages=SAY)
    assert caught.value.body["type"] == "error"


def test_messages_on_an_openai_deployment_is_not_there_yet(claude, upstream):
    with pytest.raises(anthropic.InternalServerError) as caught:
        claude.messages.create(model="gpt-4", max_tokens=16, messages=SAY)
    assert caught.value.status_code == 501
    assert upstream.seen == []
