"""One provider for all tests of this folder, and what builds deployments and routers for it."""

from __future__ import annotations

import json

import pytest

from upstream import Upstream

# What a provider's variables in the environment of whoever runs the tests would change.
KEYS = ("OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_API_BASE",
        "ANTHROPIC_BASE_URL", "GROQ_API_KEY", "GROQ_API_BASE", "OPENAI_ORGANIZATION")

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No credentials but those that a test sets."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def provider():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(provider):
    """The provider, with nothing left over from another test."""
    provider.forget()
    yield provider
    assert provider.invalid == [], "the Anthropic side was sent what its own types refuse"


@pytest.fixture
def deployment(provider):
    """A deployment at the provider. Its id is its key too, unless told otherwise, so that `told` names it."""

    def build(name, model="openai/gpt-4o", id=None, **params):
        info = {} if id is None else {"id": id}
        base = provider.url if model.startswith("anthropic/") else provider.v1
        given = {"model": model, "api_key": id or "key", "api_base": base, **params}
        return {"model_name": name, "litellm_params": given, "model_info": info}

    return build


@pytest.fixture
def router():
    """Builds routers: without retries and cooldowns unless told otherwise."""
    import tagrail

    def build(model_list, **settings):
        settings = {"num_retries": 0, "disable_cooldowns": True, **settings}
        return tagrail.Router(model_list=model_list, **settings)

    return build


@pytest.fixture
def told():
    """What the provider was asked for, out of its usual reply (a whole one, or its text)."""

    def read(reply):
        text = reply if isinstance(reply, str) else reply.choices[0].message.content
        return json.loads(text)

    return read


@pytest.fixture
def hello():
    return [dict(message) for message in HELLO]
