"""Response objects: what they say of what the provider said, and how they come out again."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from tagrail.responses import (
    WHOLE,
    AnthropicMessagesResponse,
    ChatCompletionMessageToolCall,
    Choices,
    Delta,
    EmbeddingResponse,
    Function,
    Message,
    ModelResponse,
    ModelResponseStream,
    ResponsesAPIResponse,
    ResponsesAPIStreamEvent,
    StreamingChoices,
    TextCompletionResponse,
    Usage,
)

CHAT = {
    "id": "c1", "object": "chat.completion", "created": 5, "model": "up", "foo": {"a": 1}, "service_tier": None,
    "choices": [{
        "index": 0, "finish_reason": "tool_calls", "bar": 2,
        "logprobs": {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}], "refusal": None},
        "message": {
            "role": "assistant", "content": None, "refusal": None, "reasoning_content": "think", "quux": {"z": [1]},
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
    }],
    "usage": {
        "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "queue_time": 0.5,
        "prompt_tokens_details": {"cached_tokens": 3},
    },
}  # fmt: skip

FACTS = {
    "model_id": "dep", "model_group": "g", "model": "openai/up", "provider": "openai", "api_base": "http://u/v1",
    "call_id": "call", "cost": 0.25, "cost_parts": None, "usage": None, "retries": 0, "max_retries": 2, "fallbacks": 1,
    "headers": {"x-request-id": "r", "x-ratelimit-remaining-requests": "3"}, "response_ms": 12.5, "overhead_ms": 0.5,
}  # fmt: skip


class Reply:
    """What the compiled part hands over, and how often it was asked."""

    streams = False

    def __init__(self, data=CHAT, **facts):
        self.raw, self.told, self.parsed, self.asked = json.dumps(data), {**FACTS, **facts}, 0, 0

    def data(self):
        self.parsed += 1
        return json.loads(self.raw)

    def facts(self):
        self.asked += 1
        return dict(self.told)


def answer(data=CHAT, kind=ModelResponse, **facts):
    return kind._of(Reply(data, **facts))


def minimal(**message):
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


# ---- reading -----------------------------------------------------------
def test_attributes_and_items_are_the_same():
    r = answer()
    call = r.choices[0].message.tool_calls[0]
    assert isinstance(call, ChatCompletionMessageToolCall) and isinstance(call.function, Function)
    assert call.function.name == r["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "f"
    assert r.choices is r["choices"] and r.choices[0].message is r.choices[0].message
    assert r.usage.prompt_tokens_details.cached_tokens == r["usage"]["prompt_tokens_details"]["cached_tokens"] == 3
    assert r.choices[0].logprobs.content[0].token == "a"


def test_nothing_is_parsed_or_asked_before_somebody_reads():
    reply = Reply()
    r = ModelResponse._of(reply)
    assert (reply.parsed, reply.asked) == (0, 0)
    assert r.model == "up" and r.id == "c1"
    assert r._hidden_params["model_id"] == "dep" and r._response_headers["x-request-id"] == "r"
    assert (reply.parsed, reply.asked) == (1, 1)


def test_documented_fields_read_as_none_and_unknown_ones_raise():
    r = answer(minimal(content="x"))
    message = r.choices[0].message
    for name in ("tool_calls", "function_call", "refusal", "audio", "annotations"):
        assert getattr(message, name) is None
    for record, name in [(r, "usage"), (r, "service_tier"), (r, "system_fingerprint"), (r.choices[0], "logprobs")]:
        assert getattr(record, name) is None
    # LiteLLM's own extensions are there or are not, and programs ask with hasattr.
    for name in ("reasoning_content", "thinking_blocks", "images", "nonsense"):
        assert not hasattr(message, name) and name not in message
        with pytest.raises(AttributeError, match=f"'Message' object has no attribute '{name}'"):
            message[name]
    assert message.get("nonsense", 4) == 4 and message.get("content") == "x"
    assert "content" in message and "tool_calls" in message and "get" not in message


def test_fields_of_the_providers_own_are_readable():
    r = answer()
    message = r.choices[0].message
    assert r.foo == {"a": 1} and r.choices[0].bar == 2 and r.usage.queue_time == 0.5
    assert message.reasoning_content == "think" and message.quux == {"z": [1]}
    assert message.provider_specific_fields == {"refusal": None, "quux": {"z": [1]}}
    assert r.choices[0].provider_specific_fields == {"bar": 2}
    assert answer(minimal(content="x")).choices[0].message.provider_specific_fields is None


def test_a_field_named_like_a_method_does_not_replace_it():
    r = answer({**CHAT, "model_dump": 1, "_hidden_params": {"model_id": "forged"}})
    assert r["model_dump"] == 1 and r.model_dump()["model_dump"] == 1
    assert r._hidden_params["model_id"] == "dep"


def test_a_choice_without_its_object_has_an_empty_one():
    r = answer({"choices": [{"index": 0, "finish_reason": "stop"}]})
    assert r.choices[0].message.content is None and r.choices[0].message.role == "assistant"
    chunk = ModelResponseStream._of_chunk({"choices": [{"index": 0, "delta": None}]}, {})
    assert chunk.choices[0].delta.content is None and chunk.choices[0].delta.role is None


# ---- getting it out ----------------------------------------------------
def test_dump_has_litellms_shape():
    dump = answer(minimal(content="x")).model_dump()
    assert list(dump) == [
        "id", "created", "model", "object", "system_fingerprint", "choices", "moderation", "service_tier"
    ]  # fmt: skip
    assert dump["choices"] == [{
        "finish_reason": "stop", "index": 0,
        "message": {"content": "x", "role": "assistant", "tool_calls": None, "function_call": None},
    }]  # fmt: skip
    assert answer().model_dump()["usage"] == {
        "completion_tokens": 5, "prompt_tokens": 7, "total_tokens": 12, "completion_tokens_details": None,
        "prompt_tokens_details": {"cached_tokens": 3}, "queue_time": 0.5,
    }  # fmt: skip


def test_dump_of_what_was_said_is_what_was_said():
    assert answer().model_dump(exclude_unset=True) == CHAT
    r = answer()
    assert r.choices[0].message.tool_calls[0].function.name == "f"
    assert r.model_dump(exclude_unset=True) == CHAT, "reading changes nothing"


def test_dumps_can_be_narrowed_as_pydantics():
    r = answer()
    assert r.model_dump(include={"id"}) == {"id": "c1"}
    assert r.model_dump(include={"choices": {0: {"message": {"content"}}}}) == {"choices": [{"message": {"content": None}}]}
    assert r.model_dump(include={"choices": {"__all__": {"index"}}}) == {"choices": [{"index": 0}]}
    assert "choices" not in r.model_dump(exclude={"choices"})
    assert "message" not in r.model_dump(exclude={"choices": {"__all__": {"message"}}})["choices"][0]
    none = r.model_dump(exclude_none=True)
    assert "service_tier" not in none and "content" not in none["choices"][0]["message"]
    assert none["choices"][0]["message"]["quux"] == {"z": [1]}
    assert "object" not in r.model_dump(exclude_defaults=True)


def test_dump_shares_nothing_with_the_answer():
    r = answer()
    dump = r.model_dump()
    dump["foo"]["a"] = 9
    dump["choices"][0]["message"]["quux"]["z"].append(2)
    assert r.foo == {"a": 1} and r.choices[0].message.quux == {"z": [1]}


def test_other_ways_out():
    r = answer()
    assert r.json() == r.dict() == r.to_dict() == r.model_dump()
    assert json.loads(r.model_dump_json()) == json.loads(r.to_json()) == r.model_dump()
    assert json.loads(r.usage.json()) == r.usage.model_dump()
    assert dict(r)["choices"] is r.choices and dict(r.usage)["total_tokens"] == 12
    assert "umlaut ä" in answer(minimal(content="umlaut ä")).model_dump_json()
    assert repr(r.choices[0].message.tool_calls[0].function) == """Function(arguments='{"a":1}', name='f')"""


def test_messages_can_be_sent_back():
    """What a program appends to its conversation holds nothing that a provider would refuse."""
    assert answer(minimal(content="x")).choices[0].message.model_dump(exclude_none=True) == {
        "content": "x", "role": "assistant"
    }  # fmt: skip


# ---- changing and copying ----------------------------------------------
def test_fields_can_be_set_and_deleted():
    r = answer()
    r.choices[0].message.content = "new"
    r["model"] = "other"
    r.own = 1
    assert r["choices"][0]["message"]["content"] == "new" and r.model == "other" and r.model_dump()["own"] == 1
    del r.own
    del r["model"]
    assert not hasattr(r, "own") and r.model is None
    with pytest.raises(AttributeError):
        del r.own
    r.choices[0].message.tool_calls = [{"id": "x", "function": {"name": "g", "arguments": ""}}]
    assert r.choices[0].message.tool_calls[0].function.name == "g"


def test_what_is_put_into_a_list_is_found_there():
    r = answer()
    r.choices.append({"index": 1, "message": {"content": "second"}})
    assert r.choices[1].message.content == "second"


@pytest.mark.parametrize("read_before", [False, True])
def test_copies_and_pickles(read_before):
    r = answer()
    if read_before:
        assert r.choices[0].message.tool_calls[0].id == "t1"
    for other in (copy.copy(r), copy.deepcopy(r), pickle.loads(pickle.dumps(r)), r.model_copy(), r.model_copy(deep=True)):
        assert other == r and other is not r
        assert other._hidden_params == r._hidden_params and other._response_headers == r._response_headers
        other.model = "changed"
        assert r.model == "up" and other != r
    deep = r.model_copy(update={"id": "c2"}, deep=True)
    deep.choices[0].message.content = "changed"
    assert deep.id == "c2" and r.choices[0].message.content is None


def test_equality_is_of_kind_and_content():
    assert answer() == answer() and answer().choices[0].message == answer().choices[0].message
    assert answer(minimal(content="x")) == answer(minimal(content="x", tool_calls=None))
    assert answer() != answer().model_dump() and Message("x") != Delta("x")
    with pytest.raises(TypeError):
        hash(answer())


# ---- made by programs --------------------------------------------------
def test_construction_by_keyword():
    made = ModelResponse(
        model="m",
        choices=[{"message": {"content": "x", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}],
        usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    )
    assert made.id.startswith("chatcmpl-") and made.created > 1_700_000_000 and made.object == "chat.completion"
    choice = made.choices[0]
    assert (choice.finish_reason, choice.index, choice.message.content) == ("stop", 0, "x")
    assert choice.message.tool_calls[0].function.arguments == '{"a": 1}' and choice.message.tool_calls[0].id
    assert made.usage.total_tokens == 3 and made._hidden_params == {} and made._response_headers is None
    assert ModelResponse(choices=[Choices(message=Message("x"))]).choices[0].message.content == "x"
    assert ModelResponse().choices[0].message.content is None
    assert ModelResponse(hidden_params={"a": 1})._hidden_params == {"a": 1}


def test_the_other_kinds_by_keyword():
    chunk = ModelResponseStream(choices=[StreamingChoices(delta={"content": "x"})])
    assert chunk.choices[0].delta.content == "x" and chunk.object == "chat.completion.chunk"
    assert ModelResponse(stream=True).object == "chat.completion.chunk"
    assert Usage(prompt_tokens=1, prompt_tokens_details={"cached_tokens": 1}).prompt_tokens_details.cached_tokens == 1
    assert Usage(reasoning_tokens=4).completion_tokens_details.reasoning_tokens == 4
    assert EmbeddingResponse(data=[{"embedding": [1.0], "index": 0}]).data[0]["embedding"] == [1.0]
    assert TextCompletionResponse(choices=[{"text": "x"}]).choices[0].text == "x"


def test_validation_of_dicts():
    made = ModelResponse.model_validate({"id": "1", "choices": [{"message": {"content": "x"}}]})
    assert made.id == "1" and made.choices[0].message.content == "x"
    assert ModelResponse.model_validate(made) is made
    assert ModelResponse.model_validate_json(made.model_dump_json()).choices == made.choices
    with pytest.raises(TypeError):
        ModelResponse.model_validate(3)


def test_in_a_programs_own_pydantic_models():
    pydantic = pytest.importorskip("pydantic")

    class Kept(pydantic.BaseModel):
        answer: ModelResponse

    kept = Kept(answer={"id": "1", "choices": [{"message": {"content": "x"}}]})
    assert kept.answer.choices[0].message.content == "x" and Kept(answer=answer()).answer == answer()
    assert kept.model_dump()["answer"] == kept.answer.model_dump()
    assert Kept.model_validate_json(kept.model_dump_json()) == kept and Kept.model_json_schema()


# ---- what is known of the call -------------------------------------------
def test_hidden_params():
    r = answer()
    hidden = r._hidden_params
    assert r._hidden_params is hidden and r._response_ms == 12.5
    additional = hidden.pop("additional_headers")
    assert hidden == {
        "custom_llm_provider": "openai", "model_id": "dep", "api_base": "http://u/v1", "response_cost": 0.25,
        "litellm_model_name": "openai/up", "litellm_call_id": "call", "_response_ms": 12.5,
        "litellm_overhead_time_ms": 0.5, "headers": FACTS["headers"], "optional_params": {},
    }  # fmt: skip
    assert additional == {
        "llm_provider-x-request-id": "r", "llm_provider-x-ratelimit-remaining-requests": "3",
        "x-ratelimit-remaining-requests": "3", "x-litellm-model-group": "g", "x-litellm-attempted-retries": 0,
        "x-litellm-attempted-fallbacks": 1,
    }  # fmt: skip
    retried = answer(retries=1)._hidden_params["additional_headers"]
    assert (retried["x-litellm-attempted-retries"], retried["x-litellm-max-retries"]) == (1, 2)


# ---- the other operations ------------------------------------------------
def test_embeddings():
    data = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3}}  # fmt: skip
    r = answer(data, WHOLE["embeddings"])
    assert isinstance(r.data[0], dict) and r.data[0]["embedding"] == r.data[0].embedding == [0.5, 1]
    assert r.usage.prompt_tokens == 3 and r.usage.completion_tokens == 0
    assert json.dumps(r.data) and type(r.model_dump()["data"][0]) is dict
    assert r.model_dump(exclude_unset=True) == data


def test_text_completions():
    data = {"id": "t", "choices": [{"index": 0, "text": "x", "logprobs": {"tokens": ["x"]}, "finish_reason": "stop"}]}
    r = answer(data, WHOLE["completions"])
    assert r.choices[0].text == "x" and r.choices[0].logprobs.tokens == ["x"] and r.object == "text_completion"


def test_responses():
    data = {"id": "r", "object": "response", "metadata": {"k": "v"}, "output": [
        {"type": "reasoning", "id": "1", "summary": []},
        {"type": "message", "id": "2", "content": [{"type": "output_text", "text": "he", "annotations": []},
                                                    {"type": "output_text", "text": "y", "annotations": []}]},
    ], "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}}
    r = answer(data, WHOLE["responses"])
    assert isinstance(r, ResponsesAPIResponse)
    assert r.output_text == "hey" and r.output[1].content[0].text == r["output"][1]["content"][0]["text"] == "he"
    assert type(r.tools[0].parameters) is dict and type(r.metadata) is dict
    assert r.usage.input_tokens_details.cached_tokens == 1 and r.temperature is None
    assert r.output[0].status is None and not hasattr(r.output[0], "nonsense")
    assert r.model_dump(exclude_unset=True) == data
    event = ResponsesAPIStreamEvent._of_chunk({"type": "response.completed", "response": data}, {})
    assert event.type == "response.completed" and event.response.output_text == "hey"


def test_messages_are_dicts():
    data = {"id": "m", "type": "message", "content": [{"type": "text", "text": "x"}], "usage": {"input_tokens": 1}}
    r = answer(data, WHOLE["messages"])
    assert isinstance(r, dict) and isinstance(r, AnthropicMessagesResponse) and r == data
    assert r["content"][0]["text"] == r.content[0].text == "x" and r.usage.input_tokens == 1
    assert r._hidden_params["model_id"] == r["_hidden_params"]["model_id"] == "dep"
    assert "_hidden_params" not in r and json.loads(json.dumps(r)) == data == r.model_dump()
    other = pickle.loads(pickle.dumps(r))
    assert other == r and other._hidden_params == r._hidden_params
    with pytest.raises(AttributeError):
        r.nonsense
    with pytest.raises(KeyError):
        r["nonsense"]
