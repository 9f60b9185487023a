"""Programs written for LiteLLM's Router with nothing but the import changed: names, policies, mocks, batches."""

from __future__ import annotations

import asyncio
import importlib
import warnings

import pytest

import tagrail


@pytest.fixture
def pair(router, deployment):
    """`a`, and `b` to fall back to."""
    return lambda **settings: router([deployment("a", id="A"), deployment("b", id="B")], **settings)


# ---- names -----------------------------------------------------------------------------------
@pytest.mark.parametrize("line", [
    "from tagrail.router import Router, RetryPolicy, AllowedFailsPolicy",
    "from tagrail import RetryPolicy, AllowedFailsPolicy, CustomStreamWrapper, batch_completion, OpenAIError",
    "from tagrail import Choices, Delta, Function, Message, ModelResponse, StreamingChoices, Usage",
    "from tagrail.types.router import AllowedFailsPolicy, Deployment, LiteLLM_Params, ModelInfo, RetryPolicy",
    "from tagrail.types.utils import Choices, Message, ModelResponse, ModelResponseStream, Usage",
])  # fmt: skip
def test_what_programs_import(line):
    exec(line, {})


@pytest.mark.parametrize("module", ["tagrail.types.router", "tagrail.types.utils"])
def test_there_is_one_class_of_each_name(module):
    found = importlib.import_module(module)
    for name in found.__all__:
        for home in (tagrail, tagrail.exceptions):
            if name in home.__all__:
                assert getattr(found, name) is getattr(home, name)


def test_what_is_said_to_the_package_is_not_lost_without_a_word():
    for name in ("drop_params", "num_retries", "success_callback"):
        with pytest.warns(tagrail.TagrailWarning, match=f"`tagrail.{name}` has no effect"):
            setattr(tagrail, name, 3)
        delattr(tagrail, name)


def test_a_name_of_the_package_may_be_put_in_place_of_another(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(tagrail, "completion", lambda *_: "mine")
    assert tagrail.completion() == "mine"


# ---- policies --------------------------------------------------------------------------------
def test_policies_are_objects_or_dicts(router, deployment, hello, upstream):
    said = {"RateLimitErrorRetries": 2, "AuthenticationErrorRetries": 0}
    for policy in (tagrail.RetryPolicy(**said), said):
        upstream.forget()
        upstream.fail(429, times=2)
        router([deployment("m", id="one")], retry_policy=policy).completion("m", hello)
        assert len(upstream.seen) == 3


def test_the_policy_of_a_group(router, deployment, hello, upstream):
    upstream.fail(401)
    policies = {"m": tagrail.RetryPolicy(AuthenticationErrorRetries=1)}
    one = router([deployment("m", id="one")], model_group_retry_policy=policies)
    with pytest.raises(tagrail.AuthenticationError):
        one.completion("m", hello)
    assert len(upstream.seen) == 2


def test_allowed_fails_by_kind(router, deployment, hello, upstream):
    policy = tagrail.AllowedFailsPolicy(RateLimitErrorAllowedFails=100)
    lists = [deployment("m", id="one"), deployment("m", id="two")]
    lenient = router(lists, allowed_fails_policy=policy, disable_cooldowns=False, cooldown_time=60)
    upstream.fail(429)
    for _ in range(8):
        with pytest.raises(tagrail.RateLimitError):
            lenient.completion("m", hello)
    assert len(upstream.seen) == 8


# ---- failures on purpose -----------------------------------------------------------------------
@pytest.mark.parametrize(("flag", "table"), [
    ("mock_testing_fallbacks", "fallbacks"),
    ("mock_testing_context_fallbacks", "context_window_fallbacks"),
    ("mock_testing_content_policy_fallbacks", "content_policy_fallbacks"),
    ("mock_testing_rate_limit_error", "fallbacks"),
])  # fmt: skip
def test_a_failure_on_purpose_shows_the_fallback(pair, told, hello, upstream, flag, table):
    both = pair(**{table: [{"a": ["b"]}]})
    assert told(both.completion("a", hello, **{flag: True}))["key"] == "B"
    assert told(asyncio.run(both.acompletion("a", hello, **{flag: True})))["key"] == "B"
    assert told(both.completion("a", hello, **{flag: False}))["key"] == "A"
    assert [seen.body for seen in upstream.seen] == 3 * [{"model": "gpt-4o", "messages": hello}]


@pytest.mark.parametrize(("flag", "failure"), [
    ("mock_testing_fallbacks", tagrail.InternalServerError),
    ("mock_testing_context_fallbacks", tagrail.ContextWindowExceededError),
    ("mock_testing_content_policy_fallbacks", tagrail.ContentPolicyViolationError),
    ("mock_testing_rate_limit_error", tagrail.RateLimitError),
])  # fmt: skip
def test_a_failure_on_purpose_without_a_fallback(pair, hello, upstream, flag, failure):
    with pytest.raises(failure, match=flag):
        pair().completion("a", hello, **{flag: True})
    with pytest.raises(failure):
        pair(fallbacks=[{"a": ["b"]}]).completion("a", hello, disable_fallbacks=True, **{flag: True})
    assert upstream.seen == []


def test_a_failure_on_purpose_and_the_calls_own_fallbacks(pair, told, hello, upstream):
    both = pair(default_fallbacks=["a"])
    assert told(both.completion("a", hello, fallbacks=["b"], mock_testing_fallbacks=True))["key"] == "B"
    assert told(both.completion("a", hello, fallbacks=[{"a": ["b"]}], mock_testing_fallbacks=True))["key"] == "B"
    both.completion("a", hello, fallbacks=[{"model": "b", "temperature": 1}], mock_testing_fallbacks=True)
    assert upstream.seen[-1].body["temperature"] == 1
    assert told(pair(default_fallbacks=["b"]).completion("a", hello, mock_testing_fallbacks=True))["key"] == "B"


def test_fallbacks_that_fail_in_earnest_go_on(pair, router, deployment, told, hello, upstream):
    three = router([deployment(name, id=name) for name in "abc"], fallbacks=[{"a": ["b", "c"]}])
    upstream.fail(500, only=lambda seen: seen.key == "b")
    assert told(three.completion("a", hello, mock_testing_fallbacks=True))["key"] == "c"


def test_a_rate_limit_on_purpose_is_gone_at_the_next_try(pair, told, hello):
    assert told(pair(num_retries=1).completion("a", hello, mock_testing_rate_limit_error=True))["key"] == "A"
    with pytest.raises(tagrail.RateLimitError):
        pair(num_retries=1).completion("a", hello, mock_testing_rate_limit_error=True, num_retries=0)


@pytest.mark.parametrize("name", ["RateLimitError", "ContextWindowExceededError", "InternalServerError"])
def test_a_mock_that_is_a_failure(pair, hello, upstream, name):
    both = pair(fallbacks=[{"a": ["b"]}])
    for said in (f"litellm.{name}", f"tagrail.{name}", getattr(tagrail, name)("no", "m", "openai")):
        calls = [
            lambda said=said: both.completion("a", hello, mock_response=said),
            lambda said=said: asyncio.run(both.acompletion("a", hello, mock_response=said)),
            lambda said=said: tagrail.completion("openai/gpt-4o", hello, mock_response=said),
        ]
        for call in calls:
            with pytest.raises(getattr(tagrail, name)):
                call()
    assert upstream.seen == []


def test_a_mocked_timeout(pair, hello, upstream):
    with pytest.raises(tagrail.Timeout):
        pair().completion("a", hello, mock_timeout=True, timeout=300)
    assert upstream.seen == []


def test_mocks_that_are_not_there_say_so(pair, hello):
    with pytest.warns(tagrail.TagrailWarning, match="mock_tool_calls") as said:
        pair().completion("a", hello, mock_response="x", mock_tool_calls=[{"id": "c"}])
    assert said[0].filename == __file__


def test_an_exception_as_the_mock_of_a_deployment_is_refused_with_its_place(router, deployment):
    with pytest.raises(TypeError, match=r"model_list\[1\]\.litellm_params\.mock_response: .*Exception"):
        router([deployment("a"), deployment("b", mock_response=Exception("x"))])
    one = router([deployment("a")])
    with pytest.raises(TypeError, match=r"model_list\[0\]\.litellm_params\.tags\[0\]"):
        one.set_model_list([deployment("b", tags=[object()])])
    assert one.get_model_names() == ["a"]


def test_a_text_that_names_a_failure_is_a_text_for_a_deployment(router, deployment, hello):
    with pytest.warns(tagrail.TagrailWarning, match=r"model_list\[0\]\.litellm_params\.mock_response") as said:
        one = tagrail.Router([deployment("a", mock_response="litellm.RateLimitError")])
    assert said[0].filename == __file__
    assert one.completion("a", hello).choices[0].message.content == "litellm.RateLimitError"


def test_what_a_provider_has_no_word_for(router, deployment, hello, upstream):
    one = router([deployment("claude", "anthropic/claude-sonnet-4-5", id="one")])
    with pytest.raises(tagrail.UnsupportedParamsError, match=r"^litellm.UnsupportedParamsError: .*\['n'\]") as raised:
        one.completion("claude", hello, n=3)
    assert (raised.value.status_code, raised.value.param, upstream.seen) == (400, "n", [])


# ---- mistakes --------------------------------------------------------------------------------
@pytest.mark.parametrize(("given", "said"), [
    ([{"model_name": "a", "litellm_params": {"model": "openai/a"}}, "gpt-4o"], r"model_list\[1\]: .* not str \(write"),
    ({"model_name": "a"}, "model_list is a list of deployments, not dict"),
    ("gpt-4o", "model_list is a list of deployments, not str"),
])  # fmt: skip
def test_what_is_no_model_list(given, said):
    with pytest.raises(TypeError, match=said):
        tagrail.Router(given)


def test_a_setting_that_is_no_number(router, deployment):
    one = router([deployment("m")])
    one.update_settings(num_retries="3")
    with pytest.raises(ValueError, match="`num_retries` is a number, and 'three' is none"):
        one.update_settings(num_retries="three")
    assert one.num_retries == 3


def test_warnings_say_what_to_do(deployment):
    with pytest.warns(tagrail.TagrailWarning, match=r"`NOT_THERE` is not set \(set it where the program is started"):
        tagrail.Router([deployment("a", api_key="os.environ/NOT_THERE")])


# ---- the rest --------------------------------------------------------------------------------
class Timeout:
    """As httpx's is."""

    def __init__(self, read):
        self.connect, self.read = 1.0, read


def test_limits_of_httpx(router, deployment, hello, upstream):
    stall = upstream.stall()
    limited = [
        router([deployment("m")], timeout=Timeout(0.05)),
        router([deployment("m", timeout=Timeout(0.05))]),
    ]
    for one in limited:
        with pytest.raises(tagrail.Timeout):
            one.completion("m", hello)
    stall.release()


def test_openais_way_awaited(router, deployment, told, hello):
    one = router([deployment("m", id="one")], default_litellm_params={"acompletion": True})

    async def main():
        return await one.chat.completions.create(model="m", messages=hello)

    assert told(asyncio.run(main()))["key"] == "one"


def test_batches_without_a_router(hello, upstream, told):
    upstream.fail(400, only=lambda seen: seen.body["messages"][0]["content"] == "bad")
    bad = [{"role": "user", "content": "bad"}]
    conversations = [hello, bad, hello]
    first, second, third = tagrail.batch_completion(
        "openai/gpt-4o", conversations, api_base=upstream.v1, api_key="k", max_workers=2
    )
    assert (told(first)["key"], type(second), told(third)["key"]) == ("k", tagrail.BadRequestError, "k")
    answers = tagrail.batch_completion_models_all_responses(
        ["openai/a", "openai/b"], hello, api_base=upstream.v1, api_key="k"
    )
    assert [told(answer)["model"] for answer in answers] == ["a", "b"]


def test_what_a_group_can_do_is_not_known(router, deployment):
    info = router([deployment("m")]).get_model_group_info("m")
    assert not info.supports_function_calling and not info.supports_vision
