"""The rig itself: a gateway of a test's own answers."""

import httpx

from conftest import deployment, peak_memory


def test_a_call_is_served_and_its_memory_is_seen(provider, start):
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)]})
    key = gateway.admin.key()
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    assert peak_memory(gateway) > 1 << 20
