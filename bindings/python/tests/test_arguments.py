"""The constructor: LiteLLM's names, order and defaults, and what is done with each."""

from __future__ import annotations

import inspect
import warnings

import pytest

import tagrail
from tagrail import Caller, Router, TagrailWarning

# LiteLLM 1.102.4, in its order. `router_general_settings` has an object of LiteLLM's own as its default there.
LITELLM = {
    "model_list": None, "assistants_config": None, "search_tools": None, "guardrail_list": None, "redis_url": None,
    "redis_host": None, "redis_port": None, "redis_password": None, "redis_db": None, "cache_responses": False,
    "cache_kwargs": {}, "caching_groups": None, "client_ttl": 3600, "polling_interval": None,
    "default_priority": None, "num_retries": None, "max_fallbacks": None, "timeout": None, "stream_timeout": None,
    "default_litellm_params": None, "default_max_parallel_requests": None, "set_verbose": False,
    "debug_level": "INFO", "default_fallbacks": None, "fallbacks": [], "context_window_fallbacks": [],
    "content_policy_fallbacks": [], "model_group_alias": {}, "enable_pre_call_checks": False,
    "enable_tag_filtering": False, "tag_filtering_match_any": True, "tag_routing_prefix": "", "plugins": None,
    "retry_after": 0, "retry_policy": None, "model_group_retry_policy": {}, "allowed_fails": None,
    "allowed_fails_policy": None, "cooldown_time": None, "disable_cooldowns": None,
    "routing_strategy": "simple-shuffle", "optional_pre_call_checks": None, "routing_strategy_args": {},
    "routing_groups": None, "provider_budget_config": None, "alerting_config": None,
    "router_general_settings": None, "deployment_affinity_ttl_seconds": 3600, "model_group_affinity_config": None,
    "ignore_invalid_deployments": False, "enable_health_check_routing": False,
    "health_check_staleness_threshold": None, "health_check_ignore_transient_errors": False,
    "background_health_check_model_groups": None, "enable_weighted_failover": False, "fallback_access_check": None,
    "auto_router_capability_limit": None,
}  # fmt: skip
OURS = {"routing_mode": "tagrail", "reserved_tags": None, "tag_grants": None}


class Policy:
    """As LiteLLM's RetryPolicy is: a pydantic model."""

    def __init__(self, **fields):
        self.fields = fields

    def model_dump(self, exclude_none=False):
        return {name: value for name, value in self.fields.items() if value is not None or not exclude_none}


# ---- shape ---------------------------------------------------------------------
def test_names_order_and_defaults_are_litellms():
    parameters = inspect.signature(Router.__init__).parameters
    shared = {name: one for name, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD}
    assert list(shared) == ["self", *LITELLM]
    assert {name: one.default for name, one in shared.items() if name != "self"} == LITELLM
    extra = {name: one.default for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    assert extra == OURS


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="num_retires"):
        Router(model_list=[], num_retires=1)


def test_a_router_may_begin_empty(deployment, told, hello, upstream):
    router = Router()
    assert (router.model_list, router.get_model_names()) == ([], [])
    router.set_model_list([deployment("m", id="one")])
    assert told(router.completion("m", hello))["key"] == "one"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_retries", 2), ("max_fallbacks", 5), ("timeout", 6000.0), ("allowed_fails", 3), ("cooldown_time", 5),
        ("retry_after", 0), ("stream_timeout", None), ("fallbacks", None), ("context_window_fallbacks", None),
        ("content_policy_fallbacks", None), ("model_group_alias", {}), ("enable_tag_filtering", False),
        ("tag_filtering_match_any", True), ("tag_routing_prefix", ""), ("routing_strategy", "simple-shuffle"),
        ("routing_strategy_args", {}), ("enable_pre_call_checks", False), ("retry_policy", None),
        ("model_group_retry_policy", {}), ("disable_cooldowns", None), ("enable_weighted_failover", False),
    ],
)  # fmt: skip
def test_attributes_show_what_counts_where_nothing_is_said(name, value):
    assert getattr(Router(), name) == value


def test_default_fallbacks_show_among_the_fallbacks(deployment):
    list_ = [deployment(name) for name in "gba"]
    router = Router(model_list=list_, fallbacks=[{"g": ["b"]}], default_fallbacks=["a"])
    assert router.fallbacks == [{"g": ["b"]}, {"*": ["a"]}]
    assert Router(model_list=list_, default_fallbacks=["a"]).fallbacks == [{"*": ["a"]}]


# ---- the model list ------------------------------------------------------------
def test_the_model_list_is_copied(deployment, told, hello, upstream):
    given = [deployment("m", id="one", tags=["a"])]
    router = Router(model_list=given)
    given[0]["litellm_params"].update(api_key="other", api_base="http://127.0.0.1:1")
    given[0]["litellm_params"]["tags"].append("b")
    given.append(deployment("n"))
    assert router.get_model_names() == ["m"]
    assert router.model_list[0]["litellm_params"]["tags"] == ["a"]
    assert told(router.completion("m", hello))["key"] == "one"


def test_what_is_shown_is_a_copy_too(deployment, told, hello, upstream):
    router = Router(model_list=[deployment("m", id="one", tags=["a"])], model_group_alias={"al": "m"})
    router.model_list[0]["litellm_params"]["api_key"] = "other"
    router.get_model_list("m")[0]["litellm_params"]["tags"].append("b")
    router.get_available_deployment("m")["litellm_params"]["tags"].append("b")
    router.model_group_alias["more"] = "m"
    assert router.model_list[0]["litellm_params"] == {
        "model": "openai/gpt-4o", "api_key": "one", "api_base": upstream.v1, "tags": ["a"],
    }  # fmt: skip
    assert router.model_group_alias == {"al": "m"}


def test_variables_are_looked_up_when_the_router_is_built(deployment, told, hello, upstream, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "of the environment")
    router = Router(model_list=[deployment("m", api_key="os.environ/SOME_KEY")])
    monkeypatch.setenv("SOME_KEY", "too late")
    assert told(router.completion("m", hello))["key"] == "of the environment"
    assert router.model_list[0]["litellm_params"]["api_key"] == "of the environment"


def test_an_unset_variable_is_said_and_left_out(deployment):
    with pytest.warns(TagrailWarning, match="NOT_THERE"):
        router = Router(model_list=[deployment("m", organization="os.environ/NOT_THERE")])
    assert "organization" not in router.model_list[0]["litellm_params"]


def test_a_deployment_that_is_there_twice_is_said_and_counts_once(deployment):
    with pytest.warns(TagrailWarning, match=r"model_list\[1\]"):
        router = Router(model_list=[deployment("m", id="one"), deployment("n", id="one"), deployment("m", id="two")])
    assert router.get_model_ids() == ["one", "two"]
    with pytest.warns(TagrailWarning, match=r"model_list\[1\]"):
        assert len(Router(model_list=[deployment("m"), deployment("m")]).model_list) == 1


def test_a_generated_id_is_litellms(deployment):
    (id,) = Router(model_list=[{"model_name": "g", "litellm_params": {
        "model": "openai/gpt-4o", "api_key": "k", "mock_response": "x", "tags": ["paid"]}}]).get_model_ids()
    assert id.startswith("78a9ac14db25") and len(id) == 64


# ---- mistakes ------------------------------------------------------------------
MISTAKES = {
    "unknown provider": ({"model": "nobody/x"}, tagrail.BadRequestError, "LLM Provider NOT provided"),
    "bad pattern": ({"model": "openai/x", "tag_regex": ["("]}, ValueError, "tag_regex"),
    "no model": ({"api_key": "k"}, ValueError, "model"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_an_invalid_deployment_raises(deployment, name):
    params, error, text = MISTAKES[name]
    good, bad = deployment("good"), {"model_name": "bad", "litellm_params": params}
    with pytest.raises(error, match=text) as raised:
        Router(model_list=[good, bad])
    assert "model_list[1]" in str(raised.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_an_invalid_deployment_is_left_out_where_that_is_asked_for(deployment, told, hello, upstream, name):
    params, _, _ = MISTAKES[name]
    bad = {"model_name": "bad", "litellm_params": params}
    with pytest.warns(TagrailWarning, match="left out"):
        router = Router(model_list=[bad, deployment("good", id="one")], ignore_invalid_deployments=True)
    assert router.get_model_names() == ["good"]
    assert told(router.completion("good", hello))["key"] == "one"
    with pytest.warns(TagrailWarning, match="left out"):
        router.add_deployment({"model_name": "worse", "litellm_params": {"model": "nobody/y"}})
    assert router.get_model_names() == ["good"]


def test_an_invalid_strategy_is_a_value_error():
    with pytest.raises(ValueError, match="Invalid routing_strategy: 'nope'. Valid options:"):
        Router(routing_strategy="nope")


@pytest.mark.parametrize("argument", ["fallbacks", "content_policy_fallbacks", "context_window_fallbacks"])
def test_malformed_fallbacks_are_a_value_error(argument):
    with pytest.raises(ValueError, match="Item 'a' is not a dictionary."):
        Router(**{argument: ["a"]})
    with pytest.raises(ValueError, match="must have exactly one key, but has 2 keys."):
        Router(**{argument: [{"a": ["b"], "c": ["d"]}]})


# ---- what has no effect ----------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis_url", "redis://h"), ("cache_responses", True), ("cache_kwargs", {"a": 1}), ("client_ttl", 60),
        ("plugins", [object()]), ("set_verbose", True), ("enable_pre_call_checks", True),
        ("optional_pre_call_checks", ["prompt_caching"]), ("routing_strategy", "least-busy"),
        ("fallback_access_check", print), ("provider_budget_config", {"openai": {"budget_limit": 1}}),
        ("caching_groups", [("a", "b")]), ("polling_interval", 0.1), ("default_priority", 1),
        ("alerting_config", Policy(webhook_url="http://h")), ("debug_level", "DEBUG"),
        ("router_general_settings", Policy(async_only_mode=True)), ("health_check_staleness_threshold", 3),
    ],
)  # fmt: skip
def test_an_argument_without_effect_is_said_once(name, value):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Router(**{name: value})
    said = [warning for warning in caught if name in str(warning.message)]
    assert [warning.category for warning in said] == [TagrailWarning], [str(one.message) for one in caught]
    assert said[0].filename == __file__, "the warning points at the line that built the router"


def test_arguments_that_say_nothing_are_not_said(deployment):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Router(model_list=[deployment("m")], router_general_settings=Policy(async_only_mode=False), **{
            name: value for name, value in LITELLM.items() if name not in ("model_list", "router_general_settings")})


def test_what_would_pass_unchecked_is_refused():
    with pytest.raises(ValueError, match="guardrail_list"):
        Router(guardrail_list=[{"guardrail_name": "pii"}])


# ---- what has ----------------------------------------------------------------------
def test_num_retries_counts(deployment, hello, upstream):
    upstream.fail(500, times=1)
    assert Router(model_list=[deployment("m")], num_retries=1).completion("m", hello)
    upstream.fail(500, times=1)
    with pytest.raises(tagrail.InternalServerError):
        Router(model_list=[deployment("m")], num_retries=0).completion("m", hello)


def test_a_retry_policy_of_litellms_class_counts(deployment, hello, upstream):
    upstream.fail(500)
    policy = Policy(InternalServerErrorRetries=3, TimeoutErrorRetries=None)
    router = Router(model_list=[deployment("m")], num_retries=0, retry_policy=policy, disable_cooldowns=True)
    with pytest.raises(tagrail.InternalServerError):
        router.completion("m", hello)
    assert len(upstream.seen) == 4
    assert router.retry_policy == {"InternalServerErrorRetries": 3}


def test_default_litellm_params_are_of_every_deployment(deployment, hello, upstream):
    Router(model_list=[deployment("m")], default_litellm_params={"temperature": 0.5}).completion("m", hello)
    assert upstream.seen[0].body["temperature"] == 0.5


def test_the_timeout_counts(deployment, hello, upstream):
    stall = upstream.stall()
    with pytest.raises(tagrail.Timeout):
        Router(model_list=[deployment("m")], num_retries=0, timeout=0.05).completion("m", hello)
    stall.gone()


def test_cooldown_counts(deployment, hello, upstream):
    upstream.fail(429)
    list_ = [deployment("m", id="one"), deployment("m", id="two")]
    router = Router(model_list=list_, num_retries=0, allowed_fails=0, cooldown_time=60)
    for _ in range(2):
        with pytest.raises(tagrail.RateLimitError):
            router.completion("m", hello)
    with pytest.raises(tagrail.RouterRateLimitError):
        router.completion("m", hello)
    assert len(upstream.seen) == 2


def test_the_mode_counts(deployment):
    list_ = [deployment("llama*-chat", "openai/L*")]
    with pytest.raises(tagrail.BadRequestError):
        Router(model_list=list_).get_available_deployment("llama3-chat-extra")
    litellm = Router(model_list=list_, routing_mode="litellm")
    assert litellm.get_available_deployment("llama3-chat-extra")["litellm_params"]["model"] == "openai/L3"
    assert litellm.routing_mode == "litellm"


@pytest.mark.parametrize("grants", [None, False])
def test_reserved_tags_count(router, deployment, told, hello, upstream, grants):
    router = router([deployment("m", id="eu", tags=["eu"]), deployment("m", id="any", tags=["default"])],
                    enable_tag_filtering=True, reserved_tags=["eu"], tag_grants=grants)  # fmt: skip
    stranger, holder = Caller(), Caller(team_tags=["eu"])
    assert told(router.completion("m", hello, tags=["eu"]))["key"] == "eu"
    assert told(router.completion("m", hello, caller=holder))["key"] == "eu"
    # To who does not hold it, a reserved tag is one that nobody has: the default answers.
    gets = "any" if grants is None else "eu"
    assert told(router.completion("m", hello, tags=["eu"], caller=stranger))["key"] == gets
