"""A whole answer of the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .chat import Choices, Message, ModelResponse
from .record import Document, Record
from .text import TextChoices, TextCompletionResponse
from .usage import Usage

# Fields of a delta that are texts and come in pieces.
_TEXTS = ("content", "reasoning_content", "refusal")
# And those that are lists.
_LISTS = ("annotations", "images", "thinking_blocks")


def stream_chunk_builder(
    chunks: Sequence[Any], messages: Sequence[Any] | None = None, **_: Any
) -> ModelResponse | TextCompletionResponse | None:
    """The answer that the chunks are pieces of; None of no chunks.

    `usage` is what the stream said: nothing is counted here, so without `stream_options={"include_usage": True}`
    there may be none. `messages` is taken because LiteLLM takes it.
    """
    said = [chunk._data if isinstance(chunk, Record) else chunk for chunk in chunks]
    if not said:
        return None
    text = any(chunk.get("object") == "text_completion" for chunk in said)
    fields: Document = {"id": said[0].get("id"), "created": said[0].get("created"), "model": None}
    for chunk in said:
        for name in ("model", "system_fingerprint", "service_tier"):
            if chunk.get(name) is not None:
                fields[name] = chunk[name]
        if chunk.get("usage") is not None:
            fields["usage"] = Usage._wrap(dict(_plain(chunk["usage"])))
    fields = {name: value for name, value in fields.items() if value is not None or name == "model"}
    parts: dict[int, list[Any]] = {}
    for chunk in said:
        for choice in map(_plain, chunk.get("choices") or ()):
            parts.setdefault(choice.get("index") or 0, []).append(choice)
    made: ModelResponse | TextCompletionResponse
    if text:
        choices: list[Any] = [_text(place, parts[place]) for place in sorted(parts)]
        made = TextCompletionResponse._wrap({**fields, "object": "text_completion", "choices": choices})
    else:
        choices = [_choice(place, parts[place]) for place in sorted(parts)]
        made = ModelResponse._wrap({**fields, "object": "chat.completion", "choices": choices})
    made._hidden_params = dict(getattr(chunks[-1], "_hidden_params", None) or {})
    return made


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, Record) else value


def _last(parts: Iterable[Mapping[str, Any]], name: str) -> Any:
    """What was said last of a field that comes once."""
    value = None
    for part in parts:
        if part.get(name) is not None:
            value = part[name]
    return value


def _choice(place: int, parts: Sequence[Mapping[str, Any]]) -> Choices:
    message = _message([part.get("delta") or {} for part in parts])
    choice: Document = {"finish_reason": _last(parts, "finish_reason"), "index": place, "message": message}
    logprobs = [part["logprobs"] for part in parts if part.get("logprobs")]
    if logprobs:
        choice["logprobs"] = {
            name: [entry for entries in logprobs for entry in entries.get(name) or ()] or None
            for name in ("content", "refusal")
        }
    return Choices._wrap(choice)


def _text(place: int, parts: Sequence[Mapping[str, Any]]) -> TextChoices:
    text = "".join(part.get("text") or "" for part in parts)
    finish, logprobs = _last(parts, "finish_reason"), _last(parts, "logprobs")
    return TextChoices._wrap({"finish_reason": finish, "index": place, "text": text, "logprobs": logprobs})


def _message(deltas: Sequence[Mapping[str, Any]]) -> Message:
    message: Document = {"role": _last(deltas, "role") or "assistant", "content": None}
    tools: dict[Any, Document] = {}
    function: Document = {}
    audio: Document = {}
    for delta in deltas:
        for name, value in delta.items():
            if value is None or name == "role":
                continue
            if name == "tool_calls":
                for position, call in enumerate(value):
                    _add_call(tools.setdefault(call.get("index", position), {}), call)
            elif name == "function_call":
                _add(function, value, ("arguments", "name"))
            elif name == "audio":
                _add(audio, value, ("data", "transcript"))
            elif name in _TEXTS:
                message[name] = (message.get(name) or "") + value
            elif name in _LISTS:
                message[name] = [*message.get(name, ()), *value]
            else:
                message[name] = value
    if tools:
        message["tool_calls"] = [tools[index] for index in sorted(tools)]
    if function:
        message["function_call"] = function
    if audio:
        message["audio"] = audio
    return Message._wrap(message)


def _add_call(whole: Document, piece: Mapping[str, Any]) -> None:
    function = whole.setdefault("function", {"arguments": ""})
    _add(function, piece.get("function") or {}, ("arguments",))
    for name, value in piece.items():
        if name not in ("function", "index") and value is not None:
            whole[name] = value


def _add(whole: Document, piece: Mapping[str, Any], texts: Sequence[str]) -> None:
    for name, value in piece.items():
        if value is not None:
            whole[name] = whole.get(name, "") + value if name in texts else value
