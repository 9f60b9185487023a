"""The guide's team flow, word by word, with `curl`."""

import json
import shlex
import subprocess

from conftest import MASTER, reached


def curl(line):
    """Runs a command of a guide: (status, headers by lower-case name, JSON)."""
    command = [*shlex.split(line), "-s", "-i", "--noproxy", "*"]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    head, _, body = out.replace("\r\n", "\n").partition("\n\n")
    lines = head.splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, json.loads(body)


def new_team(url, tag):
    return curl(f"""curl -X POST '{url}/team/new' -H 'Authorization: Bearer {MASTER}'
        -H 'Content-Type: application/json' -d '{{"tags": ["{tag}"]}}'""")


def new_key(url, team):
    return curl(f"""curl -X POST '{url}/key/generate' -H 'Authorization: Bearer {MASTER}'
        -H 'Content-Type: application/json' -d '{{"team_id": "{team}"}}'""")


def chat(url, key, model="shared", extra=""):
    return curl(f"""curl -X POST '{url}/chat/completions' -H 'Authorization: Bearer {key}'
        -H 'Content-Type: application/json'
        -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "hey"}}]{extra}}}'""")


def test_each_teams_keys_reach_its_deployment(gateway, upstream):
    for tag, deployment in (("teamA", "a-shared"), ("teamB", "hidden-shared")):
        status, _, team = new_team(gateway.url, tag)
        assert status == 200
        assert team["metadata"]["tags"] == [tag]
        status, _, key = new_key(gateway.url, team["team_id"])
        assert status == 200 and key["key"].startswith("sk-") and key["team_id"] == team["team_id"]
        for _ in range(8):
            status, headers, _ = chat(gateway.url, key["key"])
            assert (status, headers["x-litellm-model-id"]) == (200, deployment)
        assert {reached(seen) for seen in upstream.seen} == {deployment}
        upstream.forget()


def test_a_key_without_a_team_gets_the_default(gateway, admin, teams, upstream):
    status, headers, _ = chat(gateway.url, admin.key())
    assert (status, headers["x-litellm-model-id"]) == (200, "all-shared")


def test_the_wildcard_goes_by_team_too(gateway, keys, upstream):
    for who, deployment in (("A", "a-wild"), ("B", "hidden-wild"), ("nobody", "all-wild")):
        status, headers, _ = chat(gateway.url, keys[who], model="wild/gpt-4o")
        assert (status, headers["x-litellm-model-id"]) == (200, deployment)


def test_blocking_and_deleting_take_effect_at_once(gateway, admin, upstream):
    team = admin.post("/team/new", tags=["teamA"])["team_id"]
    key = admin.key(team_id=team)
    assert chat(gateway.url, key)[0] == 200
    admin.post("/team/block", team_id=team)
    status, _, body = chat(gateway.url, key)
    assert (status, body["error"]["type"]) == (401, "auth_error") and "is blocked" in body["error"]["message"]
    admin.post("/team/unblock", team_id=team)
    assert chat(gateway.url, key)[0] == 200
    admin.post("/key/block", key=key)
    assert chat(gateway.url, key)[0] == 401
    admin.post("/key/unblock", key=key)
    assert chat(gateway.url, key)[0] == 200
    admin.post("/team/delete", team_ids=[team])
    status, _, body = chat(gateway.url, key)
    assert (status, body["error"]["type"]) == (401, "token_not_found_in_db")


def test_what_team_a_spent(gateway, admin, upstream):
    team = admin.post("/team/new", tags=["teamA"], team_alias="spender")["team_id"]
    key = admin.key(team_id=team)
    for _ in range(3):
        assert chat(gateway.url, key)[0] == 200
    # 7 prompt tokens at 1e-6 and 5 of the answer at 2e-6, three times.
    spent = 3 * (7e-6 + 10e-6)
    rows = admin.get("/spend/logs", api_key=key)
    assert len(rows) == 3 and len({row["request_id"] for row in rows}) == 3
    assert {row["model_id"] for row in rows} == {"a-shared"} and {row["team_id"] for row in rows} == {team}
    assert {row["total_tokens"] for row in rows} == {12} and {row["status"] for row in rows} == {"success"}
    assert abs(sum(row["spend"] for row in rows) - spent) < 1e-12
    assert abs(admin.get("/team/info", team_id=team)["team_info"]["spend"] - spent) < 1e-12
    assert abs(admin.get("/key/info", key=key)["info"]["spend"] - spent) < 1e-12


def test_a_repeated_call_id_erases_nothing(gateway, admin, upstream):
    key = admin.key()
    for _ in range(3):
        status, headers, _ = curl(f"""curl '{gateway.url}/v1/chat/completions' -H 'Authorization: Bearer {key}'
            -H 'x-litellm-call-id: mine' -d '{{"model": "shared", "messages": []}}'""")
        assert (status, headers["x-litellm-call-id"]) == (200, "mine")
    assert len(admin.get("/spend/logs", api_key=key)) == 3
