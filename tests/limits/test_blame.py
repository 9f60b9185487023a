"""What one caller's own choices explain takes no deployment away from others, and one call causes a bounded number
of upstream calls."""

import threading

import httpx
import pytest

from conftest import deployment
from upstream import Reply

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


def caller(gateway):
    """A client with a key of its own."""
    headers = {"authorization": f"Bearer {gateway.admin.key()}"}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=60)


def chat(client, **more):
    return client.post("/v1/chat/completions", json={**BODY, **more})


def error(status, **more):
    return Reply({"error": {"message": "refused", "type": "invalid_request_error", "code": None, "param": None,
                            **more}}, status)


# Any failure that is noted would keep both deployments away from everybody for a minute.
STRICT = {"num_retries": 0, "allowed_fails": 0, "cooldown_time": 60}


def two(provider, **params):
    return [deployment("gpt-4o", provider.url, name, **params) for name in ("a", "b")]


@pytest.mark.parametrize("settings", [{}, STRICT, {**STRICT, "routing_mode": "litellm"}])
def test_a_callers_short_time_limit_takes_nothing_from_others(provider, start, settings):
    gateway = start({"model_list": two(provider), "router_settings": settings})
    hasty, other = caller(gateway), caller(gateway)

    over = threading.Event()

    def answer(seen):
        if b"hasty" in seen.raw:
            over.wait(60)

    provider.answer = answer
    try:
        for _ in range(10):
            for limit in ({"timeout": 0.001}, {"timeout": 0.001, "stream": True}):
                assert chat(hasty, user="hasty", **limit).status_code == 408
            headers = {"x-litellm-timeout": "0.001"}
            late = hasty.post("/v1/chat/completions", json={**BODY, "user": "hasty"}, headers=headers)
            assert late.status_code == 408
            assert chat(other).status_code == 200
    finally:
        over.set()


def test_ids_that_a_caller_makes_up_take_nothing_from_others(provider, start):
    # Without the setting the gateway refuses an id that it has not signed, and the provider is not asked.
    gateway = start({"model_list": two(provider), "router_settings": STRICT,
                     "general_settings": {"allow_unmanaged_response_ids": True}})
    guessing, other = caller(gateway), caller(gateway)

    def answer(seen):
        made_up = b"made-up" in seen.raw
        return error(404) if made_up else None

    provider.answer = answer
    file = {"role": "user", "content": [{"type": "file", "file": {"file_id": "made-up"}}]}
    for _ in range(10):
        assert chat(guessing, messages=[file]).status_code == 404
        body = {"model": "gpt-4o", "input": "Hi", "previous_response_id": "made-up"}
        assert guessing.post("/v1/responses", json=body).status_code == 404
        assert chat(other).status_code == 200


def test_a_callers_own_bad_key_takes_nothing_from_others(provider, start):
    opened = two(provider, configurable_clientside_auth_params=["api_key"])
    gateway = start({"model_list": opened, "router_settings": STRICT})
    wrong, other = caller(gateway), caller(gateway)
    for status in (401, 429, 404, 500):
        provider.answer = lambda seen: error(status) if seen.key == "sk-bad" else None
        for _ in range(10):
            assert chat(wrong, api_key="sk-bad").status_code == status
            assert chat(other).status_code == 200


def test_models_that_a_caller_makes_up_take_nothing_from_others(provider, start):
    wild = deployment("wild/*", provider.url, model="openai/*")
    gateway = start({"model_list": [wild], "router_settings": {"num_retries": 0}})
    guessing, other = caller(gateway), caller(gateway)
    assert chat(other, model="wild/real").status_code == 200
    for status in (401, 404, 429, 500):
        provider.answer = lambda seen: error(status) if "made-up" in seen.body["model"] else None
        for number in range(20):
            assert chat(guessing, model=f"wild/made-up-{status}-{number}").status_code == status
            assert chat(other, model="wild/real").status_code == 200


def test_requests_that_break_a_provider_take_nothing_from_others(provider, start):
    gateway = start({"model_list": two(provider), "router_settings": {"num_retries": 0}})
    poisoning, other = caller(gateway), caller(gateway)
    provider.answer = lambda seen: error(500) if b"poison" in seen.raw else None
    for _ in range(10):
        assert chat(other).status_code == 200
        for _ in range(5):
            assert chat(poisoning, messages=[{"role": "user", "content": "poison"}]).status_code == 500


def test_an_outage_still_cools(provider, start):
    gateway = start({"model_list": two(provider), "router_settings": {**STRICT, "allowed_fails": 1}})
    one, other = caller(gateway), caller(gateway)
    for client in (one, other):
        assert chat(client).status_code == 200
    provider.answer = lambda seen: error(500)
    statuses = [chat(client).status_code for _ in range(10) for client in (one, other)]
    assert statuses[-1] == 429, statuses


def test_one_call_causes_at_most_twenty_upstream_calls(provider, start):
    groups = ["gpt-4o", *(f"f{number}" for number in range(32))]
    models = [deployment(group, provider.url, f"{group}-{number}") for group in groups for number in range(11)]
    gateway = start({"model_list": models})
    provider.answer = lambda seen: error(500)
    answer = chat(caller(gateway), num_retries=10, fallbacks=groups[1:])
    assert answer.status_code == 500
    assert len(provider.seen) == 20
    assert "max_attempts_per_call" in answer.text


def test_the_bound_on_upstream_calls_can_be_set(provider, start):
    gateway = start({"model_list": two(provider), "router_settings": {"max_attempts_per_call": 3, "num_retries": 9}})
    provider.answer = lambda seen: error(503)
    assert chat(caller(gateway)).status_code == 503
    assert len(provider.seen) == 3
