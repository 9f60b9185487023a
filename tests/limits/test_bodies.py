"""What one body may cost: CPU, memory, and room beside others'."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from conftest import MASTER, deployment, forget_peak, peak_memory

MIB = 1 << 20
# What is taken whatever the body: threads' stacks, buffers of sockets, the bounded part of a translation.
ALLOWANCE = 48 * MIB


def post(gateway, body, key=MASTER, path="/v1/chat/completions", timeout=300):
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return httpx.post(gateway.url + path, content=content, headers=headers, timeout=timeout)


def chat(model="gpt-4o", **more):
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


def dear(escaped, fields):
    """A body with names made of escapes, and fallbacks of many fields."""
    names = ",".join(f'"{chr(92)}u0061{chr(92)}u0062{"".join(chr(92) + "u0063" for _ in range(40))}{number}":0' for number in range(escaped))
    fallback = {"model": "gpt-4o", **{f"field{number}": 0 for number in range(fields)}}
    return f'{{"model":"gpt-4o","messages":[],{names},"fallbacks":{json.dumps([fallback] * 32)}}}'


def test_a_body_that_is_dear_to_read_is_refused_and_others_are_served(provider, start):
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)]})
    key, other = gateway.admin.key(), gateway.admin.key()
    body = dear(64, 2_700)
    assert len(body) > 900_000
    with ThreadPoolExecutor(8) as pool:
        dears = [pool.submit(post, gateway, body, key) for _ in range(16)]
        for _ in range(20):
            assert post(gateway, chat(), other).status_code == 200
        for answer in (dear.result() for dear in dears):
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"]["param"] == "fallbacks"
            assert "512 fields" in answer.json()["error"]["message"]


def test_fallbacks_within_the_bounds_are_asked(provider, start):
    def answer(seen):
        from upstream import Reply

        return Reply({"error": {"message": "down"}}, status=500)

    provider.answer = answer
    gateway = start({"model_list": [deployment("gpt-4o", provider.url, num_retries=0)],
                     "router_settings": {"disable_cooldowns": True, "num_retries": 0}})
    answer = post(gateway, dear(200, 300), gateway.admin.key())
    assert answer.status_code == 500, answer.text
    assert all("fallbacks" not in seen.body and seen.body["model"] == "gpt-4o" for seen in provider.seen)
    assert "field299" in provider.seen[-1].body


# ---- memory --------------------------------------------------------------
def added_by(gateway, send):
    """The most memory that was held more than before, in bytes, and the answer."""
    post(gateway, chat())
    forget_peak(gateway)
    before = peak_memory(gateway)
    answer = send()
    return peak_memory(gateway) - before, answer


def many(element, size):
    return "[" + ",".join([element] * (size // (len(element) + 1))) + "]"


@pytest.fixture
def gateway(provider, start):
    claude = deployment("claude", provider.url, model="anthropic/claude-sonnet-4-5")
    claude["litellm_params"]["api_base"] = provider.url
    return start({"model_list": [deployment("gpt-4o", provider.url), claude]})


SIZES = [20 * MIB, 31 * MIB]
TREES = ["0", "{}", '{"a":0}', '["a"]', '{"type":"function","function":{"name":"f","parameters":{"a":{}}}}']


PLACES = [(field, element) for field in ["fallbacks", "tools"] for element in TREES]
PLACES += [(field, '{"a":0}') for field in ["messages", "metadata", "response_format"]]


@pytest.mark.parametrize("field, element", PLACES)
@pytest.mark.parametrize("model", ["gpt-4o", "claude"])
def test_a_long_body_takes_three_times_its_length_at_most(gateway, model, field, element):
    value = many(element, 31 * MIB - 200)
    if field == "fallbacks":
        # Few objects with much in them: the number of fallbacks has a bound of its own.
        value = f'[{{"model":"{model}","x":{value}}}]'
    if field == "metadata":
        value = f'{{"x":{value}}}'
    rest = "" if field == "messages" else '"messages":[{"role":"user","content":"Hi"}],'
    body = f'{{"model":"{model}",{rest}"{field}":{value}}}'
    added, answer = added_by(gateway, lambda: post(gateway, body))
    assert answer.status_code in (200, 400, 413), answer.text[:500]
    assert added <= 3 * len(body) + ALLOWANCE, f"{added / len(body):.1f} times the body"


def test_a_long_text_takes_three_times_its_length_at_most(gateway):
    for content in ["word " * (6 * MIB // 5), "a\nb\u00e9" * (MIB // 2), "x" * (31 * MIB)]:
        for model in ["gpt-4o", "claude"]:
            body = json.dumps(chat(model, messages=[{"role": "user", "content": content}]))
            added, answer = added_by(gateway, lambda: post(gateway, body))
            assert answer.status_code == 200, answer.text[:500]
            assert added <= 3 * len(body) + ALLOWANCE, f"{added / len(body):.1f} times the body"


def test_images_are_translated_without_copies(gateway, provider):
    image = "iVBORw0KGgo" * (20 * MIB // 11)
    parts = [{"type": "text", "text": "What is this?"},
             {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]
    body = json.dumps(chat("claude", messages=[{"role": "user", "content": parts}]))
    added, answer = added_by(gateway, lambda: post(gateway, body))
    assert answer.status_code == 200, answer.text[:500]
    assert added <= 3 * len(body) + ALLOWANCE
    sent = provider.seen[-1].body["messages"][0]["content"]
    assert sent[1]["source"] == {"type": "base64", "media_type": "image/png", "data": image}


@pytest.mark.parametrize("element", TREES[:3])
def test_what_is_too_long_to_be_translated_is_413(gateway, element):
    body = f'{{"model":"claude","messages":[],"tools":{many(element, 2 * MIB)}}}'
    answer = post(gateway, body)
    assert answer.status_code == 413 and "(fixed)" in answer.json()["error"]["message"], answer.text[:500]


@pytest.mark.parametrize("path", ["/spend/calculate", "/key/generate", "/team/new", "/tag/new", "/user/new"])
def test_bodies_of_the_management_are_short(gateway, path):
    for body in [f'{{"metadata":{many("0", 31 * MIB)}}}', f'{{"messages":{many("{}", 31 * MIB)}}}']:
        added, answer = added_by(gateway, lambda: post(gateway, body, path=path))
        assert answer.status_code == 413 and "1048576" in answer.text, answer.text[:500]
        assert added <= ALLOWANCE
    for body in [f'{{"metadata":{{"a":{many("0", MIB // 2)}}}}}', f'{{"messages":{many("{}", MIB // 2)}}}']:
        added, answer = added_by(gateway, lambda: post(gateway, body, path=path))
        assert answer.status_code == 413 and "too many values" in answer.text, answer.text[:500]
        assert added <= ALLOWANCE


@pytest.mark.parametrize("size", SIZES)
def test_explaining_a_long_body_takes_three_times_its_length_at_most(gateway, size):
    body = f'{{"model":"claude","messages":{many("0", size)}}}'
    added, answer = added_by(gateway, lambda: post(gateway, body, path="/route/explain"))
    assert answer.status_code == 200, answer.text[:500]
    assert added <= 3 * len(body) + ALLOWANCE


# ---- bodies in flight ----------------------------------------------------
def test_beyond_the_room_for_bodies_is_503_and_short_ones_are_served(provider, start):
    opened, arrived = threading.Event(), threading.Semaphore(0)

    def answer(seen):
        if len(seen.raw) > MIB:
            arrived.release()
            opened.wait(60)

    provider.answer = answer
    settings = {"max_request_size_mb": 8, "max_bytes_in_flight_mb": 16}
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)], "general_settings": settings})
    keys = [gateway.admin.key() for _ in range(4)]
    body = chat(padding="x" * (4 * MIB))
    with ThreadPoolExecutor(4) as pool:
        # An eighth is kept for short bodies: three of four megabytes fit into the rest.
        first = [pool.submit(post, gateway, body, key) for key in keys[:3]]
        for _ in first:
            assert arrived.acquire(timeout=60)
        refused = post(gateway, body, keys[3])
        assert refused.status_code == 503, refused.text
        assert refused.headers["retry-after"] == "1"
        assert "max_bytes_in_flight_mb" in refused.json()["error"]["message"]
        message = post(gateway, body, keys[3], path="/v1/messages")
        assert message.status_code == 503 and message.json()["type"] == "error"
        assert post(gateway, chat(), keys[3]).status_code == 200
        opened.set()
        assert [answer.result().status_code for answer in first] == [200] * 3
    # All of it is given back.
    for key in keys:
        assert post(gateway, body, key).status_code == 200


def test_one_key_cannot_take_all_the_room(provider, start):
    opened, arrived = threading.Event(), threading.Semaphore(0)

    def answer(seen):
        if len(seen.raw) > MIB:
            arrived.release()
            opened.wait(60)

    provider.answer = answer
    settings = {"max_request_size_mb": 8, "max_bytes_in_flight_mb": 16}
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)], "general_settings": settings})
    key, other = gateway.admin.key(), gateway.admin.key()
    body = chat(padding="x" * (3 * MIB))
    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(post, gateway, body, key) for _ in range(2)]
        for _ in held:
            assert arrived.acquire(timeout=60)
        assert post(gateway, body, key).status_code == 503, "half of the room is the most of one key"
        served = pool.submit(post, gateway, body, other)
        assert arrived.acquire(timeout=60)
        opened.set()
        assert served.result().status_code == 200
        assert [answer.result().status_code for answer in held] == [200, 200]


def test_room_is_given_back_by_clients_that_leave(provider, start):
    settings = {"max_request_size_mb": 8, "max_bytes_in_flight_mb": 10}
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)], "general_settings": settings})
    body = json.dumps(chat(padding="x" * (6 * MIB))).encode()
    for _ in range(3):
        def half():
            yield body[: 4 * MIB]
            raise ConnectionError("leaves")

        with pytest.raises(ConnectionError):
            httpx.post(f"{gateway.url}/v1/chat/completions", content=half(),
                       headers={"authorization": f"Bearer {MASTER}"})
    assert post(gateway, body).status_code == 200


def test_room_without_space_for_one_body_is_an_error(start):
    with pytest.raises(RuntimeError, match="max_bytes_in_flight_mb"):
        start({"model_list": [], "general_settings": {"max_bytes_in_flight_mb": 16}})


# ---- LiteLLM's own names -------------------------------------------------
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/completions"])
def test_a_clients_litellm_params_reach_no_provider(gateway, provider, path):
    model = "claude" if path == "/v1/messages" else "gpt-4o"
    secret = {"litellm_params": {"api_key": "sk-other", "api_base": "http://elsewhere"}}
    asked = {**chat(model), "input": "Hi", "prompt": "Hi", "max_tokens": 5}
    fallback = {"model": model, **secret}
    for body in [{**asked, **secret}, {**asked, "extra_body": secret}, {**asked, "model": "none", "fallbacks": [fallback]}]:
        answer = post(gateway, body, path=path)
        assert answer.status_code >= 400, answer.text
    assert provider.seen == []
    assert post(gateway, {**asked, "litellm_params": None, "litellm_new": 1, "mode": "chat"}, path=path).status_code < 500
    for seen in provider.seen:
        assert not [name for name in seen.body if name.startswith("litellm") or name == "mode"]
