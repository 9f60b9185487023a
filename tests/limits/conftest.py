"""Gateways of a test's own, in front of one provider: these tests break them."""

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
from upstream import Upstream  # noqa: E402

MASTER = "sk-master-5b1f"


def deployment(group, url, name=None, model="openai/gpt-4o", **params):
    """An OpenAI deployment of `group` at `url`, with prices of 1 and 2 dollars per million tokens."""
    params = {"model": model, "api_key": "sk-upstream", "api_base": f"{url}/v1",
              "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": name or group}}


class Admin:
    """The master key's holder."""

    def __init__(self, url):
        self.client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {MASTER}"}, timeout=60)

    def post(self, path, **body):
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, path, **query):
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def key(self, **body):
        return self.post("/key/generate", **body)["key"]


@pytest.fixture
def provider():
    """The upstream of tests/sdk; `provider.answer` decides what it replies."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def start(tmp_path):
    """Starts `tagrail` with a configuration (a dict), and stops it after the test. `env`: more of the
    environment, such as DATABASE_URL; `arguments`: more of the command line; `folder`: the data directory."""
    running = []

    def start(config, env=None, arguments=(), folder=None):
        folder = pathlib.Path(folder or tmp_path / f"gateway-{len(running)}")
        folder.mkdir(parents=True, exist_ok=True)
        config = {**config, "general_settings": {"master_key": MASTER, **config.get("general_settings", {})}}
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        gateway = Gateway(BINARY, "--config", str(file), "--host", "127.0.0.1", *arguments,
                          env={"TAGRAIL_DATA_DIR": str(folder), **(env or {})})
        gateway.__enter__()
        running.append(gateway)
        gateway.folder = folder
        gateway.admin = Admin(gateway.url)
        return gateway

    yield start
    for gateway in running:
        gateway.stop()


@pytest.fixture
def postgres():
    """The address of an empty database on the server that TAGRAIL_TEST_POSTGRES names."""
    server = os.environ.get("TAGRAIL_TEST_POSTGRES")
    assert server, "set TAGRAIL_TEST_POSTGRES to a PostgreSQL server's URL, as ./test does"
    name = f"limits_{uuid.uuid4().hex}"
    subprocess.run(["psql", "-q", server, "-c", f"CREATE DATABASE {name}"], check=True)
    head, _, query = server.partition("?")
    return f"{head.rpartition('/')[0]}/{name}{'?' + query if query else ''}"


def peak_memory(gateway):
    """The most memory that the process has held so far, in bytes."""
    for line in pathlib.Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def forget_peak(gateway):
    """Starts `peak_memory` again from what is held now."""
    pathlib.Path(f"/proc/{gateway.process.pid}/clear_refs").write_text("5")
