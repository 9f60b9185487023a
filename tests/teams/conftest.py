"""A gateway with two teams in front of one provider, on each store."""

import json
import os
import pathlib
import subprocess
import sys
import uuid

import httpx
import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "sdk"))

from gateway import BINARY, Gateway  # noqa: E402
from upstream import Reply, Seen, Upstream, usual  # noqa: E402

MASTER = "sk-master-5b1f"
UPSTREAM = "sk-upstream-"
STORES = ("sqlite", "postgresql")


def config(url):
    """Deployments of team A, of team B and of everybody, in every way in which one can be named. The
    key that reaches the provider ends in the deployment's id; what belongs to team B alone has an id
    that starts with `hidden-`."""
    def deployment(group, model, name, tags, base=f"{url}/v1", **info):
        params = {"model": model, "api_key": UPSTREAM + name, "api_base": base, "tags": tags,
                  "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
        return {"model_name": group, "litellm_params": params, "model_info": {"id": name, **info}}

    def three(group, model, name, **more):
        return [deployment(group, model, f"a-{name}", ["teamA"], **more),
                deployment(group, model, f"hidden-{name}", ["teamB"], **more),
                deployment(group, model, f"all-{name}", ["default"], **more)]

    return {
        "model_list": [
            *three("shared", "openai/gpt-4o", "shared"),
            *three("wild/*", "openai/*", "wild"),
            *three("claude", "anthropic/claude-sonnet-4-5", "claude", base=url),
            deployment("solely", "openai/gpt-4o", "hidden-solely", ["teamB"]),
            deployment("solely/*", "openai/*", "hidden-solely-wild", ["teamB"]),
            deployment("unfiltered", "openai/gpt-4o", "a-unfiltered", ["teamA"], enable_tag_filtering=False),
            deployment("unfiltered", "openai/gpt-4o", "hidden-unfiltered", ["teamB"], enable_tag_filtering=False),
            deployment("both", "openai/gpt-4o", "a-both", ["teamA", "gold"]),
            deployment("both", "openai/gpt-4o", "hidden-both", ["teamB", "gold"]),
            deployment("failing", "openai/fails", "all-failing", ["default"]),
            deployment("plain", "openai/gpt-4o", "all-plain", []),
        ],
        "router_settings": {
            "enable_tag_filtering": True, "num_retries": 0, "disable_cooldowns": True,
            "model_group_alias": {"nickname": "solely"},
            "fallbacks": [{"failing": ["solely", "nickname", "hidden-solely", "solely/x"]}],
            "default_fallbacks": ["solely"],
        },
        "general_settings": {"master_key": MASTER},
    }


@pytest.fixture(scope="session", params=STORES)
def database(request, tmp_path_factory):
    """The address of an empty database; PostgreSQL's server is the one that TAGRAIL_TEST_POSTGRES names."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path_factory.mktemp('data') / 'tagrail.db'}"
    server = os.environ.get("TAGRAIL_TEST_POSTGRES")
    assert server, "set TAGRAIL_TEST_POSTGRES to a PostgreSQL server's URL, as ./test does"
    name = f"teams_{uuid.uuid4().hex}"
    subprocess.run(["psql", "-q", server, "-c", f"CREATE DATABASE {name}"], check=True)
    head, _, query = server.partition("?")
    return f"{head.rpartition('/')[0]}/{name}{'?' + query if query else ''}"


@pytest.fixture(scope="session")
def provider():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def gateway(provider, database, tmp_path_factory):
    folder = pathlib.Path(tmp_path_factory.mktemp("gateway"))
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config(provider.url), sort_keys=False))
    env = {"DATABASE_URL": database, "TAGRAIL_DATA_DIR": str(folder), "TAGRAIL_LOG": "debug"}
    with Gateway(BINARY, "--config", str(file), "--host", "127.0.0.1", env=env) as running:
        running.secrets = {MASTER, UPSTREAM}
        yield running
        places = written(running, database, folder)
    for secret in running.secrets:
        told = [place for place, text in places.items() if secret.encode() in text]
        assert not told, f"{secret[:12]}... stands in {told}"


def written(gateway, database, folder):
    """Everything that a gateway has written down, by place, after all tests."""
    headers = {"authorization": f"Bearer {MASTER}"}
    places = {"metrics": httpx.get(f"{gateway.url}/metrics", headers=headers).content,
              "spend": httpx.get(f"{gateway.url}/spend/logs?limit=100000", headers=headers, timeout=60).content,
              "log": gateway.output().encode()}
    assert b"answered" in places["log"] and b"request_id" in places["spend"], "nothing is looked through"
    if database.startswith("sqlite:"):
        files = pathlib.Path(database.removeprefix("sqlite:")).parent.iterdir()
        places |= {file.name: file.read_bytes() for file in files}
    else:
        places["database"] = subprocess.run(["pg_dump", "--data-only", database], check=True, capture_output=True).stdout
        assert b"tagrail_spend" in places["database"]
    journal = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".yaml"]
    return places | {file.name: file.read_bytes() for file in journal}


class Admin:
    """The master key's holder."""

    def __init__(self, url, secrets):
        self.secrets = secrets
        self.client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {MASTER}"}, timeout=30)

    def post(self, path, **body):
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, path, **query):
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def key(self, **body):
        key = self.post("/key/generate", **body)["key"]
        self.secrets.add(key)
        return key


@pytest.fixture(scope="session")
def admin(gateway):
    return Admin(gateway.url, gateway.secrets)


@pytest.fixture(scope="session")
def teams(admin):
    """Ids of team A and team B, granted their tags."""
    return {name: admin.post("/team/new", tags=[f"team{name}"], team_alias=f"Alias{name}",
                             model_aliases={"secretly": "solely"} if name == "B" else {})["team_id"]
            for name in "AB"}


@pytest.fixture(scope="session")
def keys(admin, teams):
    """A key of each team, and one without a team."""
    return {"A": admin.key(team_id=teams["A"]), "B": admin.key(team_id=teams["B"]), "nobody": admin.key()}


def reached(seen):
    """The id of the deployment that a request came from."""
    return seen.key.removeprefix(UPSTREAM)


@pytest.fixture
def upstream(provider):
    """The provider, with nothing left over from another test; the model `fails` does. It says nothing of
    the credential that came along."""
    provider.forget()

    def answer(seen):
        if isinstance(seen.body, dict) and seen.body.get("model") == "fails":
            return Reply({"error": {"message": "boom", "type": "server_error"}}, status=500)
        return usual(Seen(seen.method, seen.path, {}, seen.body, seen.raw))

    provider.answer = answer
    return provider


@pytest.fixture
def told():
    """What the provider was asked for, out of the text of its usual reply."""
    return lambda text: json.loads(text)
