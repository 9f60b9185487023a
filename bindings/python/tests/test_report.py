"""Why a call goes where it goes, what is wrong with a configuration, and what the package offers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import tagrail
from tagrail import Caller, Explanation, Report, Router

MODEL_LIST = [
    {"model_name": "g", "litellm_params": {"model": "openai/x", "api_key": "sk-canary", "tags": ["free"]},
     "model_info": {"id": "free"}},
    {"model_name": "g", "litellm_params": {"model": "openai/y", "api_key": "sk-canary", "tags": ["paid"]},
     "model_info": {"id": "paid"}},
    {"model_name": "g", "litellm_params": {"model": "openai/z", "api_key": "sk-canary", "tags": ["paid"]},
     "model_info": {"id": "other"}},
    {"model_name": "w/*", "litellm_params": {"model": "openai/*", "api_key": "sk-canary"}, "model_info": {"id": "w"}},
]  # fmt: skip


@pytest.fixture
def routed():
    return Router(model_list=MODEL_LIST, enable_tag_filtering=True, fallbacks=[{"g": ["w/f"]}], reserved_tags=["free"])


# ---- explain -------------------------------------------------------------------------
def test_an_explanation_says_whom_and_why(routed):
    told = routed.explain("g", tags=["free"])
    assert isinstance(told, Explanation)
    assert (told.chosen, told.permitted) == ("free", ["free"])
    assert told.model == told["model"] == told.get("model") == "g"
    assert told.decision["first"] == "free" and "decision" in told and "nope" not in told
    assert {one["id"]: one["kept"] for one in told.deployments} == {"free": True, "paid": False, "other": False}
    assert told.why("paid") and told.why("free")
    assert told.fallbacks["general"] == ["w/f"]
    text = str(told)
    assert all(word in text for word in ("g", "free", "paid", "other")) and "canary" not in text
    assert json.loads(json.dumps(told.model_dump()))["decision"] == told.decision
    assert "free" in repr(told)
    with pytest.raises(AttributeError):
        told.nope
    with pytest.raises(KeyError):
        told.why("nope")


def test_an_explanation_of_a_refusal(routed):
    told = routed.explain("g", metadata={"tags": ["nope"]})
    assert (told.chosen, told.permitted) == (None, [])
    assert told.decision["status"] == 401 and "nope" in repr(told)


def test_an_explanation_goes_by_the_caller(routed):
    assert routed.explain("g", tags=["free"], caller=Caller(team_tags=["free"])).chosen == "free"
    told = routed.explain("g", tags=["free"], caller=Caller())
    assert told.chosen is None and "free" not in [one["id"] for one in told.deployments if one["kept"]]


@pytest.mark.parametrize("cooling", [{"paid": 30}, ["paid"], "paid"])
def test_an_explanation_may_think_of_deployments_as_cooling(routed, cooling):
    assert set(routed.explain("g", tags=["paid"]).permitted) == {"paid", "other"}
    told = routed.explain("g", tags=["paid"], cooling=cooling)
    assert (told.chosen, told.permitted) == ("other", ["other"])
    assert routed.explain("g", tags=["paid"], cooling=["paid", "other"]).decision["status"] == 429
    assert set(routed.explain("g", tags=["paid"]).permitted) == {"paid", "other"}, "it was only thought"


def test_an_explanation_of_a_specific_deployment(routed):
    assert routed.explain("openai/z", specific_deployment=True, tags=["paid"]).chosen == "other"


# ---- check ---------------------------------------------------------------------------
BAD = [*MODEL_LIST, {"model_name": "bad", "litellm_params": {"model": "nobody/x", "api_key": "sk-canary"}}]


def test_a_good_model_list():
    report = tagrail.check({"model_list": MODEL_LIST, "router_settings": {"enable_tag_filtering": True}})
    assert isinstance(report, Report) and report.ok and bool(report)
    assert report.errors == [] and report["ok"] is True
    assert report.mode_differences is not None and report.summary


@pytest.mark.parametrize("config", [BAD, {"model_list": BAD}])
def test_a_mistake_is_said_with_its_place(config):
    report = tagrail.check(config)
    assert not report.ok and not report
    (error,) = report.errors
    assert error["path"].startswith("model_list[4].litellm_params") and "nobody" in error["message"]
    assert error in report.diagnostics
    for said in ("error[bad-target]", "model_list[4].litellm_params.model", "1 error, 1 warning"):
        assert said in str(report)
    assert "1 error" in repr(report)
    assert "canary" not in str(report) + repr(report) + json.dumps(report.model_dump())


def test_advice_is_no_mistake():
    report = tagrail.check(MODEL_LIST)
    assert report.ok and [found["code"] for found in report.warnings] == ["tags-off"]
    assert "0 errors, 1 warning" in str(report)


def test_a_file(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("model_list:\n- model_name: g\n  litellm_params: {model: nobody/x}\n")
    for path in (file, str(file)):
        report = tagrail.check(path)
        assert [(found["line"], found["file"]) for found in report.errors] == [(3, str(file))]
        assert f"{file}:3:" in str(report)
    assert not tagrail.check(tmp_path / "nowhere.yaml").ok


def test_variables_are_those_of_the_process_or_those_given(monkeypatch):
    list_ = [{"model_name": "g", "litellm_params": {"model": "openai/x", "api_key": "os.environ/SOME_KEY"}}]

    def unset(**given):
        return "unset-variable" in [found["code"] for found in tagrail.check(list_, **given).diagnostics]

    assert unset()
    monkeypatch.setenv("SOME_KEY", "k")
    assert not unset()
    assert unset(environ={}) and not unset(environ={"SOME_KEY": "k"})


def test_where_the_modes_differ():
    report = tagrail.check([{"model_name": "l*-chat", "litellm_params": {"model": "openai/L*", "api_key": "k"}}])
    witness = next(one for one in report.mode_differences["witnesses"] if one["model"] == "lx-chat-extra")
    assert witness["tagrail"]["status"] == 400
    assert witness["litellm"]["served_by"][0]["upstream_model"] == "openai/Lx"
    assert "lx-chat-extra" in str(report)


# ---- the package ---------------------------------------------------------------------
def test_every_name_is_there():
    for name in tagrail.__all__:
        assert getattr(tagrail, name) is not None
        assert name in dir(tagrail)
    with pytest.raises(AttributeError):
        tagrail.nope
    assert tagrail.RateLimitError is tagrail.exceptions.RateLimitError


def test_importing_it_imports_next_to_nothing():
    program = """
import sys
before = set(sys.modules)
import tagrail
assert "tagrail._core" not in sys.modules
from tagrail import Router
heavy = {"asyncio", "openai", "pydantic", "httpx", "json", "dataclasses", "inspect", "logging", "ssl", "email"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    told = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": ":".join(path for path in sys.path if path)})  # fmt: skip
    assert (told.stdout, told.stderr) == ("[]\n", "")
