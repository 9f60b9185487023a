"""Calls without a router: whom they reach, with whose key, and what one of them leaves behind for another."""

from __future__ import annotations

import threading

import pytest

import tagrail
from tagrail import calls
from upstream import Upstream

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def nothing_kept():
    """No router of another test."""
    calls._kept.clear()
    yield
    calls._kept.clear()


@pytest.fixture
def openai(upstream, monkeypatch):
    """The provider as OpenAI, by the environment."""
    monkeypatch.setenv("OPENAI_API_BASE", upstream.v1)
    monkeypatch.setenv("OPENAI_API_KEY", "of the environment")
    return upstream


@pytest.fixture
def elsewhere():
    with Upstream() as other:
        yield other


# ---- whom --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "base", "path"),
    [
        ("openai/gpt-4o", "OPENAI", "/v1/chat/completions"), ("gpt-4o", "OPENAI", "/v1/chat/completions"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC", "/v1/messages"),
        ("claude-sonnet-4-5", "ANTHROPIC", "/v1/messages"), ("groq/llama-x", "GROQ", "/v1/chat/completions"),
    ],
)  # fmt: skip
def test_the_name_says_the_provider_and_the_environment_the_key(upstream, told, monkeypatch, model, base, path):
    monkeypatch.setenv(f"{base}_API_BASE", upstream.url if base == "ANTHROPIC" else upstream.v1)
    monkeypatch.setenv(f"{base}_API_KEY", f"key of {base}")
    answer = tagrail.completion(model, HELLO)
    assert told(answer) == {"model": model.split("/")[-1], "key": f"key of {base}", "path": path}
    assert answer.choices[0].message.role == "assistant"


async def test_every_call_is_there(openai, told):
    assert told(tagrail.completion(model="openai/m", messages=HELLO))["path"] == "/v1/chat/completions"
    assert told(await tagrail.acompletion("openai/m", HELLO))["path"] == "/v1/chat/completions"
    assert tagrail.embedding("openai/m", ["x"]).data[0]["embedding"] == [0.25, -0.5]
    assert len((await tagrail.aembedding(model="openai/m", input=["x", "y"])).data) == 2
    assert told(tagrail.text_completion(model="openai/m", prompt="x").choices[0].text)["path"] == "/v1/completions"
    text = await tagrail.atext_completion("x", model="openai/m")
    assert told(text.choices[0].text)["path"] == "/v1/completions"
    stream = tagrail.completion("openai/m", HELLO, stream=True)
    assert told("".join(chunk.choices[0].delta.content or "" for chunk in stream))["model"] == "m"
    awaited = await tagrail.acompletion("openai/m", HELLO, stream=True)
    assert told("".join([chunk.choices[0].delta.content or "" async for chunk in awaited]))["model"] == "m"


def test_a_provider_that_nobody_knows(openai):
    with pytest.raises(tagrail.BadRequestError, match="LLM Provider NOT provided"):
        tagrail.completion("nobody/x", HELLO)
    with pytest.raises(tagrail.BadRequestError, match="LLM Provider NOT provided"):
        tagrail.completion("no-such-model", HELLO)
    assert openai.seen == []


def test_the_provider_may_be_said_beside_the_name(openai, told):
    assert told(tagrail.completion("org/m", HELLO, custom_llm_provider="openai"))["model"] == "org/m"
    assert told(tagrail.completion("openai/m", HELLO, custom_llm_provider="openai"))["model"] == "m"


# ---- with whose key -------------------------------------------------------------------
def test_a_key_and_an_address_of_the_call(openai, elsewhere):
    tagrail.completion("openai/m", HELLO, api_key="own")
    tagrail.completion("openai/m", HELLO, api_base=elsewhere.v1)
    tagrail.completion("openai/m", HELLO, base_url=elsewhere.v1, api_key="own")
    tagrail.completion("openai/m", HELLO)
    assert openai.keys == ["own", "of the environment"]
    # As with LiteLLM: who names another address for a provider means its key too.
    assert elsewhere.keys == ["of the environment", "own"]


def test_the_environment_is_that_of_the_call(openai, monkeypatch):
    tagrail.completion("openai/m", HELLO)
    monkeypatch.setenv("OPENAI_API_KEY", "changed")
    tagrail.completion("openai/m", HELLO)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(tagrail.InternalServerError, match="OPENAI_API_KEY"):
        tagrail.completion("openai/m", HELLO)
    monkeypatch.setenv("OPENAI_API_KEY", "again")
    tagrail.completion("openai/m", HELLO)
    assert openai.keys == ["of the environment", "changed", "again"]


def test_a_key_of_one_call_is_nothing_to_another(openai, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    tagrail.completion("openai/m", HELLO, api_key="own")
    with pytest.raises(tagrail.InternalServerError, match="OPENAI_API_KEY"):
        tagrail.completion("openai/m", HELLO)
    assert openai.keys == ["own"]
    assert "own" not in repr([(kept.base, kept.looked._found) for kept in calls._kept])


def test_a_failing_key_keeps_nobody_waiting(openai, told):
    openai.fail(401, only=lambda seen: seen.key == "bad")
    for _ in range(5):
        with pytest.raises(tagrail.AuthenticationError):
            tagrail.completion("openai/m", HELLO, api_key="bad")
    assert told(tagrail.completion("openai/m", HELLO))["key"] == "of the environment"


# ---- fallbacks and retries -----------------------------------------------------------------
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_fallbacks_are_asked_in_their_order(openai, told, kind):
    openai.fail(500, only=lambda seen: seen.body["model"] in "ab")
    keywords = {"fallbacks": ["openai/b", {"model": "openai/c", "seed": 7}, "openai/d"], "api_key": "own"}
    if kind == "sync":
        answer = tagrail.completion("openai/a", HELLO, **keywords)
    else:
        answer = await tagrail.acompletion("openai/a", HELLO, **keywords)
    assert told(answer)["model"] == "c"
    assert openai.models == ["a", "b", "c"] and openai.keys == ["own"] * 3
    assert [seen.body.get("seed") for seen in openai.seen] == [None, None, 7]
    assert all("fallbacks" not in seen.body for seen in openai.seen)


def test_a_key_does_not_follow_to_another_provider(openai, elsewhere, monkeypatch):
    monkeypatch.setenv("GROQ_API_BASE", elsewhere.v1)
    monkeypatch.setenv("GROQ_API_KEY", "of groq")
    openai.fail(500)
    own = {"api_key": "own", "api_base": openai.v1, "extra_headers": {"x-secret": "own"}}
    tagrail.completion("openai/a", HELLO, fallbacks=["groq/b"], **own)
    tagrail.completion("openai/a", HELLO, fallbacks=[{"model": "groq/b", "api_key": "given"}], **own)
    assert openai.keys == ["own", "own"]
    assert elsewhere.keys == ["of groq", "given"]
    assert all("x-secret" not in seen.headers for seen in elsewhere.seen)


def test_the_last_failure_is_the_one_that_is_raised(openai):
    openai.answer = lambda seen: None
    openai.fail(500, only=lambda seen: True)
    with pytest.raises(tagrail.InternalServerError):
        tagrail.completion("nobody/a", HELLO, fallbacks=["openai/b"])
    with pytest.raises(tagrail.BadRequestError):
        tagrail.completion("openai/b", HELLO, fallbacks="nobody/a")
    with pytest.raises(tagrail.InternalServerError):
        tagrail.completion("openai/b", HELLO, fallbacks=["nobody/a"], disable_fallbacks=True)


@pytest.mark.parametrize(("keywords", "tries"), [({}, 1), ({"num_retries": 2}, 3), ({"max_retries": 1}, 2),
                                                 ({"max_retries": 1, "num_retries": 0}, 1)])  # fmt: skip
def test_retries(openai, keywords, tries):
    openai.fail(500)
    with pytest.raises(tagrail.InternalServerError):
        tagrail.completion("openai/a", HELLO, **keywords)
    assert len(openai.seen) == tries


# ---- what is kept ------------------------------------------------------------------------------
@pytest.fixture
def ports(openai, monkeypatch):
    """The client's ports, one for each connection."""
    seen, serve = set(), openai.serve
    monkeypatch.setattr(openai, "serve", lambda handler: (seen.add(handler.client_address[1]), serve(handler)))
    return seen


def test_connections_are_kept(openai, ports, monkeypatch):
    for _ in range(5):
        tagrail.completion("openai/a", HELLO)
    monkeypatch.setenv("SOMETHING_ELSE", "entirely")
    tagrail.completion("openai/b", HELLO, api_key="own")
    assert len(ports) == 1 and len(calls._kept) == 1


def test_what_is_kept_is_bounded(openai, elsewhere):
    for n in range(3 * calls._KEPT):
        tagrail.completion("openai/a", HELLO, api_base=f"{elsewhere.url}/{n}/v1", mock_response="x")
    assert len(calls._kept) == calls._KEPT
    assert calls._kept[-1].base == f"{elsewhere.url}/{3 * calls._KEPT - 1}/v1"
    # The oldest go first, and age is counted from the last use.
    second = calls._kept[1].base
    tagrail.completion("openai/a", HELLO, api_base=second, mock_response="x")
    tagrail.completion("openai/a", HELLO, mock_response="x")
    assert second in [kept.base for kept in calls._kept]


def test_threads_may_call_at_once(openai, elsewhere):
    failures = []

    def call(n):
        try:
            for _ in range(10):
                base = [openai.v1, elsewhere.v1][n % 2]
                answer = tagrail.completion("openai/a", HELLO, api_base=base, api_key=f"key {n}")
                assert f"key {n}" in answer.choices[0].message.content
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and len(calls._kept) == 2


def test_the_keywords_of_the_caller_are_not_changed(openai):
    mine = {"fallbacks": [{"model": "openai/b"}], "api_base": openai.v1, "metadata": {"x": 1}}
    tagrail.completion("openai/a", HELLO, **mine)
    assert mine == {"fallbacks": [{"model": "openai/b"}], "api_base": openai.v1, "metadata": {"x": 1}}
