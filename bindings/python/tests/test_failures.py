"""What a failure of a real call tells, beyond its class."""

from __future__ import annotations

import pytest

import tagrail


@pytest.fixture
def one(router, deployment):
    return router([deployment("m", "openai/gpt-4o-mini", id="a")])


def test_the_headers_of_a_provider_that_refused(one, upstream, hello):
    upstream.fail(429, "slow down", headers={"x-ratelimit-remaining-requests": "0", "retry-after": "7"})
    with pytest.raises(tagrail.RateLimitError) as caught:
        one.completion("m", hello)
    error = caught.value
    assert error.litellm_response_headers["x-ratelimit-remaining-requests"] == "0"
    assert error.retry_after == 7
    assert (error.model, error.llm_provider, error.failed_deployment_id) == ("gpt-4o-mini", "openai", "a")


def test_an_alias_for_nobody_is_told_by_what_it_stands_for(router, deployment, hello):
    one = router([deployment("m")], model_group_alias={"nick": "nobody"})
    with pytest.raises(tagrail.BadRequestError, match="model=nobody") as caught:
        one.completion("nick", hello)
    assert caught.value.model == "nobody"


def test_how_often_it_was_tried(router, deployment, upstream, hello):
    upstream.fail(500, "down")
    two = router([deployment("m", id="a"), deployment("m", id="b")], num_retries=1)
    with pytest.raises(tagrail.InternalServerError) as caught:
        two.completion("m", hello)
    assert (caught.value.num_retries, caught.value.max_retries) == (1, 1)
    with pytest.raises(tagrail.InternalServerError) as caught:
        two.completion("m", hello, num_retries=0)
    assert (caught.value.num_retries, caught.value.max_retries) == (None, None)


def test_a_refused_connection_has_no_headers(router, hello):
    params = {"model": "openai/m", "api_key": "k", "api_base": "http://127.0.0.1:1/v1"}
    with pytest.raises(tagrail.InternalServerError) as caught:
        router([{"model_name": "m", "litellm_params": params}]).completion("m", hello)
    assert caught.value.litellm_response_headers is None


def test_nulls_of_an_answer_are_not_sent_back(one, upstream, hello):
    answer = one.completion("m", hello)
    message = answer.choices[0].message.model_dump()
    assert message["tool_calls"] is None
    one.completion("m", [*hello, message, answer.choices[0].message])
    first, second = upstream.seen[-1].body["messages"][1:]
    assert first == second
    assert set(first) == {"role", "content"}


def test_a_body_that_json_has_no_value_for_is_named(one, upstream, hello):
    for value in (float("nan"), object(), {"deep": [object()]}, "\ud800"):
        with pytest.raises((ValueError, TypeError), match="seed"):
            one.completion("m", hello, seed=value)
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="seed.*nested"):
        one.completion("m", hello, seed=loop)
    assert upstream.seen == []
