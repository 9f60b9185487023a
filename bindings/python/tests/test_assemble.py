"""A whole answer of a stream's chunks."""

from __future__ import annotations

from tagrail.responses import ModelResponse, ModelResponseStream, TextCompletionResponse, stream_chunk_builder


def chunk(delta=None, finish=None, index=0, **more):
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    data = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "up", "choices": choices, **more}
    return ModelResponseStream._of_chunk(data, {"model_id": "dep"})


def test_chunks_become_an_answer():
    whole = stream_chunk_builder([
        chunk({"role": "assistant", "content": None,
               "tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "t2", "type": "function", "function": {"name": "h", "arguments": "{}"}}]}),
        chunk({"reasoning_content": "th"}), chunk({"reasoning_content": "ink"}),
        chunk({"content": "other"}, index=1), chunk({"content": "he"}), chunk({"content": "y"}),
        chunk({}, "tool_calls"), chunk({}, "length", index=1),
        chunk(usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}),
    ])  # fmt: skip
    assert isinstance(whole, ModelResponse)
    first, second = whole.choices
    assert (first.message.content, first.message.reasoning_content, first.finish_reason) == ("hey", "think", "tool_calls")
    assert [(c.id, c.function.name, c.function.arguments) for c in first.message.tool_calls] == [
        ("t1", "f", '{"a":1}'), ("t2", "h", "{}")
    ]  # fmt: skip
    assert (second.index, second.message.content, second.finish_reason) == (1, "other", "length")
    assert whole.usage.total_tokens == 12 and whole._hidden_params == {"model_id": "dep"}
    assert (whole.id, whole.created, whole.model, whole.object) == ("c1", 5, "up", "chat.completion")


def test_chunks_that_say_no_usage_get_none():
    whole = stream_chunk_builder([chunk({"content": "x"}, "stop")], messages=[])
    assert whole.usage is None and stream_chunk_builder([]) is None


def test_chunks_of_texts():
    parts = [{"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}
             for text, finish in [("he", None), ("y", "stop")]]  # fmt: skip
    whole = stream_chunk_builder([TextCompletionResponse._of_chunk(part, {}) for part in parts])
    assert isinstance(whole, TextCompletionResponse)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("hey", "stop")
