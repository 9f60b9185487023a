"""The wildcard guide's example, as a program of LiteLLM's users has it, but for the import.

It goes by what the package offers to everybody, and nothing else. Where the providers are is said by variables of
the environment, which the example has for its keys anyway.
"""

from __future__ import annotations

import os

import pytest

import tagrail
from tagrail import Router, acompletion, completion

from upstream import Upstream

HELLO = [{"role": "user", "content": "Hello, how are you?"}]


@pytest.fixture(scope="module")
def servers():
    """Anthropic, Groq and OpenAI: three servers that know nothing of each other."""
    with Upstream() as anthropic, Upstream() as groq, Upstream() as openai:
        yield {"anthropic": anthropic, "groq": groq, "openai": openai}


@pytest.fixture
def providers(servers, monkeypatch):
    """The servers as the environment tells of them."""
    for name, one in servers.items():
        one.forget()
        monkeypatch.setenv(f"{name.upper()}_API_KEY", f"key of {name.upper()}")
        monkeypatch.setenv(f"{name.upper()}_API_BASE", one.url if name == "anthropic" else one.v1)
    yield servers
    assert servers["anthropic"].invalid == []


@pytest.fixture
def router(providers):
    return Router(
        model_list=[
            {
                "model_name": "anthropic/*",
                "litellm_params": {"model": "anthropic/*", "api_key": os.environ["ANTHROPIC_API_KEY"]},
            },
            {
                "model_name": "groq/*",
                "litellm_params": {"model": "groq/*", "api_key": os.environ["GROQ_API_KEY"]},
            },
            {
                "model_name": "fo::*:static::*",
                "litellm_params": {"model": "openai/fo::*:static::*", "api_key": os.environ["OPENAI_API_KEY"]},
            },
        ]
    )


# What is asked for, who is asked, and for which model.
ASKED = [
    ("anthropic/claude-3-sonnet-20240229", "anthropic", "claude-3-sonnet-20240229"),
    ("anthropic/claude-3-5-sonnet-20240620", "anthropic", "claude-3-5-sonnet-20240620"),
    ("groq/llama3-8b-8192", "groq", "llama3-8b-8192"),
    ("groq/meta-llama/llama-4-scout", "groq", "meta-llama/llama-4-scout"),
    ("fo::hi::static::hi", "openai", "fo::hi::static::hi"),
    ("fo::hi:static::hi", "openai", "fo::hi:static::hi"),
    ("fo::a::b::static::c", "openai", "fo::a::b::static::c"),
]


def only(providers, name):
    """The one request there was, and that it came to this provider."""
    (seen,) = [(one, request) for one, upstream in providers.items() for request in upstream.seen]
    assert seen[0] == name
    return seen[1]


@pytest.mark.parametrize(("model", "name", "upstream"), ASKED)
def test_a_call_goes_where_its_name_says(router, providers, model, name, upstream):
    response = router.completion(model=model, messages=HELLO)
    seen = only(providers, name)
    assert (seen.body["model"], seen.key) == (upstream, f"key of {name.upper()}")
    assert seen.path == ("/v1/messages" if name == "anthropic" else "/v1/chat/completions")
    said = response.choices[0].message.content
    assert said == response["choices"][0]["message"]["content"] and upstream in said
    assert response.usage.total_tokens == 12
    assert response._hidden_params["custom_llm_provider"] == name


@pytest.mark.parametrize(("model", "name", "upstream"), ASKED[::2])
async def test_awaited_and_streamed_it_goes_there_too(router, providers, model, name, upstream):
    text = ""
    async for chunk in await router.acompletion(model=model, messages=HELLO, stream=True):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert only(providers, name).body["model"] == upstream
    assert upstream in text


@pytest.mark.parametrize("model", ["xfo::hi::static::hi", "FO::hi::static::hi", "mistral/mistral-large"])
def test_what_no_pattern_takes_is_a_bad_request(router, providers, model):
    with pytest.raises(tagrail.exceptions.BadRequestError, match="no healthy deployments for this model") as caught:
        router.completion(model=model, messages=HELLO)
    assert caught.value.status_code == 400
    assert not any(upstream.seen for upstream in providers.values())


def test_without_a_router_the_name_says_the_provider(providers):
    response = completion(model="anthropic/claude-3-sonnet-20240229", messages=HELLO)
    seen = only(providers, "anthropic")
    assert (seen.body["model"], seen.key) == ("claude-3-sonnet-20240229", "key of ANTHROPIC")
    assert "claude-3-sonnet-20240229" in response.choices[0].message.content


async def test_without_a_router_it_can_be_awaited(providers):
    response = await acompletion(model="groq/llama3-8b-8192", messages=HELLO)
    assert only(providers, "groq").key == "key of GROQ"
    assert "llama3-8b-8192" in response.choices[0].message.content


def test_explained(router):
    explained = router.explain("fo::hi::static::hi")
    assert explained.chosen is not None and explained.permitted == [explained.chosen]
    assert "fo::*:static::*" in str(explained)
