"""What both sides are asked: one configuration, one set of calls, and what a right answer is."""

from __future__ import annotations

from typing import Any

# What `bench-upstream` says, before the model that it was asked for.
TEXT = (
    "A fixed answer, about as long as that of a model that was told to be brief: whoever decodes it has something "
    "to decode, and the name at its end tells who was asked:"
)
CHUNKS = 20

# (model, tags, deployment's id, upstream model). Models that LiteLLM has prices for: of others it makes a log
# line of every call, which no application would leave so.
QUESTIONS = [
    ("chat", ["red"], "red", "gpt-4o"),
    ("chat", ["green"], "green", "gpt-4o-mini"),
    ("chat", ["blue"], "blue", "gpt-4.1"),
    ("openai/gpt-4.1-mini", None, "any", "gpt-4.1-mini"),
]


def configuration(port: int) -> dict[str, Any]:
    """Arguments of `Router`: three deployments in a group that tags choose from, and a wildcard."""

    def deployment(name: str, model: str, id: str, **params: Any) -> dict[str, Any]:
        given = {"model": f"openai/{model}", "api_key": "sk-bench", "api_base": f"http://127.0.0.1:{port}/v1"}
        return {"model_name": name, "litellm_params": {**given, **params}, "model_info": {"id": id}}

    chosen = [deployment("chat", model, id, tags=tags) for name, tags, id, model in QUESTIONS if tags]
    return {"model_list": [*chosen, deployment("openai/*", "*", "any")], "enable_tag_filtering": True}


def arguments(number: int) -> dict[str, Any]:
    """Those of one call, made anew: LiteLLM writes into the metadata that it is given."""
    model, tags, _, _ = QUESTIONS[number % len(QUESTIONS)]
    messages = [
        {"role": "system", "content": "You are a helpful assistant. Be brief."},
        {"role": "user", "content": "What does a gateway do that a library does not?"},
    ]
    if tags is None:
        return {"model": model, "messages": messages}
    return {"model": model, "messages": messages, "metadata": {"tags": list(tags)}}


class Answers:
    """Says whether an answer is right. `tagged` is False where a side does not know tags: then every
    deployment of the group may have answered."""

    def __init__(self, tagged: bool) -> None:
        every = {model for _, tags, _, model in QUESTIONS if tags}
        ids = {id for _, tags, id, _ in QUESTIONS if tags}
        self._texts = [
            {f"{TEXT} {name}" for name in (every if tags and not tagged else {model})}
            for _, tags, _, model in QUESTIONS
        ]
        self._ids = [ids if tags and not tagged else {id} for _, tags, id, _ in QUESTIONS]

    def check(self, number: int, text: str | None) -> None:
        """Asked of every call that is counted."""
        if text not in self._texts[number % len(QUESTIONS)]:
            raise AssertionError(f"call {number} {QUESTIONS[number % len(QUESTIONS)]} was answered with {text!r}")

    def check_source(self, number: int, hidden: dict[str, Any]) -> None:
        """Asked before anything is counted."""
        id = hidden.get("model_id")
        if id not in self._ids[number % len(QUESTIONS)]:
            raise AssertionError(f"{QUESTIONS[number % len(QUESTIONS)]} was answered by {id!r}")
