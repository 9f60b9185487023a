"""Nothing of the gateway's own goes upstream, and callers read nothing of the operator's settings."""

import anthropic
import httpx
import pytest
from conftest import MASTER, deployment
from upstream import Upstream

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}

# What LiteLLM's own parameters hold: secrets of other services, settings of the router, internals.
OWN = {
    "langfuse_secret_key": "CANARY-langfuse", "langfuse_public_key": "CANARY-langfuse-public",
    "langfuse_host": "https://CANARY.example", "langsmith_api_key": "CANARY-langsmith",
    "gcs_path_service_account": "/CANARY/account.json", "gcs_bucket_name": "CANARY-bucket",
    "arize_api_key": "CANARY-arize", "posthog_api_key": "CANARY-posthog", "dd_api_key": "CANARY-dd",
    "newrelic_api_key": "CANARY-newrelic", "signoz_ingestion_key": "CANARY-signoz",
    "humanloop_api_key": "CANARY-humanloop", "wandb_api_key": "CANARY-wandb", "opik_api_key": "CANARY-opik",
    "braintrust_api_key": "CANARY-braintrust", "helicone_api_key": "CANARY-helicone",
    "aws_secret_access_key": "CANARY-aws", "azure_ad_token": "CANARY-azure", "valkey_password": "CANARY-valkey",
    "anthropic_identity_token": "CANARY-identity", "openai_identity_token_file": "/CANARY/token",
    "client_secret": "CANARY-client", "fallbacks": ["CANARY-group"], "base_model": "CANARY-base",
    "retry_policy": {"TimeoutErrorRetries": 1, "note": "CANARY-policy"}, "id": "CANARY-id", "mode": "CANARY-mode",
    "caching": True, "ttl": 5, "no-log": True, "roles": {"system": "CANARY-role"},
    "turn_off_message_logging": True, "provider_specific_header": {"extra_headers": {"x": "CANARY-header"}},
    "request_timeout": 7, "hidden_params": {"a": "CANARY-hidden"}, "metadata": {"a": "CANARY-metadata"},
    "litellm_metadata": {"a": "CANARY-metadata"}, "litellm_session_id": "CANARY-session",
    "_litellm_control": {"a": "CANARY-control"}, "mock_delay": 0, "silent_model": "CANARY-silent",
    "daily_reset_time": "00:00", "routing_strategy": "CANARY-strategy", "callbacks": ["CANARY-callback"],
    "guardrail_config": {"a": "CANARY-guard"}, "prompt_id": "CANARY-prompt", "cost_per_query": 1,
    "input_cost_per_token_above_900k_tokens": 1, "unheard_of_api_key": "CANARY-unheard",
    "unheard_of_password": "CANARY-unheard", "unheard_of_map": {"secret": "CANARY-unheard"},
    "unheard_of_token": "CANARY-unheard",
}


def seen_text(provider):
    """Everything that has arrived at a provider, heads and bodies."""
    return "\n".join(f"{seen.method} {seen.path} {seen.headers} {seen.raw.decode(errors='replace')}" for seen in provider.seen)


def test_settings_of_a_deployment_stay_in_the_gateway(provider, start):
    plain = deployment("plain", provider.url, temperature=0.5)
    own = deployment("m", provider.url, **OWN)
    claude = deployment("claude", provider.url, model="anthropic/claude-sonnet-4-5", **OWN)
    claude["litellm_params"]["api_base"] = provider.url
    gateway = start({"model_list": [plain, own, claude]})
    master = {"authorization": f"Bearer {MASTER}"}
    for model in ("plain", "m", "claude"):
        body = {**CHAT, "model": model, "max_tokens": 9}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=master)
        assert answer.status_code == 200, f"{model}: {answer.text}"
    bodies = {seen.path: seen.body for seen in provider.seen}
    assert provider.seen[0].body["temperature"] == 0.5
    assert set(provider.seen[1].body) == {"model", "messages", "max_tokens"}, provider.seen[1].body
    assert set(bodies["/v1/messages"]) <= {"model", "messages", "max_tokens"}, bodies
    assert "CANARY" not in seen_text(provider)


@pytest.mark.parametrize("name", sorted(OWN))
def test_check_names_each_setting_without_effect(name, tmp_path, start, provider):
    import json
    import subprocess

    from gateway import BINARY

    entry = deployment("m", provider.url, **{name: OWN[name]})
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_list": [entry]}))
    said = subprocess.run([BINARY, "check", str(file), "--json"], capture_output=True, text=True, check=False).stdout
    found = json.loads(said)["diagnostics"]
    is_price = "cost_per" in name  # what a deployment costs has words of its own
    assert is_price or any(f"`{name}`" in it["message"] for it in found), found


def test_what_proves_the_caller_is_not_passed_on(start):
    """Every way to bring a virtual key, on every route, to providers of both kinds."""
    with Upstream() as upstream:
        claude = deployment("claude", upstream.url, model="anthropic/claude-sonnet-4-5", api_key="sk-CREDENTIAL")
        claude["litellm_params"]["api_base"] = upstream.url
        openai = deployment("m", upstream.url, api_key="sk-CREDENTIAL")
        settings = {"litellm_key_header_name": "x-company-key"}
        gateway = start({"model_list": [openai, claude], "general_settings": settings})
        key = gateway.admin.key(key_alias="CANARY-alias", metadata={"a": "CANARY-key-metadata"})
        prompts = {
            "/v1/chat/completions": CHAT, "/v1/completions": {"model": "m", "prompt": "Hi"},
            "/v1/embeddings": {"model": "m", "input": "Hi"}, "/v1/responses": {"model": "m", "input": "Hi"},
            "/v1/messages": {**CHAT, "model": "claude", "max_tokens": 9},
        }
        other = {"cookie": f"session={key}", "x-litellm-tags": "CANARY-tag", "x-litellm-timeout": "30",
                 "x-litellm-spend-logs-metadata": '{"a": "CANARY-logs"}', "x-forwarded-for": "203.0.113.77",
                 "x-litellm-call-id": "CANARY-call", "proxy-authorization": f"Basic {key}"}
        ways = [{"authorization": f"Bearer {key}"}, {"x-api-key": key}, {"x-litellm-api-key": key},
                {"api-key": key}, {"x-company-key": key}, {"authorization": key}]
        served = 0
        for path, body in prompts.items():
            for way in ways:
                body = {**body, "litellm_metadata": {"a": "CANARY-metadata"}}
                answer = httpx.post(gateway.url + path, json=body, headers={**other, **way})
                served += answer.status_code == 200
        assert served >= 4 * len(prompts), "most ways are ways in"
        text = seen_text(upstream)
        for secret in (key, MASTER, "CANARY", "203.0.113.77"):
            assert secret not in text, text
        assert len(upstream.seen) == served
        assert all("CREDENTIAL" in seen.key for seen in upstream.seen)


def test_a_caller_reads_no_name_of_a_variable(provider, start):
    entry = deployment("m", provider.url)
    entry["litellm_params"]["api_key"] = "os.environ/OPERATORS_VARIABLE"
    claude = deployment("claude", provider.url, model="anthropic/claude-sonnet-4-5")
    del claude["litellm_params"]["api_key"]
    gateway = start({"model_list": [entry, claude]})
    key = gateway.admin.key()
    calls = [("/v1/chat/completions", CHAT), ("/v1/responses", {"model": "m", "input": "Hi"}),
             ("/v1/messages", {**CHAT, "model": "claude", "max_tokens": 9})]
    for path, body in calls:
        for holder, reads in ((key, False), (MASTER, True)):
            answer = httpx.post(gateway.url + path, json=body, headers={"authorization": f"Bearer {holder}"})
            assert answer.status_code >= 400
            names = any(name in answer.text for name in ("OPERATORS_VARIABLE", "_API_KEY", "os.environ", "litellm_params"))
            assert names is reads, answer.text
            assert reads or "operator" in answer.text, answer.text
    assert not provider.seen


def test_models_for_anthropics_clients(provider, start):
    names = [f"m{number:02}" for number in range(25)]
    gateway = start({"model_list": [deployment(name, provider.url) for name in names]})
    key = gateway.admin.key(models=names[:23])
    client = anthropic.Anthropic(base_url=gateway.url, api_key=key)
    page = client.models.list()
    assert [model.id for model in page.data] == names[:20] and page.has_more
    assert (page.first_id, page.last_id) == ("m00", "m19")
    assert page.data[0].type == "model" and page.data[0].display_name == "m00" and page.data[0].created_at
    assert [model.id for model in client.models.list(limit=5)] == names[:23], "the package follows the pages"
    before = client.models.list(before_id="m05", limit=2)
    assert [model.id for model in before.data] == ["m03", "m04"] and before.has_more
    assert client.models.retrieve("m03").id == "m03"
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.models.retrieve("m24")
    assert missing.value.body["error"]["type"] == "not_found_error"
    for wrong in ({"limit": 0}, {"limit": 1001}, {"after_id": "nobody"}):
        with pytest.raises(anthropic.BadRequestError) as refused:
            client.models.list(**wrong)
        assert refused.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.AuthenticationError) as stranger:
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-nobody").models.list()
    assert stranger.value.body["type"] == "error"
    plain = httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"}).json()
    assert plain["object"] == "list" and len(plain["data"]) == 23
