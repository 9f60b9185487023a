"""What a router says is deployed, and how that is changed."""

from __future__ import annotations

import os
import threading

import pytest

import tagrail
from tagrail import Deployment, LiteLLM_Params, ModelInfo, Router, TagrailWarning


class Pydantic:
    """As LiteLLM's Deployment is: a pydantic model, most of whose fields are None."""

    def __init__(self, **fields):
        self.fields = fields

    def model_dump(self, exclude_none=False):
        return {name: value for name, value in self.fields.items() if value is not None or not exclude_none}


@pytest.fixture
def fleet(router, deployment):
    """Two in a group, a wildcard, and aliases of which one is hidden."""
    model_list = [
        deployment("g", "openai/x", id="g1", tags=["free"]),
        deployment("g", "openai/y", id="g2", tags=["paid"]),
        deployment("w/*", "openai/*", id="w1"),
    ]
    aliases = {"al": "g", "hid": {"model": "g", "hidden": True}, "far": "w/q"}
    return router(model_list, model_group_alias=aliases, enable_tag_filtering=True)


def ids(list_):
    return [(one["model_name"], one["model_info"]["id"]) for one in list_]


# ---- listing -------------------------------------------------------------------
def test_the_list_has_aliases_first_and_no_hidden_ones(fleet):
    assert ids(fleet.get_model_list()) == [
        ("al", "g1"), ("al", "g2"), ("g", "g1"), ("g", "g2"), ("w/*", "w1"),
    ]  # fmt: skip
    assert fleet.get_model_names() == ["al", "al", "g", "g", "w/*"]
    assert fleet.model_names == {"g", "w/*"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("al", [("al", "g1"), ("al", "g2")]), ("hid", [("hid", "g1"), ("hid", "g2")]),
        ("g", [("g", "g1"), ("g", "g2")]), ("w/z", [("w/z", "w1")]), ("w/*", [("w/*", "w1")]),
        ("zzz", []), ("far", []), ("g1", []), ("openai/x", []),
    ],
)  # fmt: skip
def test_the_list_of_a_name(fleet, name, found):
    assert ids(fleet.get_model_list(name)) == found


def test_a_deployment_is_a_dict_of_litellms_shape(fleet, upstream):
    assert fleet.get_model_list("g")[0] == fleet.model_list[0] == fleet.get_model_info("g1") == {
        "model_name": "g",
        "litellm_params": {"model": "openai/x", "api_key": "g1", "api_base": upstream.v1, "tags": ["free"]},
        "model_info": {"id": "g1", "db_model": False},
    }


def test_a_wildcard_is_listed_with_what_it_stands_for(router, deployment):
    model_list = [
        deployment("a-*-*", "openai/*:*", id="one"),
        deployment("a-*-*", "openai/fixed", id="two"),
        deployment("openai/*", "openai/*", id="guess"),
    ]
    listed = router(model_list)

    def models(name):
        return [one["litellm_params"]["model"] for one in listed.get_model_list(name)]

    assert models("a-b-c") == ["openai/b:c", "openai/fixed"]
    assert ids(listed.get_model_list("gpt-4o")) == [("gpt-4o", "guess")]
    assert models("gpt-4o") == ["openai/gpt-4o"]
    # What was captured where the end is not anchored is another name.
    assert [one["litellm_params"]["model"] for one in router(
        [deployment("l*-chat", "openai/L*")], routing_mode="litellm").get_model_list("l3-chat-x")] == ["openai/L3"]


def test_ids(fleet):
    assert fleet.get_model_ids() == ["g1", "g2", "w1"]
    assert (fleet.get_model_ids("g"), fleet.get_model_ids("al"), fleet.get_model_ids("w/z")) == (["g1", "g2"], [], [])
    assert fleet.has_model_id("w1") and not fleet.has_model_id("zz")
    assert fleet.model_id_to_deployment_index_map == {"g1": 0, "g2": 1, "w1": 2}
    assert fleet.deployment_names == ["openai/x", "openai/y", "openai/*"]
    assert ids(fleet.get_model_group("g2")) == [("g", "g1"), ("g", "g2")]


def test_a_deployment_by_its_id(fleet):
    found = fleet.get_deployment(model_id="g1")
    assert isinstance(found, Deployment)
    assert (found.model_name, found.litellm_params.tags, found.model_info.id) == ("g", ["free"], "g1")
    assert fleet.get_deployment("nope") is None and fleet.get_model_info("nope") is None
    assert fleet.get_deployment_by_model_group_name("g").model_info.id == "g1"


def test_patterns_are_sorted_as_they_are_tried(router, deployment):
    patterns = router([deployment("a*"), deployment("abc*", id="abc"), deployment("g.x/*")]).pattern_router.patterns
    assert list(patterns) == [r"g\.x/(.*)", "abc(.*)", "a(.*)"]
    assert ids(patterns["abc(.*)"]) == [("abc*", "abc")]


def test_what_is_known_of_a_group(router, deployment):
    list_ = [
        deployment("g", "openai/x", rpm=3, tpm=10, input_cost_per_token=1e-6),
        deployment("g", "anthropic/y", rpm=4, input_cost_per_token=2e-6),
    ]
    list_[0]["model_info"] = {"mode": "chat", "max_input_tokens": 100}
    info = router(list_).get_model_group_info("g")
    assert (info.model_group, info.providers, info.rpm, info.tpm) == ("g", ["openai", "anthropic"], 7, 10)
    assert (info.mode, info.max_input_tokens, info.input_cost_per_token) == ("chat", 100, 2e-6)
    assert router(list_).get_model_group_info("nope") is None


def test_settings_are_listed_as_litellm_does(fleet):
    assert fleet.get_settings() == {
        "routing_strategy_args": {}, "routing_strategy": "simple-shuffle", "allowed_fails": 3, "cooldown_time": 5,
        "num_retries": 0, "timeout": 6000.0, "retry_after": 0, "fallbacks": None, "context_window_fallbacks": None,
        "model_group_retry_policy": {}, "retry_policy": None, "enable_weighted_failover": False,
        "enable_tag_filtering": True, "tag_routing_prefix": "", "routing_groups": [],
        "model_group_alias": {"al": "g", "hid": {"model": "g", "hidden": True}, "far": "w/q"},
    }  # fmt: skip


# ---- choosing ------------------------------------------------------------------
def test_the_available_deployment_goes_by_tags_and_captures(fleet):
    tags = {"metadata": {"tags": ["paid"]}}
    for chosen in (fleet.get_available_deployment("g", request_kwargs=tags),
                   fleet.get_available_deployment("al", request_kwargs={"tags": ["paid"]})):  # fmt: skip
        assert (chosen["model_name"], chosen["model_info"]["id"]) == ("g", "g2")
    wild = fleet.get_available_deployment("w/z")
    assert (wild["model_name"], wild["litellm_params"]["model"]) == ("w/*", "openai/z")
    assert fleet.get_available_deployment("g1")["model_info"]["id"] == "g1"
    assert fleet.get_available_deployment("openai/y", specific_deployment=True)["model_info"]["id"] == "g2"


async def test_the_available_deployment_is_there_for_async_programs(fleet):
    chosen = await fleet.async_get_available_deployment("g", {"metadata": {"tags": ["free"]}})
    assert chosen["model_info"]["id"] == "g1"
    chosen = await fleet.async_get_available_deployment(model="w/z", request_kwargs={}, messages=[])
    assert chosen["litellm_params"]["model"] == "openai/z"


def test_no_available_deployment(fleet, upstream):
    with pytest.raises(tagrail.BadRequestError) as raised:
        fleet.get_available_deployment("zzz")
    said = "litellm.BadRequestError: You passed in model=zzz. There are no healthy deployments for this model"
    assert str(raised.value).startswith(said)
    with pytest.raises(ValueError, match="Not allowed to access model due to tags configuration"):
        fleet.get_available_deployment("g", request_kwargs={"tags": ["nope"]})
    assert upstream.seen == [], "nobody was called"


@pytest.mark.filterwarnings("ignore:.*nothing is called:tagrail.TagrailWarning")
@pytest.mark.parametrize("fallbacks", [{"default_fallbacks": ["b"]}, {"fallbacks": [{"*": ["b"]}]}])
def test_an_unknown_name_has_the_default_fallbacks_deployment(router, deployment, fallbacks):
    defaulting = router([deployment("a", id="a"), deployment("b", id="b")], **fallbacks)
    assert defaulting.get_available_deployment("nobody")["model_info"]["id"] == "b"
    defaulting.delete_deployment("b")
    with pytest.raises(tagrail.BadRequestError, match="You passed in model=b. There are no healthy deployments"):
        defaulting.get_available_deployment("nobody")


# ---- change --------------------------------------------------------------------
def test_a_model_list_is_replaced_whole(fleet, deployment, told, hello, upstream):
    fleet.model_group_alias = {}
    fleet.set_model_list([deployment("new", id="n1")])
    assert ids(fleet.model_list) == [("new", "n1")]
    assert told(fleet.completion("new", hello))["key"] == "n1"
    with pytest.raises(tagrail.BadRequestError):
        fleet.completion("g", hello)
    fleet.model_list = [deployment("newer", id="n2")]
    assert told(fleet.completion("newer", hello))["key"] == "n2"


@pytest.mark.parametrize("kind", ["ours", "dict", "pydantic"])
def test_a_deployment_is_added(fleet, deployment, told, hello, upstream, kind):
    given = deployment("new", id="n1")
    made = {
        "ours": lambda: Deployment(**given),
        "dict": lambda: given,
        "pydantic": lambda: Pydantic(model_name="new", litellm_params=Pydantic(tags=None, **given["litellm_params"]),
                                     model_info=Pydantic(base_model=None, **given["model_info"])),
    }[kind]()  # fmt: skip
    added = fleet.add_deployment(made)
    assert isinstance(added, Deployment) and added.model_info.id == "n1"
    assert "tags" not in fleet.get_model_info("n1")["litellm_params"]
    assert told(fleet.completion("new", hello))["key"] == "n1"
    assert fleet.add_deployment(made) is None and fleet.get_model_ids("new") == ["n1"]


def test_a_list_may_hold_objects(router, deployment, told, hello, upstream):
    listed = router([Deployment(**deployment("one", id="1")), Pydantic(**deployment("two", id="2"))])
    assert [told(listed.completion(name, hello))["key"] for name in ("one", "two")] == ["1", "2"]


def test_a_deployment_is_put_in_the_place_of_another(fleet, deployment, told, hello, upstream):
    given = deployment("g", "openai/z", id="g1")
    put = fleet.upsert_deployment(Deployment(**given))
    assert put.litellm_params.model == "openai/z"
    assert fleet.get_model_ids() == ["g2", "w1", "g1"]
    assert told(fleet.completion("g1", hello))["model"] == "z"
    assert fleet.upsert_deployment(given) is None, "nothing differs"
    assert fleet.upsert_deployment(deployment("more", id="m1")).model_name == "more"


def test_a_deployment_is_taken_away(fleet, hello, upstream):
    fleet.model_group_alias = {}
    assert fleet.delete_deployment(id="g1")["litellm_params"]["tags"] == ["free"]
    assert fleet.delete_deployment("g1") is None
    assert fleet.get_model_ids() == ["g2", "w1"]
    assert fleet.delete_deployment("w1")["model_name"] == "w/*"
    assert fleet.get_model_list("w/1") == []
    with pytest.raises(tagrail.BadRequestError):
        fleet.completion("w/1", hello)


BROKEN = {
    "set": lambda router, good, bad: router.set_model_list([good, bad]),
    "add": lambda router, good, bad: router.add_deployment(bad),
    "upsert": lambda router, good, bad: router.upsert_deployment({**bad, "model_info": {"id": "g1"}}),
    "none": lambda router, good, bad: router.set_model_list(None),
    "no dict": lambda router, good, bad: router.add_deployment("g"),
    "settings": lambda router, good, bad: router.update_settings(num_retries=7, routing_strategy="nope"),
    "fallbacks": lambda router, good, bad: router.update_settings(num_retries=7, fallbacks=["x"]),
    "number": lambda router, good, bad: router.update_settings(num_retries=7, cooldown_time="soon"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_change_that_fails_has_changed_nothing(fleet, deployment, told, hello, upstream, name):
    before = (fleet.model_list, fleet.get_settings())
    bad = deployment("bad", "nobody/x")
    with pytest.raises((ValueError, TypeError, tagrail.BadRequestError)):
        BROKEN[name](fleet, deployment("ok"), bad)
    assert (fleet.model_list, fleet.get_settings()) == before
    assert told(fleet.completion("g", hello, tags=["paid"]))["key"] == "g2"
    fleet.add_deployment(deployment("still", id="s1"))
    assert told(fleet.completion("still", hello))["key"] == "s1"


def test_settings_are_changed_together(fleet, deployment, told, hello, upstream):
    fleet.update_settings(num_retries="1", fallbacks=[{"g": ["w/f"]}], enable_tag_filtering=False, timeout=2.5)
    assert (fleet.num_retries, fleet.timeout, fleet.fallbacks) == (1, 2.5, [{"g": ["w/f"]}])
    upstream.fail(500, only=lambda seen: seen.body["model"] != "f")
    assert told(fleet.completion("g", hello))["model"] == "f"
    assert len(upstream.seen) == 3
    with pytest.warns(TagrailWarning, match="nope"):
        fleet.update_settings(nope=1)


def test_setting_an_attribute_is_changing_a_setting(fleet, hello, upstream):
    fleet.num_retries = 2
    upstream.fail(500)
    with pytest.raises(tagrail.InternalServerError):
        fleet.completion("w/x", hello)
    assert len(upstream.seen) == 3
    fleet.model_group_alias = {"other": "g"}
    assert fleet.get_model_names()[0] == "other"


def test_flushing_forgets_what_is_cooling(router, deployment, told, hello, upstream):
    upstream.fail(429, times=1)
    one = router([deployment("m", id="one")], disable_cooldowns=False, allowed_fails=0, cooldown_time=60)
    with pytest.raises(tagrail.RateLimitError):
        one.completion("m", hello)
    with pytest.raises(tagrail.RouterRateLimitError):
        one.completion("m", hello)
    one.flush_cache()
    assert told(one.completion("m", hello))["key"] == "one"
    one.reset()
    one.discard()
    assert one.completion("m", hello)


def test_reservations_outlast_a_flush(router, deployment, hello, upstream):
    one = router([deployment("m", id="eu", tags=["eu"])], enable_tag_filtering=True)
    nobody = tagrail.Caller()
    assert one.completion("m", hello, tags=["eu"], caller=nobody)
    one.reserve(["eu"])
    for _ in range(2):
        with pytest.raises(ValueError, match="tags"):
            one.completion("m", hello, tags=["eu"], caller=nobody)
        one.flush_cache()
    one.reserve(None)
    with pytest.raises(tagrail.ServiceUnavailableError):
        one.completion("m", hello, tags=["eu"], caller=nobody)
    one.reserve([])
    assert one.completion("m", hello, tags=["eu"], caller=nobody)


def test_threads_may_change_and_call_at_once(fleet, deployment, told, hello, upstream):
    failures, rounds = [], 25

    def guarded(work):
        def run():
            try:
                for n in range(rounds):
                    work(n)
            except Exception as error:
                failures.append(error)

        return threading.Thread(target=run)

    def change(name):
        def work(n):
            fleet.add_deployment(deployment(f"{name}-{n}", id=f"{name}-{n}"))
            assert fleet.get_deployment(f"{name}-{n}") is not None
            if n % 2:
                fleet.delete_deployment(f"{name}-{n}")

        return work

    def call(n):
        assert told(fleet.completion("g", hello, tags=["paid"]))["key"] == "g2"
        assert fleet.get_available_deployment("w/q")["litellm_params"]["model"] == "openai/q"

    setting = guarded(lambda n: fleet.update_settings(num_retries=n))
    threads = [guarded(change("a")), guarded(change("b")), guarded(call), setting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept = {f"{name}-{n}" for name in "ab" for n in range(0, rounds, 2)}
    assert set(fleet.get_model_ids()) == {"g1", "g2", "w1", *kept}
    assert fleet.num_retries == rounds - 1


# ---- objects -------------------------------------------------------------------
def test_objects_have_both_ways_of_access():
    made = Deployment(model_name="m", litellm_params={"model": "openai/x", "foo": 1}, model_info={"bar": 3}, zed=1)
    assert made["model_name"] == made.model_name == made.get("model_name") == "m"
    assert made["litellm_params"]["model"] == made.litellm_params.model == "openai/x"
    assert (made.litellm_params.foo, made.litellm_params.get("nope", 4), made.model_info["bar"], made.zed) == (1, 4, 3, 1)
    assert "model_name" in made and "nope" not in made
    assert (made.litellm_params.tags, made.litellm_params["api_key"]) == (None, None), "known, and not set"
    with pytest.raises(AttributeError):
        made.litellm_params.nope
    with pytest.raises(KeyError):
        made["nope"]
    made.litellm_params["tags"] = ["a"]
    assert dict(made.litellm_params) == {"model": "openai/x", "foo": 1, "tags": ["a"]}


def test_an_object_as_a_dict():
    made = Deployment("m", LiteLLM_Params(model="openai/x", api_key=None), ModelInfo(id=7))
    assert made.model_dump(exclude_none=True) == made.to_json(exclude_none=True) == {
        "model_name": "m", "litellm_params": {"model": "openai/x"}, "model_info": {"id": "7", "db_model": False},
    }  # fmt: skip
    assert Deployment(**made.model_dump()) == made
    assert len(Deployment("m", {"model": "x"}).model_info.id) == 36
    assert Deployment("m", {"model": "x"}).model_info.id != Deployment("m", {"model": "x"}).model_info.id


def test_an_object_shows_no_secret():
    made = Deployment("m", {"model": "openai/x", "api_key": "sk-canary", "extra_headers": {"x": "canary"}})
    assert "canary" not in repr(made) and "openai/x" in repr(made)


@pytest.mark.parametrize("arguments", [{}, {"model_name": "m"}, {"model_name": "m", "litellm_params": {}},
                                       {"model_name": "m", "litellm_params": "openai/x"}])  # fmt: skip
def test_an_object_that_is_none(arguments):
    with pytest.raises(TypeError):
        Deployment(**arguments)


# ---- of a file -----------------------------------------------------------------
CONFIG = """
model_list:
- model_name: g
  litellm_params: {{model: openai/x, api_key: os.environ/FILE_KEY, api_base: {base}, tags: [free]}}
  model_info: {{id: g1}}
- model_name: w/*
  litellm_params: {{model: openai/*, api_key: k, api_base: {base}}}
router_settings: {{enable_tag_filtering: true, num_retries: 0}}
general_settings: {{master_key: sk-1}}
"""


@pytest.fixture
def file(tmp_path, upstream, monkeypatch):
    monkeypatch.setenv("FILE_KEY", "of the file")
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(base=upstream.v1))
    return file


@pytest.mark.parametrize("kind", [str, os.PathLike])
def test_a_router_of_a_file(file, told, hello, upstream, kind):
    router = Router.from_file(str(file) if kind is str else file)
    assert told(router.completion("g", hello, tags=["free"]))["key"] == "of the file"
    assert told(router.completion("w/z", hello))["model"] == "z"
    assert router.get_model_names() == ["g", "w/*"] and router.get_model_ids("g") == ["g1"]
    assert (router.num_retries, router.enable_tag_filtering) == (0, True)
    assert router.get_deployment("g1").litellm_params.tags == ["free"]
    assert router.get_available_deployment("g", hello)["litellm_params"]["api_key"] == "of the file"
    router.flush_cache()
    assert told(router.completion("g", hello, tags=["free"]))["key"] == "of the file"


def test_a_router_of_a_file_is_changed_as_any_other(file, told, hello, upstream, deployment):
    router = Router.from_file(file)
    written = file.read_text()
    router.add_deployment(deployment("new", id="new"))
    router.num_retries = 1
    assert told(router.completion("new", hello))["key"] == "new"
    assert told(router.completion("g", hello, tags=["free"]))["key"] == "of the file"
    assert router.delete_deployment("g1")["model_name"] == "g"
    with pytest.raises(tagrail.BadRequestError):
        router.completion("g", hello, tags=["free"])
    assert file.read_text() == written


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises((ValueError, OSError), match="nowhere.yaml"):
        Router.from_file(tmp_path / "nowhere.yaml")
