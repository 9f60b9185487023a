"""Who may continue a stored response, and where it is continued (row D36)."""

import base64
import itertools
import json

import httpx
import openai
import pytest

from conftest import MASTER, deployment
from upstream import Reply, named, response

KEYS = ("sk-account-1", "sk-account-2")


class Accounts:
    """A provider's stored responses: each account knows its own, as OpenAI has it."""

    def __init__(self, provider):
        self.provider, self.stored, self.refusing = provider, {}, set()
        self.numbers = itertools.count()
        provider.answer = self.answer

    def answer(self, seen):
        if not seen.path.endswith("/responses"):
            return None
        if seen.key in self.refusing:
            return Reply({"error": {"message": "slow down", "type": "rate_limit_error"}}, status=429)
        before = seen.body.get("previous_response_id")
        if before is not None and self.stored.get(before) != seen.key:
            error = {"message": f"Previous response with id '{before}' not found.", "type": "invalid_request_error",
                     "param": "previous_response_id", "code": "previous_response_not_found"}
            return Reply({"error": error}, status=400)
        name = f"resp_{next(self.numbers):04}"
        self.stored[name] = seen.key
        whole = {**response(seen.body, "Hello"), "id": name, "previous_response_id": before}
        if seen.body.get("background"):
            whole = {**whole, "status": "queued", "output": []}
        if not seen.body.get("stream"):
            return Reply(whole)
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        events = [{"type": "response.created", "response": begun},
                  {"type": "response.queued", "response": begun},
                  {"type": "response.in_progress", "response": begun},
                  {"type": "response.output_text.delta", "delta": "Hello", **where},
                  {"type": "response.output_text.done", "text": "Hello", "response_id": name, **where},
                  {"type": f"response.{seen.body.get('user') or 'completed'}", "response": whole}]
        return Reply(events=[named({**event, "sequence_number": at}) for at, event in enumerate(events)])

    def asked(self):
        """The accounts that were asked, and how many times in all; then forgets."""
        keys = [seen.key for seen in self.provider.seen]
        self.provider.seen.clear()
        return keys


@pytest.fixture
def accounts(provider):
    return Accounts(provider)


def models(provider, count=2):
    """Deployments of one name, each with an account of its own."""
    return [deployment("gpt-4o", provider.url, name=f"account-{at}", api_key=KEYS[at]) for at in range(count)]


def client(gateway, key):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def team(gateway, **body):
    """Two clients of a new team."""
    number = gateway.admin.post("/team/new", **body)["team_id"]
    return [client(gateway, gateway.admin.key(team_id=number)) for _ in range(2)]


def refused(of, previous, **more):
    with pytest.raises(openai.BadRequestError) as caught:
        of.responses.create(model="gpt-4o", input="Go on", previous_response_id=previous, **more)
    assert caught.value.param == "previous_response_id" and caught.value.code == "previous_response_not_found"
    caught.value.response.read()
    return caught.value.response.json()["error"]["message"].replace(f"'{previous}'", "'ID'")


def forged(number):
    """The same id with one bit of its last bytes changed."""
    head, _, text = number.rpartition("_tr1_")
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[-20] ^= 1
    return f"{head}_tr1_{base64.urlsafe_b64encode(bytes(raw)).decode().rstrip('=')}"


@pytest.mark.parametrize("mode", ["tagrail", "litellm"])
def test_a_team_continues_its_own_responses_and_no_other_does(accounts, provider, start, mode):
    gateway = start({"model_list": models(provider), "router_settings": {"routing_mode": mode}})
    (one, colleague), (other, _) = team(gateway), team(gateway)
    first = one.responses.create(model="gpt-4o", input="Hi")
    assert first.id.startswith("resp_tr1_") and "resp_0000" not in first.id
    accounts.asked()
    for of in (one, colleague, client(gateway, MASTER)):
        again = of.responses.create(model="gpt-4o", input="Go on", previous_response_id=first.id)
        assert again.previous_response_id == first.id and again.id != first.id
        assert provider.seen[-1].body["previous_response_id"] == "resp_0000"
    accounts.asked()
    texts = {refused(other, number) for number in
             (first.id, forged(first.id), "resp_0000", "resp_9999", "resp_tr1_", "", first.id[:-1])}
    assert texts == {"Previous response with id 'ID' not found."}
    assert refused(other, first.id, stream=True) in texts
    assert accounts.asked() == [], "nothing of a refused call is sent"


def test_without_a_team_the_user_or_the_key_owns_a_response(accounts, provider, start):
    gateway = start({"model_list": models(provider, 1)})
    user = gateway.admin.post("/user/new", user_id="u-1")["user_id"]
    mine = [client(gateway, gateway.admin.key(user_id=user)) for _ in range(2)]
    alone = [client(gateway, gateway.admin.key()) for _ in range(2)]
    first = mine[0].responses.create(model="gpt-4o", input="Hi").id
    mine[1].responses.create(model="gpt-4o", input="Go on", previous_response_id=first)
    refused(alone[0], first)
    first = alone[0].responses.create(model="gpt-4o", input="Hi").id
    alone[0].responses.create(model="gpt-4o", input="Go on", previous_response_id=first)
    refused(alone[1], first)
    refused(mine[0], first)


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_every_event_of_a_stream_has_the_gateways_id(accounts, provider, start, end):
    gateway = start({"model_list": models(provider)})
    one, _ = team(gateway)
    stream = one.responses.create(model="gpt-4o", input="Hi", stream=True, user=end)
    numbers = set()
    for event in stream:
        whole = getattr(event, "response", None)
        numbers |= {whole.id} if whole else set()
        numbers |= {event.response_id} if getattr(event, "response_id", None) else set()
    assert event.type == f"response.{end}"
    (number,) = numbers
    assert number.startswith("resp_tr1_")
    again = one.responses.create(model="gpt-4o", input="Go on", stream=True, previous_response_id=number)
    assert {event.response.previous_response_id for event in again if hasattr(event, "response")} == {number}


def test_a_streams_bytes_change_in_nothing_but_ids_and_model(accounts, provider, start):
    gateway = start({"model_list": models(provider, 1)})
    body = {"model": "gpt-4o", "input": "Hi", "stream": True}
    key = gateway.admin.key()
    through = httpx.post(f"{gateway.url}/v1/responses", json=body, headers={"authorization": f"Bearer {key}"})
    sent = "".join(accounts.answer(provider.seen[-1]).events).replace("resp_0001", "resp_0000")
    number = json.loads(through.text.split("data: ")[1].splitlines()[0])["response"]["id"]
    assert through.text.replace(number, "resp_0000") == sent


def test_a_response_is_continued_where_it_is(accounts, provider, start):
    gateway = start({"model_list": models(provider), "router_settings": {"num_retries": 2}})
    one, _ = team(gateway)
    for _ in range(6):
        number = one.responses.create(model="gpt-4o", input="Hi").id
        for _ in range(3):
            number = one.responses.create(model="gpt-4o", input="Go on", previous_response_id=number).id
        assert len(set(accounts.asked())) == 1


def test_no_other_deployment_stands_in(accounts, provider, start):
    spare = deployment("spare", provider.url, api_key="sk-spare")
    gateway = start({"model_list": [*models(provider), spare], "router_settings": {
        "num_retries": 2, "cooldown_time": 600, "fallbacks": [{"gpt-4o": ["spare"]}]}})
    one, _ = team(gateway)
    first = one.responses.create(model="gpt-4o", input="Hi").id
    (account,) = accounts.asked()
    accounts.refusing.add(account)
    for turn in range(2):
        with pytest.raises(openai.RateLimitError) as caught:
            one.responses.create(model="gpt-4o", input="Go on", previous_response_id=first,
                                 extra_body={"fallbacks": ["spare"]})
        assert "only this deployment has" in caught.value.message
    assert set(accounts.asked()) == {account}, "then it cools, and nothing else is asked either"
    assert one.responses.create(model="gpt-4o", input="Hi").id, "others are free to serve new ones"


def test_another_model_or_a_deployment_that_is_gone_is_said(accounts, provider, start, tmp_path):
    other = deployment("other", provider.url, api_key="sk-other")
    gateway = start({"model_list": [*models(provider, 1), other]}, folder=tmp_path / "kept")
    key = gateway.admin.key()
    first = client(gateway, key).responses.create(model="gpt-4o", input="Hi").id
    accounts.asked()
    with pytest.raises(openai.BadRequestError, match="model=other does not lead to"):
        client(gateway, key).responses.create(model="other", input="Go on", previous_response_id=first)
    gateway.stop()
    # With the same store and master key, and another configuration.
    gateway = start({"model_list": [deployment("gpt-4o", provider.url, name="new")]}, folder=tmp_path / "kept")
    assert "not configured any more" in refused(client(gateway, key), first)
    assert accounts.asked() == []


def test_ids_outlive_a_restart_and_hold_on_other_gateways(accounts, provider, start, tmp_path):
    config = {"model_list": models(provider)}
    gateway = start(config, folder=tmp_path / "kept")
    key = gateway.admin.key()
    first = client(gateway, key).responses.create(model="gpt-4o", input="Hi").id
    gateway.stop()
    gateway = start(config, folder=tmp_path / "kept")
    client(gateway, key).responses.create(model="gpt-4o", input="Go on", previous_response_id=first)
    beside = start(config)
    client(beside, MASTER).responses.create(model="gpt-4o", input="Go on", previous_response_id=first)
    salted = start(config, env={"LITELLM_SALT_KEY": "salt"})
    refused(client(salted, MASTER), first)


def test_access_tags_and_wildcards_hold_for_a_continued_response(accounts, provider, start):
    wild = deployment("openai/*", provider.url, name="wild", model="openai/*")
    tagged = deployment("gpt-4o", provider.url, name="tagged", tags=["a"])
    other = deployment("other", provider.url, name="other")
    gateway = start({"model_list": [wild, tagged, other], "router_settings": {"enable_tag_filtering": True}})
    (one, _), (two, _) = team(gateway, tags=["a"]), team(gateway, models=["openai/*"])
    first = one.responses.create(model="gpt-4o", input="Hi").id
    one.responses.create(model="gpt-4o", input="Go on", previous_response_id=first)
    with pytest.raises(openai.AuthenticationError):
        one.responses.create(model="gpt-4o", input="Go on", previous_response_id=first,
                             extra_body={"tags": ["!a"]})
    first = two.responses.create(model="openai/gpt-5", input="Hi").id
    two.responses.create(model="openai/gpt-5-mini", input="Go on", previous_response_id=first)
    assert provider.seen[-1].body["model"] == "gpt-5-mini"
    with pytest.raises(openai.PermissionDeniedError):
        two.responses.create(model="other", input="Go on", previous_response_id=first)


def test_no_spelling_of_the_field_passes_the_check(accounts, provider, start):
    gateway = start({"model_list": [*models(provider, 1), deployment("f", provider.url, api_key=KEYS[0])]})
    (one, _), (other, _) = team(gateway), team(gateway)
    mine = other.responses.create(model="gpt-4o", input="Hi").id
    one.responses.create(model="gpt-4o", input="Hi")
    accounts.asked()
    post = httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {other.api_key}"})
    for fields in ['"previous_response_id":"resp_0001"',
                   f'"previous_response_id":"{mine}","previous_response_id":"resp_0001"',
                   f'"previous_response_id":"resp_0001","previous_response_id":"{mine}"',
                   '"previous_response\\u005fid":"resp_0001"',
                   '"Previous_Response_Id":"resp_0001"',
                   '"extra_body":{"previous_response_id":"resp_0001"}',
                   '"extra_body":{"previous_response_\\u0069d":"resp_0001"}',
                   '"previous_response_id":["resp_0001"]',
                   '"conversation":"conv_1"',
                   '"conversation":{"id":"conv_1"}']:
        for path in ("/v1/responses", "/responses"):
            body = '{"model":"gpt-4o","input":"Go on",' + fields + "}"
            answer = post.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400, f"{fields}: {answer.text}"
    assert accounts.asked() == []
    # A fallback's fields are those of a body of its own.
    accounts.refusing.add(KEYS[0])
    body = {"model": "gpt-4o", "input": "Hi", "num_retries": 0,
            "fallbacks": [{"model": "f", "previous_response_id": "resp_0001"}]}
    post.post("/v1/responses", json=body)
    assert all("previous_response_id" not in seen.body for seen in provider.seen)


def test_ids_of_the_upstreams_are_the_operators(accounts, provider, start):
    for allowed in (False, True):
        gateway = start({"model_list": models(provider, 1),
                         "general_settings": {"allow_unmanaged_response_ids": allowed}})
        key = client(gateway, gateway.admin.key())
        accounts.stored["resp_raw"] = KEYS[0]
        again = client(gateway, MASTER).responses.create(model="gpt-4o", input="Go on", previous_response_id="resp_raw")
        assert again.previous_response_id == "resp_raw" and again.id.startswith("resp_tr1_")
        if allowed:
            key.responses.create(model="gpt-4o", input="Go on", previous_response_id="resp_raw", conversation="conv_1")
        else:
            refused(key, "resp_raw")
        other = client(gateway, gateway.admin.key())
        refused(other, again.id)


def test_mocked_and_background_responses_have_ids_of_the_gateway(accounts, provider, start):
    mock = deployment("mock", provider.url, mock_response="Hello")
    gateway = start({"model_list": [*models(provider, 1), mock]})
    one = client(gateway, gateway.admin.key())
    first = one.responses.create(model="mock", input="Hi").id
    assert one.responses.create(model="mock", input="Go on", previous_response_id=first).output_text == "Hello"
    queued = one.responses.create(model="gpt-4o", input="Hi", background=True)
    assert queued.status == "queued" and queued.id.startswith("resp_tr1_")
