"""One gateway in front of one provider, for all tests of this folder."""

import json
import pathlib

import anthropic
import openai
import pytest
import yaml

from gateway import BINARY, Gateway
from upstream import Upstream

KEY = "sk-1234"


def config(url):
    """Tags on `gpt-4`, wildcards for two providers, and a Claude of its own name."""
    def deployment(name, model, key, base, **more):
        params = {"model": model, "api_key": key, "api_base": base, **more}
        return {"model_name": name, "litellm_params": params, "model_info": {"id": key}}

    return {
        "model_list": [
            deployment("gpt-4", "openai/fake", "free", f"{url}/v1", tags=["free"]),
            deployment("gpt-4", "openai/gpt-4o", "paid", f"{url}/v1", tags=["paid"]),
            deployment("gpt-4", "openai/gpt-4o", "rest", f"{url}/v1", tags=["default"]),
            deployment("tagged", "openai/gpt-4o", "only-eu", f"{url}/v1", tags=["eu"]),
            deployment("anthropic/*", "anthropic/*", "wild-claude", url),
            deployment("claude", "anthropic/claude-sonnet-4-5", "claude", url),
        ],
        "router_settings": {"enable_tag_filtering": True, "num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }


@pytest.fixture(scope="session")
def provider():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def gateway(provider, tmp_path_factory):
    file = pathlib.Path(tmp_path_factory.mktemp("gateway")) / "config.yaml"
    file.write_text(yaml.safe_dump(config(provider.url), sort_keys=False))
    with Gateway(BINARY, "--config", str(file)) as running:
        yield running


@pytest.fixture
def upstream(provider):
    """The provider, with nothing left over from another test."""
    provider.forget()
    yield provider
    assert provider.invalid == [], "the Anthropic side was sent what its own types refuse"


@pytest.fixture
def client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
def aclient(gateway):
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
def claude(gateway):
    return anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0)


@pytest.fixture
def told():
    """What the provider was asked for, out of the text of its usual reply."""
    return lambda text: json.loads(text)
