"""Calls of a router: sync and async, plain and streamed, and every keyword that means something to it."""

from __future__ import annotations

import asyncio
import inspect

import pytest

import tagrail

# ---- every call, and how to read whom it asked --------------------------------------
WAYS = {
    "completion": (lambda r, **k: r.completion("m", [{"role": "user", "content": "x"}], **k),
                   lambda answer: answer.choices[0].message.content, "/v1/chat/completions"),
    "acompletion": (lambda r, **k: r.acompletion("m", [{"role": "user", "content": "x"}], **k),
                    lambda answer: answer.choices[0].message.content, "/v1/chat/completions"),
    "create": (lambda r, **k: r.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], **k),
               lambda answer: answer.choices[0].message.content, "/v1/chat/completions"),
    "acreate": (lambda r, **k: r.chat.completions.acreate(model="m", messages=[{"role": "user", "content": "x"}], **k),
                lambda answer: answer.choices[0].message.content, "/v1/chat/completions"),
    "text_completion": (lambda r, **k: r.text_completion(model="m", prompt="x", **k),
                        lambda answer: answer.choices[0].text, "/v1/completions"),
    "atext_completion": (lambda r, **k: r.atext_completion(model="m", prompt="x", **k),
                         lambda answer: answer.choices[0].text, "/v1/completions"),
    "responses": (lambda r, **k: r.responses(model="m", input="x", **k),
                  lambda answer: answer.output[0].content[0].text, "/v1/responses"),
    "aresponses": (lambda r, **k: r.aresponses(model="m", input="x", **k),
                   lambda answer: answer.output[0].content[0].text, "/v1/responses"),
    "embedding": (lambda r, **k: r.embedding("m", ["x"], **k), None, "/v1/embeddings"),
    "aembedding": (lambda r, **k: r.aembedding(model="m", input=["x"], **k), None, "/v1/embeddings"),
}  # fmt: skip
MESSAGES = {
    "anthropic_messages": lambda r, **k: r.anthropic_messages(
        model="m", messages=[{"role": "user", "content": "x"}], max_tokens=5, **k),
    "aanthropic_messages": lambda r, **k: r.aanthropic_messages(
        model="m", messages=[{"role": "user", "content": "x"}], max_tokens=5, **k),
}  # fmt: skip


async def asked(answer):
    return await answer if inspect.isawaitable(answer) else answer


async def chunks(stream):
    return [chunk async for chunk in stream] if hasattr(stream, "__aiter__") else list(stream)


@pytest.fixture
def one(router, deployment):
    return router([deployment("m", id="one")])


@pytest.fixture
def two(router, deployment):
    """By tags."""
    list_ = [deployment("m", "openai/x", id="free", tags=["free"]), deployment("m", "openai/y", id="paid", tags=["paid"])]
    return router(list_, enable_tag_filtering=True)


@pytest.mark.parametrize("way", WAYS)
async def test_every_call_is_answered(one, told, upstream, way):
    call, text, path = WAYS[way]
    answer = await asked(call(one, user="somebody", temperature=None, seed=3))
    (seen,) = upstream.seen
    assert (seen.path, seen.key, seen.body["model"], seen.body["seed"]) == (path, "one", "gpt-4o", 3)
    assert "temperature" not in seen.body, "what is None was not given"
    assert answer._hidden_params["model_id"] == "one" and answer.model == "gpt-4o"
    if text is None:
        assert answer.data[0]["embedding"] == [0.25, -0.5]
    else:
        assert told(text(answer)) == {"model": "gpt-4o", "key": "one", "path": path}


@pytest.mark.parametrize("way", [way for way in WAYS if "embedding" not in way])
async def test_every_stream_is_one(one, upstream, way):
    call, _, path = WAYS[way]
    stream = await asked(call(one, stream=True))
    assert hasattr(stream, "__aiter__") == way.startswith("a")
    assert stream._hidden_params["model_id"] == "one"
    got = await chunks(stream)
    (seen,) = upstream.seen
    assert seen.path == path and seen.body["stream"] is True
    if path.endswith("chat/completions"):
        assert path in "".join(chunk.choices[0].delta.content or "" for chunk in got)
    else:
        assert path in str([chunk.model_dump() for chunk in got])


@pytest.mark.parametrize("way", MESSAGES)
async def test_messages_are_answered_in_anthropics_shape(router, deployment, told, upstream, way):
    claude = router([deployment("m", "anthropic/claude-sonnet-4-5", id="one")])
    answer = await asked(MESSAGES[way](claude))
    assert told(answer["content"][0]["text"]) == {"model": "claude-sonnet-4-5", "key": "one", "path": "/v1/messages"}
    assert await chunks(await asked(MESSAGES[way](claude, stream=True)))
    assert [seen.body.get("stream") for seen in upstream.seen] == [None, True]


def test_a_stream_is_there_as_it_comes(one, hello, upstream):
    stall = upstream.stall(after=2)
    stream = one.completion("m", hello, stream=True)
    first, second = next(stream), next(stream)
    assert first.choices[0].delta.role == "assistant" and second.choices[0].delta.content
    stall.release()
    assert [chunk.choices[0].finish_reason for chunk in stream] == ["stop"]


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_of_a_stream_comes_where_it_is_asked_for(one, hello, upstream, wanted):
    options = {"stream_options": {"include_usage": True}} if wanted else {}
    got = list(one.completion("m", hello, stream=True, **options))
    said = [chunk.usage.total_tokens for chunk in got if getattr(chunk, "usage", None)]
    assert said == ([12] if wanted else [])


async def test_calls_run_beside_each_other(one, hello, upstream):
    stall = upstream.stall()
    calls = [asyncio.ensure_future(one.acompletion("m", hello)) for _ in range(8)]
    for _ in calls:
        await asyncio.to_thread(stall.arrived)
    stall.release()
    assert len(await asyncio.gather(*calls)) == 8


async def test_who_stops_waiting_ends_the_call(one, hello, upstream):
    stall = upstream.stall()
    call = asyncio.ensure_future(one.acompletion("m", hello))
    await asyncio.to_thread(stall.arrived)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(stall.gone)


# ---- tags ------------------------------------------------------------------------
TAGS = {
    "tags": {"tags": ["paid"]},
    "metadata": {"metadata": {"tags": ["paid"]}},
    "litellm_metadata": {"litellm_metadata": {"tags": ["paid"]}},
    "a tuple": {"tags": ("paid",)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TAGS)
async def test_tags_choose_everywhere(two, upstream, way, kind):
    for _ in range(3):
        await asked(WAYS[way][0](two, **TAGS[kind]))
    assert upstream.keys == ["paid"] * 3
    for name in ("tags", "litellm_metadata"):
        assert all(name not in seen.body for seen in upstream.seen)


def test_metadata_is_not_changed_and_may_hold_anything(two, hello, upstream):
    mine = {"tags": ["free"], "trace": object(), "user": {"id": 7}}
    kept = dict(mine, tags=["free"])
    two.completion("m", hello, metadata=mine)
    assert mine == kept
    mine["tags"] = ["paid"]
    two.completion("m", hello, metadata=mine)
    assert upstream.keys == ["free", "paid"]
    assert all("metadata" not in seen.body for seen in upstream.seen)


@pytest.mark.parametrize("place", ["metadata", "litellm_metadata"])
def test_the_agent_that_metadata_names_is_looked_at(router, deployment, hello, upstream, place):
    mine = deployment("m", id="mine", tag_regex=["^User-Agent: mine/"])
    both = router([mine, deployment("m", id="other", tags=["default"])], enable_tag_filtering=True)
    for agent in ("mine/7", "other"):
        both.completion("m", hello, **{place: {"user_agent": agent}})
    assert upstream.keys == ["mine", "other"]


def test_metadata_of_responses_is_the_providers(two, upstream):
    two.responses(model="m", input="x", metadata={"tags": ["paid"], "order": "7"})
    assert (upstream.keys, upstream.seen[0].body["metadata"]) == (["paid"], {"order": "7"})


def test_tags_that_fit_nothing_are_a_value_error(two, hello, upstream):
    with pytest.raises(ValueError, match="Not allowed to access model due to tags configuration"):
        two.completion("m", hello, tags=["nope"])
    assert upstream.seen == []


def test_tags_that_are_no_list_are_refused(two, hello, upstream):
    with pytest.raises(tagrail.BadRequestError, match="tags"):
        two.completion("m", hello, tags="paid")


@pytest.mark.parametrize("on", [True, None])
def test_tag_filtering_may_be_switched_on_for_a_call(router, deployment, hello, upstream, on):
    off = router([deployment("m", id="paid", tags=["paid"]), deployment("m", id="free", tags=["free"])])
    for _ in range(12):
        off.completion("m", hello, tags=["paid"], enable_tag_filtering=on)
    assert set(upstream.keys) == ({"paid"} if on else {"paid", "free"})
    assert "enable_tag_filtering" not in upstream.seen[0].body


# ---- fallbacks and retries ---------------------------------------------------------
@pytest.fixture
def group(router, deployment):
    """`bad` fails and falls back to `next`."""
    names = ("bad", "next", "other")
    return lambda **settings: router([deployment(name, f"openai/{name}", id=name) for name in names], **settings)


FELL = {
    "configured": ({"fallbacks": [{"bad": ["next"]}]}, {}, "next"),
    "default": ({"default_fallbacks": ["next"]}, {}, "next"),
    "per call": ({}, {"fallbacks": ["next"]}, "next"),
    "per call in a table": ({}, {"fallbacks": [{"bad": ["next"]}]}, "next"),
    "per call before configured": ({"fallbacks": [{"bad": ["next"]}]}, {"fallbacks": ["other"]}, "other"),
    "per call with fields": ({}, {"fallbacks": [{"model": "next", "api_key": "own"}]}, "own"),
}


@pytest.mark.parametrize("way", ["completion", "acompletion"])
@pytest.mark.parametrize("kind", FELL)
async def test_fallbacks(group, told, hello, upstream, kind, way):
    settings, keywords, key = FELL[kind]
    upstream.fail(500, only=lambda seen: seen.body["model"] == "bad")
    answer = await asked(getattr(group(**settings), way)("bad", hello, **keywords))
    assert told(answer)["key"] == key
    assert answer._hidden_params["additional_headers"]["x-litellm-attempted-fallbacks"] == 1
    assert "fallbacks" not in upstream.seen[-1].body


def test_fallbacks_may_be_disabled(group, hello, upstream):
    upstream.fail(500, only=lambda seen: seen.body["model"] == "bad")
    with pytest.raises(tagrail.InternalServerError):
        group(fallbacks=[{"bad": ["next"]}]).completion("bad", hello, disable_fallbacks=True)
    assert upstream.models == ["bad"]


@pytest.mark.parametrize(
    ("keyword", "code"),
    [("context_window_fallbacks", "context_length_exceeded"), ("content_policy_fallbacks", "content_policy_violation")],
)
@pytest.mark.parametrize("where", ["call", "router"])
def test_fallbacks_for_a_kind_of_failure(group, told, hello, upstream, keyword, code, where):
    given = {keyword: [{"bad": ["next"]}]}
    upstream.fail(400, "too much", code=code, type="invalid_request_error", only=lambda seen: seen.body["model"] == "bad")
    answer = group(**given if where == "router" else {}).completion("bad", hello, **given if where == "call" else {})
    assert told(answer)["key"] == "next"


def test_an_unknown_name_goes_to_the_default_fallback(group, told, hello, upstream):
    assert told(group(default_fallbacks=["next"]).completion("unknown", hello))["key"] == "next"
    with pytest.raises(tagrail.BadRequestError) as raised:
        group().completion("unknown", hello)
    assert raised.value.status_code == 400
    assert "You passed in model=unknown. There are no healthy deployments for this model" in str(raised.value)


@pytest.mark.parametrize("way", ["completion", "acompletion"])
async def test_retries_of_a_call(one, hello, upstream, way):
    upstream.fail(500, times=2)
    answer = await asked(getattr(one, way)("m", hello, num_retries=2))
    assert answer._hidden_params["additional_headers"]["x-litellm-attempted-retries"] == 2
    upstream.fail(503)
    with pytest.raises(tagrail.ServiceUnavailableError) as raised:
        await asked(getattr(one, way)("m", hello, num_retries=1))
    assert len(upstream.seen) == 5
    assert raised.value.status_code == 503


class Httpx:
    """As httpx.Timeout is."""

    connect, read, write, pool = 5.0, 0.05, 5.0, None


@pytest.mark.parametrize("timeout", [0.05, Httpx()])
def test_the_timeout_of_a_call(one, hello, upstream, timeout):
    stall = upstream.stall()
    with pytest.raises(tagrail.Timeout) as raised:
        one.completion("m", hello, timeout=timeout)
    assert raised.value.status_code == 408
    stall.gone()


# ---- the operator's own -----------------------------------------------------------------
def test_a_key_of_the_call_is_the_calls_alone(one, told, hello, upstream):
    assert told(one.completion("m", hello, api_key="own"))["key"] == "own"
    assert told(one.completion("m", hello))["key"] == "one"


def test_an_address_of_the_call_is_the_calls_alone(one, hello, upstream):
    from upstream import Upstream

    with Upstream() as elsewhere:
        one.completion("m", hello, api_base=elsewhere.v1, api_key="own")
        one.completion("m", hello, base_url=elsewhere.v1)
    one.completion("m", hello)
    assert elsewhere.keys == ["own", ""], "the deployment's key goes to nobody else"
    assert upstream.keys == ["one"]


def test_headers_of_the_call(one, hello, upstream):
    one.completion("m", hello, extra_headers={"x-tenant": "seven"})
    one.completion("m", hello)
    assert [seen.headers.get("x-tenant") for seen in upstream.seen] == ["seven", None]
    assert "extra_headers" not in upstream.seen[0].body


def test_the_providers_own_keywords_pass(one, hello, upstream):
    one.completion("m", hello, top_k=3, tools=[{"type": "function", "function": {"name": "f"}}], extra_body={"zed": 1})
    body = upstream.seen[0].body
    assert (body["top_k"], body["tools"][0]["function"]["name"], body["zed"]) == (3, "f", 1)
    assert body["messages"] == hello


def test_a_mocked_response(one, hello, upstream):
    assert one.completion("m", hello, mock_response="canned").choices[0].message.content == "canned"
    assert "".join(
        chunk.choices[0].delta.content or "" for chunk in one.completion("m", hello, mock_response="canned", stream=True)
    ) == "canned"
    with pytest.raises(tagrail.InternalServerError) as raised:
        one.completion("m", hello, mock_response=KeyError("x"))
    assert isinstance(raised.value.__cause__, KeyError)
    assert upstream.seen == []


def test_a_specific_deployment(router, deployment, told, hello, upstream):
    list_ = [deployment("g", "openai/x", id="g1"), deployment("openai/*", "openai/*", id="wild")]
    both = router(list_)
    assert told(both.completion("openai/x", hello))["key"] == "wild"
    assert told(both.completion("openai/x", hello, specific_deployment=True))["key"] == "g1"
    assert told(both.completion("openai/x", hello, specific_deployment=False))["key"] == "wild"
    assert all("specific_deployment" not in seen.body for seen in upstream.seen)


# ---- callers -------------------------------------------------------------------------
@pytest.mark.parametrize("way", ["completion", "acompletion"])
async def test_a_caller_confines_a_call(group, told, hello, upstream, way):
    caller = tagrail.Caller(team_models=["next"], team_aliases={"mine": "next"})
    call = getattr(group(), way)
    assert told(await asked(call("mine", hello, caller=caller)))["key"] == "next"
    with pytest.raises(tagrail.PermissionDeniedError):
        await asked(call("other", hello, caller=caller))
    assert told(await asked(call("other", hello)))["key"] == "other"
    assert "caller" not in upstream.seen[0].body


@pytest.mark.parametrize("caller", [{"team_tags": ["a"]}, "team", 7])
def test_a_caller_is_a_caller(one, hello, upstream, caller):
    with pytest.raises(TypeError, match="Caller"):
        one.completion("m", hello, caller=caller)
    assert upstream.seen == []


def test_a_callers_tags_are_texts():
    for wrong in ("eu", [1], [None]):
        with pytest.raises(TypeError, match="team_tags"):
            tagrail.Caller(team_tags=wrong)
    assert tagrail.Caller(team_tags=("eu",)) == tagrail.Caller(team_tags=["eu"]) != tagrail.Caller()
    assert repr(tagrail.Caller(key_models=["m"])) == "Caller(key_models=['m'])"
