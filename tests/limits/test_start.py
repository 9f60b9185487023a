"""What does not start: nothing to serve, files that are something else, settings that name nothing."""

import json
import pathlib
import subprocess

import httpx
import pytest
import yaml
from conftest import deployment
from gateway import BINARY

GOOD = {"model_list": [deployment("m", "http://127.0.0.1:1")], "general_settings": {"master_key": "sk-master-5b1f"}}
LEFT_OUT = {"model_name": "a", "litellm_params": {"model": "bedrock/a", "api_key": "k"}}
MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "g"}}

# A text, and words that the one error about it has.
USELESS = {
    "helm": ({"replicaCount": 2, "image": {"repository": "x"}, "proxy_config": GOOD}, ["Helm", "proxy_config"]),
    "helm without it": ({"replicaCount": 2, "image": {"repository": "x", "tag": "1"}}, ["Helm"]),
    "configmap": ({**MANIFEST, "data": {"a.txt": "x", "proxy.yaml": yaml.safe_dump(GOOD)}}, ["ConfigMap", "proxy.yaml"]),
    "secret": ({**MANIFEST, "kind": "Secret", "stringData": {"config.yaml": yaml.safe_dump(GOOD)}}, ["Secret", "config.yaml"]),
    "deployment": ({**MANIFEST, "kind": "Deployment", "spec": {}}, ["Kubernetes", "Deployment"]),
    "manifests": (yaml.safe_dump_all([{**MANIFEST, "kind": "Service"}, MANIFEST]), ["Kubernetes"]),
    "compose": ({"services": {"gateway": {"image": "x"}}, "version": "3"}, ["Compose"]),
    "nested": ({"litellm": GOOD}, ["litellm"]),
    "a list": (GOOD["model_list"], ["list of deployments", "model_list"]),
    "a text": ("just words", ["text"]),
    "a number": ("42", ["number"]),
    "an env file": ("OPENAI_API_KEY=abc\nX=1\n", ["environment variables"]),
    "a template": ("model_list:\n{{- range .Values.m }}\n- a\n{{- end }}\n", ["Helm"]),
    "empty": ("", ["Empty"]),
    "only a comment": ("# nothing\n", ["Empty"]),
    "an empty map": ("{}", ["empty map"]),
    "no list": ({"general_settings": {"master_key": "sk-1"}}, ["there is no `model_list`"]),
    "null list": ({"model_list": None}, ["`model_list` is empty"]),
    "empty list": ({"model_list": []}, ["`model_list` is empty"]),
    "models in the database": ({"model_list": [], "general_settings": {"store_model_in_db": True}}, ["store_model_in_db"]),
    "all left out": ({"model_list": [LEFT_OUT, LEFT_OUT]}, ["2 of 2 deployments are left out"]),
    "other keys": ({"models": [{"name": "x"}], "port": 1}, ["there is no `model_list`"]),
}


def run(folder, config, *arguments, env=None):
    """Runs the binary on a configuration until it ends."""
    file = pathlib.Path(folder) / "config.yaml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    command = [BINARY, *(str(file) if argument == "FILE" else argument for argument in arguments)]
    environment = {"PATH": "/usr/bin:/bin", "TAGRAIL_DATA_DIR": str(folder), "HOME": str(folder), **(env or {})}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("name", USELESS)
def test_nothing_is_started_that_serves_nothing(name, tmp_path):
    config, words = USELESS[name]
    served = run(tmp_path, config, "--config", "FILE", "--port", "0")
    assert served.returncode == 1, served.stderr
    validated = run(tmp_path, config, "--config", "FILE", "--validate-config")
    checked = run(tmp_path, config, "check", "FILE")
    assert (validated.returncode, checked.returncode) == (1, 1), checked.stdout
    for said in (served.stderr, checked.stdout):
        for word in words:
            assert word in said, said
    assert not (tmp_path / "tagrail.db").exists(), "nothing is created"
    found = json.loads(run(tmp_path, config, "check", "FILE", "--json").stdout)
    assert found["ok"] is False and any(it["stops"] for it in found["diagnostics"])


def test_one_good_deployment_is_enough(provider, start):
    gateway = start({"model_list": [LEFT_OUT, deployment("m", provider.url)]})
    assert httpx.get(f"{gateway.url}/health/readiness").status_code == 200


@pytest.mark.parametrize("settings, env, words", [
    ({"database_url": "os.environ/NOT_SET"}, {}, ["`database_url`", "`NOT_SET`", "config.yaml:"]),
    ({"database_url": "os.environ/BLANK"}, {"BLANK": ""}, ["`database_url` is empty"]),
    ({"database_url": ""}, {}, ["`database_url` is empty"]),
    ({}, {"DATABASE_URL": ""}, ["`DATABASE_URL` is empty"]),
    ({"master_key": "os.environ/NOT_SET"}, {}, ["master key", "`NOT_SET`"]),
    ({"master_key": "os.environ/BLANK"}, {"BLANK": ""}, ["the master key is empty"]),
    ({"master_key": None}, {"LITELLM_MASTER_KEY": ""}, ["`LITELLM_MASTER_KEY` is empty"]),
    ({"litellm_key_header_name": "os.environ/NOT_SET"}, {}, ["`litellm_key_header_name`", "`NOT_SET`"]),
    ({"tag_grants": "os.environ/NOT_SET"}, {}, ["`tag_grants`", "`NOT_SET`"]),
    ({"maximum_spend_logs_retention_period": "os.environ/NOT_SET"}, {}, ["retention_period`", "`NOT_SET`"]),
])
def test_a_decisive_setting_that_names_nothing_stops_the_start(settings, env, words, tmp_path):
    config = {**GOOD, "general_settings": {**GOOD["general_settings"], **settings}}
    ended = run(tmp_path, config, "--config", "FILE", "--port", "0", "--host", "127.0.0.1", env=env)
    assert ended.returncode == 1, ended.stderr
    for word in words:
        assert word in ended.stderr, ended.stderr
    assert not (tmp_path / "tagrail.db").exists(), "no other database is made instead"
    assert run(tmp_path, config, "check", "FILE", env=env).returncode == 1


def test_an_address_that_names_nothing_leaves_its_deployment_out(tmp_path):
    astray = deployment("a", "x")
    astray["litellm_params"]["api_base"] = "os.environ/NOT_SET"
    checked = run(tmp_path, {**GOOD, "model_list": [*GOOD["model_list"], astray]}, "check", "FILE")
    assert checked.returncode == 1 and "`api_base` is read from `NOT_SET`" in checked.stdout, checked.stdout


def test_the_log_names_the_database_and_no_password(start, tmp_path, provider, postgres):
    config = {"model_list": [deployment("m", provider.url)]}
    assert f"the SQLite file {tmp_path / 'plain' / 'tagrail.db'}" in start(config, folder=tmp_path / "plain").output()
    head, _, rest = postgres.partition("://")
    if "@" not in rest.split("/")[0]:
        rest = f"planted:hunter2secret@{rest}"
    gateway = start({**config, "general_settings": {"database_url": f"{head}://{rest}"}}, folder=tmp_path / "pg")
    said = gateway.output()
    assert "the PostgreSQL database limits_" in said, said
    assert "hunter2secret" not in said


def test_a_wrong_address_is_refused_without_its_password(tmp_path):
    for url in ("mysql://me:hunter2secret@h/d", "postgres://"):
        config = {**GOOD, "general_settings": {**GOOD["general_settings"], "database_url": url}}
        ended = run(tmp_path, config, "--config", "FILE", "--port", "0")
        assert ended.returncode == 1 and "database_url" in ended.stderr
        checked = run(tmp_path, config, "check", "FILE")
        assert "hunter2secret" not in ended.stderr + ended.stdout + checked.stdout + checked.stderr
