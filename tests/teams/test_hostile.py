"""A client that wants what is another team's: every trick on every endpoint, and never a way in.

What belongs to team B alone has an id that starts with `hidden-`, and the key that reaches the provider
ends in it. Neither may ever be seen by anybody else: not at the provider, not in an answer.
"""

import itertools
import json

import httpx
import pytest

from conftest import reached

SAY = [{"role": "user", "content": "hey"}]

# By path: the operation's own fields, and the models to ask for.
NAMES = ["shared", "wild/gpt-4o", "solely", "solely/gpt-4o", "nickname", "secretly", "unfiltered", "both", "failing",
         "nobody-has-this"]
IDS = ["hidden-shared", "hidden-wild", "hidden-solely", "hidden-solely-wild", "hidden-unfiltered", "hidden-both"]
ENDPOINTS = {
    "/v1/chat/completions": {"messages": SAY},
    "/chat/completions": {"messages": SAY, "stream": True},
    "/v1/completions": {"prompt": "hey"},
    "/v1/embeddings": {"input": "hey"},
    "/v1/responses": {"input": "hey"},
    "/v1/messages": {"messages": SAY, "max_tokens": 5},
}

# What a client may write. Each is (headers, body fields) or the whole body's text.
B = "teamB"
TRICKS = {
    "nothing": ({}, {}),
    "tag": ({}, {"tags": [B]}),
    "required": ({}, {"tags": ["&teamB"]}),
    "not mine": ({}, {"tags": ["!teamA"]}),
    "not mine but b": ({}, {"tags": ["!teamA", "!default", B]}),
    "gold": ({}, {"tags": ["gold", "!teamA"]}),
    "header": ({"x-litellm-tags": "teamB"}, {}),
    "header required": ({"x-litellm-tags": "&teamB,!teamA"}, {}),
    "metadata list": ({}, {"metadata": {"tags": [B]}}),
    "metadata text": ({}, {"metadata": json.dumps({"tags": [B]})}),
    "litellm_metadata": ({}, {"litellm_metadata": {"tags": [B]}}),
    "litellm_metadata text": ({}, {"litellm_metadata": json.dumps({"tags": [B]})}),
    "inner identity": ({}, {"metadata": {"user_api_key_team_id": "TEAM_B", "user_api_key_metadata": {"tags": [B]},
                                         "inherited_tags": [B], "tags": [B]}}),
    "team header": ({"x-litellm-team-id": "TEAM_B"}, {}),
    "team id": ({}, {"team_id": "TEAM_B", "user_api_key_team_id": "TEAM_B"}),
    "filter off": ({}, {"enable_tag_filtering": False, "tags": [B]}),
    "router settings": ({}, {"router_settings": {"enable_tag_filtering": False}, "tags": [B]}),
    "extra_body": ({}, {"extra_body": {"tags": [B], "model": "hidden-shared"}}),
    "fallbacks": ({}, {"model": "failing", "fallbacks": ["solely", "hidden-solely"]}),
    "fallbacks with tags": ({}, {"model": "failing", "fallbacks": [{"model": "shared", "tags": [B]}]}),
    "mock fallbacks": ({}, {"mock_testing_fallbacks": True}),
    "alias of one's own": ({}, {"model_group_alias": {"shared": "solely"}, "aliases": {"shared": "solely"}}),
    "user": ({}, {"user": "TEAM_B"}),
    "regex": ({"user-agent": "teamB"}, {"tag_regex": [".*"]}),
    "specific": ({}, {"specific_deployment": True, "deployment_id": "hidden-shared", "model_id": "hidden-shared"}),
    "two keys": ({"x-litellm-api-key": "KEY", "x-api-key": "sk-other", "api-key": "sk-other"}, {}),
}


def bodies(fields):
    """Texts that say the same key twice, or otherwise than it is usually spelt."""
    plain = json.dumps(fields)[1:-1]
    yield f'{{{plain}, "tags": ["teamA"], "tags": ["teamB"]}}'
    yield f'{{{plain}, "t\\u0061gs": ["teamB"]}}'
    yield f'{{{plain}, "model": "hidden-shared"}}'
    yield f'{{{plain}, "mod\\u0065l": "solely"}}'
    yield f'{{{plain}, "metadata": {{"tags": ["x"], "t\\u0061gs": ["teamB"]}}}}'
    yield f'{{{plain}, "metadata": {{"tags": ["x"]}}, "metadata": {{"tags": ["teamB"]}}}}'
    yield f'{{{plain}, "TAGS": ["teamB"], "Tags": ["teamB"]}}'


@pytest.fixture(scope="module", params=["A", "nobody"])
def attacker(request, gateway, keys):
    headers = {"authorization": f"Bearer {keys[request.param]}", "content-type": "application/json"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
        client.key = keys[request.param]
        yield client


def filled(value, teams, key):
    return json.loads(json.dumps(value).replace("TEAM_B", teams["B"]).replace('"KEY"', json.dumps(key)))


def check(upstream, answer, what, sent=""):
    """Nothing of team B's was reached, and nothing is said of it but what the client wrote itself."""
    others = [reached(seen) for seen in upstream.seen if reached(seen).startswith("hidden-")]
    assert not others, f"{what} reached {others}: {answer.status_code} {answer.text[:300]}"
    heard = answer.text + json.dumps(dict(answer.headers))
    for word in ("hidden-", "teamB", "AliasB"):
        said = "hidden-" in heard if word == "hidden-" and "hidden-" not in sent else word in heard and word not in sent
        assert not said, f"{what} heard of `{word}`: {answer.status_code} {heard[:600]}"
    assert answer.status_code < 500 or answer.status_code == 501 or "boom" in answer.text, f"{what}: {answer.text[:300]}"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_trick_opens_another_teams_deployment(attacker, teams, upstream, path):
    names = ["claude", *NAMES, *IDS] if path == "/v1/messages" else [*NAMES, *IDS]
    for (trick, (headers, more)), name in itertools.product(TRICKS.items(), names):
        headers, more = filled(headers, teams, attacker.key), filled(more, teams, attacker.key)
        body = {"model": name, **ENDPOINTS[path], **more}
        answer = attacker.post(path, json=body, headers=headers)
        check(upstream, answer, f"{trick} for {name} on {path}", json.dumps(body) + json.dumps(headers))
        upstream.seen.clear()


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_spelling_opens_it(attacker, upstream, path):
    for text in bodies({"model": "shared", **ENDPOINTS[path]}):
        answer = attacker.post(path, content=text)
        check(upstream, answer, f"{text} on {path}", text)
        upstream.seen.clear()


def test_no_path_opens_it(attacker, upstream):
    for name in [*NAMES, *IDS]:
        for path in (f"/engines/{name}/chat/completions", f"/openai/deployments/{name}/chat/completions"):
            answer = attacker.post(path, json={"messages": SAY, "model": "shared"})
            check(upstream, answer, path, path)
            upstream.seen.clear()


def test_a_reserved_tag_answers_like_an_unknown_one(attacker, upstream):
    for name in ("shared", "wild/x", "solely", "unfiltered", "both", "plain"):
        for shape in ("{}", "&{}", "!{}"):
            def ask(tag, name=name, shape=shape):
                answer = attacker.post("/v1/chat/completions", json={
                    "model": name, "messages": SAY, "tags": [shape.format(tag)]})
                text = answer.text.replace(tag, "TAG")
                said = json.loads(text).get("error", "served")
                return answer.status_code, answer.headers.get("x-litellm-model-id"), said

            assert ask("teamB") == ask("never"), (name, shape)


def test_an_id_that_is_hidden_answers_like_none(attacker, upstream):
    def ask(name):
        answer = attacker.post("/v1/chat/completions", json={"model": name, "messages": SAY})
        return answer.status_code, answer.text.replace(name, "NAME")

    for name in IDS:
        assert ask(name) == ask("never-there"), name


def test_listings_show_only_what_can_be_called(attacker, gateway, keys, upstream):
    listed = {entry["id"] for entry in attacker.get("/v1/models").json()["data"]}
    assert {"shared", "claude", "plain", "failing"} <= listed
    assert not {"solely", "nickname", "secretly"} & listed
    for path in ("/v1/models", "/v1/models?return_wildcard_routes=true", "/v1/models?include_model_access_groups=true",
                 "/model/info", "/v1/model/info", "/model_group/info"):
        answer = attacker.get(path)
        assert answer.status_code == 200, path
        check(upstream, answer, path)
        assert "solely" not in answer.text and "secretly" not in answer.text, path
    for name in ("solely", "solely/x", "nickname", "secretly", *IDS):
        assert attacker.get(f"/v1/models/{name}").status_code == 404, name


def test_explanations_show_only_what_can_be_called(attacker, upstream):
    for name in [*NAMES, *IDS]:
        for tags in ([], ["teamB"], ["gold"]):
            body = {"model": name, "messages": SAY, "tags": tags}
            answer = attacker.post("/route/explain", json=body)
            check(upstream, answer, f"explain {name} {tags}", json.dumps(body))


def test_the_owner_is_served(gateway, keys, upstream):
    headers = {"authorization": f"Bearer {keys['B']}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
        for name, served in (("shared", "hidden-shared"), ("wild/x", "hidden-wild"), ("solely", "hidden-solely"),
                             ("solely/x", "hidden-solely-wild"), ("nickname", "hidden-solely"),
                             ("secretly", "hidden-solely"), ("unfiltered", "hidden-unfiltered"),
                             ("both", "hidden-both"), ("hidden-shared", "hidden-shared")):
            answer = client.post("/v1/chat/completions", json={"model": name, "messages": SAY})
            assert (answer.status_code, answer.headers.get("x-litellm-model-id")) == (200, served), (name, answer.text)
        assert {"solely", "nickname"} <= {entry["id"] for entry in client.get("/v1/models").json()["data"]}


def test_the_admin_reaches_everything(admin, teams, upstream):
    for name, tags in (("solely", []), ("shared", ["teamB"]), ("hidden-shared", ["teamB"])):
        answer = admin.client.post("/v1/chat/completions", json={"model": name, "messages": SAY, "tags": tags})
        assert answer.headers["x-litellm-model-id"].startswith("hidden-"), (name, answer.text)
